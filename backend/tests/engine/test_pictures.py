# ruff: noqa: ASYNC240 - small local files
"""A cover is fetched like everything else, and made into what every player shows."""

import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from tests import media
from tests.engine.conftest import LOOPBACK
from tests.source import Answer, Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine import images
from music_downloader.engine.order import PictureOrder
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
STILLS = ["jpg", "png", "webp", "gif", "bmp"]
HTML = b"<!doctype html><html><body>No picture</body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>'


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., PictureOrder]:
    def make(url: str, **changes: Any) -> PictureOrder:
        facts: dict[str, Any] = {"directory": tmp_path, "policy": LOOPBACK, **changes}
        return PictureOrder(url=url, **facts)

    return make


def size(picture: bytes) -> tuple[int, int]:
    """Return width and height, having walked the segments of a baseline JPEG in 4:2:0 without metadata."""
    offset = 2
    while offset < len(picture):
        marker, length = struct.unpack(">HH", picture[offset : offset + 4])
        assert marker not in range(0xFFE1, 0xFFF0), "metadata"
        if marker == 0xFFC0:  # baseline; progressive is FFC2
            height, width, parts = struct.unpack(">HHB", picture[offset + 5 : offset + 10])
            assert (parts, picture[offset + 11]) == (3, 0x22)
            return width, height
        offset += 2 + length
    raise AssertionError("no baseline frame")


def colour(picture: bytes, x: float, y: float) -> tuple[int, ...]:
    """Return the colour (red, green, blue) at this fraction of width and height."""
    width, height = size(picture)
    crop = f"crop=1:1:{int(x * (width - 1))}:{int(y * (height - 1))}:exact=1"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "mjpeg", "-i", "-"]
    command += ["-vf", f"format=rgb24,{crop}", "-f", "rawvideo", "-"]
    return tuple(subprocess.run(command, input=picture, capture_output=True, check=True).stdout[:3])


def drawn(path: Path, graph: str) -> Path:
    media.ffmpeg("-f", "lavfi", "-i", graph, "-frames:v", "1", path)
    return path


def png(width: int, height: int) -> bytes:
    """Return a PNG of one colour, whatever its size in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def refusal(engine: Engine, path: Path) -> DownloadFailedError:
    with pytest.raises(DownloadFailedError) as caught:
        await engine.make_cover(path)
    assert list(path.parent.iterdir()) == [path]
    return caught.value


@pytest.mark.parametrize("kind", STILLS)
async def test_a_picture_is_fetched_and_named_by_what_it_is(
    engine: Engine, source: Source, order: Callable[..., PictureOrder], kind: str
) -> None:
    file = media.picture(kind)
    url = source.body("/cover", file.read_bytes(), "text/plain")
    fetched = await engine.fetch_picture(order(url, referer="https://music.example/album"))
    assert fetched.name == f"picture.{kind}"
    assert fetched.read_bytes() == file.read_bytes()
    assert source.requests[-1].headers["referer"] == "https://music.example/album"


async def test_a_picture_is_fetched_through_the_proxy(
    engine: Engine, source: Source, order: Callable[..., PictureOrder]
) -> None:
    url = source.site("pictures.example", "/cover.jpg", media.picture())
    fetched = await engine.fetch_picture(order(url, policy=EgressPolicy(), proxy=source.proxy))
    assert fetched.read_bytes() == media.picture().read_bytes()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(body=HTML), ErrorCode.BAD_MEDIA),
        (Answer(body=SVG), ErrorCode.BAD_MEDIA),
        (Answer(body=b""), ErrorCode.BAD_MEDIA),
        (Answer(status=404), ErrorCode.NOT_FOUND),
        (Answer(body=b"\xff\xd8\xff\xe0" + bytes(200_000)), ErrorCode.TOO_LARGE),
        (Answer(body=b"\xff\xd8\xff\xe0", chunks=lambda _: iter([bytes(50_000)] * 9)), ErrorCode.TOO_LARGE),
        (Answer(body=b"\xff\xd8\xff\xe0" + bytes(5000), length=6000), ErrorCode.UNAVAILABLE),
    ],
    ids=["html", "svg", "empty", "gone", "large", "endless", "short"],
)
async def test_what_is_no_picture_is_not_fetched(
    engine: Engine, source: Source, order: Callable[..., PictureOrder], answer: Answer, code: ErrorCode
) -> None:
    url = source.route("/cover.jpg", lambda _: answer)
    with pytest.raises(DownloadFailedError) as caught:
        await engine.fetch_picture(order(url, max_bytes=100_000))
    assert caught.value.code is code


async def test_a_picture_at_a_refused_address_is_never_asked_for(
    engine: Engine, source: Source, order: Callable[..., PictureOrder]
) -> None:
    url = source.file("/cover.jpg", media.picture())
    with pytest.raises(DownloadFailedError) as caught:
        await engine.fetch_picture(order(url, policy=EgressPolicy()))
    assert caught.value.code is ErrorCode.BLOCKED_ADDRESS
    assert source.connections == 0


async def test_a_picture_has_a_deadline(
    engine: Engine, source: Source, order: Callable[..., PictureOrder]
) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        await engine.fetch_picture(order(source.silent("/cover.jpg"), deadline=0.3))
    assert (caught.value.code, caught.value.transient) == (ErrorCode.TIMEOUT, True)


@pytest.mark.parametrize("kind", STILLS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((600, 600), (600, 600)),
        ((3000, 3000), (1200, 1200)),
        ((1100, 1000), (1100, 1000)),
        ((1800, 1600), (1200, 1067)),
        ((1280, 720), (720, 720)),
        ((640, 2000), (640, 640)),
        ((1, 1), (1, 1)),
    ],
)  # fmt: skip
async def test_a_cover_is_small_and_nearly_square(
    engine: Engine, tmp_path: Path, kind: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    path = Path(shutil.copy(media.picture(kind, width=before[0], height=before[1]), tmp_path / "picture"))
    cover = await engine.make_cover(path)
    assert size(cover) == after
    assert b"secret" not in cover
    assert b"Lavc" not in cover
    assert list(tmp_path.iterdir()) == [path]


async def test_the_bars_beside_a_square_picture_are_cut_off(engine: Engine, tmp_path: Path) -> None:
    still = drawn(tmp_path / "still.png", "color=red:s=720x720,pad=1280:720:280:0:black")
    cover = await engine.make_cover(still)
    assert size(cover) == (720, 720)
    for x in (0, 0.5, 1):
        red, green, blue = colour(cover, x, 0.5)
        assert red > 200
        assert max(green, blue) < 60


async def test_what_is_transparent_becomes_white(engine: Engine, tmp_path: Path) -> None:
    logo = drawn(
        tmp_path / "logo.png", "color=red@0:s=100x100,format=rgba,drawbox=25:25:50:50:blue@1:fill:replace=1"
    )
    cover = await engine.make_cover(logo)
    assert min(colour(cover, 0.05, 0.05)) > 240
    assert colour(cover, 0.5, 0.5)[2] > 200


@pytest.mark.parametrize("kind", ["animated.gif", "animated.webp", "animated.png"])
async def test_a_picture_that_moves_is_no_cover(engine: Engine, tmp_path: Path, kind: str) -> None:
    path = Path(shutil.copy(media.picture(kind), tmp_path / "picture"))
    assert (await refusal(engine, path)).code is ErrorCode.BAD_MEDIA


@pytest.mark.parametrize("kind", STILLS)
async def test_half_a_picture_is_no_cover(engine: Engine, tmp_path: Path, kind: str) -> None:
    content = media.picture(kind).read_bytes()
    path = tmp_path / "picture"
    path.write_bytes(content[: len(content) // 2])
    assert (await refusal(engine, path)).code is ErrorCode.BAD_MEDIA


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HTML,
        SVG,
        b"#EXTM3U\nfile:///etc/hostname\n",
        b"\xff\xd8\xff\xe0" + HTML,
        b"\x89PNG\r\n\x1a\n" + HTML,
        b"RIFF\0\0\0\0WEBPVP8X",
        b"RIFF\0\0\0\0WEBPVP8 " + bytes(100),
        b"GIF89a;",
        b"BM" + bytes(20),
    ],
    ids=range(10),
)
async def test_what_only_begins_like_a_picture_is_no_cover(
    engine: Engine, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    error = await refusal(engine, path)
    assert error.code is ErrorCode.BAD_MEDIA
    assert re.fullmatch(r"[A-Z][^<>\n]*\.", error.detail)


async def test_a_picture_that_would_burst_the_memory_is_refused_at_once(
    engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(png(30_000, 30_000))
    with pytest.raises(DownloadFailedError) as caught:
        await engine.make_cover(path, deadline=5.0)
    assert caught.value.code is ErrorCode.BAD_MEDIA


async def test_a_large_picture_still_becomes_a_cover(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(png(6000, 6000))
    assert size(await engine.make_cover(path)) == (1200, 1200)


async def test_a_kind_is_told_by_content_alone() -> None:
    for kind in STILLS:
        assert images.kind_of(media.picture(kind).read_bytes()[: images.HEAD]) == kind
    assert images.kind_of(b"BMW is not a picture, though it begins like one") is None
    assert images.kind_of(b"") is None
