"""Sources that lie end in a failed row without a file, or in a correct file with a safe name."""

import io
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import mutagen
from tests import media
from tests.conftest import Serve, Service
from tests.following import PATIENCE, ended, submit
from tests.source import FeedItem, Source
from tests.worker.landing import eventually, files, land, tracks

from music_downloader.library.filing import STAGING
from music_downloader.library.tags import read_tags

Lie = Callable[[Source, str], str]
SECRET = "what stands in a file of this machine"
HTML = b"<!doctype html><html><head><title>Buy now</title></head><body>No music</body></html>"


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("song.flac", bytes(20_000))
    return packed.getvalue()


def _half(kind: str) -> bytes:
    whole = media.make(kind, seconds=5).read_bytes()
    return whole[: len(whole) // 2]


def _body(body: bytes, content_type: str, suffix: str) -> Lie:
    return lambda source, path: source.body(f"{path}{suffix}", body, content_type)


def _lies() -> dict[str, tuple[Lie, set[str]]]:
    """Name each lie, and the codes that it may end with."""
    noise = bytes(range(256)) * 64
    return {
        "a page as MP3": (_body(HTML, "audio/mpeg", ".mp3"), {"bad_media", "unsupported_url"}),
        "a page as FLAC": (_body(HTML, "audio/flac", ".flac"), {"bad_media", "unsupported_url"}),
        "noise as MP3": (_body(noise, "audio/mpeg", ".mp3"), {"bad_media"}),
        "noise as Opus": (_body(b"OggS" + noise, "audio/ogg", ".opus"), {"bad_media"}),
        "a ZIP as FLAC": (_body(_zip(), "audio/flac", ".flac"), {"bad_media"}),
        "a picture as MP3": (
            _body(media.picture("png").read_bytes(), "audio/mpeg", ".mp3"),
            {"bad_media", "no_audio"},
        ),
        "half an M4A": (_body(_half("m4a"), "audio/mp4", ".m4a"), {"bad_media"}),
        "the head of a FLAC": (
            _body(media.make("flac").read_bytes()[:200], "audio/flac", ".flac"),
            {"bad_media"},
        ),
        "a tag and nothing else": (
            _body(b"ID3\x04\0\0\0\0\x0f\x76" + bytes(2038), "audio/mpeg", ".mp3"),
            {"bad_media"},
        ),
        "a tag larger than any": (
            _body(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(4000), "audio/mpeg", ".mp3"),
            {"bad_media"},
        ),
        "nothing as MP3": (_body(b"", "audio/mpeg", ".mp3"), {"bad_media", "unavailable"}),
        "nothing as M4A": (_body(b"", "audio/mp4", ".m4a"), {"bad_media", "unavailable"}),
        "words as MP3": (_body(b"no music " * 500, "audio/mpeg", ".mp3"), {"bad_media"}),
        "a program": (_body(b"\x7fELF" + noise, "audio/mpeg", ".mp3"), {"bad_media"}),
    }


async def _failed(
    client: httpx.AsyncClient,
    source: Source,
    lies: dict[str, tuple[Lie, set[str]]],
    *,
    within: float = PATIENCE,
) -> dict[str, dict[str, Any]]:
    numbers = {
        name: await submit(client, lie(source, f"/{n}")) for n, (name, (lie, _)) in enumerate(lies.items())
    }
    return {name: await ended(client, number, within=within) for name, number in numbers.items()}


def _assert_all_failed(found: dict[str, dict[str, Any]], lies: dict[str, tuple[Lie, set[str]]]) -> None:
    wrong = {
        name: (one["status"], one["error_code"], one["error_message"])
        for name, one in found.items()
        if one["status"] != "failed" or one["error_code"] not in lies[name][1]
    }
    assert wrong == {}
    assert all(
        one["error_message"].endswith((".", "…")) and one["file_path"] is None for one in found.values()
    )


async def _assert_nothing_is_left(service: Service) -> None:
    await eventually(lambda: list((service.library / STAGING).iterdir()) == [])
    assert files(service.library) == []


async def test_what_is_no_audio_fails_with_its_reason_and_leaves_no_file(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    lies = _lies()
    _assert_all_failed(await _failed(alice, source, lies), lies)
    await _assert_nothing_is_left(working)


async def test_what_is_no_audio_is_nothing_to_convert_either(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    lies = _lies()
    urls = [lie(source, f"/{n}") for n, (lie, _) in enumerate(lies.values())]
    numbers = [await submit(alice, url, format="mp3") for url in urls]
    found = {name: await ended(alice, number) for name, number in zip(lies, numbers, strict=True)}
    _assert_all_failed(found, lies)
    await _assert_nothing_is_left(working)


async def test_a_playlist_that_says_it_is_audio_brings_no_file_of_this_machine(
    working: Service, source: Source, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(media.make("wav", title=SECRET).read_bytes())
    named = f"file://{secret}"
    playlists = {
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{named}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "M3U": f"#EXTM3U\n#EXTINF:3,Song\n{secret}\n",
        "XSPF": f'<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>{named}'
        "</location></track></trackList></playlist>",
        "PLS": f"[playlist]\nFile1={named}\nNumberOfEntries=1\n",
        "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    }
    alice = await working.sign_in()
    for content_type in ("audio/mpeg", "application/vnd.apple.mpegurl"):
        for name, text in playlists.items():
            url = source.body(f"/{name}/{content_type[:5]}.mp3", text.encode(), content_type)
            for wanted in ("best", "flac"):
                shown = await ended(alice, await submit(alice, url, format=wanted))
                assert shown["status"] == "failed", (name, content_type, wanted, shown)
                assert shown["error_code"] != "internal", (name, content_type, wanted, shown)
    await _assert_nothing_is_left(working)


async def test_what_never_ends_or_is_cut_short_is_given_up(serve: Serve, source: Source) -> None:
    service = await serve(
        embedded_worker=True, max_file_size="60KB", retry_delay=0.05, worker_concurrency=4, max_per_host=4
    )
    alice = await service.sign_in()
    song = media.make("mp3")
    lies: dict[str, tuple[Lie, set[str]]] = {
        "endless": (lambda source, path: source.endless(f"{path}.mp3"), {"too_large"}),
        "endless page": (
            lambda source, path: source.endless(path, "text/html", b"<p>"),
            {"too_large", "unsupported_url", "bad_media", "unavailable"},
        ),
        "too large by its own word": (
            lambda source, path: source.file(f"{path}.wav", media.make("wav")),
            {"too_large"},
        ),
        "cut short every time": (lambda source, path: source.truncated(f"{path}.mp3", song), {"unavailable"}),
    }
    found = await _failed(alice, source, lies)
    _assert_all_failed(found, lies)
    assert [one["attempts"] for one in found.values()][-1] == 4
    await _assert_nothing_is_left(service)


async def test_audio_under_a_wrong_name_or_type_becomes_a_correct_file(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    honest = {
        "opus": source.body("/song.mp3", media.make("opus").read_bytes(), "audio/mpeg"),
        "flac": source.body("/song.m4a", media.make("flac").read_bytes(), "audio/mp4"),
        "m4a": source.body("/song.ogg", media.make("m4a").read_bytes(), "audio/ogg"),
        "mp3": source.body("/song", media.make("mp3").read_bytes(), "application/octet-stream"),
        "ogg": source.body("/song.flac", media.make("ogg").read_bytes(), "audio/x-flac"),
    }
    for suffix, url in honest.items():
        shown, _ = await land(alice, url)
        path = working.library / shown["file_path"]
        opened: Any = mutagen.File(path)
        assert path.suffix == f".{suffix}"
        assert type(opened).__name__.lower().endswith({"m4a": "mp4", "ogg": "vorbis"}.get(suffix, suffix))
        assert opened.info.length > 2


NASTY = (
    "../../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/shadow",
    "C:\\Music\\Song",
    ".",
    "..",
    "...",
    " . ",
    ".hidden",
    "Ends with a dot.",
    "Ends with blanks   ",
    "CON",
    "nul.txt",
    "LPT1",
    "com¹",
    "@eaDir",
    "-rf",
    "~root",
    "$(reboot)",
    "`id`",
    "; rm -rf /",
    "a | b > c < d & e",
    "Say \"hello\" 'there'",
    "*?:",
    "100% %s %n %(title)s {title}",
    "<script>alert(1)</script>",
    "&lt;b&gt; &amp;amp;",
    "line one\nline two\r\nline three",
    "tab\tand\x0bmore",
    "bell\u0085and\u2028line",
    "right\u202egpj.exe\u202c",
    "zero\u200bwidth\ufeffjoiners\u2060",
    "\u202e\u200b",
    "Cafe\u0301 Bjo\u0308rk",
    "桜" * 300,
    "x" * 5000,
    "Z" + "\u0336\u0321\u0489" * 200,
    "👨\u200d👩\u200d👧\u200d👦" * 40,
    "أم كلثوم - שלום",
    "Robert'); DROP TABLE download_history;--",
)
HEADINGS = (*NASTY[::6], "..", "x" * 5000, "桜" * 300)  # a page is read three times, so these are fewer


def _assert_safe(path: str) -> None:
    """The rules of ext4, SMB, exFAT and NFS once more, in other words than the code's."""
    for part in path.split("/"):
        stem = part.partition(".")[0].strip().upper()
        assert 0 < len(part.encode()) <= 255, path
        assert not set(part) & set('<>:"\\|?*'), path
        assert part == part.strip(" ."), path
        assert unicodedata.is_normalized("NFC", part), path
        kinds = {unicodedata.category(letter) for letter in part if letter != "\u200d"}
        assert not kinds & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}, path
        assert stem not in {"CON", "NUL", "AUX", "PRN", "LPT1", "COM1", "COM¹"}, path


def _outside(service: Service, folder: Path) -> list[Path]:
    """List what lies in the test's folder, but neither in the library nor in the service's own data."""
    ours = (service.library, service.settings.data_directory)
    return [path for path in folder.rglob("*") if not any(path.is_relative_to(place) for place in ours)]


def _assert_landed(service: Service, of_it: list[dict[str, Any]], titles: list[str]) -> None:
    """Every track is a whole file of its own, with a safe name and with words to show, inside the library."""
    assert len({one["file_path"] for one in of_it}) == len(of_it)
    for title, one in zip(titles, of_it, strict=True):
        assert one["status"] == "completed", (title, one)
        _assert_safe(one["file_path"])
        path = service.library / one["file_path"]
        assert path.resolve().is_relative_to(service.library.resolve()), title
        tags = read_tags(path)
        assert tags is not None, title
        assert tags.title == one["title"], title
        assert tags.title.strip(), title
        assert len(tags.title) <= 500, title
        assert "\n" not in tags.title, title
        opened: Any = mutagen.File(path)
        assert opened.info.length > 0.5, title
        assert path.stat().st_size == one["file_size"], title
    for path in files(service.library):
        _assert_safe(path)


async def test_a_feed_of_nasty_titles_becomes_files_with_safe_names(
    serve: Serve, source: Source, tmp_path: Path
) -> None:
    service = await serve(embedded_worker=True, worker_concurrency=4, max_per_host=8, replaygain=False)
    alice = await service.sign_in()
    song = media.make("mp3", seconds=1)
    items = [
        FeedItem(
            source.file(f"/{n}.mp3", song), title.replace("\x0b", " "), author=title.replace("\x0b", " ")
        )
        for n, title in enumerate(NASTY)
    ]
    _, of_it = await land(alice, source.feed("/feed.xml", list(items), title=NASTY[0]))
    assert len(of_it) == len(NASTY)
    _assert_landed(service, of_it, list(NASTY))
    assert _outside(service, tmp_path) == []


async def test_pages_with_nasty_headings_become_folders_with_safe_names(
    serve: Serve, source: Source, tmp_path: Path
) -> None:
    service = await serve(embedded_worker=True, worker_concurrency=4, max_per_host=8, replaygain=False)
    alice = await service.sign_in()
    song = media.make("mp3", seconds=1)
    urls = [source.file(f"/{n}.mp3", song) for n in range(2)]
    pages = [source.album_page(f"/album/{n}", urls, title=title) for n, title in enumerate(HEADINGS)]
    numbers = [await submit(alice, url) for url in pages]
    for title, number in zip(HEADINGS, numbers, strict=True):
        shown = await ended(alice, number)
        assert (shown["status"], shown["items"]["completed"]) == ("completed", 2), (title, shown)
        of_it = await tracks(alice, number)
        assert len({one["album"] for one in of_it}) == 1, title
        _assert_landed(service, of_it, [title] * 2)
    assert _outside(service, tmp_path) == []
