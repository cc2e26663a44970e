"""Bearer tokens: JSON Web Tokens (RFC 7519), signed with HS256, every claim required."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import jwt

from music_downloader.errors import InvalidTokenError

ISSUER = "nas-music-downloader"
AUDIENCE = "nas-music-downloader-api"
_ALGORITHM = "HS256"
_CLAIMS = ["sub", "jti", "iat", "nbf", "exp", "iss", "aud"]
_JTI_LIMIT = 64
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenClaims:
    """What a valid token says."""

    user_id: int
    jti: str
    issued_at: datetime
    expires_at: datetime


def issue(*, user_id: int, key: str, now: datetime, lifetime: timedelta) -> str:
    """Return a signed token. `iat` keeps microseconds, so that a later change of password is told apart."""
    return jwt.encode(
        {
            "sub": str(user_id),
            "jti": secrets.token_urlsafe(24),
            "iat": now.timestamp(),
            "nbf": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "iss": ISSUER,
            "aud": AUDIENCE,
        },
        key,
        algorithm=_ALGORITHM,
    )


def read(token: str, *, key: str) -> TokenClaims:
    """Check signature, algorithm, every claim and the times; InvalidTokenError without a reason otherwise."""
    claims = _read(token, key)
    if claims.expires_at <= datetime.now(UTC):
        raise InvalidTokenError
    return claims


@lru_cache(maxsize=512)
def _read(token: str, key: str) -> TokenClaims:
    """Check all of it; later on, nothing but its end can have changed, and whether it was revoked."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": _CLAIMS},
        )
        user_id, jti = int(claims["sub"]), str(claims["jti"])
        if not (0 < user_id <= _MAX_ID and 0 < len(jti) <= _JTI_LIMIT and jti.isprintable()):
            raise InvalidTokenError
        return TokenClaims(
            user_id=user_id,
            jti=jti,
            issued_at=datetime.fromtimestamp(float(claims["iat"]), UTC),
            expires_at=datetime.fromtimestamp(float(claims["exp"]), UTC),
        )
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
        raise InvalidTokenError from error
