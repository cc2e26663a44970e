"""A source that takes its time and counts who is there."""

import threading
from collections.abc import Iterator
from pathlib import Path

from tests.source import Answer, Request, Source


class Slowly:
    """Serves files over a moment each, and counts how many there are at once."""

    def __init__(self, source: Source, *, seconds: float = 0.3) -> None:
        self._source = source
        self._seconds = seconds
        self._lock = threading.Lock()
        self._now: set[str] = set()
        self.most = 0

    def file(self, path: str, file: Path) -> str:
        body = file.read_bytes()

        def chunks(stopping: threading.Event) -> Iterator[bytes]:
            with self._lock:
                self._now.add(path)
                self.most = max(self.most, len(self._now))
            try:
                stopping.wait(self._seconds)
                yield body
            finally:
                with self._lock:
                    self._now.discard(path)

        def route(request: Request) -> Answer:
            headers = {"Content-Type": "audio/mpeg"}
            if request.method == "HEAD":
                return Answer(headers=headers, length=len(body))
            return Answer(headers=headers, chunks=chunks, length=len(body))

        return self._source.route(path, route)
