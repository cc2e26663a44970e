"""Faults that pass are tried again: as late as the source asks for, and from where it broke off."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mutagen
import pytest
from sqlalchemy import select
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit
from tests.source import Answer, Request, Source
from tests.worker.landing import Sessions, eventually, files, tracks

from music_downloader.library.filing import STAGING
from music_downloader.model import AuditLog

TAGS = {"title": "A Song", "artist": "Somebody"}
Misbehave = Callable[[Request], Answer]


class Moody:
    """A file whose first requests go wrong; `moments` are when each request came, in seconds."""

    def __init__(self, source: Source, whole: str, misbehave: Misbehave, *, times: int) -> None:
        """Put it beside what is `whole`, a path of the source's."""
        self.moments: list[float] = []
        self.ranges: list[str | None] = []
        self._times = times
        self._misbehave = misbehave
        self._source = source
        self._whole = whole
        self.url = source.route(f"/moody{whole}", self._route)

    def _route(self, request: Request) -> Answer:
        self.moments.append(time.monotonic())
        self.ranges.append(request.headers.get("range"))
        if len(self.moments) <= self._times:
            return self._misbehave(request)
        return self._source.answer(replace(request, path=self._whole))


def _served(source: Source, path: str, *, frequency: int = 440) -> str:
    source.file(path, media.make("mp3", frequency=frequency, **TAGS))
    return path


def _refuses(status: int, **headers: str) -> Misbehave:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(status=status, headers=named, body=b"<h1>Not now</h1>")


def _hangs_up(_: Request) -> Answer:
    raise ConnectionResetError


def _breaks_off(_: Request) -> Answer:
    body = media.make("mp3", **TAGS).read_bytes()
    headers = {"Content-Type": "audio/mpeg", "Accept-Ranges": "bytes"}
    return Answer(headers=headers, body=body[: len(body) // 2], length=len(body))


async def _delays(sessions: Sessions, download_id: int) -> list[tuple[str, float]]:
    """Return the code of each fault that was waited out, and for how many seconds."""
    async with sessions() as session:
        found = await session.scalars(
            select(AuditLog.details)
            .where(AuditLog.action == "download.postpone", AuditLog.resource == f"download:{download_id}")
            .order_by(AuditLog.id)
        )
        return [(details["code"], details["delay"]) for details in found]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_source_is_asked_again_no_sooner_than_it_wishes(
    serve: Serve, source: Source, sessions: Sessions, status: int
) -> None:
    service = await serve(embedded_worker=True, retry_delay=0.05)
    alice = await service.sign_in()
    moody = Moody(source, _served(source, "/song.mp3"), _refuses(status, Retry_After="2"), times=1)
    number = await submit(alice, moody.url)
    shown = await ended(alice, number)
    assert (shown["status"], shown["attempts"], shown["error_code"]) == ("completed", 2, None)
    ((code, delay),) = await _delays(sessions, number)
    assert code == "unavailable"
    assert 2 <= delay <= 2.5
    assert moody.moments[1] - moody.moments[0] >= 2


async def test_waits_grow_with_each_attempt_until_all_are_spent(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    number = await submit(alice, source.status("/song.mp3", 503))
    shown = await ended(alice, number)
    assert (shown["status"], shown["attempts"], shown["error_code"]) == ("failed", 4, "unavailable")
    delays = [delay for _, delay in await _delays(sessions, number)]
    for delay, base in zip(delays, (0.2, 0.6, 1.8), strict=True):
        assert base - 0.051 <= delay <= base * 1.25 + 0.051
    assert files(working.library) == []
    await eventually(lambda: list((working.library / STAGING).iterdir()) == [])


async def test_what_hangs_up_or_says_nothing_is_asked_again(
    serve: Serve, source: Source, sessions: Sessions
) -> None:
    service = await serve(embedded_worker=True, download_timeout="3s", worker_concurrency=4, max_per_host=4)
    alice = await service.sign_in()
    source.silent("/silent")

    def says_nothing(request: Request) -> Answer:
        return source.answer(replace(request, path="/silent"))

    resets = Moody(source, _served(source, "/reset.mp3"), _hangs_up, times=2)
    quiet = Moody(source, _served(source, "/quiet.mp3", frequency=500), says_nothing, times=1)
    numbers = [await submit(alice, moody.url) for moody in (resets, quiet)]
    shown = [await ended(alice, number) for number in numbers]
    assert [one["status"] for one in shown] == ["completed"] * 2, shown
    assert all(1 < one["attempts"] <= 4 for one in shown)
    codes = [{code for code, _ in await _delays(sessions, number)} for number in numbers]
    assert codes == [{"unavailable"}, {"timeout"}]


async def test_the_next_attempt_goes_on_from_what_is_there(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    half = media.make("mp3", **TAGS).stat().st_size // 2
    first_attempt = 8  # requests at most: one to look, three to fetch, and their like

    def goes_no_further(request: Request) -> Answer:
        if request.headers.get("range", "bytes=0-") == "bytes=0-":
            return _breaks_off(request)
        return _refuses(503)(request)

    moody = Moody(source, _served(source, "/song.mp3"), goes_no_further, times=first_attempt)
    shown = await ended(alice, await submit(alice, moody.url))
    assert (shown["status"], shown["title"]) == ("completed", "A Song"), shown
    assert shown["attempts"] > 1
    resumed = moody.ranges[-1] or ""
    assert resumed.startswith("bytes=")
    assert 0 < int(resumed.removeprefix("bytes=").partition("-")[0]) <= half
    opened: Any = mutagen.File(working.library / shown["file_path"])
    assert opened.info.length == pytest.approx(media.SECONDS, abs=0.1)
    await eventually(lambda: list((working.library / STAGING).iterdir()) == [])


async def test_what_does_not_fit_to_what_was_there_is_fetched_anew(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    whole = media.make("m4a", **TAGS).read_bytes()
    asked: list[str] = []

    def another_each_time(request: Request) -> Answer:
        asked.append(request.headers.get("range", "bytes=0-"))
        start = int(asked[-1].removeprefix("bytes=").partition("-")[0])
        headers = {"Content-Type": "audio/mp4", "Accept-Ranges": "bytes"}
        if len(asked) <= 8:  # the first attempt gets one half
            if start:
                return _refuses(503)(request)
            return Answer(headers=headers, body=whole[: len(whole) // 2], length=len(whole))
        if not start:
            return Answer(headers=headers, body=whole, length=len(whole))
        headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        return Answer(status=206, headers=headers, body=bytes(len(whole) - start))

    shown = await ended(alice, await submit(alice, source.route("/song.m4a", another_each_time)))
    assert (shown["status"], shown["title"]) == ("completed", "A Song"), shown
    assert asked[-1] == "bytes=0-"
    assert any(each != "bytes=0-" for each in asked[8:])
    opened: Any = mutagen.File(working.library / shown["file_path"])
    assert opened.info.length == pytest.approx(media.SECONDS, abs=0.1)


DRM = b"""#EXTM3U
#EXT-X-TARGETDURATION:10
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key",KEYFORMAT="com.apple.streamingkeydelivery"
#EXTINF:10,
segment.ts
"""
FINAL: dict[str, tuple[Callable[[Source, str], str], str]] = {
    "404": (lambda source, path: source.status(path, 404), "not_found"),
    "410": (lambda source, path: source.status(path, 410), "not_found"),
    "401": (lambda source, path: source.status(path, 401), "login_required"),
    "403": (lambda source, path: source.status(path, 403), "login_required"),
    "451": (lambda source, path: source.status(path, 451), "unavailable"),
    "a page of words": (lambda source, path: source.page(path, "<title>Words</title>"), "unsupported_url"),
    "DRM": (
        lambda source, path: source.body(f"{path}.m3u8", DRM, "application/vnd.apple.mpegurl"),
        "drm_protected",
    ),
    "a video without sound": (
        lambda source, path: source.file(f"{path}.mp4", media.make("silent.mp4")),
        "no_audio",
    ),
    "the inside of the network": (
        lambda source, path: source.redirect(path, "http://192.168.0.1/song.mp3"),
        "blocked_address",
    ),
}


async def test_what_will_not_pass_fails_at_once_with_its_reason(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    urls = [bad(source, f"/bad/{n}") for n, (bad, _) in enumerate(FINAL.values())]
    numbers = [await submit(alice, url) for url in urls]
    found = {name: await ended(alice, number) for name, number in zip(FINAL, numbers, strict=True)}
    assert {name: one["error_code"] for name, one in found.items()} == {
        name: code for name, (_, code) in FINAL.items()
    }
    assert {one["attempts"] for one in found.values()} == {1}
    assert files(working.library) == []
    await eventually(lambda: list((working.library / STAGING).iterdir()) == [])


async def test_each_track_of_a_collection_has_its_own_faults_and_attempts(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    good = source.file("/good.mp3", media.make("mp3", **TAGS))
    later = Moody(source, _served(source, "/later.mp3", frequency=500), _refuses(429), times=1)
    bad = [make(source, f"/bad/{n}") for n, (make, _) in enumerate(FINAL.values())]
    codes = [code for _, code in FINAL.values()]
    urls = [good, later.url, source.status("/down.mp3", 503), *bad]
    number = await submit(alice, source.feed("/feed.xml", list(urls)))
    shown = await ended(alice, number)
    assert shown["items"] == {"total": len(urls), "completed": 2, "failed": 1 + len(bad)}
    assert (shown["status"], shown["error_code"]) == ("failed", "unavailable")
    of_it = await tracks(alice, number)
    assert [one["attempts"] for one in of_it] == [1, 2, 4, *[1] * len(bad)]
    assert [one["error_code"] for one in of_it] == [None, None, "unavailable", *codes]
    assert [len(await _delays(sessions, one["id"])) for one in of_it] == [0, 1, 3, *[0] * len(bad)]
    await eventually(lambda: list((working.library / STAGING).iterdir()) == [])


async def test_a_list_that_cannot_be_read_at_first_is_read_later(
    serve: Serve, source: Source, sessions: Sessions
) -> None:
    service = await serve(embedded_worker=True, retry_delay=0.05)
    alice = await service.sign_in()
    urls = [source.file(f"/{n}.mp3", media.make("mp3", frequency=300 + n)) for n in range(2)]
    source.album_page("/album", urls)
    moody = Moody(source, "/album", _refuses(429, Retry_After="1"), times=1)
    number = await submit(alice, moody.url)
    shown = await ended(alice, number)
    assert (shown["status"], shown["attempts"], shown["items"]["completed"]) == ("completed", 2, 2), shown
    ((_, delay),) = await _delays(sessions, number)
    assert delay >= 1
