"""What goes wrong at a source ends as one code and one sentence."""

import errno
import socket
import ssl
from collections.abc import Callable

import pytest
from tests import media
from tests.source import Answer, Request, Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine import faults
from music_downloader.engine.order import FetchOrder
from music_downloader.engine.run import Engine
from music_downloader.engine.watch import WatchRules
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
Order = Callable[..., FetchOrder]


async def failure(engine: Engine, order: FetchOrder) -> DownloadFailedError:
    with pytest.raises(DownloadFailedError) as caught:
        await engine.fetch(order, on_progress=lambda _: None)
    error = caught.value
    assert 0 < len(error.detail) <= 500
    assert not set("\x1b\n<>") & set(error.detail)
    assert "Traceback" not in error.detail
    return error


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, (ErrorCode.LOGIN_REQUIRED, False)),
        (403, (ErrorCode.LOGIN_REQUIRED, False)),
        (404, (ErrorCode.NOT_FOUND, False)),
        (410, (ErrorCode.NOT_FOUND, False)),
        (418, (ErrorCode.UNAVAILABLE, False)),
        (429, (ErrorCode.UNAVAILABLE, True)),
        (500, (ErrorCode.UNAVAILABLE, True)),
        (503, (ErrorCode.UNAVAILABLE, True)),
    ],
)
async def test_a_status_becomes_a_code(
    engine: Engine, source: Source, order: Order, status: int, expected: tuple[ErrorCode, bool]
) -> None:
    error = await failure(engine, order(source.status("/a.mp3", status)))
    assert (error.code, error.transient) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, (ErrorCode.UNAVAILABLE, True)),  # an address that the page had given out and that has expired
        (404, (ErrorCode.NOT_FOUND, False)),
        (429, (ErrorCode.UNAVAILABLE, True)),
        (503, (ErrorCode.UNAVAILABLE, True)),
    ],
)
async def test_a_transfer_that_is_refused_becomes_a_code(
    engine: Engine, source: Source, order: Order, status: int, expected: tuple[ErrorCode, bool]
) -> None:
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.5,\npart.ts\n#EXT-X-ENDLIST\n"
    source.status("/part.ts", status, Retry_After="7")
    url = source.body("/list.m3u8", playlist.encode(), "application/vnd.apple.mpegurl")
    error = await failure(engine, order(url))
    assert (error.code, error.transient) == expected
    assert error.retry_after == (7 if error.transient else None)


async def test_a_transfer_given_up_after_retries_keeps_its_reason(
    engine: Engine, source: Source, order: Order
) -> None:
    url = source.flaky("/a.mp3", media.make("mp3"), failures=9, status=503, after=1, Retry_After="7")
    error = await failure(engine, order(url))
    assert (error.code, error.transient, error.retry_after) == (ErrorCode.UNAVAILABLE, True, 7)
    assert "503" in error.detail


async def test_what_the_source_asks_to_wait_is_handed_on(
    engine: Engine, source: Source, order: Order
) -> None:
    error = await failure(engine, order(source.status("/a.mp3", 429, Retry_After="7")))
    assert error.retry_after == 7


async def test_a_page_without_audio_is_unsupported(engine: Engine, source: Source, order: Order) -> None:
    error = await failure(engine, order(source.page("/page", "<title>No music</title>", "<p>Words</p>")))
    assert error.code is ErrorCode.UNSUPPORTED_URL
    assert not error.transient


async def test_a_page_that_nests_without_end_is_at_fault_itself(
    engine: Engine, source: Source, order: Order
) -> None:
    nested = "[" * 100_000 + "]" * 100_000
    script = f'<script type="application/ld+json">{nested}</script>'
    error = await failure(engine, order(source.page("/page", script)))
    assert (error.code, error.transient) == (ErrorCode.UNSUPPORTED_URL, False)
    assert error.detail == "This page can't be read."


async def test_a_port_where_nobody_listens_is_unavailable(engine: Engine, order: Order) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = await failure(engine, order(f"http://127.0.0.1:{port}/a.mp3"))
    assert (error.code, error.transient) == (ErrorCode.UNAVAILABLE, True)


async def test_a_name_that_does_not_resolve_is_unavailable(engine: Engine, order: Order) -> None:
    error = await failure(engine, order("http://no-such-host.invalid/a.mp3"))
    assert (error.code, error.transient) == (ErrorCode.UNAVAILABLE, True)


async def test_a_transfer_that_breaks_off_is_unavailable(
    engine: Engine, source: Source, order: Order
) -> None:
    error = await failure(engine, order(source.truncated("/a.mp3", media.make("mp3"))))
    assert (error.code, error.transient) == (ErrorCode.UNAVAILABLE, True)


async def test_a_refused_address_is_never_connected_to(engine: Engine, source: Source, order: Order) -> None:
    url = source.file("/a.mp3", media.make("mp3"))
    error = await failure(engine, order(url, policy=EgressPolicy()))
    assert (error.code, error.transient) == (ErrorCode.BLOCKED_ADDRESS, False)
    assert source.requests == []
    assert source.connections == 0


async def test_a_redirect_to_a_refused_address_ends_there(
    engine: Engine, source: Source, order: Order
) -> None:
    error = await failure(engine, order(source.redirect("/a.mp3", "http://127.0.0.2:1024/")))
    assert error.code is ErrorCode.UNAVAILABLE  # loopback is allowed here
    for target in ("http://169.254.169.254/latest/", "http://127.0.0.1:22/", "ftp://127.0.0.1/a.mp3"):
        error = await failure(engine, order(source.redirect("/b.mp3", target)))
        assert error.code is ErrorCode.BLOCKED_ADDRESS, target


async def test_a_playlist_that_names_a_local_file_is_no_fault_of_ours(
    engine: Engine, source: Source, order: Order
) -> None:
    lines = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    url = source.body("/a.m3u8", lines.encode(), "application/vnd.apple.mpegurl")
    assert (await failure(engine, order(url))).code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ytsearch:x", "ftp://127.0.0.1/a.mp3", "-", ""])
async def test_only_the_web_is_fetched_from(engine: Engine, order: Order, url: str) -> None:
    error = await failure(engine, order(url))
    assert error.code is ErrorCode.UNSUPPORTED_URL


async def test_an_announced_size_above_the_limit_is_refused_at_once(
    engine: Engine, source: Source, order: Order
) -> None:
    error = await failure(engine, order(source.file("/a.wav", media.make("wav")), max_bytes=100_000))
    assert (error.code, error.transient) == (ErrorCode.TOO_LARGE, False)


async def test_an_endless_body_is_too_large(engine: Engine, source: Source, order: Order) -> None:
    error = await failure(engine, order(source.endless("/a.mp3"), max_bytes=5_000_000))
    assert (error.code, error.transient) == (ErrorCode.TOO_LARGE, False)


async def test_an_endless_page_does_not_eat_the_memory(engine: Engine, source: Source, order: Order) -> None:
    url = source.endless("/page", "text/html", b"<!doctype html><html>")
    error = await failure(engine, order(url))
    assert error.code is ErrorCode.BAD_MEDIA


async def test_a_track_that_lasts_too_long_is_refused_before_it_is_fetched(
    engine: Engine, source: Source, order: Order
) -> None:
    page = source.json_ld_page("/page", source.file("/a.mp3", media.make("mp3")), duration="PT2H")
    error = await failure(engine, order(page, max_duration=3600.0))
    assert (error.code, error.transient) == (ErrorCode.TOO_LONG, False)
    assert source.hits("/a.mp3") <= 1  # a look at its headers


@pytest.mark.parametrize("route", ["silent", "dripping"])
async def test_the_deadline_holds(engine: Engine, source: Source, order: Order, route: str) -> None:
    if route == "silent":
        url = source.silent("/a.mp3")
    else:
        url = source.dripping("/a.mp3", media.make("mp3"), announced=1_000_000)
    error = await failure(engine, order(url, deadline=1.0))
    assert (error.code, error.transient) == (ErrorCode.TIMEOUT, True)


async def test_a_source_slower_than_the_least_rate_is_given_up(source: Source, order: Order) -> None:
    rules = WatchRules(interval=0.1, window=1.0, least_rate=100_000)
    url = source.dripping("/a.mp3", media.make("mp3"), piece=1000, announced=10_000_000)
    async with Engine(rules=rules) as engine:
        error = await failure(engine, order(url))
    assert (error.code, error.transient) == (ErrorCode.TIMEOUT, True)
    assert "slowly" in error.detail


async def test_a_fetch_ends_before_its_disk_is_full(engine: Engine, source: Source, order: Order) -> None:
    url = source.dripping("/a.mp3", media.make("mp3"), announced=10_000_000)
    error = await failure(engine, order(url, min_free=2**60))
    assert (error.code, error.transient) == (ErrorCode.NO_SPACE, True)


async def test_a_full_disk_is_told_apart() -> None:
    assert faults.of_os_error(OSError(errno.ENOSPC, "full")) == faults.NO_SPACE
    assert faults.of_os_error(OSError(errno.EDQUOT, "quota")) == faults.NO_SPACE
    assert faults.of_os_error(OSError(errno.EFBIG, "big")) == faults.TOO_LARGE
    assert faults.of_os_error(ssl.SSLCertVerificationError()) == faults.BAD_CERTIFICATE
    assert faults.of_os_error(OSError(errno.ENOENT, "gone")) == faults.LIBRARY
    assert faults.of_os_error(OSError(errno.EINVAL, "odd")) is None


async def test_a_wait_may_be_a_date_and_is_bounded() -> None:
    assert faults.retry_seconds("Wed, 21 Oct 2015 07:28:00 GMT", now=1445412400.0) == 80
    assert faults.retry_seconds("Wed, 21 Oct 2015 07:28:00 GMT", now=1545412400.0) == 0
    assert faults.retry_seconds("999999999999") == 86_400
    assert faults.retry_seconds("soon") is None
    assert faults.retry_seconds(None) is None


async def test_a_sentence_is_clean_and_bounded() -> None:
    raw = "\x1b[0;31mERROR:\x1b[0m <html><b>Bad</b>\n\nthing\x00</html> " + "x" * 9999
    assert faults.sentence(raw).startswith("ERROR: Bad thing")
    assert len(faults.sentence(raw)) == 500


async def test_what_broke_off_before_its_first_byte_is_worth_another_try(
    engine: Engine, source: Source, order: Order
) -> None:
    body = media.make("mp3").read_bytes()
    served: list[bool] = []

    def route(request: Request) -> Answer:
        served.append(request.method == "GET")
        looked = sum(served) <= 1  # whoever looks at it sees what it is
        headers = {"Content-Type": "audio/mpeg"}
        return Answer(headers=headers, body=body if looked else b"", length=len(body))

    error = await failure(engine, order(source.route("/song.mp3", route)))
    assert error.transient
