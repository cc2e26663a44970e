"""What administrators may do, what nobody else may, and what is written down of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.api.listening import listening
from tests.api.problems import assert_problem
from tests.conftest import Serve, Service

from music_downloader.model import AuditLog, User
from music_downloader.service.page import Page

Sessions = async_sessionmaker[AsyncSession]
CALLS = (
    ("GET", "/api/admin/users"),
    ("PATCH", "/api/admin/users/1"),
    ("GET", "/api/admin/downloads"),
    ("GET", "/api/admin/audit-logs"),
)
URL = "https://artist.example/song.mp3"


async def promote(sessions: Sessions, *names: str) -> None:
    async with sessions.begin() as session:
        await session.execute(update(User).where(User.username.in_(names)).values(is_admin=True))


@pytest.fixture
async def admin(service: Service, sessions: Sessions) -> httpx.AsyncClient:
    client = await service.sign_in("root")
    await promote(sessions, "root")
    return client


async def identity(client: httpx.AsyncClient) -> int:
    number: int = (await client.get("/auth/me")).json()["id"]
    return number


async def entries(sessions: Sessions, **wanted: Any) -> list[AuditLog]:
    async with sessions() as session:
        return list(await session.scalars(select(AuditLog).filter_by(**wanted).order_by(AuditLog.id)))


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_nobody_else_gets_in_and_each_try_is_written_down(
    service: Service, sessions: Sessions, method: str, path: str
) -> None:
    alice = await service.sign_in()
    for _ in range(2):
        assert_problem(await alice.request(method, path, json={"is_admin": True}), 403)
    assert (await service.http.request(method, path)).status_code == 401
    tries = await entries(sessions, action="admin.call")
    assert [(row.outcome, row.resource, row.details["method"]) for row in tries] == [
        ("refused", path, method)
    ] * 2
    assert {row.user_id for row in tries} == {await identity(alice)}
    assert (await alice.get("/auth/me")).json()["is_admin"] is False


async def test_a_refusal_comes_before_any_word_on_the_request_itself(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    assert (await alice.patch("/api/admin/users/999", content=b"{")).status_code == 403
    assert [row.resource for row in await entries(sessions, action="admin.call")] == ["/api/admin/users/999"]
    assert (await alice.get("/api/admin/users?page=none")).status_code == 403
    assert (await alice.patch("/api/admin/users/999", json={"nonsense": 1})).status_code == 403
    await alice.post("/auth/logout")
    for content in (b"{", b"\xff"):
        assert (await alice.patch("/api/admin/users/999", content=content)).status_code == 401
        assert (await alice.post("/api/download", content=content)).status_code == 401


async def test_accounts_are_listed_newest_first_and_in_pages(
    service: Service, admin: httpx.AsyncClient
) -> None:
    for n in range(4):
        await service.sign_in(f"user-{n}")
    answer = await admin.get("/api/admin/users?page=2&per_page=2")
    page = answer.json()
    assert [user["username"] for user in page.pop("users")] == ["user-1", "user-0"]
    assert page == {"total": 5, "page": 2, "per_page": 2, "pages": 3}
    assert '</api/admin/users?page=3&per_page=2>; rel="next"' in answer.headers["link"]
    assert '</api/admin/users?page=1&per_page=2>; rel="prev"' in answer.headers["link"]
    assert "password" not in answer.text
    assert "tokens_valid_from" not in answer.text


async def test_deactivating_ends_every_session_in_every_process_for_good(
    serve: Serve, sessions: Sessions
) -> None:
    first, second = await serve(), await serve()
    admin = await first.sign_in("root")
    await promote(sessions, "root")
    alice = await first.sign_in()
    headers = {"Authorization": alice.headers["authorization"]}
    number = await identity(alice)
    answer = await admin.patch(f"/api/admin/users/{number}", json={"is_active": False})
    assert (answer.status_code, answer.json()["is_active"]) == (200, False)
    for service in (first, second):
        assert (await service.http.get("/auth/me", headers=headers)).status_code == 401
    who = {"username": "alice", "password": "correct horse battery"}
    assert (await second.http.post("/auth/login", json=who)).status_code == 403
    await admin.patch(f"/api/admin/users/{number}", json={"is_active": True})
    assert (await second.http.get("/auth/me", headers=headers)).status_code == 401
    assert (await second.http.post("/auth/login", json=who)).status_code == 200


async def test_deactivating_ends_the_streams_that_are_open(
    service: Service, admin: httpx.AsyncClient
) -> None:
    alice = await service.sign_in()
    number = await identity(alice)
    async with listening(alice) as stream:
        await admin.patch(f"/api/admin/users/{number}", json={"is_active": False})
        await stream.end()


async def test_a_role_given_or_taken_counts_at_once(service: Service, admin: httpx.AsyncClient) -> None:
    alice = await service.sign_in()
    number = await identity(alice)
    assert (await admin.patch(f"/api/admin/users/{number}", json={"is_admin": True})).json()["is_admin"]
    assert (await alice.get("/api/admin/users")).status_code == 200
    await admin.patch(f"/api/admin/users/{number}", json={"is_admin": False})
    assert (await alice.get("/api/admin/users")).status_code == 403


async def test_each_change_is_audited_with_who_did_it_and_none_that_changes_nothing(
    service: Service, admin: httpx.AsyncClient, sessions: Sessions
) -> None:
    number = await identity(await service.sign_in())
    for body in ({"is_active": False, "is_admin": True}, {"is_active": False}, {"is_active": True}, {}):
        assert (await admin.patch(f"/api/admin/users/{number}", json=body)).status_code == 200
    root = await identity(admin)
    rows = [row for row in await entries(sessions, user_id=root) if row.action.startswith("user.")]
    assert [(row.action, row.resource, row.outcome) for row in rows] == [
        ("user.deactivate", f"user:{number}", "success"),
        ("user.promote", f"user:{number}", "success"),
        ("user.activate", f"user:{number}", "success"),
    ]


@pytest.mark.parametrize("body", [{"is_active": False}, {"is_admin": False}])
async def test_the_last_active_administrator_stays_one(
    service: Service, admin: httpx.AsyncClient, sessions: Sessions, body: dict[str, bool]
) -> None:
    await service.sign_in("former")
    async with sessions.begin() as session:
        gone = update(User).where(User.username == "former").values(is_admin=True, is_active=False)
        await session.execute(gone)
    answer = await admin.patch(f"/api/admin/users/{await identity(admin)}", json={**body})
    assert_problem(answer, 409)
    assert (await admin.get("/api/admin/users")).status_code == 200
    [refused] = [row for row in await entries(sessions, outcome="refused") if row.action.startswith("user.")]
    assert refused.user_id == await identity(admin)


@pytest.mark.parametrize("body", [{"is_active": False}, {"is_admin": False}])
async def test_administrators_who_remove_each_other_at_once_leave_one(
    service: Service, sessions: Sessions, body: dict[str, bool]
) -> None:
    names = [f"root-{n}" for n in range(4)]
    clients = [await service.sign_in(name) for name in names]
    await promote(sessions, *names)
    numbers = [await identity(client) for client in clients]
    answers = await asyncio.gather(
        *(
            client.patch(f"/api/admin/users/{number}", json=body)
            for client, number in zip(clients, numbers, strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 409]
    async with sessions() as session:
        left = await session.scalars(select(User.id).where(User.is_admin, User.is_active))
        assert len(left.all()) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("999999", {"is_active": True}, 404),
        (str(2**63 - 1), {"is_active": True}, 404),
        (str(2**63), {"is_active": True}, 422),
        ("0", {"is_active": True}, 422),
        ("-1", {"is_active": True}, 422),
        ("me", {"is_active": True}, 422),
        ("1", {"is_active": "yes"}, 422),
        ("1", {"is_admin": 1}, 422),
        ("1", {"username": "other"}, 422),
        ("1", [], 422),
    ],
)
async def test_a_change_of_nobody_or_of_nonsense_is_refused(
    admin: httpx.AsyncClient, path: str, body: Any, status: int
) -> None:
    assert_problem(await admin.patch(f"/api/admin/users/{path}", json=body), status)


async def test_everybodys_downloads_say_whose_they_are_and_can_be_narrowed(
    service: Service, admin: httpx.AsyncClient
) -> None:
    alice, bob = await service.sign_in(), await service.sign_in("bob")
    first = (await alice.post("/api/download", json={"url": URL})).json()
    second = (await bob.post("/api/download", json={"url": f"{URL}?other"})).json()
    await bob.post(f"/api/downloads/{second['id']}/cancel")
    page = (await admin.get("/api/admin/downloads")).json()
    assert [(row["id"], row["username"]) for row in page["downloads"]] == [
        (second["id"], "bob"),
        (first["id"], "alice"),
    ]
    assert set(page["downloads"][0]) == set(first) | {"user_id", "username"}
    number = await identity(alice)
    for query, expected in {
        f"user_id={number}": [first["id"]],
        "status=cancelled": [second["id"]],
        "q=OTHER": [second["id"]],
        f"user_id={number}&status=cancelled": [],
        "user_id=999999": [],
        "parent_id=1": [],
        "user_id=&status=": [second["id"], first["id"]],
    }.items():
        answer = await admin.get(f"/api/admin/downloads?{query}")
        assert [row["id"] for row in answer.json()["downloads"]] == expected, query
    assert (await admin.get(f"/api/downloads/{first['id']}")).status_code == 404


async def test_the_audit_log_is_narrowed_by_user_action_and_time(
    service: Service, admin: httpx.AsyncClient
) -> None:
    alice = await service.sign_in()
    number = await identity(alice)
    await service.http.post("/auth/login", json={"username": "alice", "password": "wrong horse"})

    async def read(**query: Any) -> list[dict[str, Any]]:
        answer = await admin.get("/api/admin/audit-logs", params=query)
        rows: list[dict[str, Any]] = answer.raise_for_status().json()["audit_logs"]
        return rows

    mine = await read(user_id=number)
    assert [(row["action"], row["outcome"], row["username"]) for row in mine] == [
        ("auth.login", "refused", "alice"),
        ("auth.login", "success", "alice"),
        ("auth.register", "success", "alice"),
    ]
    assert set(mine[0]) == {
        *("id", "user_id", "username", "action", "resource", "outcome", "details"),
        *("ip_address", "user_agent", "created_at"),
    }
    assert [row["id"] for row in await read(user_id=number, action="auth.login")] == [
        row["id"] for row in mine[:2]
    ]
    middle = mine[1]["created_at"]
    assert [row["id"] for row in await read(user_id=number, since=middle)] == [row["id"] for row in mine[:2]]
    assert [row["id"] for row in await read(user_id=number, until=middle)] == [mine[2]["id"]]
    assert await read(since=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []
    assert await read(action="auth.nothing") == []
    assert await read(since="9999-12-31T23:59:59-14:00") == []
    assert await read(until="0001-01-01T00:00:00+14:00") == []
    for query in (
        {"since": "yesterday"},
        {"until": "2026-13-01T00:00:00Z"},
        {"user_id": "0"},
        {"action": "a" * 51},
    ):
        assert (await admin.get("/api/admin/audit-logs", params=query)).status_code == 422, query


async def test_a_refused_address_is_audited_without_what_may_be_secret(
    serve: Serve, sessions: Sessions
) -> None:
    service = await serve(allowed_networks="")
    alice = await service.sign_in()
    for url in ("http://169.254.169.254/latest", "http://alice:hunter2@artist.example/", "http://[::1"):
        assert_problem(await alice.post("/api/download", json={"url": url}), 422)
    rows = [row for row in await entries(sessions, action="download.submit") if row.outcome == "refused"]
    assert [row.details["host"] for row in rows] == ["169.254.169.254", "artist.example", ""]
    assert not any("hunter2" in str(row.details) for row in rows)


@given(total=st.integers(0, 10**9), size=st.integers(1, 100), number=st.integers(1, 10**7))
def test_pages_hold_everything_once(total: int, size: int, number: int) -> None:
    page: Page[User] = Page(rows=[], total=total, number=number, size=size)
    assert (page.count - 1) * size < total <= page.count * size or total == page.count == 0
