"""What the library's disk or share says, as sentences for people."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from music_downloader.errors import DownloadFailedError, ErrorCode

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def storage_fault(fault: OSError) -> DownloadFailedError:
    """Name the failed download's reason; each may pass by itself or by an administrator's hand."""
    if fault.errno in _FULL:
        return DownloadFailedError(ErrorCode.NO_SPACE, "The music library's disk is full.", transient=True)
    if fault.errno in _FORBIDDEN:
        sentence = "The library folder can't be written to; check its permissions and the share's."
    else:
        reason = errno.errorcode.get(fault.errno or 0, "unknown")
        sentence = f"The library folder's disk or share reported an error ({reason})."
    return DownloadFailedError(ErrorCode.INTERNAL, sentence, transient=True)


@contextmanager
def storage_faults() -> Iterator[None]:
    """Turn every OSError inside into a DownloadFailedError."""
    try:
        yield
    except OSError as fault:
        raise storage_fault(fault) from fault
