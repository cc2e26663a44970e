"""Who is calling: from the bearer token to the user."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from music_downloader.auth import session as sessions
from music_downloader.auth.token import TokenClaims, read
from music_downloader.dependencies import OriginDep, SessionDep
from music_downloader.errors import InvalidTokenError, NotAnAdminError, NotAuthenticatedError
from music_downloader.model import User
from music_downloader.model.reading import Caller
from music_downloader.service import throttle
from music_downloader.service.audit import Action

_TOKEN_LIMIT = 4096
bearer = OAuth2PasswordBearer(tokenUrl="auth/login", auto_error=False, scheme_name="Bearer")


async def get_claims(request: Request, token: Annotated[str | None, Depends(bearer)]) -> TokenClaims:
    """Check the token itself, without the database."""
    if not token:
        raise NotAuthenticatedError
    if len(token) > _TOKEN_LIMIT:
        raise InvalidTokenError
    return read(token, key=request.state.signing_key)


ClaimsDep = Annotated[TokenClaims, Depends(get_claims)]


async def get_current_user(session: SessionDep, claims: ClaimsDep) -> User:
    """Return the caller; 401 when the token is missing, bad, expired or revoked."""
    return await sessions.user_of(session, claims)


CurrentUser = Annotated[User, Depends(get_current_user)]


async def get_caller(claims: ClaimsDep) -> Caller:
    """Return the caller for what only reads, and finds out by itself whether the token is alive."""
    return sessions.caller_of(claims)


CallerDep = Annotated[Caller, Depends(get_caller)]


async def get_administrator(
    request: Request, session: SessionDep, user: CurrentUser, origin: OriginDep
) -> User:
    """Return the caller, who is an administrator; 403 for anybody else, and the audit log tells of it."""
    if not user.is_admin:
        await throttle.record_refusal(
            session,
            Action.ADMINISTER,
            user_id=user.id,
            resource=request.url.path,
            details={"method": request.method},
            origin=origin,
        )
        raise NotAnAdminError
    return user


Administrator = Annotated[User, Depends(get_administrator)]
