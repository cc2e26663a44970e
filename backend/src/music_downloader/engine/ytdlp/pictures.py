"""A picture, fetched with yt-dlp's own networking: the same proxy, the same TLS, the same headers."""

from pathlib import Path
from typing import Any, Final

from yt_dlp import YoutubeDL
from yt_dlp.networking import Request

from music_downloader.engine import faults, images
from music_downloader.engine.order import ChildPictureOrder, Emit
from music_downloader.errors import DownloadFailedError, ErrorCode

_PIECE: Final = 64 * 1024


def save(downloader: YoutubeDL, order: ChildPictureOrder, emit: Emit) -> None:
    """Store the picture at `order.url` as `picture.<its kind>` in the current folder and emit `done`."""
    if not order.url.startswith(("http://", "https://")):
        raise DownloadFailedError(ErrorCode.UNSUPPORTED_URL, "Only http and https URLs can be downloaded.")
    headers = {"Accept": "image/jpeg,image/png,image/webp,image/*;q=0.8", "Accept-Encoding": "identity"}
    if order.referer:
        headers["Referer"] = order.referer
    response = downloader.urlopen(Request(order.url, headers=headers))
    try:
        length = _length(response)
        if length is not None and length > order.max_bytes:
            raise faults.TOO_LARGE.error()
        head = response.read(_PIECE)
        kind = images.kind_of(head)
        if kind is None:
            raise DownloadFailedError(ErrorCode.BAD_MEDIA, "The source sent something that is no picture.")
        path = Path(f"picture.{kind}")
        size = _store(response, head, path, order.max_bytes)
    finally:
        response.close()
    if length is not None and size < length:
        raise faults.BROKEN_OFF.error()
    emit("done", path=path.name)


def _length(response: Any) -> int | None:  # noqa: ANN401 - yt-dlp has no types
    announced = response.get_header("Content-Length")
    return int(announced) if announced and announced.isascii() and announced.isdigit() else None


def _store(response: Any, piece: bytes, path: Path, most: int) -> int:  # noqa: ANN401 - yt-dlp has no types
    size = 0
    with path.open("wb") as file:
        while piece:
            size += len(piece)
            if size > most:
                raise faults.TOO_LARGE.error()
            file.write(piece)
            piece = response.read(_PIECE)
    return size
