"""A URL becomes a file: the ways that sources offer one."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import media
from tests.source import Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import FetchOrder, Progress
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
Order = Callable[..., FetchOrder]


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus", "flac", "ogg", "wav", "webm", "mp4"])
async def test_a_direct_file_arrives_as_it_was_sent(
    engine: Engine, source: Source, order: Order, kind: str, heard: list[Progress]
) -> None:
    file = media.make(kind)
    url = source.file(f"/a-song.{kind}", file)
    fetched = await engine.fetch(order(url), on_progress=heard.append)
    assert fetched.path.read_bytes() == file.read_bytes()
    assert fetched.info.extractor == "generic"
    assert fetched.info.title == "a-song"
    assert fetched.info.webpage_url == url
    assert heard[0].phase == "resolving"
    assert heard[-1] == Progress(
        phase="downloading",
        downloaded_bytes=file.stat().st_size,
        total_bytes=file.stat().st_size,
        speed=heard[-1].speed,
        eta=heard[-1].eta,
    )


async def test_a_page_with_json_ld_gives_its_audio_and_its_facts(
    engine: Engine, source: Source, order: Order
) -> None:
    file = media.make("mp3")
    page = source.json_ld_page("/page", source.file("/a.mp3", file), thumbnailUrl=source.url("/cover.jpg"))
    fetched = await engine.fetch(order(page), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()
    assert fetched.info.title == "A Song"
    assert fetched.info.description == "Words about it"
    assert fetched.info.duration == 3
    assert [picture.url for picture in fetched.info.thumbnails] == [source.url("/cover.jpg")]


async def test_a_page_with_og_audio_gives_its_audio(engine: Engine, source: Source, order: Order) -> None:
    file = media.make("mp3")
    page = source.open_graph_page("/page", source.file("/a.mp3", file))
    fetched = await engine.fetch(order(page), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()
    assert fetched.info.title == "A Song"


async def test_a_redirect_is_followed(engine: Engine, source: Source, order: Order) -> None:
    file = media.make("mp3")
    url = source.redirect("/old", source.file("/new.mp3", file))
    fetched = await engine.fetch(order(url), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()


async def test_a_feed_with_one_item_gives_it(engine: Engine, source: Source, order: Order) -> None:
    file = media.make("mp3")
    url = source.feed("/feed.xml", [source.file("/a.mp3", file)])
    fetched = await engine.fetch(order(url), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()
    assert fetched.info.title == "Item 1"


async def test_a_list_of_several_tracks_is_refused_before_any_is_asked_for(
    engine: Engine, source: Source, order: Order
) -> None:
    tracks = [source.file(f"/{n}.mp3", media.make("mp3")) for n in range(3)]
    url = source.feed("/feed.xml", tracks)
    with pytest.raises(DownloadFailedError, match=r"several tracks \(3\)") as caught:
        await engine.fetch(order(url), on_progress=lambda _: None)
    assert caught.value.code is ErrorCode.UNSUPPORTED_URL
    assert {request.path for request in source.requests} == {"/feed.xml"}


async def test_a_name_that_is_no_extension_does_no_harm(engine: Engine, source: Source, order: Order) -> None:
    file = media.make("mp3")
    url = source.body("/get.php", file.read_bytes(), "audio/mpeg")
    fetched = await engine.fetch(order(url), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()


async def test_hls_is_fetched_without_ffmpeg(engine: Engine, source: Source, order: Order) -> None:
    source.file("/part.ts", media.make("ts"))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.5,\npart.ts\n#EXT-X-ENDLIST\n"
    url = source.body("/list.m3u8", playlist.encode(), "application/vnd.apple.mpegurl")
    fetched = await engine.fetch(order(url), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == media.make("ts").read_bytes()


async def test_a_part_left_behind_is_resumed(
    engine: Engine, source: Source, order: Order, tmp_path: Path
) -> None:
    file = media.make("mp3")
    (tmp_path / "source.mp3.part").write_bytes(file.read_bytes()[:10_000])
    fetched = await engine.fetch(order(source.file("/a.mp3", file)), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()
    assert any(request.headers.get("range") == "bytes=10000-" for request in source.requests)


async def test_a_source_that_stumbles_is_asked_again(engine: Engine, source: Source, order: Order) -> None:
    file = media.make("mp3")
    url = source.flaky("/a.mp3", file, failures=1, after=1)
    fetched = await engine.fetch(order(url), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()


async def test_several_fetches_run_at_once(
    engine: Engine, source: Source, order: Order, tmp_path: Path
) -> None:
    kinds = ["mp3", "flac", "opus", "m4a"]
    orders = []
    for kind in kinds:
        folder = tmp_path / kind
        folder.mkdir()
        orders.append(order(source.file(f"/a.{kind}", media.make(kind)), directory=folder))
    fetched = await asyncio.gather(*(engine.fetch(o, on_progress=lambda _: None) for o in orders))
    assert [f.path.read_bytes() for f in fetched] == [media.make(kind).read_bytes() for kind in kinds]


async def test_a_proxy_is_the_only_way_out(engine: Engine, source: Source, order: Order) -> None:
    file = media.make("mp3")
    source.file("/a.mp3", file)
    through = {"policy": EgressPolicy(), "proxy": source.url("")}
    fetched = await engine.fetch(order("http://music.example/a.mp3", **through), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == file.read_bytes()
    assert {request.path for request in source.requests} == {"http://music.example/a.mp3"}
