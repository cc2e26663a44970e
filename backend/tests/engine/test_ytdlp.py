# ruff: noqa: SLF001 - what yt-dlp would do is asked of its own table
"""What yt-dlp says, in our own words and types."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import chdir
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yt_dlp.networking import _helper
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

from music_downloader.engine.faults import Fault
from music_downloader.engine.order import ChildOrder
from music_downloader.engine.source import SourceInfo, Thumbnail
from music_downloader.engine.ytdlp import Downloader, judge
from music_downloader.engine.ytdlp.matching import Extractors
from music_downloader.errors import DownloadFailedError, ErrorCode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def as_raised(error: Exception) -> DownloadError:
    """Wrap `error` the way yt-dlp does on its way out."""
    return DownloadError(f"\x1b[0;31mERROR:\x1b[0m {error}", (type(error), error, None))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsupportedError("http://x"), ErrorCode.UNSUPPORTED_URL),
        (GeoRestrictedError("Not here"), ErrorCode.UNAVAILABLE),
        (UserNotLive(), ErrorCode.UNSUPPORTED_URL),
        (ExtractorError("This video is DRM protected", expected=True), ErrorCode.DRM_PROTECTED),
        (ExtractorError("This track is for registered users", expected=True), ErrorCode.LOGIN_REQUIRED),
        (ExtractorError("This is private", expected=True), ErrorCode.LOGIN_REQUIRED),
        (ExtractorError("Sign in to confirm you are not a bot", expected=True), ErrorCode.UNAVAILABLE),
        (ExtractorError("Video unavailable. It has been removed", expected=True), ErrorCode.NOT_FOUND),
        (ExtractorError("No video formats found!"), ErrorCode.NO_AUDIO),
        (ExtractorError("Requested format is not available", expected=True), ErrorCode.NO_AUDIO),
        (ExtractorError("Unable to extract title"), ErrorCode.UNAVAILABLE),
        (TimeoutError("timed out"), ErrorCode.TIMEOUT),
        (OSError(28, "No space left on device"), ErrorCode.NO_SPACE),
        (MemoryError(), ErrorCode.BAD_MEDIA),
        (RecursionError("maximum recursion depth exceeded"), ErrorCode.UNSUPPORTED_URL),
        (ExtractorError("Failed to parse JSON", cause=RecursionError()), ErrorCode.UNSUPPORTED_URL),
    ],
)  # fmt: skip
def test_an_exception_becomes_a_code_and_a_sentence(error: Exception, code: ErrorCode) -> None:
    fault = judge(as_raised(error))
    assert fault.code is code
    assert fault.detail.endswith(".")
    assert "\x1b" not in fault.detail


def test_the_words_of_the_source_are_handed_on_without_hints_for_the_command_line() -> None:
    error = ExtractorError("The moon is wrong. Use --cookies-from-browser to mend it", expected=True)
    assert judge(as_raised(error)).detail == "The source says: The moon is wrong."


def test_what_nobody_foresaw_is_internal_and_names_its_kind() -> None:
    fault = judge(KeyError("secret"))
    assert fault == Fault(
        code=ErrorCode.INTERNAL, detail="The download ended with an unexpected fault (KeyError)."
    )


def test_a_refused_address_is_told_even_when_the_error_was_swallowed() -> None:
    assert (
        judge(as_raised(ExtractorError("Unable to extract")), refused=True).code is ErrorCode.BLOCKED_ADDRESS
    )


def test_our_own_refusals_pass_through() -> None:
    error = DownloadFailedError(ErrorCode.TOO_LONG, "Too long.")
    assert judge(as_raised(error), refused=True) == Fault.of(error)


def test_the_facts_of_a_track_are_taken_over() -> None:
    info = SourceInfo.from_yt_dlp(
        {
            "extractor": "Bandcamp",
            "id": 123,
            "title": " A\x00Song ",
            "artists": ["One", "Two", "One", ""],
            "album_artist": "One",
            "track_number": "3",
            "disc_number": 0,
            "release_date": "20240131",
            "upload_date": "yesterday",
            "duration": "181.5",
            "description": "x" * 5000,
            "thumbnails": [{"url": f"https://e.com/{n}.jpg", "width": n} for n in range(30)] + ["x", {}],
            "vcodec": "none",
            "acodec": "opus",
        }
    )
    assert info.source_id == "123"
    assert info.title == "A Song"
    assert info.artists == ("One", "Two")
    assert info.album_artists == ("One",)
    assert (info.track_number, info.disc_number) == (3, None)
    assert (info.release_date, info.upload_date) == ("20240131", None)
    assert info.duration == 181.5
    assert len(info.description or "") == 1000
    assert len(info.thumbnails) == 20
    assert info.thumbnails[-1] == Thumbnail(url="https://e.com/29.jpg", width=29)
    assert not info.has_video


@given(
    st.dictionaries(
        st.sampled_from([f.name for f in dataclasses.fields(SourceInfo)] + ["id", "vcodec"]), JSON
    )
)
def test_any_info_is_read_and_survives_the_pipe(info: dict[str, Any]) -> None:
    read = SourceInfo.from_yt_dlp(info)
    assert SourceInfo.from_json(json.loads(json.dumps(dataclasses.asdict(read)))) == read


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloader]:
    """One as the fork server has it."""
    with chdir(tmp_path_factory.mktemp("warm")):
        downloader = Downloader()
        downloader.warm_up()
        yield downloader


def test_a_fetch_reads_no_certificates_anew(warm: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server has read them: a hundred and more, and every fetch has a proxy of its own."""
    read: list[object] = []
    monkeypatch.setattr(_helper, "ssl_load_certs", lambda *anything, **_: read.append(anything))
    order = ChildOrder(
        url="http://site.invalid/song.mp3",
        proxy="http://somebody:secret@127.0.0.1:9",
        max_bytes=None,
        max_duration=None,
        single=True,
        item=None,
        max_items=None,
    )
    with pytest.raises(DownloadError, match="Connection refused"):
        warm.fetch(order, lambda *_, **__: None)
    assert not read


@pytest.mark.parametrize(
    "url",
    [
        "https://music.example/song.mp3",
        "https://www.youtube.com/watch?v=BaW_jenozKc",
        "https://www.youtube.com/watch?v=BaW_jenozKc&list=PL4lCao7KL_QFVb7Iudeipvc2BCavECqzc",
        "https://music.youtube.com/playlist?list=OLAK5uy_l1m0thk3g31NmIIz_vMIbWtyv7eZixlH0",
        "https://youtu.be/BaW_jenozKc",
        "https://soundcloud.com/ethmusic/lostin-powers-she-so-heavy",
        "https://soundcloud.com/the-concept-band/sets/the-royal-concept-ep",
        "https://youtube-dl.bandcamp.com/track/youtube-dl-test-song",
        "https://blazo.bandcamp.com/album/jazz-format-mixtape-vol-1",
        "https://archive.org/details/gd1977-05-08.shure57.stevenson.29303.flac16",
        "https://vimeo.com/56015672",
        "https://www.mixcloud.com/dholbach/cryptkeeper/",
        "ytsearch:a song",
        "a song",
        "",
        "https://",
        "HTTPS://WWW.YOUTUBE.COM/watch?v=BaW_jenozKc",
    ],
)
def test_the_extractor_is_the_one_that_yt_dlp_would_find(warm: Downloader, url: str) -> None:
    found = next((key for key, extractor in warm._ies.items() if extractor.suitable(url)), None)
    assert Extractors(warm._ies).find(url) == found
