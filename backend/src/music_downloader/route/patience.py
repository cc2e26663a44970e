"""Answering readers that may have stopped reading: what they hold open is given back after a while."""

import asyncio

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.stdlib.get_logger(__name__)


class _StalledError(Exception):
    """The reader has taken nothing for too long."""


async def answer_patiently(
    answer: ASGIApp, scope: Scope, receive: Receive, send: Send, *, seconds: float
) -> None:
    """Run `answer`, and give it up where one single message waits longer than `seconds` for the reader."""

    async def send_in_time(message: Message) -> None:
        try:
            async with asyncio.timeout(seconds):
                await send(message)
        except TimeoutError as error:
            raise _StalledError from error

    try:
        await answer(scope, receive, send_in_time)
    except _StalledError:
        log.info("reader.stalled", path=scope["path"], seconds=seconds)
