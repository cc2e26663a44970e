"""What a signal comes to: what nearly is done ends, the rest is handed back, a second one doesn't wait."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests import media
from tests.cli.running import Started, assert_gone, eventually, log_in
from tests.source import Answer, Request, Source


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as running:
        yield running


def _halting(source: Source, path: str, made: Path) -> tuple[str, threading.Event]:
    """Serve half of what is asked for, and the other half once the event is set."""
    body, go_on = made.read_bytes(), threading.Event()

    def route(request: Request) -> Answer:
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-") or 0)
        left = body[start:]

        def chunks(stopping: threading.Event) -> Iterator[bytes]:
            yield left[: len(left) // 2]
            while not go_on.wait(0.05) and not stopping.is_set():
                pass
            yield left[len(left) // 2 :]

        headers = {"Content-Type": "audio/mpeg", "Accept-Ranges": "bytes"}
        if "range" in request.headers:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        status = 206 if "range" in request.headers else 200
        return Answer(status=status, headers=headers, chunks=chunks, length=len(left))

    return source.route(path, route), go_on


def _submit(client: httpx.Client, url: str) -> int:
    return int(client.post("/api/download", json={"url": url}).raise_for_status().json()["id"])


def _rows(database_url: str) -> dict[int, tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT id, status, attempts FROM download_history").fetchall()
    return {row[0]: row[1:] for row in rows}


@pytest.mark.timeout(180)
def test_a_worker_that_is_asked_to_stop_ends_what_it_can_and_hands_back_the_rest(
    database_url: str, tmp_path: Path, source: Source
) -> None:
    made = [
        media.make("mp3", seconds=20, frequency=300 + n, title=f"Song {n}", artist="Me") for n in range(3)
    ]
    nearly, go_on = _halting(source, "/nearly.mp3", made[0])
    endless, end = _halting(source, "/endless.mp3", made[1])
    waiting = source.file("/waiting.mp3", made[2])
    settings = {
        "DATABASE_URL": database_url,
        "OUTPUT_DIRECTORY": str(tmp_path / "music"),
        "DATA_DIRECTORY": str(tmp_path / "data"),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "MAX_PER_HOST": "3",
        "MIN_FREE_SPACE": "0",
        "EMBEDDED_WORKER": "false",
        "SHUTDOWN_GRACE": "4s",
        "LOG_LEVEL": "info",
    }
    with Started(tmp_path / "web", "serve", "--standalone", **settings) as web:
        eventually(lambda: web.address, within=90, what="the web is there")
        with Started(tmp_path / "worker", "worker", **settings) as worker, log_in(web.address) as alice:
            a, b, c = (_submit(alice, url) for url in (nearly, endless, waiting))
            eventually(lambda: source.hits("/nearly.mp3"), within=90)
            eventually(lambda: source.hits("/endless.mp3"), within=90)
            family = worker.family()
            begun = time.monotonic()
            worker.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            go_on.set()
            assert worker.process.wait(60) == 0
            assert time.monotonic() - begun > 3
            assert_gone(family, within=20)
            assert _rows(database_url) == {a: ("completed", 1), b: ("pending", 0), c: ("pending", 0)}
            assert source.hits("/waiting.mp3") == 0
            assert "Traceback" not in worker.output

        before = len(source.requests)
        end.set()
        with Started(tmp_path / "next", "worker", **settings) as worker, log_in(web.address) as alice:
            eventually(lambda: set(_rows(database_url).values()) == {("completed", 1)}, within=90)
            asked = [r.headers.get("range") for r in source.requests[before:] if r.path == "/endless.mp3"]
            assert (asked[-1] or "bytes=0-") != "bytes=0-", "what was fetched before was fetched again"

            end.clear()
            _submit(alice, _halting(source, "/another.mp3", made[1])[0])
            eventually(lambda: source.hits("/another.mp3"), within=90)
            family = worker.family()
            for _ in range(2):
                worker.process.send_signal(signal.SIGTERM)
                time.sleep(0.8)
            assert worker.process.wait(10) == 128 + signal.SIGTERM
            assert_gone(family, within=20)

        with httpx.stream("GET", f"{web.address}/api/events", headers=alice.headers, timeout=30) as events:
            lines = events.iter_lines()
            next(lines)
            begun = time.monotonic()
            web.process.send_signal(signal.SIGTERM)
            for _ in lines:
                pass
            assert time.monotonic() - begun < 10
        assert web.process.wait(30) == 0
