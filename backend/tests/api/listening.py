"""Listening to the stream of events, as a page does.

async with listening(alice) as stream:
    assert (await stream.next()).data["status"] == "pending"
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.following import PATIENCE


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as it arrived; `at` is on the loop's clock."""

    name: str
    data: Any
    at: float


@dataclass(kw_only=True)
class Stream:
    """What has arrived: events still to be looked at, comments, and whether it has ended."""

    answer: httpx.Response
    comments: list[str] = field(default_factory=list)
    retry: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    async def next(self, *, within: float = PATIENCE) -> Event:
        async with asyncio.timeout(within):
            return await self._events.get()

    async def until(self, download_id: int, *, within: float = PATIENCE, **facts: Any) -> Event:
        """Skip to the event that tells this of a download."""
        async with asyncio.timeout(within):
            while True:
                event = await self._events.get()
                if event.data.get("id") == download_id and facts.items() <= event.data.items():
                    return event

    def rest(self) -> list[Event]:
        """Everything that has arrived and hasn't been looked at."""
        events = []
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    async def end(self, *, within: float = PATIENCE) -> None:
        async with asyncio.timeout(within):
            await self.ended.wait()

    async def read(self) -> None:
        """Take the stream apart as the HTML standard says (9.2.6)."""
        name, data = "", ""
        with suppress(httpx.TransportError):
            async for line in self.answer.aiter_lines():
                if line.startswith(":"):
                    self.comments.append(line)
                elif line:
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif key == "data":
                        data += value
                    elif key == "retry":
                        self.retry = int(value)
                elif data:
                    at = asyncio.get_running_loop().time()
                    self._events.put_nowait(Event(name=name, data=json.loads(data), at=at))
                    name, data = "", ""
        self.ended.set()


@asynccontextmanager
async def listening(client: httpx.AsyncClient) -> AsyncIterator[Stream]:
    """Follow the caller's downloads inside the block; everything that changes from then on arrives."""
    async with client.stream("GET", "/api/events", timeout=None) as answer:
        assert answer.status_code == 200, await answer.aread()
        stream = Stream(answer=answer)
        reading = asyncio.create_task(stream.read())
        try:
            async with asyncio.timeout(PATIENCE):
                while stream.retry is None:  # noqa: ASYNC110 - the first words, which nobody waits for otherwise
                    await asyncio.sleep(0.01)
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
