"""What lies in the library compared with what its rows say; nothing is ever deleted for it."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import mutagen
import pytest
from sqlalchemy import func, select, text
from tests import media
from tests.conftest import Serve, Service
from tests.following import submit, until_true
from tests.source import Source
from tests.worker.landing import Sessions, land, reconcile

from music_downloader.jobs import RUN_DOWNLOAD, enqueue
from music_downloader.library.filing import sha256_of
from music_downloader.library.presence import MARKER
from music_downloader.model import Track
from music_downloader.service import reconciliation
from music_downloader.service.reconciliation import Found


async def _shown(alice: httpx.AsyncClient, number: int) -> tuple[str | None, int | None, int]:
    one = (await alice.get(f"/api/downloads/{number}")).json()
    assert one["status"] == "completed"
    served = await alice.get(f"/api/downloads/{number}/file")
    return one["file_path"], one["file_size"], served.status_code


def _left_yesterday(path: Path) -> Path:
    """Leave what a worker leaves that is killed as it files something."""
    path.touch()
    os.utime(path, (time.time() - 90_000,) * 2)
    return path


async def test_a_vanished_file_is_no_downloads_any_more_until_it_is_back(
    serve: Serve, source: Source, sessions: Sessions, tmp_path: Path
) -> None:
    service = await serve(embedded_worker=True, replaygain=False)
    alice = await service.sign_in()
    paths: dict[str, Path] = {}
    numbers: dict[str, int] = {}
    for n, title in enumerate(("Stays", "Goes", "Retagged", "Broken")):
        url = source.file(f"/{title}.mp3", media.make("mp3", frequency=300 + 50 * n, title=title, artist="A"))
        shown, _ = await land(alice, url)
        paths[title], numbers[title] = service.library / shown["file_path"], shown["id"]
    sizes = {title: path.stat().st_size for title, path in paths.items()}

    # While the library itself is away, nothing has vanished.
    (service.library / MARKER).rename(tmp_path / "marker")
    for path in paths.values():
        path.rename(tmp_path / path.name)
    await reconcile(sessions)
    async with sessions() as session:
        assert (await session.scalars(select(Track.missing_since))).all() == [None] * 4
    for path in paths.values():
        (tmp_path / path.name).rename(path)
    (tmp_path / "marker").rename(service.library / MARKER)

    shutil.move(paths["Goes"], tmp_path / "kept.mp3")
    opened: Any = mutagen.File(paths["Retagged"], easy=True)
    opened["title"] = ["Another title, and a longer one" * 200]
    opened.save()
    paths["Broken"].write_bytes(b"nothing that plays")
    async with sessions.begin() as session:
        await enqueue(session, RUN_DOWNLOAD, queue="nobody's", arguments={"download_id": 999_999})
    left = _left_yesterday(service.library / "A" / ".nas-music.claim")
    await reconcile(sessions)
    assert not left.exists()
    changed = paths["Retagged"].stat().st_size
    assert await _shown(alice, numbers["Stays"]) == ("A/Stays.mp3", sizes["Stays"], 200)
    assert await _shown(alice, numbers["Goes"]) == (None, None, 404)
    assert await _shown(alice, numbers["Retagged"]) == ("A/Retagged.mp3", changed, 200)
    assert await _shown(alice, numbers["Broken"]) == ("A/Broken.mp3", sizes["Broken"], 200)
    health = (await alice.get("/health")).json()["checks"]["storage"]
    assert (health["status"], "files that have vanished: 1" in health["detail"]) == ("healthy", True)
    async with sessions() as session:
        digests = {row.path: row.sha256 for row in await session.execute(select(Track.path, Track.sha256))}
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'nobody''s'")
        assert await session.scalar(jobs) == 0
    assert digests["A/Retagged.mp3"] == sha256_of(paths["Retagged"])
    async with sessions() as session:  # so that no gain is written into it, which would take their words away
        loudness = await session.scalar(select(Track.loudness).where(Track.path == "A/Retagged.mp3"))
    assert loudness == {}

    # It is fetched again when somebody asks for it, and the old download has its file again.
    asked = source.hits("/Goes.mp3")
    again, _ = await land(alice, source.url("/Goes.mp3"))
    assert source.hits("/Goes.mp3") > asked
    assert again["file_path"] == "A/Goes.mp3"
    async with sessions() as session:
        assert await session.scalar(select(func.count()).where(Track.missing_since.is_not(None))) == 0
    assert await _shown(alice, numbers["Goes"]) == ("A/Goes.mp3", sizes["Goes"], 200)

    # One that somebody has given other tags is the same track.
    asked = source.hits("/Retagged.mp3")
    owned, _ = await land(alice, source.url("/Retagged.mp3"))
    assert (source.hits("/Retagged.mp3"), owned["file_path"]) == (asked, "A/Retagged.mp3")


async def test_a_file_that_is_filed_again_just_then_has_not_vanished(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    shown, _ = await land(alice, source.file("/song.mp3", media.make("mp3", title="Song", artist="A")))
    async with sessions.begin() as session:
        (filed,) = await reconciliation.page(session, after=0)
        gone = Found(size=None)  # as it was before its row was ours
        now = datetime.now(UTC)
        assert await reconciliation.correct(session, filed, gone, root=working.library, now=now) is None
    assert await _shown(alice, shown["id"]) == ("A/Song.mp3", shown["file_size"], 200)


async def test_the_empty_place_of_a_library_is_not_taken_for_it(
    serve: Serve, source: Source, tmp_path: Path
) -> None:
    service = await serve(embedded_worker=True, replaygain=False)
    alice = await service.sign_in()
    await land(alice, source.file("/1.mp3", media.make("mp3", title="One", artist="A")))
    away = tmp_path / "away"
    service.library.rename(away)
    service.library.mkdir()
    number = await submit(alice, source.file("/2.mp3", media.make("mp3", frequency=300, title="Two")))

    async def is_held() -> bool:
        one = (await alice.get(f"/api/downloads/{number}")).json()
        return one["status"] == "pending" and "isn't there" in (one["error_message"] or "")

    await until_true(is_held)
    assert list(service.library.iterdir()) == []
    served = await alice.get("/api/downloads/1/file")
    assert served.status_code == 503
    service.library.rmdir()
    away.rename(service.library)

    async def is_there() -> bool:
        return (await alice.get(f"/api/downloads/{number}")).json()["status"] == "completed"

    await until_true(is_there)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_library_that_lost_its_marker_is_known_by_its_files(
    serve: Serve, source: Source, *, kept: bool
) -> None:
    service = await serve(embedded_worker=True, replaygain=False)
    alice = await service.sign_in()
    if kept:
        await land(alice, source.file("/1.mp3", media.make("mp3", title="One", artist="A")))
    shutil.rmtree(service.library / ".nas-music", ignore_errors=True)
    await land(alice, source.file("/2.mp3", media.make("mp3", frequency=300, title="Two", artist="A")))
    assert (service.library / MARKER).exists()
