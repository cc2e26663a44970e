"""Cookies through the API: what is taken and told, to whom, and what lies in the database."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.api.problems import assert_problem
from tests.conftest import SECRET_KEY, Service

from music_downloader.errors import SiteRefusedError, UnreadableError
from music_downloader.model import AuditLog, SiteCookies, User
from music_downloader.service.cookies import MAX_SITES, opened, site_of

Sessions = async_sessionmaker[AsyncSession]
VALUE = "kept-between-us-0123456789"
SITE = "music.example"


def cookies(*names: str, site: str = SITE, expires: int = 0) -> str:
    lines = (f".{site}\tTRUE\t/\tTRUE\t{expires}\t{name}\t{VALUE}\n" for name in names)
    return "# Netscape HTTP Cookie File\n" + "".join(lines)


async def put(client: httpx.AsyncClient, file: str | bytes, site: str = SITE) -> httpx.Response:
    return await client.put(f"/api/cookies/{site}", content=file, headers={"Content-Type": "text/plain"})


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/api/cookies")
    assert VALUE not in answer.text
    found: list[dict[str, Any]] = answer.raise_for_status().json()["sites"]
    return found


async def test_cookies_are_kept_replaced_and_removed_and_only_their_owner_hears_of_them(
    service: Service, sessions: Sessions
) -> None:
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    file = (
        cookies("a", "b", expires=1_900_000_000) + cookies("old", expires=1) + cookies("c", site="x.example")
    )
    first = await put(alice, file, "WWW.Music.Example.")
    assert first.status_code == 201
    told = first.json()
    assert VALUE not in first.text
    assert (told["site"], told["count"], told["expired"], told["foreign"]) == (SITE, 2, 1, 1)
    assert told["earliest_expiry"] == "2030-03-17T17:46:40Z"
    again = await put(alice, cookies("a"))
    assert (again.status_code, again.json()["earliest_expiry"]) == (200, None)
    assert again.json()["updated_at"] > told["updated_at"]
    assert [each["count"] for each in await listed(alice)] == [1]
    assert await listed(bob) == []
    assert_problem(await bob.delete(f"/api/cookies/{SITE}"), 404)
    assert (await alice.delete(f"/api/cookies/{SITE}")).status_code == 204
    assert await listed(alice) == []
    assert_problem(await alice.delete(f"/api/cookies/{SITE}"), 404)
    assert_problem(await service.http.get("/api/cookies"), 401)
    async with sessions() as session:
        chosen = select(AuditLog).where(AuditLog.action.startswith("cookies.")).order_by(AuditLog.id)
        entries = list(await session.scalars(chosen))
    assert [entry.action for entry in entries] == ["cookies.store", "cookies.store", "cookies.remove"]
    assert all(entry.details["site"] == SITE and VALUE not in str(entry.details) for entry in entries)


async def test_the_database_alone_tells_no_cookie_and_a_row_opens_for_its_owner_and_site_only(
    service: Service, sessions: Sessions
) -> None:
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    assert (await put(alice, cookies("a"))).status_code == 201
    me = (await bob.get("/auth/me")).json()["id"]
    async with sessions() as session:
        everything = await session.scalar(text("SELECT string_agg(c::text, '') FROM site_cookies c"))
        kept = (await session.scalars(select(SiteCookies))).one()
    assert VALUE not in everything
    assert VALUE.encode().hex() not in everything
    assert opened(kept, key=SECRET_KEY)[0].value == VALUE
    for moved in ({"user_id": me}, {"site": "other.example"}, {"sealed": kept.sealed[:-1]}, {"sealed": b""}):
        facts = {"user_id": kept.user_id, "site": kept.site, "sealed": kept.sealed, **moved}
        with pytest.raises(UnreadableError):
            opened(SiteCookies(**facts), key=SECRET_KEY)
    with pytest.raises(UnreadableError):
        opened(kept, key="another key that is long enough as well")


async def test_what_is_of_no_use_is_refused_in_words_and_changes_nothing(service: Service) -> None:
    alice = await service.sign_in()
    await put(alice, cookies("a"))
    for file, words in (
        (cookies("a") + f"{VALUE}\n", "Line 3 of the file can't be used"),
        (b"\xff\xfe", "no text"),
        ("", "no cookie in this file"),
        (cookies("a", expires=1), "have expired"),
        (cookies("a", site="other.example"), f"is for {SITE}"),
    ):
        answer = await put(alice, file)
        assert words in assert_problem(answer, 422)["detail"]
        assert VALUE not in answer.text
    assert_problem(await put(alice, "x" * (64 * 1024 + 1)), 413)
    refused = assert_problem(await put(alice, cookies("a"), "localhost"), 422)
    assert refused["errors"][0]["loc"] == ["path", "site"]
    assert [each["count"] for each in await listed(alice)] == [1]


async def test_a_person_has_cookies_for_so_many_sites_and_no_more(service: Service) -> None:
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    for number in range(MAX_SITES):
        site = f"s{number}.example"
        assert (await put(alice, cookies("a", site=site), site)).status_code == 201
    assert_problem(await put(alice, cookies("a")), 409)
    assert (await put(alice, cookies("b", site="s0.example"), "s0.example")).status_code == 200
    assert (await put(bob, cookies("a"))).status_code == 201
    assert len(await listed(alice)) == MAX_SITES


async def test_whoever_is_deactivated_leaves_no_cookies_behind(service: Service, sessions: Sessions) -> None:
    admin, alice = await service.sign_in("root"), await service.sign_in("alice")
    await put(alice, cookies("a"))
    await put(admin, cookies("a"))
    async with sessions.begin() as session:
        await session.execute(update(User).where(User.username == "root").values(is_admin=True))
    number = (await alice.get("/auth/me")).json()["id"]
    change = await admin.patch(f"/api/admin/users/{number}", json={"is_active": False})
    assert change.status_code == 200
    async with sessions() as session:
        assert number not in (await session.scalars(select(SiteCookies.user_id))).all()
    assert len(await listed(admin)) == 1


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("YouTube.com", "youtube.com"),
        ("www.youtube.com.", "youtube.com"),
        ("music.youtube.com", "music.youtube.com"),
        ("youtu.be", "youtube.com"),
        ("www.com", "www.com"),
        ("Bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_site_has_one_name(text: str, site: str) -> None:
    assert site_of(text) == site


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.0.0.1", "2130706433", "[::1]", "a b.example", "-.example", ".", "x" * 300]
)
def test_what_is_no_name_of_a_site_is_refused(text: str) -> None:
    with pytest.raises(SiteRefusedError):
        site_of(text)
