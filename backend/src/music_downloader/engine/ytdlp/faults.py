"""What yt-dlp's exceptions mean, told by walking their causes."""

import http.client
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, RequestError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)

from music_downloader.engine import faults
from music_downloader.engine.faults import Fault
from music_downloader.engine.guard import AddressRefusedError
from music_downloader.errors import DownloadFailedError, ErrorCode

_MAX_LINKS: Final = 50
_UNSUPPORTED: Final = Fault(
    code=ErrorCode.UNSUPPORTED_URL, detail="There is nothing at this URL that could be recognised as audio."
)
_DRM: Final = Fault(code=ErrorCode.DRM_PROTECTED, detail="This track is protected by DRM.")
_NO_AUDIO: Final = Fault(code=ErrorCode.NO_AUDIO, detail="There is no audio at this URL.")
_LIVE: Final = Fault(
    code=ErrorCode.UNSUPPORTED_URL, detail="Live streams can't be downloaded; try again when it is over."
)
_BOT: Final = Fault(
    code=ErrorCode.UNAVAILABLE,
    detail="The source takes this server for a robot; it may work later.",
    transient=True,
)
_LOGIN: Final = Fault(code=ErrorCode.LOGIN_REQUIRED, detail="The source shows this only after a login.")
_GONE: Final = Fault(code=ErrorCode.NOT_FOUND, detail="This is not available at the source (any more).")
_GEO: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="The source doesn't show this in the country of this server."
)
# A transfer that broke off before its first byte looks the same, so it is asked for again.
_EMPTY: Final = Fault(code=ErrorCode.BAD_MEDIA, detail="The source sent an empty file.", transient=True)
_STREAMING: Final = Fault(
    code=ErrorCode.UNSUPPORTED_URL, detail="This source streams in a way that can't be downloaded."
)
_NOT_UNDERSTOOD: Final = Fault(
    code=ErrorCode.UNAVAILABLE,
    detail="The source's answer could not be made sense of; a newer yt-dlp may understand it.",
)
_TOO_DEEP: Final = Fault(code=ErrorCode.UNSUPPORTED_URL, detail="This page can't be read.")
_EXPIRED: Final = Fault(
    code=ErrorCode.UNAVAILABLE, detail="The source refused the transfer (HTTP 403).", transient=True
)

_BY_KIND: Final[tuple[tuple[tuple[type[BaseException], ...], Fault], ...]] = (
    ((GeoRestrictedError,), _GEO),
    ((UnsupportedError,), _UNSUPPORTED),
    ((UserNotLive,), _LIVE),
    ((MemoryError,), faults.TOO_MUCH_MEMORY),
    ((RecursionError,), _TOO_DEEP),  # a page of a hundred thousand brackets
    ((ContentTooShortError, IncompleteRead), faults.BROKEN_OFF),
    ((UnicodeError,), _NOT_UNDERSTOOD),  # a host that is no name (IDNA)
)
# Extractors speak English; the first match decides.
_BY_WORDS: Final = (
    (re.compile(r"\bDRM\b"), _DRM),
    (re.compile(r"(?i)not a (ro)?bot|captcha|rate.?limit|too many requests"), _BOT),
    (re.compile(r"(?i)timed? ?out"), faults.TIMEOUT),
    (re.compile(r"(?i)giving up after|more expected|content too short"), faults.BROKEN_OFF),
    (re.compile(r"(?i)requested format is not available|no video formats|only images are"), _NO_AUDIO),
    (re.compile(r"(?i)ffmpeg|rtmpdump|unsupported features"), _STREAMING),
    (re.compile(r"(?i)did not get any data blocks|empty (file|response)"), _EMPTY),
    (re.compile(r"(?i)\blive ?stream|not (currently )?live|live event|premieres? (in|on|will)"), _LIVE),
    (
        re.compile(
            r"(?i)log.?in|sign(ed)?.?in|registered users|password|\bprivate\b|members?.only"
            r"|subscri|premium|purchase|age.restricted|confirm your age"
        ),
        _LOGIN,
    ),
    (re.compile(r"(?i)(your|this) (country|region|location)|geo.?(restrict|block)"), _GEO),
    (
        re.compile(
            r"(?i)not found|n[o']t exist|no longer (available|exist)|removed|deleted|unavailable|terminated"
        ),
        _GONE,
    ),
)
_GAVE_UP_ON_STATUS = re.compile(r"HTTP Error \d{3}\b")
_HINTS = re.compile(
    r"(?i)\s*(use --|see\s+https?://|try again with|you might want to|please report|; please).*"
)


def judge(
    error: BaseException, *, refused: bool = False, signed: bool = False, answer: HTTPError | None = None
) -> Fault:
    """Return what `error` means.

    `answer` is the last refusal by HTTP status, which yt-dlp drops when it gives up retrying. `refused` says
    that the connect guard refused an address, whatever became of that error; `signed` that the transfer had
    begun, from an address that the extractor obtained and that may simply have expired.
    """
    links = list(_causes(error))
    own = next((link for link in links if isinstance(link, DownloadFailedError)), None)
    if own is not None:
        return Fault.of(own)
    if answer is not None and isinstance(error, DownloadError) and _GAVE_UP_ON_STATUS.search(str(error)):
        links.append(answer)
    answered = any(isinstance(link, HTTPError) for link in links)
    if refused and (not answered or any(isinstance(link, AddressRefusedError) for link in links)):
        return faults.BLOCKED
    found = (_certain(link, signed=signed) for link in links)
    fault = next((fault for fault in found if fault is not None), None) or _likely(links)
    if fault is not None:
        return fault
    kind = type(error).__name__
    return Fault(code=ErrorCode.INTERNAL, detail=f"The download ended with an unexpected fault ({kind}).")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk `error` and all it was raised from, the outermost first."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_LINKS:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        information = getattr(link, "exc_info", None)
        waiting.append(information[1] if isinstance(information, tuple) else None)
        waiting.extend((getattr(link, "cause", None), link.__cause__, link.__context__))


def _certain(link: BaseException, *, signed: bool) -> Fault | None:
    """Judge one link that leaves no doubt."""
    if isinstance(link, HTTPError):
        wait = link.response.headers.get("Retry-After")
        if link.status == http.HTTPStatus.FORBIDDEN and signed:
            return replace(_EXPIRED, retry_after=faults.retry_seconds(wait))
        return faults.of_status(link.status, wait)
    for kinds, fault in _BY_KIND:
        if isinstance(link, kinds):
            return fault
    if isinstance(link, OSError):
        return faults.of_os_error(link)
    if isinstance(link, ExtractorError) and link.cause is None:
        return _by_words(link.orig_msg)
    return None


def _likely(links: list[BaseException]) -> Fault | None:
    """Judge a chain of which no link is certain."""
    for link in links:
        if isinstance(link, http.client.HTTPException):
            return _NOT_UNDERSTOOD
        if isinstance(link, TransportError):
            return faults.UNREACHABLE
        if isinstance(link, RequestError):  # an address within the source's answer that nobody could ask
            return _NOT_UNDERSTOOD
        if isinstance(link, ExtractorError):
            return _quoted(link) if link.expected else _NOT_UNDERSTOOD
    outermost = links[0]
    return _by_words(str(outermost)) or _NOT_UNDERSTOOD if isinstance(outermost, DownloadError) else None


def _by_words(message: str) -> Fault | None:
    return next((fault for pattern, fault in _BY_WORDS if pattern.search(message)), None)


def _quoted(error: ExtractorError) -> Fault:
    words = faults.sentence(_HINTS.sub("", str(error.orig_msg), count=1))
    if not words:
        return _NOT_UNDERSTOOD
    return replace(_NOT_UNDERSTOOD, detail=faults.sentence(f"The source says: {words}"))
