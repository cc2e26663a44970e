"""Downloads that have been completed already: a file in the library, its row, and a row of the history."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Service

from music_downloader.config.audio import AudioFormat
from music_downloader.model import Download, DownloadKind, DownloadStatus, Track

Sessions = async_sessionmaker[AsyncSession]
NOW = text("now()")


async def owner_id(client: httpx.AsyncClient) -> int:
    return int((await client.get("/auth/me")).raise_for_status().json()["id"])


async def file(
    service: Service,
    sessions: Sessions,
    client: httpx.AsyncClient,
    *,
    content: bytes | Path,
    path: str = "Somebody/A Song.mp3",
    codec: str = "mp3",
    **more: Any,
) -> int:
    """Put a file into the library as a completed download of the caller's; its id."""
    place = service.library / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, place)
    else:
        place.write_bytes(content)
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    track = Track(path=path, sha256=digest, size=place.stat().st_size, codec=codec, tags={})
    return await add(sessions, client, track=track, file_path=path, **more)


async def add(
    sessions: Sessions,
    client: httpx.AsyncClient,
    *,
    track: Track | None = None,
    status: DownloadStatus = DownloadStatus.COMPLETED,
    kind: DownloadKind = DownloadKind.TRACK,
    url: str = "https://music.example/song.mp3",
    **more: Any,
) -> int:
    """Add a row of the caller's to the history; its id."""
    owner = await owner_id(client)
    async with sessions.begin() as session:
        if track is not None:
            session.add(track)
            await session.flush()
        ended = status not in {DownloadStatus.PENDING, DownloadStatus.IN_PROGRESS}
        download = Download(
            user_id=owner,
            track_id=track.id if track else None,
            url=url,
            kind=kind,
            status=status,
            format=AudioFormat.BEST,
            completed_at=NOW if ended else None,
            **more,
        )
        session.add(download)
        await session.flush()
        return download.id
