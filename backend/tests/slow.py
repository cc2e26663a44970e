"""A file that a source sends in two halves, so that something can happen in between."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.source import Answer, Request, Source


class Slow:
    """A file that is sent in two halves: the second one when the test says so."""

    def __init__(self, source: Source, path: str, file: Path) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.requests = 0
        self._body = file.read_bytes()
        self.url = source.route(path, self._route)

    def _route(self, _: Request) -> Answer:
        self.requests += 1
        headers = {"Content-Type": "audio/mpeg"}
        return Answer(headers=headers, chunks=self._chunks, length=len(self._body))

    def _chunks(self, stopping: threading.Event) -> Iterator[bytes]:
        half = len(self._body) // 2
        if self.requests == 1:  # only a look at what it is
            yield self._body
            return
        yield self._body[:half]
        self.begun.set()
        while not self.go_on.wait(0.05) and not stopping.is_set():
            pass
        yield self._body[half:]


async def happens(event: threading.Event, *, within: float = 90) -> None:
    assert await asyncio.to_thread(event.wait, within)
