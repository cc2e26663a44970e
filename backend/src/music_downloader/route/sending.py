"""Answers that come out of the library: a file, whole or in parts, and a picture.

What they send is opened only once the answer begins. By then the transaction has ended, and whatever happens
to the client or the answer, what was opened here is closed here.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar

from fastapi.responses import Response, StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from music_downloader.errors import NoCoverError, ServiceUnavailableError
from music_downloader.library.embedded import Cover
from music_downloader.library.reading import OpenFile, open_file, read_cover_of
from music_downloader.route.conditional import Span, Version, is_known, wanted_spans
from music_downloader.route.disposition import content_disposition
from music_downloader.route.patience import answer_patiently
from music_downloader.route.problem import problem

T = TypeVar("T")
AUDIO_TYPES = {
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".opus": "audio/ogg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
}
_CHUNK = 256 * 1024
_PATIENCE_SECONDS = 600.0  # a player that pauses leaves the rest in the pipe
_OPENING_SECONDS = 20.0  # a disk that slept is awake by then
# A share that hangs keeps whoever touches it for minutes: these threads, and not those that check passwords.
_READERS = ThreadPoolExecutor(16, thread_name_prefix="library")
_PRIVATE = {"Vary": "Authorization", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A file of the library: where it lies, and the SHA-256 that it was filed with."""

    root: Path
    path: str
    sha256: str


class AudioFile(Response):
    """A file of the library with its name; `as_attachment` asks browsers to save it rather than play it."""

    def __init__(self, place: Place, *, as_attachment: bool) -> None:
        super().__init__()
        self._place = place
        self._as_attachment = as_attachment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the file and answer (ASGI); NoFileError while nothing has been sent."""
        async with _opened(self._place) as file:
            answer = self._answer(file, scope["method"], Headers(scope=scope))
            await answer_patiently(answer, scope, receive, send, seconds=_PATIENCE_SECONDS)

    def _answer(self, file: OpenFile, method: str, asked: Headers) -> Response:
        path = PurePosixPath(self._place.path)
        media_type = AUDIO_TYPES.get(path.suffix.lower(), "application/octet-stream")
        version = _version(self._place, file)
        headers = {**_PRIVATE, **version.headers, "Cache-Control": "private, no-cache"}
        if is_known(asked, version):
            return Response(status_code=304, headers=headers)
        headers["Accept-Ranges"] = "bytes"
        headers["Content-Disposition"] = content_disposition(path.name, as_attachment=self._as_attachment)
        # Only GET has ranges (RFC 9110, 14.2).
        spans = wanted_spans(asked, version, size=file.size) if method == "GET" else None
        if spans == []:
            unmet = {"Content-Range": f"bytes */{file.size}"}
            return problem(416, "The file has no such part; it is shorter than that.", headers=unmet)
        pieces: Sequence[bytes | Span] = spans or [Span(start=0, end=file.size)]
        if spans and len(spans) > 1:
            boundary = secrets.token_hex(16)
            pieces = _parts(spans, boundary=boundary, media_type=media_type, size=file.size)
            media_type = f"multipart/byteranges; boundary={boundary}"
        elif spans:
            headers["Content-Range"] = _content_range(spans[0], file.size)
        headers |= {"Content-Type": media_type, "Content-Length": str(sum(map(len, pieces)))}
        if method == "HEAD":
            return Response(headers=headers)
        return StreamingResponse(_read(file, pieces), status_code=206 if spans else 200, headers=headers)


class CoverPicture(Response):
    """The picture inside a file of the library."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the picture and answer (ASGI); NoFileError or NoCoverError while nothing has been sent."""
        picture, version = await _soon(_in_library(_picture, self._place))
        headers = {**_PRIVATE, **version.headers, "Cache-Control": "private, max-age=3600"}
        if is_known(Headers(scope=scope), version):
            answer = Response(status_code=304, headers=headers)
        else:
            answer = Response(picture.data, media_type=picture.mime, headers=headers)
        await answer_patiently(answer, scope, receive, send, seconds=_PATIENCE_SECONDS)


@asynccontextmanager
async def _opened(place: Place) -> AsyncIterator[OpenFile]:
    opening = _in_library(open_file, place.root, place.path)
    try:
        file = await _soon(asyncio.shield(opening))
    except (asyncio.CancelledError, ServiceUnavailableError):
        opening.add_done_callback(_close_unwanted)
        raise
    try:
        yield file
    finally:
        os.close(file.descriptor)


def _in_library(work: Callable[..., T], *given: object) -> asyncio.Future[T]:
    return asyncio.get_running_loop().run_in_executor(_READERS, work, *given)


async def _soon(coming: asyncio.Future[T]) -> T:
    try:
        async with asyncio.timeout(_OPENING_SECONDS):
            return await coming
    except TimeoutError as error:
        raise ServiceUnavailableError("The library doesn't answer right now; try again shortly.") from error


def _close_unwanted(opening: asyncio.Future[OpenFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result().descriptor)


def _version(place: Place, file: OpenFile) -> Version:
    # What the disk says is part of it: somebody may have written other tags since the file was filed.
    return Version(
        etag=f'"{place.sha256}-{file.size:x}-{file.modified:x}"',
        modified=datetime.fromtimestamp(file.modified // 1_000_000_000, UTC),
    )


def _picture(place: Place) -> tuple[Cover, Version]:
    picture = read_cover_of(place.root, place.path)
    if picture is None:
        raise NoCoverError
    return picture, Version(etag=f'"{hashlib.sha256(picture.data).hexdigest()}"')


def _parts(spans: Sequence[Span], *, boundary: str, media_type: str, size: int) -> list[bytes | Span]:
    """Return a multipart/byteranges body (RFC 9110, 14.6)."""
    pieces: list[bytes | Span] = []
    for span in spans:
        lines = (
            f"--{boundary}",
            f"Content-Type: {media_type}",
            f"Content-Range: {_content_range(span, size)}",
        )
        pieces += ["\r\n".join((*lines, "", "")).encode(), span, b"\r\n"]
    return [*pieces, f"--{boundary}--\r\n".encode()]


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span.start}-{span.end - 1}/{size}"


async def _read(file: OpenFile, pieces: Sequence[bytes | Span]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        start = piece.start
        while start < piece.end:
            wanted = min(_CHUNK, piece.end - start)
            chunk = await _in_library(os.pread, file.descriptor, wanted, start)
            if not chunk:
                raise OSError("the file has become shorter while it was sent")
            start += len(chunk)
            yield chunk
