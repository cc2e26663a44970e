"""Sessions: which token is alive, and how it dies."""

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.auth.token import TokenClaims
from music_downloader.errors import InvalidTokenError
from music_downloader.model import RevokedToken, User
from music_downloader.service import audit
from music_downloader.service.audit import Action, Origin


async def user_of(session: AsyncSession, claims: TokenClaims) -> User:
    """Return the active user that the token stands for; InvalidTokenError when it has been revoked."""
    revoked = exists().where(RevokedToken.jti == claims.jti)
    user = await session.scalar(
        select(User).where(User.id == claims.user_id, User.is_active, still_valid(claims), ~revoked)
    )
    if user is None:
        raise InvalidTokenError
    return user


def still_valid(claims: TokenClaims) -> ColumnElement[bool]:
    """Tell whether the token is younger than the user's last end of all sessions."""
    return or_(User.tokens_valid_from.is_(None), User.tokens_valid_from <= claims.issued_at)


async def log_out(session: AsyncSession, user: User, claims: TokenClaims, *, origin: Origin) -> None:
    """Revoke this one token, in every process and for good; doing it twice is no error."""
    await session.execute(
        insert(RevokedToken)
        .values(jti=claims.jti, user_id=user.id, expires_at=claims.expires_at)
        .on_conflict_do_nothing()
    )
    await audit.record(session, Action.LOGOUT, user_id=user.id, resource=f"user:{user.id}", origin=origin)
