"""Cookies for a site: handed over by a person, sealed, and used for nobody else's downloads.

What is sealed is bound to the person and the site, so a row that is moved to another opens no more.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.sealing import seal, unseal
from music_downloader.egress.policy import host_name, host_of
from music_downloader.engine.cookies import Cookie, CookieFile, dump, load, read_cookies
from music_downloader.errors import (
    CookiesNotFoundError,
    InvalidTokenError,
    SiteRefusedError,
    TooManySitesError,
    UrlRefusedError,
)
from music_downloader.model import SiteCookies, User
from music_downloader.service import audit
from music_downloader.service.audit import Action, Origin

MAX_SITES: Final = 20
_PURPOSE: Final = "cookies"
_SAME_SITE: Final = {"youtu.be": "youtube.com"}  # short links, which nobody has cookies for


async def store(
    session: AsyncSession,
    *,
    owner: User,
    site: str,
    content: bytes,
    key: str,
    now: datetime,
    origin: Origin,
) -> tuple[SiteCookies, CookieFile, bool]:
    """Keep what a cookies.txt holds for a site, in place of what was kept; return also whether it is new.

    Raises SiteRefusedError, CookiesRefusedError, and TooManySitesError where there are MAX_SITES others.
    """
    site = site_of(site)
    read = read_cookies(content, site=site, now=now.timestamp())
    # One at a time for each person, so nobody has more sites than those counted; and whoever is deactivated
    # meanwhile leaves nothing behind.
    itself = select(User.is_active).where(User.id == owner.id).with_for_update(key_share=True)
    if not await session.scalar(itself):
        raise InvalidTokenError
    others = set((await session.scalars(select(SiteCookies.site).where(_of(owner.id)))).all())
    if site not in others and len(others) >= MAX_SITES:
        raise TooManySitesError
    expiry = read.earliest_expiry
    values = {
        "sealed": seal(dump(read.cookies), key=key, purpose=_PURPOSE, bound_to=_bond(owner.id, site)),
        "count": len(read.cookies),
        "earliest_expiry": None if expiry is None else datetime.fromtimestamp(expiry, UTC),
        "updated_at": func.now(),
    }
    row = await session.scalar(
        insert(SiteCookies)
        .values(user_id=owner.id, site=site, **values)
        .on_conflict_do_update(index_elements=[SiteCookies.user_id, SiteCookies.site], set_=values)
        .returning(SiteCookies),
        execution_options={"populate_existing": True},
    )
    assert row is not None  # noqa: S101 - it is either new or there
    await _record(session, Action.STORE_COOKIES, owner, site, origin, count=len(read.cookies))
    return row, read, site not in others


async def list_all(session: AsyncSession, *, owner: User) -> Sequence[SiteCookies]:
    """Return what somebody has handed over, by site."""
    return (await session.scalars(select(SiteCookies).where(_of(owner.id)).order_by(SiteCookies.site))).all()


async def remove(session: AsyncSession, *, owner: User, site: str, origin: Origin) -> None:
    """Forget somebody's cookies for a site; CookiesNotFoundError where there are none."""
    try:
        site = site_of(site)
    except SiteRefusedError as error:
        raise CookiesNotFoundError from error
    kept = delete(SiteCookies).where(_of(owner.id), SiteCookies.site == site).returning(SiteCookies.site)
    if await session.scalar(kept) is None:
        raise CookiesNotFoundError
    await _record(session, Action.REMOVE_COOKIES, owner, site, origin)


async def forget(session: AsyncSession, *, user_id: int) -> None:
    """Forget all cookies of somebody who can't do it any more."""
    await session.execute(delete(SiteCookies).where(_of(user_id)))


async def for_download(session: AsyncSession, *, user_id: int, url: str) -> SiteCookies | None:
    """Return what a download of this URL by this person may use: of several sites, the narrowest."""
    try:
        name = host_name(host_of(url))
    except UrlRefusedError:
        return None
    labels = _SAME_SITE.get(name.removeprefix("www."), name).split(".")
    sites = [".".join(labels[first:]) for first in range(len(labels) - 1)]
    narrowest = func.length(SiteCookies.site).desc()
    found = select(SiteCookies).where(_of(user_id), SiteCookies.site.in_(sites))
    kept: SiteCookies | None = await session.scalar(found.order_by(narrowest).limit(1))
    return kept


def opened(kept: SiteCookies, *, key: str) -> tuple[Cookie, ...]:
    """Return the cookies; UnreadableError where they were sealed with another key."""
    bond = _bond(kept.user_id, kept.site)
    return load(unseal(kept.sealed, key=key, purpose=_PURPOSE, bound_to=bond))


def site_of(text: str) -> str:
    """Return a site's name in its normal form: in lower case, in ASCII (IDNA), without `www.`."""
    try:
        name = host_name(text.strip())
    except UrlRefusedError as error:
        raise SiteRefusedError from error
    first, _, last = name.rpartition(".")
    if not first or last.isdecimal():  # a jar gives nothing to names without a dot, nor is an address a site
        raise SiteRefusedError
    bare = name.removeprefix("www.")
    name = bare if "." in bare else name
    return _SAME_SITE.get(name, name)


def _of(user_id: int) -> ColumnElement[bool]:
    return SiteCookies.user_id == user_id


def _bond(user_id: int, site: str) -> str:
    return f"{user_id}:{site}"


async def _record(
    session: AsyncSession, action: Action, owner: User, site: str, origin: Origin, **facts: int
) -> None:
    await audit.record(
        session,
        action,
        user_id=owner.id,
        resource=f"cookies:{site}",
        details={"site": site, **facts},
        origin=origin,
    )
