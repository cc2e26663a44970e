"""While the database is away: 503 in time and never a hang; when it is back, all goes on by itself."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.api.listening import listening
from tests.api.problems import assert_problem
from tests.conftest import Service
from tests.door import Door
from tests.following import PATIENCE, submit

from music_downloader.auth.password import place
from music_downloader.model.database import first_word_within
from music_downloader.model.reading import Prepared, Reading
from music_downloader.postgres import EmbeddedPostgres

LOGIN = {"username": "alice", "password": "correct horse battery"}


async def assert_away(service: Service, alice: httpx.AsyncClient | None = None) -> None:
    """Assert that every call that needs the database is refused in time, and that the process lives."""

    async def refused(answering: Any) -> None:
        begun = time.monotonic()
        async with asyncio.timeout(20):
            answer = await answering
        assert_problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        assert time.monotonic() - begun < 6

    caller = alice or service.http
    live = await service.http.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    calls = [service.http.post("/auth/login", json=LOGIN)]
    if alice:
        calls.append(caller.get("/api/downloads"))
    await asyncio.gather(*map(refused, calls))
    async with asyncio.timeout(20):
        answer = await service.http.get("/health")
    assert answer.status_code == 503
    unwell = {name for name, check in answer.json()["checks"].items() if check["status"] == "unhealthy"}
    assert unwell >= {"database", "queue"}


async def until_back(service: Service) -> None:
    """Wait until the service has its database again."""
    async with asyncio.timeout(30):
        while (await service.http.post("/auth/login", json=LOGIN)).status_code == 503:  # noqa: ASYNC110 - no event comes over HTTP
            await asyncio.sleep(0.1)


async def test_a_start_without_a_database_answers_and_goes_on_when_it_comes(serve: Any, door: Door) -> None:
    service = await serve(database_url=door.url)
    await assert_away(service)
    await door.open()
    await until_back(service)
    alice = await service.sign_in()
    assert (await alice.get("/api/downloads")).status_code == 200


async def test_a_start_at_a_database_that_never_answers_does_not_hang(serve: Any, door: Door) -> None:
    await door.open()
    door.fall_silent()
    service = await serve(database_url=door.url)
    await assert_away(service)


async def test_a_database_that_is_cut_off_under_it_is_503_until_it_is_back(serve: Any, door: Door) -> None:
    await door.open()
    service = await serve(database_url=door.url)
    alice = await service.sign_in()
    await door.close()
    await assert_away(service, alice)
    await door.open()
    await until_back(service)
    assert (await alice.get("/api/downloads")).status_code == 200


async def test_a_database_that_falls_silent_under_it_is_503_until_it_is_back(
    serve: Any, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("music_downloader.model.database._GRACE_SECONDS", -2.5)  # 1.5 s in all
    await door.open()
    service = await serve(database_url=door.url)
    alice = await service.sign_in()
    door.fall_silent()
    await assert_away(service, alice)
    await door.open()
    await until_back(service)
    assert (await alice.get("/api/downloads")).status_code == 200


async def test_lists_are_503_in_time_however_many_connections_are_silent(door: Door) -> None:
    await door.open()
    reading = await Reading(door.url, application_name="tests").open()
    one = Prepared(select(literal(1).label("one")))
    try:
        both = await asyncio.gather(*(reading.rows(one) for _ in range(2)))
        assert both == [[{"one": 1}]] * 2
        door.fall_silent()
        begun = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await reading.rows(one)
        assert time.monotonic() - begun < 5
    finally:
        await reading.close()


async def test_who_has_waited_to_hash_a_password_has_all_the_time_for_the_database(
    database: AsyncEngine,
) -> None:
    with first_word_within(0):  # as after so long a wait
        async with place(), database.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(1)"))


@pytest.mark.parametrize("way", ["cut off", "silent"])
async def test_who_follows_downloads_meanwhile_is_told_to_ask_anew_when_it_is_back(
    serve: Any, door: Door, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("music_downloader.service.feed._LOOK_SECONDS", 0.3)
    monkeypatch.setattr("music_downloader.service.feed._ANSWER_SECONDS", 0.3)
    await door.open()
    service = await serve(database_url=door.url)
    alice = await service.sign_in()
    async with listening(alice) as stream:
        if way == "silent":
            door.fall_silent()
        else:
            await door.close()
        await asyncio.sleep(1)
        await door.open()
        assert (await stream.next(within=60)).name == "reset"
        await until_back(service)
        download_id = await submit(alice, "https://music.example/song.mp3")
        assert (await stream.until(download_id)).data["status"] == "pending"


async def test_an_embedded_database_that_is_stopped_is_503_until_it_is_back(
    serve: Any, tmp_path: Path
) -> None:
    server = EmbeddedPostgres(tmp_path / "own", fsync=False)
    server.start()
    try:
        service = await serve(database_url=server.url)
        alice = await service.sign_in()
        server.stop()
        await assert_away(service, alice)
        server.start()
        await until_back(service)
        async with asyncio.timeout(PATIENCE):  # each pool of connections finds out by itself
            while (await alice.get("/api/downloads")).status_code != 200:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.2)
    finally:
        server.stop()


async def test_an_error_of_the_database_never_tells_what_was_sent_to_it(database: AsyncEngine) -> None:
    async with database.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT 1 / 0, CAST(:given AS text)"), {"given": "hunter2"})
    assert "hunter2" not in str(caught.value)
