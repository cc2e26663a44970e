"""Long lists: pages, totals and filters are exact whatever happens, and none walks through all rows."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Serve, Service
from tests.following import submit

from music_downloader.migration import search, upgrade
from music_downloader.model import DownloadStatus
from music_downloader.model.database import connect
from music_downloader.model.reading import Prepared, Reading
from music_downloader.service import audit, counted, counting, history

Sessions = async_sessionmaker[AsyncSession]
NAMES = (f"page_{n}" for n in count())
STATUSES = [status.value for status in DownloadStatus]
PEOPLE = "INSERT INTO users (username, email, password_hash) SELECT n, n, '' FROM generate_series(1, 3) n"
# A fifth of the rows share their moment, and only the id tells them apart.
ROWS = """
    INSERT INTO download_history
        (user_id, url, format, title, artist, status, completed_at, error_code, created_at)
    SELECT CASE WHEN n % 10 = 0 THEN 2 ELSE 1 END, 'https://a.example/' || gen_random_uuid(), 'best',
        'Song ' || n, 'Artist ' || n % 50, status,
        CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN now() END,
        CASE WHEN status = 'failed' THEN 'timeout' END,
        '2026-01-01'::timestamptz + n / 5 * interval '1 second'
    FROM (SELECT n, (ARRAY['completed', 'completed', 'failed', 'cancelled', 'completed', 'pending'])
        [1 + n % 6] AS status FROM generate_series(1, :number) n) AS made
"""
ENTRIES = """
    INSERT INTO audit_logs (user_id, action, outcome, created_at)
    SELECT CASE WHEN n % 7 > 0 THEN 1 + n % 3 END, 'action.' || n % 4, 'success',
        '2026-01-01'::timestamptz + n / 5 * interval '1 second' FROM generate_series(1, :number) n
"""


@pytest.fixture
async def reading(database_url: str) -> AsyncIterator[Reading]:
    opened = Reading(database_url, application_name="tests")
    await opened.open()
    await opened.rows(Prepared(select(literal(1))))  # connected before a test holds the loop up
    yield opened
    await opened.close()


@contextmanager
def asking(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def fill(connection: psycopg.Connection[Any], statement: str, number: int) -> None:
    connection.execute(statement.replace(":number", str(number)).encode())


async def fold(sessions: Sessions) -> counting.Folded:
    async with sessions.begin() as session:
        folded = await counting.fold(session)
    assert folded is not None
    return folded


def truth(connection: psycopg.Connection[Any], table: str, **asked: Any) -> list[int]:
    """What a list holds, newest first, by the plainest of queries."""
    columns = {"word": "status" if table == "download_history" else "action"}
    conditions = [
        f"{columns.get(name, name)} = %({name})s" for name in asked if name not in {"since", "until"}
    ]
    conditions += ["created_at >= %(since)s"] if "since" in asked else []
    conditions += ["created_at < %(until)s"] if "until" in asked else []
    conditions += ["parent_id IS NULL"] if table == "download_history" else []
    where = " AND ".join(conditions) or "true"
    query = f"SELECT id FROM {table} WHERE {where} ORDER BY created_at DESC, id DESC"  # noqa: S608 - our own words
    return [row[0] for row in connection.execute(query.encode(), asked)]


async def pages(reading: Reading, size: int, numbers: list[int] | None = None, **asked: Any) -> None:
    """Assert that pages hold what the truth holds at their place, and say the right total."""
    source = counted.AUDIT if asked.pop("audit", False) else counted.DOWNLOADS
    columns = audit.COLUMNS if source is counted.AUDIT else history.EVERYBODYS
    expected: list[int] = asked.pop("expected")
    last = -(-len(expected) // size)
    for number in numbers or range(1, last + 2):
        page = await counted.read(reading, source, columns, number=number, size=size, **asked)
        begin = (number - 1) * size
        assert [row["id"] for row in page.rows] == expected[begin : begin + size], (number, asked)
        assert (page.total, page.count) == (len(expected), last), (number, asked)


async def test_any_page_of_any_list_holds_what_it_should(
    database_url: str, reading: Reading, sessions: Sessions
) -> None:
    with asking(database_url) as connection:
        connection.execute(PEOPLE)
        fill(connection, ROWS, 20_000)
        fill(connection, ENTRIES, 20_000)
        folded = await fold(sessions)
        assert (folded.changes, folded.blocks > 8) == (40_000, True)
        connection.execute("DELETE FROM download_history WHERE id % 11 = 3")
        connection.execute(
            "UPDATE download_history SET status = 'failed', error_code = 'timeout' WHERE id % 13 = 1"
            " AND status = 'completed'"
        )
        fill(connection, ROWS, 50)  # in the midst of what is there
        for user_id in (None, 1, 2, 3):
            for word in (None, *STATUSES):
                asked = {name: v for name, v in (("user_id", user_id), ("word", word)) if v is not None}
                expected = truth(connection, "download_history", **asked)
                last = -(-len(expected) // 50)
                chosen = sorted({1, 2, 5, 6, max(last // 3, 1), max(last // 2, 1), max(last, 1), last + 1})
                await pages(reading, 50, chosen, expected=expected, **asked)
        since, until = (
            datetime.fromisoformat("2026-01-01T00:10Z"),
            datetime.fromisoformat("2026-01-01T01:00Z"),
        )
        for spans in ({}, {"since": since}, {"until": until}, {"since": since, "until": until}):
            for asked in ({}, {"user_id": 2}, {"word": "action.3"}, {"user_id": 1, "word": "action.1"}):
                expected = truth(connection, "audit_logs", **spans, **asked)
                last = -(-len(expected) // 100)
                chosen = sorted({1, 3, max(last // 2, 4), max(last, 1), last + 1, last + 50})
                await pages(reading, 100, chosen, audit=True, expected=expected, **spans, **asked)
        nothing = {"since": until, "until": since}
        await pages(reading, 10, [1, 50], audit=True, expected=[], **nothing)
        await plans(connection)


async def plans(connection: psycopg.Connection[Any]) -> None:
    """Assert that no page of 20 walks through more rows than a block and its neighbour hold."""
    connection.execute("VACUUM ANALYZE download_history, audit_logs, counted_blocks, counted_changes")
    deep = {"user_id": 1, "word": "completed", "offset": 5_000, "since": None, "until": None}
    for source, columns in ((counted.DOWNLOADS, history.OWN), (counted.AUDIT, audit.COLUMNS)):
        for by_user, by_word in ((True, False), (True, True), (False, False), (False, True)):
            for is_near in (True, False):
                shape = counted.Shape(
                    by_user=by_user, by_word=by_word, since=False, until=False, is_near=is_near, size=20
                )
                statement = counted.page_statement(source, columns, shape)
                values = {**deep, "offset": 40 if is_near else 5_000}
                if source is counted.AUDIT:
                    values["word"] = "action.1"
                most = 2 * counted.BLOCK + 100 if not is_near else 100
                assert_bounded(connection, statement, values, source.table.__tablename__, most=most)


def assert_bounded(
    connection: psycopg.Connection[Any],
    statement: Prepared,
    values: dict[str, Any],
    table: str,
    *,
    most: int,
) -> None:
    given = statement.parameters(values)
    with psycopg.ClientCursor(connection) as cursor:
        if statement.plan_anew:
            cursor.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement.sql, given)
        else:
            name = next(NAMES)
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            cursor.execute(f"PREPARE {name} AS ".encode() + statement.sql)
            places = ", ".join(["%s"] * len(given))
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name} ({places})".encode(), given)
        [[plan]] = cursor.fetchall()
    for node in nodes(plan[0]["Plan"]):
        if node.get("Relation Name") == table:
            said = json.dumps(plan, indent=1)
            assert node["Node Type"] != "Seq Scan", said
            walked = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
            assert walked <= most, said


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


MOMENT = st.integers(0, 6)
CHANGE = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 2), MOMENT, st.sampled_from(STATUSES)),
    st.tuples(st.just("many"), st.integers(1, 2), MOMENT, st.sampled_from(STATUSES)),
    st.tuples(st.just("move"), st.integers(0, 30), st.sampled_from(STATUSES)),
    st.tuples(st.just("remove"), st.integers(0, 30)),
    st.tuples(st.just("make a track"), st.integers(0, 30)),
    st.tuples(st.just("roll back")),
    st.tuples(st.just("fold")),
    st.tuples(st.just("recount")),
)
NEW = (
    "INSERT INTO download_history (user_id, url, format, created_at, status, completed_at, error_code)"
    " SELECT %s, 'https://a.example/' || gen_random_uuid(), 'best', '2026-01-01'::timestamptz + %s *"
    " interval '1 hour', %s, CASE WHEN %s IN ('completed', 'failed', 'cancelled') THEN now() END, 'timeout'"
    " FROM generate_series(1, %s)"
)
PICK = "id = (SELECT id FROM download_history WHERE id %% 31 = %s ORDER BY id LIMIT 1)"
MOVE = """
    UPDATE download_history SET status = %s, error_code = 'timeout',
        completed_at = CASE WHEN %s IN ('completed', 'failed', 'cancelled') THEN now() END WHERE :pick
""".replace(":pick", PICK)
REMOVE = "DELETE FROM download_history WHERE :pick".replace(":pick", PICK)
MAKE_A_TRACK = """
    UPDATE download_history SET parent_id = (SELECT max(id) FROM download_history)
    WHERE :pick AND id <> (SELECT max(id) FROM download_history)
""".replace(":pick", PICK)


def test_whatever_comes_and_goes_the_pages_together_are_the_list_and_the_total_its_length(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BLOCK", 3)
    monkeypatch.setattr(counted, "_NEAR", 4)
    engine = connect(
        make_url(database_url).set(drivername="postgresql+psycopg"), application_name="tests", pool_size=1
    )
    sessions = async_sessionmaker(engine)
    reading = Reading(database_url, application_name="tests")

    async def upkeep(name: str) -> None:
        async with sessions.begin() as session:
            await (counting.fold(session) if name == "fold" else counting.recount(session))

    async def check(connection: psycopg.Connection[Any]) -> None:
        for asked in ({}, {"user_id": 1}, {"user_id": 2, "word": "completed"}, {"word": "failed"}):
            await pages(reading, 3, expected=truth(connection, "download_history", **asked), **asked)

    with asyncio.Runner() as runner, asking(database_url) as connection:
        connection.execute(PEOPLE)
        runner.run(reading.open())

        @settings(
            max_examples=15,
            derandomize=True,
            phases=[Phase.generate],  # each look takes a while, so what fails is shown as it was found
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        @given(st.lists(CHANGE, min_size=5, max_size=25))
        def hold(changes: list[tuple[Any, ...]]) -> None:
            connection.execute("TRUNCATE download_history")
            for name, *facts in changes:
                if name in {"fold", "recount"}:
                    runner.run(upkeep(name))
                else:
                    apply(connection, name, facts)
            runner.run(check(connection))
            runner.run(upkeep("fold"))
            runner.run(check(connection))

        hold()
        runner.run(reading.close())
        runner.run(engine.dispose())


def apply(connection: psycopg.Connection[Any], name: str, facts: list[Any]) -> None:
    match name, facts:
        case (("add" | "many"), [owner, hours, status]):
            number = 1 if name == "add" else 7
            connection.execute(NEW.encode(), [owner, hours, status, status, number])
        case "move", [which, status]:
            connection.execute(MOVE.encode(), [status, status, which])
        case "remove", [which]:
            connection.execute(REMOVE.encode(), [which])
        case "make a track", [which]:
            connection.execute(MAKE_A_TRACK.encode(), [which])
        case _:
            with connection.transaction(force_rollback=True):
                connection.execute(NEW.encode(), [1, 3, "completed", "completed", 9])


async def test_changes_under_way_neither_count_nor_wait_and_count_once_committed(
    database_url: str, reading: Reading, sessions: Sessions
) -> None:
    with asking(database_url) as connection, psycopg.connect(database_url) as slow:
        connection.execute(PEOPLE)
        fill(connection, ROWS, 30)
        fill(slow, ROWS, 20)  # not committed
        slow.execute("UPDATE download_history SET status = 'cancelled' WHERE id = 1")
        await fold(sessions)
        fill(connection, ROWS, 10)
        async with sessions.begin() as session:
            await counting.recount(session)
        await pages(reading, 7, expected=truth(connection, "download_history"))
        slow.commit()
        for _ in range(2):
            await pages(reading, 7, expected=truth(connection, "download_history"))
            await pages(
                reading, 7, expected=truth(connection, "download_history", word="cancelled"), word="cancelled"
            )
            await fold(sessions)


async def test_only_one_process_folds_at_a_time(sessions: Sessions) -> None:
    async with sessions.begin() as first, sessions.begin() as second:
        assert await counting.fold(first) is not None
        assert await counting.fold(second) is None


async def test_every_step_of_a_download_shows_in_the_totals_at_once(service: Service) -> None:
    alice = await service.sign_in()
    ids = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(3)]

    async def totals() -> list[int]:
        asked = [{}, {"status": "pending"}, {"status": "cancelled"}, {"q": "music.example"}]
        return [(await alice.get("/api/downloads", params=each)).json()["total"] for each in asked]

    assert await totals() == [3, 3, 0, 3]
    await alice.post(f"/api/downloads/{ids[0]}/cancel")
    assert await totals() == [3, 2, 1, 3]
    await alice.post(f"/api/downloads/{ids[0]}/retry")
    assert await totals() == [3, 3, 0, 3]
    await alice.post(f"/api/downloads/{ids[1]}/cancel")
    assert (await alice.delete(f"/api/downloads/{ids[1]}")).status_code == 204
    assert await totals() == [2, 2, 0, 2]


async def test_tracks_of_a_collection_stand_in_its_own_list_only(service: Service, database_url: str) -> None:
    alice = await service.sign_in()
    parent = await submit(alice, "https://music.example/album")
    with asking(database_url) as connection:
        connection.execute(
            "INSERT INTO download_history (user_id, parent_id, url, format, position, created_at)"
            " SELECT user_id, id, url || n, 'best', n, created_at - n * interval '1 microsecond'"
            " FROM download_history, generate_series(1, 30) n"
        )
        tracks = connection.execute(
            "SELECT id FROM download_history WHERE parent_id IS NOT NULL ORDER BY position"
        ).fetchall()
    tops = (await alice.get("/api/downloads")).json()
    assert ([row["id"] for row in tops["downloads"]], tops["total"]) == ([parent], 1)
    page = (await alice.get("/api/downloads", params={"parent_id": parent, "page": 2, "per_page": 20})).json()
    assert ([(row["id"],) for row in page["downloads"]], page["total"]) == (tracks[20:], 30)


async def test_until_an_update_has_counted_the_rows_they_are_counted_each_time(
    service: Service, database_url: str
) -> None:
    alice = await service.sign_in()
    ids = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(5)]
    with asking(database_url) as connection:
        connection.execute("TRUNCATE counted_blocks, counted_changes")
    page = (await alice.get("/api/downloads", params={"page": 2, "per_page": 2})).json()
    assert ([row["id"] for row in page["downloads"]], page["total"]) == ([ids[2], ids[1]], 5)


async def test_what_is_sought_is_part_of_a_text_and_nothing_else(service: Service, database_url: str) -> None:
    alice = await service.sign_in()
    titles = ("100% Pure", "a_b", "axb", "back\\slash", "über allem", "Café")
    with asking(database_url) as connection:
        for title in titles:
            connection.execute(
                "INSERT INTO download_history (user_id, url, format, title)"
                " VALUES (1, 'https://music.example/' || md5(%s), 'best', %s)",
                [title, title],
            )
    for sought, found in {
        "100%": ["100% Pure"],
        "a_b": ["a_b"],
        "back\\slash": ["back\\slash"],
        "ÜBER": ["über allem"],
        "é": ["Café"],
        "pure\x1fa": [],
        "music.example": list(reversed(titles)),
    }.items():
        page = (await alice.get("/api/downloads", params={"q": sought})).json()
        assert ([row["title"] for row in page["downloads"]], page["total"]) == (found, len(found))


async def test_a_search_goes_by_the_index_of_trigrams(database_url: str) -> None:
    with asking(database_url) as connection:
        connection.execute(PEOPLE)
        fill(connection, ROWS, 5_000)
        connection.execute("VACUUM ANALYZE download_history")
        statement = history.matching_statement(
            history.OWN, by_user=True, by_status=False, by_search=True, by_parent=False
        )
        values = {"user_id": 1, "pattern": "%song 4321%", "size": 10, "offset": 0}
        assert_bounded(connection, statement, values, "download_history", most=200)


async def test_a_revoked_token_reads_no_list(service: Service) -> None:
    alice = await service.sign_in()
    assert (await alice.get("/api/downloads")).status_code == 200
    await alice.post("/auth/logout")
    assert (await alice.get("/api/downloads")).status_code == 401


async def test_no_number_of_submissions_at_once_passes_the_limit(serve: Serve) -> None:
    service = await serve(max_active_per_user=5)
    alice = await service.sign_in()
    answers = await asyncio.gather(
        *(alice.post("/api/download", json={"url": f"https://music.example/{n}"}) for n in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [429] * 15
    accepted = next(answer.json() for answer in answers if answer.status_code == 202)
    again = await alice.post("/api/download", json={"url": accepted["url"]})
    assert (again.status_code, again.json()["id"]) == (200, accepted["id"])  # that is no more than before


async def test_a_database_without_the_extension_is_searched_all_the_same(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(empty_database_url).set(drivername="postgresql+psycopg")
    stands = "SELECT to_regclass(%s)::text"
    with monkeypatch.context() as patched:
        patched.setattr(search, "EXTENSION", "CREATE EXTENSION no_such_extension")
        with structlog.testing.capture_logs() as said:
            assert await asyncio.to_thread(upgrade, url) is True
        assert (
            "CREATE EXTENSION pg_trgm"
            in next(each for each in said if each["event"] == "search.slow")["remedy"]
        )
        assert await asyncio.to_thread(upgrade, url) is False
    reading = Reading(empty_database_url, application_name="tests")
    await reading.open()
    with asking(empty_database_url) as connection:
        connection.execute(PEOPLE)
        fill(connection, ROWS, 20)
        assert connection.execute(stands, [search.INDEX]).fetchone() == (None,)
        page = await history.list_page(reading, history.OWN, user_id=1, number=1, size=5, search="song 1")
        assert page.total == 10  # 1 and 11 to 19
        assert await asyncio.to_thread(upgrade, url) is False  # the extension can be had by now
        assert connection.execute(stands, [search.INDEX]).fetchone() == (search.INDEX,)
    await reading.close()
