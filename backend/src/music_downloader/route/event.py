"""Following one's downloads live: server-sent events (HTML Living Standard, 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Receive, Scope, Send

from music_downloader.auth import session as sessions
from music_downloader.auth.caller import ClaimsDep, CurrentUser
from music_downloader.auth.token import TokenClaims
from music_downloader.errors import InvalidTokenError
from music_downloader.route.patience import answer_patiently
from music_downloader.schema.problem import responses
from music_downloader.service.subscription import Subscription

PING_SECONDS = 15.0
_RETRY_MILLISECONDS = 3_000
_PATIENCE_SECONDS = 60.0

log = structlog.stdlib.get_logger(__name__)

router = APIRouter(prefix="/api", tags=["Downloads"], responses=responses(401, 503))

_EXAMPLE = 'event: download\ndata: {"id": 1, "status": "in-progress", "title": "A Song"}\n\n'
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "Events without an end: `download` with a download as in `GET /api/downloads/{download_id}`, "
            "`deleted` with its `id`, and `reset` when something may have been missed, so that the list has "
            "to be asked for again"
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


async def get_subscription(
    request: Request, user: CurrentUser, claims: ClaimsDep
) -> AsyncIterator[Subscription]:
    """Listen for the caller, until the answer has ended."""
    del user  # only asked for so that a dead token never gets as far as this
    with request.state.feed.subscribe(claims.user_id) as subscription:
        yield subscription


class EventStream(StreamingResponse):
    """An answer without an end, unless its reader has stopped reading."""

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what comes until the reader has gone (ASGI)."""
        await answer_patiently(super().__call__, scope, receive, send, seconds=_PATIENCE_SECONDS)


@router.get(
    "/events",
    status_code=200,
    response_class=EventStream,
    summary="Follow your downloads live",
    operation_id="followDownloads",
    responses={**_STREAM, **responses(429)},
)
async def follow_downloads(
    request: Request,
    claims: ClaimsDep,
    subscription: Annotated[Subscription, Depends(get_subscription)],
) -> EventStream:
    """Send each of your downloads whenever it changes: a new status at once, progress twice a second."""

    async def is_alive() -> bool:
        return await _is_alive(request, claims)

    return EventStream(_lines(subscription, is_alive, expires_at=claims.expires_at))


async def _is_alive(request: Request, claims: TokenClaims) -> bool:
    if datetime.now(UTC) >= claims.expires_at:
        return False
    try:
        async with request.state.sessionmaker() as session:
            await sessions.user_of(session, claims)
    except InvalidTokenError:
        return False
    except SQLAlchemyError as error:  # without its database nothing is told anyway
        log.debug("events.not_checked", error=type(error).__name__)
    return True


async def _lines(
    subscription: Subscription, is_alive: Callable[[], Awaitable[bool]], *, expires_at: datetime
) -> AsyncIterator[bytes]:
    """Yield the events and a comment every 15 s, until the session or the subscription is over."""
    clock = asyncio.get_running_loop().time
    yield format_sse_event(comment="Your downloads, as they change", retry=_RETRY_MILLISECONDS)
    next_ping = clock() + PING_SECONDS
    while True:
        remaining = (expires_at - datetime.now(UTC)).total_seconds()
        in_doubt = await subscription.wait(min(next_ping - clock(), remaining))
        is_ping_due = clock() >= next_ping
        is_expired = datetime.now(UTC) >= expires_at
        if (in_doubt or is_ping_due or is_expired) and not await is_alive():
            return
        is_over = subscription.is_over  # asked before the sending, which may take a while
        if notices := subscription.take():
            yield b"".join(format_sse_event(event=each.event, data_str=each.data) for each in notices)
        if is_over:
            return
        if is_ping_due:
            yield KEEPALIVE_COMMENT
            next_ping = clock() + PING_SECONDS
