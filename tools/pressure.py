"""Much at once: many submissions, many slots, and people who look at their lists meanwhile."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
import races
import rig
from gauges import Spread

from music_downloader.postgres import embedded_postgres

CONNECTIONS = 8
SLOTS = (1, 2, 4, 8)
_HOSTS = 500
_PATIENCE = 600.0  # seconds for all of it
_PAUSE = 0.02


def queue(folder: Path, *, number: int, slots: int) -> dict[str, float]:
    """Submit `number` URLs, then let a worker whose engine does nothing take them all.

    Returns how many are accepted and how many are ended a second. What ends is a download that fails at its
    only attempt: claimed, ended, both in the audit log, and out of the queue.
    """
    folder.mkdir()
    with embedded_postgres(folder / "database") as url:
        settings = {"database_url": url, "embedded_worker": False, "max_active_per_user": number}
        with rig.service(folder / "web", **settings) as service, rig.Api(service.address) as api:
            api.log_in()
            taken = asyncio.run(_submit_all(service.address, api.token or "", number))
            with psycopg.connect(url, autocommit=True) as database:
                drained = _drain(folder, url, database, number=number, slots=slots)
    return {"accepted": number / taken, "ended": number / drained}


def slots(folder: Path, source: str, names: Sequence[str], *, rounds: int) -> dict[int, races.Contender]:
    """Fetch the same tracks with one, two, four and eight slots, a service each."""
    found = {}
    urls = [f"{source}/{name}" for name in names]
    for number in SLOTS:
        settings = {"worker_concurrency": number, "max_per_host": number, "max_active_per_user": len(urls)}
        with rig.service(folder / f"slots-{number}", **settings) as service:
            contender = races.ours(service, "best")
            contender.run(urls[:2], folder)
            races.run([contender], urls, folder, rounds=rounds)
        found[number] = contender
    return found


def beside(folder: Path, source: str, names: Sequence[str], *, seconds: float) -> dict[str, dict[str, float]]:
    """Ask for the newest page, and for /health, of an idle service and beside downloads that are encoded."""
    with rig.service(folder / "beside", max_active_per_user=len(names)) as service:
        with rig.Api(service.address) as api:
            api.log_in()
            ids = [api.submit(f"{source}/{name}?warm") for name in names[:10]]  # so that a page is full
            for download_id in ids:
                api.await_end(download_id, every=0.1, within=_PATIENCE)
            idle, idle_health = _asked(service.address, api.token or "", seconds)
            for name in names:
                api.submit(f"{source}/{name}", "mp3")
            time.sleep(1)
            busy, busy_health = _asked(service.address, api.token or "", seconds)
            left = api.call("GET", "/api/downloads?status=pending&per_page=1").expect(200)["total"]
        if not left:
            raise rig.RigError("The downloads ended before the asking did: give it more --tracks.")
    spreads = {"idle": idle, "busy": busy, "health, idle": idle_health, "health, busy": busy_health}
    return {name: asdict(spread) for name, spread in spreads.items()}


def _asked(address: str, token: str, seconds: float) -> tuple[Spread, Spread]:
    """Ask for the list in a steady trickle, and once a second for /health on another connection."""
    over = Event()
    health: list[float] = []

    def look() -> None:
        with rig.Api(address) as api:
            while not over.wait(1):
                health.append(_took(api, "/health"))

    looking = Thread(target=look)
    looking.start()
    try:
        with rig.Api(address) as api:
            api.token = token
            lists = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                lists.append(_took(api, "/api/downloads"))
                time.sleep(_PAUSE)
    finally:
        over.set()
        looking.join()
    return Spread.of(lists), Spread.of(health)


def _took(api: rig.Api, path: str) -> float:
    began = time.perf_counter()
    api.call("GET", path).expect(200)
    return time.perf_counter() - began


async def _submit_all(address: str, token: str, number: int) -> float:
    """Return the seconds that all submissions took, over a few kept connections."""
    left = iter(range(number))
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_submit(address, token, left))
    return time.monotonic() - began


async def _submit(address: str, token: str, left: Any) -> None:  # noqa: ANN401 - an iterator shared by all
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"POST /api/download HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {token}\r\n"
    try:
        for n in left:
            body = json.dumps({"url": f"https://source{n % _HOSTS}.example/{n}.mp3"}).encode()
            lines = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(lines.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            rest = await reader.readexactly(length)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise rig.RigError(f"A submission was refused: {rest.decode()}")
    finally:
        writer.close()


def _drain(folder: Path, url: str, database: psycopg.Connection[Any], *, number: int, slots: int) -> float:
    settings = {
        "database_url": url,
        "output_directory": folder / "library",
        "data_directory": folder / "worker",
        "worker_concurrency": slots,
        "max_per_host": slots,
        "min_free_space": 0,
        "engine_updates": "off",
        "log_level": "error",
    }
    command = [sys.executable, str(rig.TOOLS / "idle_engine.py")]
    with rig.running(command, cwd=folder, env=rig.environment(folder, **settings)) as worker:
        first = _ended(database, worker, at_least=1)
        began = time.monotonic()
        last = _ended(database, worker, at_least=number)
        # What ended before the watch began isn't counted.
        return (time.monotonic() - began) * number / (last - first)


def _ended(database: psycopg.Connection[Any], worker: subprocess.Popen[bytes], *, at_least: int) -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and worker.poll() is None:
        row = database.execute("SELECT count(*) FROM download_history WHERE status = 'failed'").fetchone()
        if row is not None and row[0] >= at_least:
            return int(row[0])
        time.sleep(0.05)
    raise rig.RigError("The worker hasn't come to the end of its queue.")
