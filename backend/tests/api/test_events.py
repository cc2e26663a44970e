"""Following one's downloads live: what arrives, to whom, how fast, and when it ends."""

import asyncio
import contextlib
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests import media
from tests.api.filed import Sessions, add, owner_id
from tests.api.listening import Stream, listening
from tests.api.problems import assert_problem
from tests.cli.running import BIN, NAS_MUSIC, Started, eventually, log_in
from tests.conftest import SECRET_KEY, Serve, Service
from tests.following import PATIENCE, submit, until_true
from tests.source import Source

from music_downloader.auth import token
from music_downloader.model import Download, DownloadStatus
from music_downloader.route import event as event_route
from music_downloader.service import feed
from music_downloader.service.subscription import Subscription

SONG = "https://music.example/song.mp3"


@pytest.fixture
async def alice(service: Service) -> httpx.AsyncClient:
    return await service.sign_in("alice")


async def change(sessions: Sessions, download_id: int, **values: Any) -> None:
    """Change a row as a worker does, in a transaction of its own."""
    async with sessions.begin() as session:
        row = await session.get_one(Download, download_id)
        for name, value in values.items():
            setattr(row, name, value)


async def progress(sessions: Sessions, download_id: int, percent: float) -> None:
    await change(sessions, download_id, progress={"phase": "downloading", "percent": percent})


# What arrives


async def test_a_download_is_told_from_its_submission_to_its_end(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = source.file("/song.mp3", media.make("mp3", title="A Song", artist="Somebody"))
    async with listening(alice) as stream:
        download_id = await submit(alice, url)
        told = await stream.until(download_id, within=90, status="completed")
        assert told.name == "download"
        assert told.data == (await alice.get(f"/api/downloads/{download_id}")).json()


async def test_the_stream_is_what_browsers_and_proxies_expect(alice: httpx.AsyncClient) -> None:
    async with listening(alice) as stream:
        headers = stream.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-request-id"]
        assert stream.retry


async def test_each_new_status_arrives_in_order_and_waits_for_nothing(
    serve: Serve, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_INTERVAL_SECONDS", 60.0)  # all else has to wait for that
    alice = await (await serve()).sign_in()
    async with listening(alice) as stream:
        download_id = await submit(alice, SONG)
        seen = [await stream.next()]
        for status, more in (
            (DownloadStatus.IN_PROGRESS, {}),
            (DownloadStatus.PENDING, {}),
            (DownloadStatus.CANCELLED, {"completed_at": datetime.now(UTC)}),
        ):
            await progress(sessions, download_id, 1.0)
            await change(sessions, download_id, status=status, **more)
            seen.append(await stream.next())
        assert [(each.name, each.data["status"]) for each in seen] == [
            ("download", status) for status in ("pending", "in-progress", "pending", "cancelled")
        ]


async def test_a_deleted_row_is_told_by_its_id(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    download_id = await add(sessions, alice)
    async with listening(alice) as stream:
        assert (await alice.delete(f"/api/downloads/{download_id}")).status_code == 204
        told = await stream.next()
        assert (told.name, told.data) == ("deleted", {"id": download_id})


async def test_what_is_changed_and_deleted_in_one_breath_is_only_deleted(
    alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    download_id, other = await add(sessions, alice), await add(sessions, alice)
    async with listening(alice) as stream:
        for number in range(5):
            await change(sessions, download_id, title=f"Title {number}")
        async with sessions.begin() as session:
            await session.delete(await session.get_one(Download, download_id))
        told = []
        # The second comes late, as does all that follows a first word, so nothing is on its way behind it.
        for title in ("The last", "The very last"):
            await change(sessions, other, title=title)
            while not told or told[-1].data.get("title") != title:
                told.append(await stream.next())
        names = [each.name for each in told if each.data["id"] == download_id]
        assert names[-1:] == ["deleted"]
        assert names.count("deleted") == 1


async def test_what_is_rolled_back_is_never_told(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    download_id = await add(sessions, alice)
    async with listening(alice) as stream:
        async with sessions() as session:
            (await session.get_one(Download, download_id)).title = "Never"
            await session.flush()
            await session.rollback()
        await change(sessions, download_id, title="Really")
        assert (await stream.next()).data["title"] == "Really"


async def test_nobody_hears_of_somebody_elses_downloads(
    service: Service, alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    bob = await service.sign_in("bob")
    async with listening(alice) as to_alice, listening(bob) as to_bob:
        theirs = [await submit(bob, f"{SONG}?{number}") for number in range(5)]
        for download_id in theirs:
            await progress(sessions, download_id, 1.0)
        mine = await submit(alice, SONG)
        await to_alice.until(mine)
        await to_bob.until(theirs[-1])
        await asyncio.sleep(0.7)
        assert {each.data["id"] for each in to_alice.rest()} <= {mine}
        assert {each.data["id"] for each in to_bob.rest()} <= set(theirs)


async def test_every_stream_of_a_person_gets_everything(alice: httpx.AsyncClient) -> None:
    async with listening(alice) as one, listening(alice) as other:
        download_id = await submit(alice, SONG)
        assert (await one.next()).data == (await other.next()).data
        assert download_id


async def test_a_notification_that_means_nothing_disturbs_nobody(
    alice: httpx.AsyncClient, database: AsyncEngine
) -> None:
    nonsense = (
        "",
        "[]",
        "{}",
        "nonsense",
        '{"id": "x"}',
        '{"id": 1, "user_id": null, "deleted": 0}',
        "1",
        "[" * 7000,
    )
    user = await owner_id(alice)
    async with listening(alice) as stream:
        async with database.begin() as connection:
            for payload in (*nonsense, json.dumps({"id": 999, "user_id": user, "deleted": False})):
                for channel in (feed.DOWNLOAD_CHANGED, feed.SESSION_ENDED):
                    await connection.execute(
                        text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
                    )
        download_id = await submit(alice, SONG)
        assert (await stream.next()).data["id"] == download_id


# How fast


async def test_200_changes_of_progress_come_as_a_few_and_the_last_is_among_them(
    alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    download_id = await add(sessions, alice, status=DownloadStatus.IN_PROGRESS)
    async with listening(alice) as stream:
        begun = asyncio.get_running_loop().time()
        for number in range(1, 201):
            await progress(sessions, download_id, number / 2)
        took = asyncio.get_running_loop().time() - begun
        last = await stream.until(download_id, progress=_progress(100.0))
        events = [last, *stream.rest()]
        assert len(events) <= 1 + took / 0.5 + 2


def _progress(percent: float) -> dict[str, Any]:
    empty = dict.fromkeys(("downloaded_bytes", "total_bytes", "speed", "eta"))
    return {"phase": "downloading", "percent": percent, **empty}


async def test_progress_comes_at_most_twice_a_second(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    download_id = await add(sessions, alice, status=DownloadStatus.IN_PROGRESS)
    begun = asyncio.get_running_loop().time()
    async with listening(alice) as stream:
        events = []
        async with asyncio.timeout(PATIENCE):
            for number in itertools.count():
                await progress(sessions, download_id, number)
                await asyncio.sleep(0.1)
                events += stream.rest()
                if len(events) >= 4:
                    break
        assert len(events) <= 1 + (asyncio.get_running_loop().time() - begun) / 0.5
        assert len({each.data["progress"]["percent"] for each in events}) == len(events)


async def test_a_slow_reader_holds_nobody_up_and_is_told_to_start_anew(
    service: Service, alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    many = 6000
    user = await owner_id(alice)
    async with listening(alice) as stream, _not_reading(service, alice) as slow:
        async with sessions.begin() as session:
            await session.execute(
                text(
                    "INSERT INTO download_history (user_id, url, format, status, completed_at) "
                    "SELECT :user, 'https://music.example/' || repeat('x', 2000) || n, 'best', 'cancelled', "
                    "now() FROM generate_series(1, :many) AS n"
                ),
                {"user": user, "many": many},
            )
        ids = set()
        while len(ids) < many:
            ids.add((await stream.next(within=90)).data["id"])
        download_id = await submit(alice, SONG)
        await stream.until(download_id, within=30)  # the slow one is given up only after a minute
        async with asyncio.timeout(90):
            got = await slow.read(-1)
        assert b"event: reset\ndata: {}\n\n" in got[-200:]
        assert got.count(b"event: download") < many


@asynccontextmanager
async def _not_reading(service: Service, client: httpx.AsyncClient) -> AsyncIterator[asyncio.StreamReader]:
    """Open a stream and let what comes lie in the pipe."""
    url = service.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
    authorization = client.headers["authorization"]
    fields = f"Host: x\r\nConnection: close\r\nAuthorization: {authorization}\r\n"
    writer.write(f"GET /api/events HTTP/1.1\r\n{fields}\r\n".encode())
    assert b"200" in await reader.readline()
    try:
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# When it ends


async def test_logging_out_ends_this_sessions_stream_at_once_and_no_other(
    service: Service, alice: httpx.AsyncClient
) -> None:
    again = await service.log_in("alice")
    async with listening(alice) as ending, listening(again) as staying:
        await alice.post("/auth/logout")
        await ending.end(within=10)
        download_id = await submit(again, SONG)
        assert (await staying.next()).data["id"] == download_id
        assert not staying.ended.is_set()
        assert ending.rest() == []
    assert_problem(await alice.get("/api/events"), 401)


async def test_logging_out_in_another_process_ends_it_too(
    service: Service, serve: Serve, alice: httpx.AsyncClient
) -> None:
    other = await serve()
    async with listening(alice) as stream:
        authorization = alice.headers["authorization"]
        await other.http.post("/auth/logout", headers={"Authorization": authorization})
        await stream.end(within=10)
    assert service.http


async def test_a_new_password_ends_every_stream(service: Service, alice: httpx.AsyncClient) -> None:
    again = await service.log_in("alice")
    async with listening(alice) as one, listening(again) as other:
        words = {"current_password": "correct horse battery", "new_password": "another horse entirely"}
        assert (await alice.post("/auth/password", json=words)).status_code == 204
        await one.end(within=10)
        await other.end(within=10)


async def test_a_deactivated_account_hears_nothing_after_the_next_comment(
    alice: httpx.AsyncClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_route, "PING_SECONDS", 0.3)
    async with listening(alice) as stream:
        async with sessions.begin() as session:
            await session.execute(text("UPDATE users SET is_active = false"))
        await stream.end(within=10)


async def test_a_stream_ends_with_its_token(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_route, "PING_SECONDS", 3600.0)  # it doesn't end because it is looked after
    short = token.issue(
        user_id=await owner_id(alice), key=SECRET_KEY, now=datetime.now(UTC), lifetime=timedelta(seconds=5)
    )
    client = await service.client(Authorization=f"Bearer {short}")
    async with listening(client) as stream:
        await stream.end()


async def test_a_comment_keeps_a_silent_stream_open(
    alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert event_route.PING_SECONDS == 15
    monkeypatch.setattr(event_route, "PING_SECONDS", 0.2)
    begun = asyncio.get_running_loop().time()
    async with listening(alice) as stream:

        async def are_three() -> bool:
            return len(stream.comments) - 1 >= 3

        await until_true(are_three)
        pings = len(stream.comments) - 1
        assert pings <= (asyncio.get_running_loop().time() - begun) / 0.2
        assert stream.rest() == []
        assert not stream.ended.is_set()


async def test_without_a_token_there_is_no_stream(service: Service) -> None:
    assert_problem(await service.http.get("/api/events"), 401)


async def test_ten_streams_a_person_and_each_that_ends_makes_room(
    service: Service, alice: httpx.AsyncClient
) -> None:
    bob = await service.sign_in("bob")
    async with AsyncExitStack() as stack:
        for _ in range(9):
            await stack.enter_async_context(listening(alice))
        async with listening(alice):
            refused = await alice.get("/api/events")
            assert_problem(refused, 429)
            assert refused.headers["retry-after"]
            async with listening(bob):
                pass
        async with asyncio.timeout(30):
            while (await _status_of_a_stream(alice)) != 200:  # noqa: ASYNC110 - the service has to notice first
                await asyncio.sleep(0.05)


async def _status_of_a_stream(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/api/events") as answer:
        return answer.status_code


async def test_open_streams_hold_no_connection_to_the_database(
    service: Service, alice: httpx.AsyncClient, database: AsyncEngine
) -> None:
    people = [alice, await service.sign_in("bob"), await service.sign_in("carol")]
    async with AsyncExitStack() as stack:
        for person in people:
            for _ in range(10):
                await stack.enter_async_context(listening(person))
        async with database.connect() as connection:
            states = await connection.execute(
                text(
                    "SELECT application_name, state FROM pg_stat_activity WHERE datname = current_database()"
                )
            )
            rows = states.all()
        listens = [row.state for row in rows if row.application_name.startswith("nas-music events")]
        assert listens == ["idle"]
        assert {row.state for row in rows if row.application_name == "nas-music web"} <= {"idle"}
        answers = await asyncio.gather(*(person.get("/api/downloads") for person in people * 10))
        assert {answer.status_code for answer in answers} == {200}


async def test_what_was_missed_while_nobody_listened_to_the_database_is_told_as_a_reset(
    alice: httpx.AsyncClient, database: AsyncEngine
) -> None:
    async with listening(alice) as stream:
        async with database.begin() as connection:
            cut = await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE starts_with(application_name, 'nas-music events') AND datname = current_database()"
                )
            )
        assert len(cut.all()) == 1
        told = await stream.next()
        assert (told.name, told.data) == ("reset", {})
        download_id = await submit(alice, SONG)
        assert (await stream.next()).data["id"] == download_id


@pytest.mark.parametrize(
    ("program", "arguments"),
    [(NAS_MUSIC, ("serve",)), (BIN / "uvicorn", ("--port", "0", "music_downloader.app:app"))],
    ids=["nas-music", "uvicorn"],
)
async def test_an_open_stream_does_not_hold_up_the_end_of_the_service(
    tmp_path: Path, database_url: str, program: Path, arguments: tuple[str, ...]
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "EMBEDDED_WORKER": "false",
        "OUTPUT_DIRECTORY": str(tmp_path / "music"),
        "DATA_DIRECTORY": str(tmp_path / "data"),
        "LOG_LEVEL": "info",
    }
    with Started(tmp_path, *arguments, program=program, **settings) as service:
        await asyncio.to_thread(eventually, lambda: bool(service.address), within=90)
        with await asyncio.to_thread(log_in, service.address) as client:
            token_header = client.headers["authorization"]
        async with (
            httpx.AsyncClient(base_url=service.address, headers={"Authorization": token_header}) as caller,
            listening(caller) as stream,
        ):
            begun = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            await stream.end(within=10)
            await asyncio.to_thread(service.process.wait, 20)
            assert time.monotonic() - begun < 10


async def test_at_a_stop_streams_end_and_no_new_one_begins(
    service: Service, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds: list[feed.Feed] = []
    subscribe = feed.Feed.subscribe

    def remember(self: feed.Feed, user_id: int) -> contextlib.AbstractContextManager[Subscription]:
        feeds.append(self)
        return subscribe(self, user_id)

    monkeypatch.setattr(feed.Feed, "subscribe", remember)
    stream: Stream
    async with listening(alice) as stream:
        feeds[0].close()
        await stream.end(within=10)
    assert_problem(await alice.get("/api/events"), 503)
    assert (await service.http.get("/health/live")).status_code == 200
