"""What the library's disk or share says, as sentences for people."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from music_downloader.errors import DownloadFailedError, ErrorCode

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR}
_BROKEN = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV, errno.ENXIO}


def as_failure(fault: OSError) -> DownloadFailedError | None:
    """Name a failed download's reason; None if no disk or share says such a thing.

    Each reason may pass by itself or by an administrator's hand, so it is transient.
    """
    if fault.errno in _FULL | _FORBIDDEN | _BROKEN:
        return storage_fault(fault)
    return None


def storage_fault(fault: OSError) -> DownloadFailedError:
    """Name the reason of a fault that is known to come from the library's disk or share."""
    if fault.errno in _FULL:
        return DownloadFailedError(
            ErrorCode.NO_SPACE, "The library's disk is full; make room and retry.", transient=True
        )
    if fault.errno in _FORBIDDEN:
        sentence = (
            "The library can't be written to; see that its folder is there and writable for the service."
        )
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
