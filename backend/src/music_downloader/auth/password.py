"""Passwords: bcrypt over a digest, off the event loop, and only a few at a time."""

import asyncio
import base64
import hashlib
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import bcrypt

from music_downloader.errors import ServiceUnavailableError
from music_downloader.model.database import wait_anew

COST = 12
_AT_ONCE = 2  # a hash takes a third of a second of one core; a NAS has two to four
_LONGEST_WAIT_SECONDS = 10


def _digest(password: str) -> bytes:
    """Return 64 bytes without NUL that stand for the whole password.

    bcrypt reads 72 bytes at most and stops at NUL; SHA-384 in base64 keeps every character significant.
    The text is put into NFC first, so that one password typed on two keyboards stays one password.
    """
    text = unicodedata.normalize("NFC", password)
    return base64.b64encode(hashlib.sha384(text.encode("utf-8", "surrogatepass")).digest())


@cache
def hash_of_nobody() -> bytes:
    """Return the hash that is checked where there is no user, so that both cases cost the same."""
    return bcrypt.hashpw(b"nobody", bcrypt.gensalt(COST))


@cache
def _places(_loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(_AT_ONCE)


@asynccontextmanager
async def place() -> AsyncIterator[None]:
    """Wait for one of the few places for hashing; ServiceUnavailableError when none comes free in time.

    Taken before the database is touched, so that a flood of logins holds no connections while it waits.
    """
    places = _places(asyncio.get_running_loop())
    try:
        async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
            await places.acquire()
    except TimeoutError as error:
        raise ServiceUnavailableError("Too many people are logging in; try again shortly.") from error
    wait_anew()
    try:
        yield
    finally:
        places.release()


async def hash_password(password: str) -> str:
    """Return a bcrypt hash at cost 12."""
    hashed = await asyncio.to_thread(bcrypt.hashpw, _digest(password), bcrypt.gensalt(COST))
    return hashed.decode("ascii")


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Tell whether the password is right; None stands for a user that doesn't exist and is never right."""
    expected = hash_of_nobody() if password_hash is None else password_hash.encode("ascii")
    matches = await asyncio.to_thread(bcrypt.checkpw, _digest(password), expected)
    return matches and password_hash is not None
