"""Sessions: which token is alive, and how it dies."""

from sqlalchemy import BigInteger, DateTime, String, bindparam, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.auth.token import TokenClaims
from music_downloader.errors import InvalidTokenError
from music_downloader.model import RevokedToken, User
from music_downloader.model.reading import Caller
from music_downloader.service import audit, feed
from music_downloader.service.audit import Action, Origin

# Asked with every request, so it is put together once.
_ALIVE = select(User).where(
    User.id == bindparam("caller_id", type_=BigInteger),
    User.is_active,
    or_(
        User.tokens_valid_from.is_(None),
        User.tokens_valid_from <= bindparam("issued_at", type_=DateTime(timezone=True)),
    ),
    ~exists().where(RevokedToken.jti == bindparam("jti", type_=String)),
)
_IS_ALIVE = _ALIVE.with_only_columns(User.id).exists()


async def user_of(session: AsyncSession, claims: TokenClaims) -> User:
    """Return the active user that the token stands for; InvalidTokenError when it has been revoked."""
    user: User | None = await session.scalar(_ALIVE, _facts(claims))
    if user is None:
        raise InvalidTokenError
    return user


def caller_of(claims: TokenClaims) -> Caller:
    """Return whom the token stands for, and that it must be alive; whoever reads finds that out."""
    return Caller(user_id=claims.user_id, condition=_IS_ALIVE, values=_facts(claims))


def _facts(claims: TokenClaims) -> dict[str, object]:
    return {"caller_id": claims.user_id, "jti": claims.jti, "issued_at": claims.issued_at}


async def log_out(session: AsyncSession, user: User, claims: TokenClaims, *, origin: Origin) -> None:
    """Revoke this one token, in every process and for good; doing it twice is no error."""
    await session.execute(
        insert(RevokedToken)
        .values(jti=claims.jti, user_id=user.id, expires_at=claims.expires_at)
        .on_conflict_do_nothing()
    )
    await feed.announce_session_end(session, user_id=user.id)
    await audit.record(session, Action.LOGOUT, user_id=user.id, resource=f"user:{user.id}", origin=origin)
