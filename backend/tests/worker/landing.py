"""What has landed: downloads followed to a good end, their files, and what is done with them afterwards."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import mutagen
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.following import PATIENCE, ended, submit, until_true

from music_downloader.jobs import DISCARD, FINISH, MEASURE, MEASURE_ALBUMS, RECONCILE, enqueue
from music_downloader.library.folders import OWN_FOLDER

Sessions = async_sessionmaker[AsyncSession]
_AFTERWARDS = (MEASURE, MEASURE_ALBUMS, FINISH, DISCARD)


async def land(
    client: httpx.AsyncClient, url: str, *, within: float = PATIENCE, **more: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Download a URL; what became of it, and of each of its tracks in the order of its list."""
    number = await submit(client, url, **more)
    shown = await ended(client, number, within=within)
    of_it = await tracks(client, number)
    assert shown["status"] == "completed", (shown, of_it)
    return shown, of_it


async def tracks(client: httpx.AsyncClient, number: int) -> list[dict[str, Any]]:
    """List the tracks of a collection, in its order."""
    answer = await client.get("/api/downloads", params={"parent_id": number, "per_page": 100})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["downloads"]
    return found


def files(library: Path) -> list[str]:
    """List all that a person sees in the library, by path."""
    below = (path.relative_to(library) for path in library.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in below if path.parts[0] != OWN_FOLDER)


def gains(path: Path) -> dict[str, str]:
    """Read each field of a file that is about loudness, by its name in capitals."""
    opened: Any = mutagen.File(path)
    found = {}
    for name, value in (opened.tags or {}).items():
        field = name.rpartition(":")[2].upper()
        if "GAIN" in field or field.startswith("REPLAYGAIN"):
            values = getattr(value, "text", value)
            found[field] = bytes(values[0]).decode() if isinstance(values[0], bytes) else str(values[0])
    return found


async def reconcile(sessions: Sessions) -> None:
    """Have the library compared with its rows, and wait until it has been."""
    async with sessions.begin() as session:
        await enqueue(session, RECONCILE, arguments={})

    async def is_done() -> bool:
        async with sessions() as session:
            jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :name")
            return await session.scalar(jobs, {"name": RECONCILE}) == 0

    await until_true(is_done)


async def quiet(sessions: Sessions, *, within: float = PATIENCE) -> None:
    """Wait until all is done that is done behind everybody's back."""

    async def is_done() -> bool:
        async with sessions() as session:
            waiting = text(
                "SELECT count(*) FROM procrastinate_jobs"
                " WHERE task_name = ANY(:names) AND status IN ('todo', 'doing')"
            )
            return await session.scalar(waiting, {"names": [*_AFTERWARDS]}) == 0

    await until_true(is_done, within=within)


async def eventually(condition: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """Look until the condition holds."""

    async def holds() -> bool:
        return await asyncio.to_thread(condition)

    await until_true(holds, within=within)
