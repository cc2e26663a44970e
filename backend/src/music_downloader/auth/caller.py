"""Who is calling: from the bearer token to the user."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from music_downloader.auth import session as sessions
from music_downloader.auth.token import TokenClaims, read
from music_downloader.dependencies import SessionDep
from music_downloader.errors import InvalidTokenError, NotAuthenticatedError
from music_downloader.model import User

_TOKEN_LIMIT = 4096
_bearer = OAuth2PasswordBearer(tokenUrl="auth/login", auto_error=False, scheme_name="Bearer")


async def get_claims(request: Request, token: Annotated[str | None, Depends(_bearer)]) -> TokenClaims:
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
