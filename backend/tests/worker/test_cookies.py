"""Whose cookies a download is given, and what it says where they can't be had."""

from collections.abc import Callable

import httpx
import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.api.test_cookies import SITE, VALUE, cookies, put
from tests.conftest import Serve, Service
from tests.following import ended, submit
from tests.source import Answer, Request, Source

from music_downloader.config.sealing import seal
from music_downloader.config.settings import Settings
from music_downloader.model import SiteCookies
from music_downloader.service.cookies import for_download
from music_downloader.task.cookies import CookieKey

Sessions = async_sessionmaker[AsyncSession]


def guarded(source: Source, host: str, path: str) -> str:
    """Serve a song to whoever shows the cookie."""
    body = media.make("mp3", title=path).read_bytes()

    def route(request: Request) -> Answer:
        if request.headers.get("cookie") == f"sid={VALUE}":
            return Answer(headers={"Content-Type": "audio/mpeg"}, body=body)
        return Answer(status=403)

    return source.site(host, path, route)


async def test_cookies_serve_their_owners_downloads_from_that_site_and_no_others(
    serve: Serve, source: Source, sessions: Sessions
) -> None:
    working: Service = await serve(embedded_worker=True, download_proxy=source.proxy)
    alice, bob = await working.sign_in("alice"), await working.sign_in("bob")
    assert (await put(alice, cookies("sid").replace("\tTRUE\t0", "\tFALSE\t0"))).status_code == 201

    async def outcome(client: httpx.AsyncClient, url: str) -> tuple[str, str | None, str | None]:
        shown = await ended(client, await submit(client, url))
        return shown["status"], shown["error_code"], shown["error_message"]

    assert (await outcome(alice, guarded(source, f"www.{SITE}", "/a.mp3")))[0] == "completed"
    status, code, words = await outcome(bob, guarded(source, SITE, "/b.mp3"))
    assert (status, code) == ("failed", "login_required")
    assert "cookies" not in str(words)
    elsewhere = guarded(source, "other.example", "/c.mp3")
    assert (await outcome(alice, elsewhere))[:2] == ("failed", "login_required")
    assert not [each for each in source.requests if each.path == elsewhere and "cookie" in each.headers]

    stale = source.site(SITE, "/d.mp3", lambda _: Answer(status=403))
    assert f"The cookies for {SITE} didn't help; upload newer ones." in str((await outcome(alice, stale))[2])
    # Sealed with a key that is gone, as after a restore without it.
    async with sessions.begin() as session:
        sealed = seal(b"[]", key="x" * 32, purpose="cookies", bound_to="1:music.example")
        await session.execute(update(SiteCookies).values(sealed=sealed))
    status, code, words = await outcome(alice, guarded(source, SITE, "/e.mp3"))
    assert (status, code) == ("failed", "login_required")
    assert f"upload the cookies for {SITE} again" in str(words)
    assert (await alice.delete(f"/api/cookies/{SITE}")).status_code == 204
    assert "didn't help" not in str((await outcome(alice, guarded(source, SITE, "/f.mp3")))[2])


async def test_of_several_sites_the_narrowest_counts_and_short_links_are_their_sites(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    for site in ("youtube.com", "music.youtube.com"):
        await put(alice, cookies("sid", site=site), site)
    async with sessions() as session:
        (number,) = set(await session.scalars(select(SiteCookies.user_id)))
        for host, site in {
            "www.youtube.com": "youtube.com",
            "youtu.be": "youtube.com",
            "YouTube.com.:8443": "youtube.com",
            "a.music.youtube.com": "music.youtube.com",
            "notyoutube.com": None,
            "youtube.com.example": None,
            "com": None,
        }.items():
            found = await for_download(session, user_id=number, url=f"https://{host}/watch?v=x")
            assert (found and found.site) == site, host
        assert await for_download(session, user_id=number + 1, url="https://youtube.com/") is None


async def test_a_worker_without_the_key_goes_on_without_cookies_and_says_so_once(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(secret_key="your-secret-key-change-in-production")
    opener = CookieKey(settings)
    kept = SiteCookies(user_id=1, site=SITE, sealed=b"")
    with structlog.testing.capture_logs() as logged:
        assert [await opener.open(kept) for _ in range(3)] == [(), (), ()]
    assert [entry["event"] for entry in logged] == ["cookies.no_key"]
    assert not settings.data_directory.exists()
