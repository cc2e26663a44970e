"""Limits on guessing: what is refused, to whom, for how long, and in which process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.api.problems import assert_problem
from tests.conftest import Serve, Service

from music_downloader.auth import account, password
from music_downloader.model import AuditLog, Throttle, User

Sessions = async_sessionmaker[AsyncSession]
From = Callable[[Service, str], Awaitable[httpx.AsyncClient]]
RIGHT = {"username": "alice", "password": "correct horse battery"}
WRONG = {"username": "alice", "password": "wrong horse battery"}


@pytest.fixture
async def come_from() -> AsyncIterator[From]:
    """Call a service from another address of this machine."""
    async with AsyncExitStack() as stack:

        async def come(service: Service, address: str) -> httpx.AsyncClient:
            transport = httpx.AsyncHTTPTransport(local_address=address)
            client = httpx.AsyncClient(base_url=service.http.base_url, transport=transport, timeout=30)
            return await stack.enter_async_context(client)

        yield come


def person(name: str) -> dict[str, str]:
    return {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}


async def log_in(client: httpx.AsyncClient, body: dict[str, str]) -> int:
    return (await client.post("/auth/login", json=body)).status_code


async def entries(sessions: Sessions, **wanted: Any) -> list[AuditLog]:
    async with sessions() as session:
        return list(await session.scalars(select(AuditLog).filter_by(**wanted).order_by(AuditLog.id)))


async def let_pass(sessions: Sessions, seconds: float) -> None:
    """Bring the end of every period nearer by that much."""
    async with sessions.begin() as session:
        await session.execute(update(Throttle).values(ends_at=Throttle.ends_at - timedelta(seconds=seconds)))


async def test_after_ten_failures_even_the_right_password_is_refused_with_a_time_to_come_back(
    service: Service,
) -> None:
    await service.sign_in()
    assert [await log_in(service.http, WRONG) for _ in range(10)] == [401] * 10
    answer = await service.http.post("/auth/login", json=RIGHT)
    body = assert_problem(answer, 429)
    assert 280 <= int(answer.headers["retry-after"]) <= 300
    assert "alice" not in body["detail"]


async def test_another_address_is_not_refused_so_nobody_is_kept_out_by_a_stranger(
    serve: Serve, come_from: From
) -> None:
    service = await serve(login_limit="2/hour")
    await service.sign_in()
    stranger = await come_from(service, "127.0.0.66")
    assert [await log_in(stranger, WRONG) for _ in range(3)] == [401, 401, 429]
    assert await log_in(stranger, RIGHT) == 429
    assert await log_in(service.http, RIGHT) == 200


async def test_somebody_who_does_not_exist_is_counted_like_somebody_who_does(serve: Serve) -> None:
    service = await serve(login_limit="2/hour")
    await service.sign_in()
    nobody = {**WRONG, "username": "nobody"}
    known = [await service.http.post("/auth/login", json=WRONG) for _ in range(3)]
    unknown = [await service.http.post("/auth/login", json=nobody) for _ in range(3)]
    assert [answer.status_code for answer in known] == [401, 401, 429]
    assert [answer.content for answer in known] == [answer.content for answer in unknown]


@pytest.mark.parametrize("name", ["ALICE", "\N{FULLWIDTH LATIN SMALL LETTER A}lice", "\u00e1lice"])
async def test_another_way_to_write_a_name_has_no_count_of_its_own(serve: Serve, name: str) -> None:
    service = await serve(login_limit="2/hour")
    await service.sign_in()
    for _ in range(2):
        await log_in(service.http, WRONG)
    assert await log_in(service.http, {**WRONG, "username": name}) == 429


async def test_an_address_fails_five_times_as_often_in_all_and_then_at_every_account(serve: Serve) -> None:
    service = await serve(login_limit="2/hour")
    await service.sign_in()
    names = [f"name-{n}" for n in range(11)]
    answers = [await log_in(service.http, {**WRONG, "username": name}) for name in names]
    assert answers == [401] * 10 + [429]
    assert await log_in(service.http, RIGHT) == 429


async def test_logins_that_succeed_do_not_count(serve: Serve) -> None:
    service = await serve(login_limit="2/hour")
    await service.sign_in()
    answers = await asyncio.gather(*(log_in(service.http, RIGHT) for _ in range(12)))
    assert answers == [200] * 12


async def test_a_limit_ends_with_its_period(serve: Serve, sessions: Sessions) -> None:
    service = await serve(login_limit="2/hour")
    await service.sign_in()
    assert [await log_in(service.http, WRONG) for _ in range(3)] == [401, 401, 429]
    await let_pass(sessions, 3000)
    wait = int((await service.http.post("/auth/login", json=RIGHT)).headers["retry-after"])
    assert 300 <= wait <= 600
    await let_pass(sessions, wait)
    assert await log_in(service.http, RIGHT) == 200


async def test_processes_share_one_count(serve: Serve) -> None:
    first, second = await serve(login_limit="2/hour"), await serve(login_limit="2/hour")
    await first.sign_in()
    assert await log_in(first.http, WRONG) == 401
    assert await log_in(second.http, WRONG) == 401
    assert await log_in(first.http, RIGHT) == await log_in(second.http, RIGHT) == 429


async def test_of_many_tries_at_once_no_more_than_the_limit_learn_anything(serve: Serve) -> None:
    first, second = await serve(login_limit="5/hour"), await serve(login_limit="5/hour")
    await first.sign_in()
    tries = [log_in(service.http, WRONG) for _ in range(15) for service in (first, second)]
    answers = sorted(await asyncio.gather(*tries))
    assert answers == [401] * 5 + [429] * 25


async def test_who_is_refused_costs_no_hash(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await serve(login_limit="1/hour")
    await service.sign_in()
    await log_in(service.http, WRONG)
    checked: list[str] = []

    async def verify(given: str, known: str | None) -> bool:
        checked.append(given)
        return await password.verify_password(given, known)

    monkeypatch.setattr(account, "verify_password", verify)
    assert [await log_in(service.http, RIGHT) for _ in range(20)] == [429] * 20
    assert checked == []


@pytest.mark.parametrize("limit", ["off", "0"])
async def test_without_a_limit_nothing_is_counted(serve: Serve, sessions: Sessions, limit: str) -> None:
    service = await serve(login_limit=limit, registration_limit=limit)
    await service.sign_in()
    assert [await log_in(service.http, WRONG) for _ in range(60)] == [401] * 60
    async with sessions() as session:
        assert (await session.scalars(select(Throttle))).all() == []


async def test_only_so_many_accounts_are_made_from_one_address(serve: Serve, come_from: From) -> None:
    service = await serve(registration_limit="2/hour")
    answers = [await service.http.post("/auth/register", json=person(f"user-{n}")) for n in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert_problem(answers[-1], 429)
    assert 3500 <= int(answers[-1].headers["retry-after"]) <= 3600
    elsewhere = await come_from(service, "127.0.0.66")
    assert (await elsewhere.post("/auth/register", json=person("elsewhere"))).status_code == 201


async def test_who_asks_for_taken_names_again_and_again_learns_no_more(serve: Serve) -> None:
    service = await serve(registration_limit="2/hour")
    await service.sign_in()
    answers = []
    for n in range(11):  # an address of one's own that is taken makes it free to ask for any name
        body = {**person("alice" if n % 2 else f"user-{n}"), "email": "alice@example.org"}
        answers.append((await service.http.post("/auth/register", json=body)).status_code)
    assert answers == [409] * 10 + [429]
    assert (await service.http.post("/auth/register", json=person("bob"))).status_code == 429
    assert await log_in(service.http, RIGHT) == 200


async def test_a_name_that_is_taken_is_no_registration(serve: Serve) -> None:
    service = await serve(registration_limit="2/hour")
    await service.sign_in()
    answers = [await service.http.post("/auth/register", json=person("ALICE")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [409] * 3
    assert (await service.http.post("/auth/register", json=person("bob"))).status_code == 201


async def test_registrations_at_once_do_not_slip_through(serve: Serve, sessions: Sessions) -> None:
    service = await serve(registration_limit="3/hour")
    bodies = [person(f"user-{n}") for n in range(10)]
    answers = await asyncio.gather(*(service.http.post("/auth/register", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 7
    async with sessions() as session:
        assert len((await session.scalars(select(User))).all()) == 3


async def test_a_stolen_token_does_not_help_to_guess_the_password(serve: Serve) -> None:
    service = await serve(login_limit="2/hour")
    alice = await service.sign_in()
    body = {"current_password": "wrong horse battery", "new_password": "another horse entirely"}
    answers = [(await alice.post("/auth/password", json=body)).status_code for _ in range(3)]
    assert answers == [403, 403, 429]
    right = {**body, "current_password": RIGHT["password"]}
    assert (await alice.post("/auth/password", json=right)).status_code == 429
    assert await log_in(service.http, RIGHT) == 200


async def test_a_flood_is_audited_once_a_period(serve: Serve, sessions: Sessions) -> None:
    service = await serve(login_limit="2/hour", registration_limit="1/hour")
    await service.sign_in()
    for _ in range(20):
        await log_in(service.http, WRONG)
    for n in range(3):
        await service.http.post("/auth/register", json=person(f"user-{n}"))
    await let_pass(sessions, 3600)
    for _ in range(4):
        await log_in(service.http, WRONG)
    refused = await entries(sessions, outcome="refused")
    throttled = [entry.action for entry in refused if entry.details["reason"] == "throttled"]
    assert throttled.count("auth.login") == 2
    assert throttled.count("auth.register") == 1
    assert {entry.ip_address for entry in refused} == {"127.0.0.1"}


async def test_what_a_person_is_refused_does_not_fill_the_audit_log(serve: Serve, sessions: Sessions) -> None:
    service = await serve(allowed_networks="")
    alice, bob = await service.sign_in(), await service.sign_in("bob")
    forbidden = "http://169.254.169.254/latest"
    for _ in range(33):
        assert_problem(await alice.get("/api/admin/users"), 403)
        assert_problem(await alice.post("/api/download", json={"url": forbidden}), 422)
    assert_problem(await bob.get("/api/admin/users"), 403)
    refused = await entries(sessions, outcome="refused")
    number = (await alice.get("/auth/me")).json()["id"]
    for action in ("admin.call", "download.submit"):
        told = [entry for entry in refused if (entry.user_id, entry.action) == (number, action)]
        throttled = [entry.details.get("reason") == "throttled" for entry in told]
        assert throttled == [False] * 30 + [True], action
    assert len(refused) == 63  # and the one of somebody else, who isn't kept from being heard


async def test_nothing_that_was_typed_is_kept_with_the_count(serve: Serve, sessions: Sessions) -> None:
    service = await serve()
    await log_in(service.http, {"username": "hunter2-by-mistake", "password": "wrong horse"})
    async with sessions() as session:
        kept = (await session.execute(text("SELECT t::text FROM throttles t"))).scalars().all()
    assert len(kept) == 2
    assert not any("hunter2" in row or "127.0.0" in row for row in kept)


async def test_behind_a_trusted_proxy_each_caller_has_a_count_of_their_own(serve: Serve) -> None:
    service = await serve(login_limit="1/hour", trusted_proxies="127.0.0.0/8")
    await service.sign_in()

    async def fail_from(address: str) -> int:
        headers = {"X-Forwarded-For": address}
        return (await service.http.post("/auth/login", json=WRONG, headers=headers)).status_code

    addresses = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
    assert [await fail_from(address) for address in addresses] == [401, 429, 401, 401, 429, 401]
