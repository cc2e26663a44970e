"""What there is to download while things die: quick and slow, single and in lists, kept and converted."""

import itertools
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import media
from tests.crash.checker import packets
from tests.source import CONTENT_TYPES, Answer, Request, Source

_PIECES = 20


@dataclass
class Music:
    """A source that never runs out; `packets` are the digests of what each title has there."""

    source: Source
    chosen: random.Random
    packets: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def next(self) -> tuple[str, str]:
        """Return a URL and the format to ask for."""
        kind = self.chosen.choices(("quick", "slow", "converted", "playlist", "album"), (4, 4, 2, 1, 1))[0]
        if kind == "playlist":
            number = next(self._numbers)
            songs = [(f"Item {n}", self._track(slow=n == 1)) for n in range(3)]
            return self.source.xspf(f"/mix-{number}.xspf", songs), "best"
        if kind == "album":
            number = next(self._numbers)
            picture = self.source.file(f"/{number}.jpg", media.picture("jpg", width=300, height=300))
            urls = [self._track(album=f"Album {number}", track=n + 1) for n in range(3)]
            page = self.source.album_page(f"/album-{number}", urls, title=f"Album {number}", picture=picture)
            return page, "best"
        if kind == "converted":
            return self._track("flac", slow=False), self.chosen.choice(("mp3", "opus"))
        return self._track(slow=kind == "slow"), "best"

    def _track(
        self, kind: str | None = None, *, slow: bool = False, album: str | None = None, track: int = 0
    ) -> str:
        kind = kind or self.chosen.choice(("mp3", "opus", "m4a"))
        number = next(self._numbers)
        title = f"Song {number}"
        tags = {"title": title, "artist": f"Artist {number % 5}"}
        if album:
            tags |= {"album": album, "album_artist": "Somebody", "track": str(track)}
        made = media.make(kind, seconds=6 if slow else 2, frequency=200 + number % 2000, **tags)
        self.packets[title] = packets(made)
        path = f"/{number}.{kind}"
        return slowly(self.source, path, made) if slow else self.source.file(path, made)


def slowly(source: Source, path: str, file: Path, *, seconds: float = 4.0) -> str:
    """Serve a file over some seconds, with ranges, so that there is time to die in between."""
    body, kind = file.read_bytes(), CONTENT_TYPES[file.suffix]

    def route(request: Request) -> Answer:
        unit, _, span = request.headers.get("range", "").partition("=")
        start = int(span.partition("-")[0]) if unit == "bytes" and span.partition("-")[0].isdigit() else 0
        headers = {"Content-Type": kind, "Accept-Ranges": "bytes"}
        if start >= len(body):
            return Answer(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
        left = body[start:]
        step = max(len(body) // _PIECES, 1)

        def chunks(stopping: threading.Event) -> Iterator[bytes]:
            for at in range(0, len(left), step):
                if stopping.wait(seconds / _PIECES):
                    return
                yield left[at : at + step]

        if unit == "bytes":
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        status = 206 if unit == "bytes" else 200
        return Answer(status=status, headers=headers, chunks=chunks, length=len(left))

    return source.route(path, route)
