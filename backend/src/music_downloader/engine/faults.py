"""How a fault outside becomes an error code and one sentence a person understands."""

import errno
import re
import socket
import ssl
import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

from music_downloader.errors import DownloadFailedError, ErrorCode

MAX_SENTENCE: Final = 500
_MAX_RETRY_AFTER: Final = 86_400.0
_SERVER_ERROR: Final = 500
_A_FEW: Final = 300.0  # seconds that are better told as such


def too_long(duration: float, limit: float) -> DownloadFailedError:
    """Make the fault of a track that lasts longer than it may; both in seconds."""
    lasts, allowed = (
        f"{each:.0f} seconds" if limit < _A_FEW else f"{each / 60:.0f} minutes" for each in (duration, limit)
    )
    return DownloadFailedError(
        ErrorCode.TOO_LONG, f"This track lasts {lasts}, more than the {allowed} allowed."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A `DownloadFailedError` that can cross a pipe."""

    code: ErrorCode
    detail: str
    transient: bool = False
    retry_after: float | None = None

    @classmethod
    def of(cls, error: DownloadFailedError) -> "Fault":
        """Take the fault out of `error`."""
        return cls(
            code=error.code,
            detail=sentence(error.detail),
            transient=error.transient,
            retry_after=error.retry_after,
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Fault":
        """Read what `dataclasses.asdict` and JSON made of one; raises ValueError or KeyError otherwise."""
        return cls(
            code=ErrorCode(data["code"]),
            detail=sentence(str(data["detail"])),
            transient=bool(data["transient"]),
            retry_after=None if data["retry_after"] is None else float(data["retry_after"]),
        )

    def error(self) -> DownloadFailedError:
        """Return the fault as something to raise."""
        return DownloadFailedError(
            self.code, self.detail, transient=self.transient, retry_after=self.retry_after
        )


BLOCKED: Final = Fault(
    code=ErrorCode.BLOCKED_ADDRESS, detail="The source leads to an address that downloads may not reach."
)
NO_SPACE: Final = Fault(
    code=ErrorCode.NO_SPACE, detail="There is no space left to store the download.", transient=True
)
LIBRARY: Final = Fault(
    code=ErrorCode.INTERNAL,
    detail="The library can't be written to; see that its folder is there and writable for the service.",
    transient=True,
)
TOO_LARGE: Final = Fault(code=ErrorCode.TOO_LARGE, detail="The file is larger than downloads may be.")
TOO_MUCH_MEMORY: Final = Fault(
    code=ErrorCode.BAD_MEDIA, detail="The source sent more data than could be made sense of."
)
TIMEOUT: Final = Fault(code=ErrorCode.TIMEOUT, detail="The source took too long to answer.", transient=True)
BROKEN_OFF: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="The source broke off the transfer.", transient=True
)
UNREACHABLE: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="The source could not be reached.", transient=True
)
UNKNOWN_HOST: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="The source's name could not be resolved.", transient=True
)
PROXY: Final = Fault(
    code=ErrorCode.UNAVAILABLE,
    detail="The proxy that downloads go through (DOWNLOAD_PROXY) could not be used.",
    transient=True,
)
WAY_OUT: Final = Fault(
    code=ErrorCode.INTERNAL, detail="The way out to the sources is overloaded or closed.", transient=True
)
BAD_CERTIFICATE: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="The source's TLS certificate could not be verified."
)
BAD_TLS: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="No secure connection to the source could be made.", transient=True
)

_BY_STATUS: Final = {
    401: Fault(code=ErrorCode.LOGIN_REQUIRED, detail="The source asks for a login (HTTP 401)."),
    402: Fault(code=ErrorCode.LOGIN_REQUIRED, detail="The source asks for a payment (HTTP 402)."),
    403: Fault(code=ErrorCode.LOGIN_REQUIRED, detail="The source refuses access without a login (HTTP 403)."),
    404: Fault(code=ErrorCode.NOT_FOUND, detail="There is nothing at this URL (HTTP 404)."),
    408: TIMEOUT,
    410: Fault(code=ErrorCode.NOT_FOUND, detail="What was at this URL is gone for good (HTTP 410)."),
    429: Fault(
        code=ErrorCode.UNAVAILABLE,
        detail="The source asks for fewer requests (HTTP 429); it may work later.",
        transient=True,
    ),
    451: Fault(
        code=ErrorCode.UNAVAILABLE, detail="The source may not show this for legal reasons (HTTP 451)."
    ),
}
_BY_ERRNO: Final = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EFBIG: TOO_LARGE,
    **dict.fromkeys((errno.ENOENT, errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE), LIBRARY),
    errno.ETIMEDOUT: TIMEOUT,
    errno.ECONNRESET: BROKEN_OFF,
    errno.EPIPE: BROKEN_OFF,
    errno.ECONNREFUSED: Fault(
        code=ErrorCode.UNAVAILABLE, detail="The source refused the connection.", transient=True
    ),
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EADDRNOTAVAIL: UNREACHABLE,
}


def of_status(status: int, retry_after: str | None = None) -> Fault:
    """Judge an HTTP status that isn't a success."""
    fault = _BY_STATUS.get(status)
    if fault is None:
        transient = status >= _SERVER_ERROR
        what = "failed" if transient else "refused the request"
        fault = Fault(
            code=ErrorCode.UNAVAILABLE, detail=f"The source {what} (HTTP {status}).", transient=transient
        )
    return replace(fault, retry_after=retry_seconds(retry_after)) if fault.transient else fault


def of_os_error(error: OSError) -> Fault | None:
    """Judge an error of the operating system or of the network; None when it says nothing of use."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BAD_CERTIFICATE
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, socket.gaierror):
        return UNKNOWN_HOST
    if isinstance(error, ssl.SSLError):
        return BAD_TLS
    if error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    return BROKEN_OFF if isinstance(error, ConnectionError) else None


def retry_seconds(header: str | None, *, now: float | None = None) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3): seconds or a date, at most a day."""
    if not header:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), _MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(moment - (time.time() if now is None else now), 0.0), _MAX_RETRY_AFTER)


def sentence(raw: str) -> str:
    """Return `raw` as one bounded line without terminal colours, markup or control characters."""
    line = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", raw[: 8 * MAX_SENTENCE])
    line = re.sub(r"<[^<>]{0,2000}>", " ", line)
    line = "".join(char if char.isprintable() else " " for char in line)
    line = " ".join(line.split())
    return line if len(line) <= MAX_SENTENCE else line[: MAX_SENTENCE - 1].rstrip() + "…"
