"""Several workers in processes of their own: nothing twice, nothing forgotten, none that publishes late."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.cli.running import Started
from tests.conftest import Serve
from tests.crash.checker import packets
from tests.following import ended, submit, until
from tests.source import Answer, Request, Source
from tests.worker.landing import eventually
from tests.worker.slowly import Slowly

from music_downloader.config.settings import Settings
from music_downloader.library.filing import STAGING
from music_downloader.model import AuditLog

Sessions = async_sessionmaker[AsyncSession]
TRACKS = 6


def _halting(source: Source, path: str, made: Path) -> str:
    """Serve half of a file, and the rest once somebody has come for that alone: then to both."""
    body, gone_on = made.read_bytes(), threading.Event()
    half = len(body) // 2

    def route(request: Request) -> Answer:
        headers = {"Content-Type": "audio/mpeg", "Accept-Ranges": "bytes"}
        start = _start(request)
        if start:
            gone_on.set()
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return Answer(status=206, headers=headers, body=body[start:])

        def chunks(_: threading.Event) -> Iterator[bytes]:
            yield body[:half]
            gone_on.wait(60)
            yield body[half:]

        return Answer(headers=headers, chunks=chunks, length=len(body))

    return source.route(path, route)


def _start(request: Request) -> int:
    """Return the first byte that a request asks for."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


@pytest.mark.timeout(300)
async def test_workers_on_several_machines_share_the_work_and_take_over_from_a_frozen_one(
    serve: Serve,
    make_settings: Callable[..., Settings],
    source: Source,
    sessions: Sessions,
    tmp_path: Path,
) -> None:
    first_web, second_web = await serve(), await serve()
    alice = await first_web.sign_in()
    again = await second_web.client(Authorization=alice.headers["Authorization"])
    settings = {
        "DATABASE_URL": make_settings().database_url.get_secret_value(),
        "OUTPUT_DIRECTORY": str(first_web.library),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "MIN_FREE_SPACE": "0",
        "LOG_LEVEL": "info",
    }
    door = Slowly(source)
    urls = [
        door.file(
            f"/{n}.mp3",
            media.make("mp3", seconds=1, frequency=300 + n, title=f"Song {n}", artist="Somebody"),
        )
        for n in range(TRACKS)
    ]
    long = media.make("mp3", seconds=30, title="A Long Song", artist="Somebody")
    slow = _halting(source, "/slow.mp3", long)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                Started(tmp_path / name, "worker", DATA_DIRECTORY=str(tmp_path / name / "data"), **settings)
            )
            for name in ("one", "two")
        ]
        await eventually(lambda: all("worker.started" in worker.output for worker in workers))
        numbers = [await submit(alice, url) for url in urls]
        shown = [await ended(again, number) for number in numbers]
        assert {(one["status"], one["attempts"]) for one in shown} == {("completed", 1)}
        assert door.most in {1, 2}, "all workers together fetch two tracks from a host"
        async with sessions() as session:
            started = await session.scalars(
                select(AuditLog.resource).where(AuditLog.action == "download.start")
            )
            assert sorted(started) == sorted(f"download:{number}" for number in numbers)

        number = await submit(alice, slow)
        await until(alice, number, lambda d: bool((d["progress"] or {}).get("downloaded_bytes")))
        (frozen,) = [worker for worker in workers if f'"download_id": {number}' in worker.output]
        frozen.process.send_signal(signal.SIGSTOP)
        shown_then = await ended(again, number)
        frozen.process.send_signal(signal.SIGCONT)
        await eventually(lambda: "download.stopped" in frozen.output)
        assert (shown_then["status"], shown_then["attempts"]) == ("completed", 2)
        assert packets(first_web.library / shown_then["file_path"]) == packets(long)
        starts = [_start(request) for request in source.requests if request.path == "/slow.mp3"]
        assert max(starts) > 0, "it began from nothing again"
        await eventually(lambda: list((first_web.library / STAGING).iterdir()) == [])

        assert (await alice.post("/auth/logout")).status_code == 200
        assert (await again.get("/auth/me")).status_code == 401
