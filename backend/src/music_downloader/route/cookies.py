"""Handing over cookies for a site, and taking them back."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from music_downloader.auth.caller import CurrentUser
from music_downloader.dependencies import OriginDep, SessionDep
from music_downloader.route.parameter import Site
from music_downloader.schema.cookies import CookieSites, CookiesRead, CookiesStored
from music_downloader.schema.problem import responses
from music_downloader.service import cookies

router = APIRouter(prefix="/api/cookies", tags=["Cookies"], responses=responses(401, 503))

_EXAMPLE = "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t1893456000\tSID\tvalue\n"
_FILE = {
    "requestBody": {
        "required": True,
        "description": "A cookies.txt in Netscape's format",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


@router.get("", summary="List the sites that you have cookies for", operation_id="listCookies")
async def list_cookies(session: SessionDep, user: CurrentUser) -> CookieSites:
    """Return each site with the number of its cookies; what they hold is told to nobody."""
    kept = await cookies.list_all(session, owner=user)
    return CookieSites(sites=[CookiesRead.model_validate(each) for each in kept])


@router.put(
    "/{site}",
    summary="Hand over your cookies for a site",
    operation_id="storeCookies",
    openapi_extra=_FILE,
    responses={
        201: {"description": "There were none for this site", "model": CookiesStored},
        **responses(404, 409, 422),
    },
)
async def store_cookies(
    site: Site,
    request: Request,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    origin: OriginDep,
) -> CookiesStored:
    """Keep a file's cookies for a site, sealed, in place of those from before.

    They are used for your own downloads from that site and its subdomains only. Cookies for other sites and
    expired ones are left out.
    """
    kept, read, is_new = await cookies.store(
        session,
        owner=user,
        site=site,
        content=await request.body(),
        key=request.state.signing_key,
        now=datetime.now(UTC),
        origin=origin,
    )
    response.status_code = 201 if is_new else 200
    shown = CookiesRead.model_validate(kept).model_dump()
    return CookiesStored(**shown, expired=read.expired, foreign=read.foreign)


@router.delete(
    "/{site}",
    status_code=204,
    summary="Remove your cookies for a site",
    operation_id="deleteCookies",
    responses=responses(404, 422),
)
async def delete_cookies(site: Site, session: SessionDep, user: CurrentUser, origin: OriginDep) -> None:
    """Forget the cookies at once; a download that runs keeps what it has."""
    await cookies.remove(session, owner=user, site=site, origin=origin)
