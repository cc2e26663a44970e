"""A real HTTP server on the loopback, playing the sites that music comes from.

    with Source() as source:
        url = source.file("/song.mp3", path)
        ...
        assert source.hits("/song.mp3") == 2

Every `add`-like method returns the full URL. What was asked for is recorded in `requests`, in order.

It is a plain-http proxy too, for sites that yt-dlp knows by name: `site` puts a page under any host, and
whoever uses `source.proxy` as their proxy finds it there. Nothing is ever forwarded.

    album = source.bandcamp("artist", "an-album", [BandcampTrack("One", file), ...])
    order(album, policy=EgressPolicy(), proxy=source.proxy)

Lists: `album_page` (several <audio>, no addresses of their own), `feed` (URLs or `FeedItem`s), `xspf`,
`bandcamp`.
Streams: `folder` serves what `media.hls()` or `media.dash()` made. Pictures come from `media.picture()`.
"""

import html
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests import pages
from tests.pages import BandcampTrack, FeedItem

__all__ = ["Answer", "BandcampTrack", "FeedItem", "Request", "Source"]

CONTENT_TYPES = {
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".opus": "audio/ogg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".ts": "video/mp2t",
    ".m4s": "video/iso.segment",
    ".mpd": "application/dash+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
}
PIECE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a route sends: `body`, then `chunks`; without a `length`, those end with the connection."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Callable[[threading.Event], Iterator[bytes]] | None = None
    length: int | None = None


Route = Callable[[Request], Answer]


class Source:
    """The server; it listens on a free port of 127.0.0.1 while the block runs."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._routes: dict[str, Route] = {}
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.source = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def hits(self, path: str, method: str = "GET") -> int:
        """How often `path` (without its query) was asked for."""
        return sum(r.method == method and urlsplit(r.path).path == path for r in self.requests)

    def route(self, path: str, route: Route) -> str:
        """Answer `path` with what `route` makes of each request."""
        self._routes[path] = route
        return self.url(path)

    def file(self, path: str, file: Path, content_type: str | None = None) -> str:
        """Serve a file, with HEAD and ranges."""
        return self.body(path, file.read_bytes(), content_type or CONTENT_TYPES[file.suffix])

    def body(self, path: str, body: bytes, content_type: str) -> str:
        """Serve bytes, with HEAD and ranges; an honest file or a lie about one."""
        return self.route(path, lambda request: _ranged(request, body, content_type))

    def page(self, path: str, head: str, body: str = "") -> str:
        """Serve an HTML page."""
        page = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"
        return self.body(path, page.encode(), "text/html; charset=utf-8")

    def json_ld_page(self, path: str, audio_url: str, **facts: object) -> str:
        """Serve a page that describes an AudioObject in JSON-LD."""
        facts = {"name": "A Song", "description": "Words about it", "duration": "PT3S", **facts}
        described = {
            "@context": "https://schema.org",
            "@type": "AudioObject",
            "contentUrl": audio_url,
            **facts,
        }
        script = json.dumps(described)
        return self.page(
            path,
            f'<title>A page</title><script type="application/ld+json">{script}</script>',
            "<p>A song</p>",
        )

    def open_graph_page(self, path: str, audio_url: str, title: str = "A Song") -> str:
        """Serve a page whose og:audio names the file."""
        metas = {"og:title": title, "og:type": "music.song", "og:audio": audio_url}
        tags = "".join(f'<meta property="{name}" content="{html.escape(v)}">' for name, v in metas.items())
        return self.page(path, f"<title>{html.escape(title)}</title>{tags}")

    def feed(self, path: str, items: list[str | FeedItem], **facts: str) -> str:
        """Serve an RSS feed with one item a URL; `facts` are `title`, `author` and `image` of the feed."""
        return self.body(path, pages.feed(items, **facts).encode(), "application/rss+xml")

    def album_page(
        self, path: str, audio_urls: list[str], *, title: str = "An Album", picture: str | None = None
    ) -> str:
        """Serve a page with one <audio> a URL: a list whose entries have no addresses of their own."""
        return self.page(path, *pages.album(audio_urls, title, picture))

    def xspf(self, path: str, tracks: list[tuple[str, str]]) -> str:
        """Serve an XSPF playlist of (title, URL)."""
        return self.body(path, pages.xspf(tracks).encode(), "application/xspf+xml")

    def folder(self, path: str, manifest: Path) -> str:
        """Serve all files beside `manifest` below `path` and return the URL of the manifest."""
        for file in manifest.parent.iterdir():
            self.file(f"{path}/{file.name}", file)
        return self.url(f"{path}/{manifest.name}")

    @property
    def proxy(self) -> str:
        """The proxy behind which the hosts given to `site` are."""
        return self.url("")

    def site(
        self, host: str, path: str, content: str | bytes | Path | Route, content_type: str = "text/html"
    ) -> str:
        """Put a page, bytes, a file or a route under `host`, for those who come through `proxy`."""
        if callable(content):
            self._routes[host + path] = content
        else:
            body = content.encode() if isinstance(content, str) else content
            if isinstance(body, Path):
                body, content_type = body.read_bytes(), CONTENT_TYPES[body.suffix]
            self._routes[host + path] = lambda request: _ranged(request, body, content_type)
        return f"http://{host}{path}"

    def bandcamp(
        self,
        artist: str,
        album: str,
        tracks: list[BandcampTrack],
        *,
        picture: Path | None = None,
        **facts: str,
    ) -> str:
        """Serve a Bandcamp-like album and its tracks at `http://<artist>.bandcamp.com/album/<album>`.

        `facts` are `title` (of the album), `name` (of the artist) and `released` (such as `26 Feb 2021
        00:00:00 GMT`). Each track's page is `/track/<its slug>`.
        """
        host = f"{artist}.bandcamp.com"
        shown = picture and self.site("f4.bcbits.com", f"/img/{album}{picture.suffix}", picture)
        for number, track in enumerate(tracks, 1):
            audio = self.site("t4.bcbits.com", f"/stream/{artist}/{track.slug}", track.file)
            page = pages.bandcamp_track(host, album, number, track, audio, shown, **facts)
            self.site(host, f"/track/{track.slug}", page)
        return self.site(host, f"/album/{album}", pages.bandcamp_album(host, album, tracks, shown, **facts))

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        return self.route(path, lambda _: Answer(status=status, headers={"Location": to}))

    def status(self, path: str, status: int, **headers: str) -> str:
        """Always answer with `status`; `Retry_After="5"` becomes `Retry-After: 5`."""
        named = {"Content-Type": "text/html", **_named(headers)}
        answer = Answer(status=status, headers=named, body=b"<h1>No</h1>")
        return self.route(path, lambda _: answer)

    def flaky(
        self, path: str, file: Path, *, failures: int, status: int = 500, after: int = 0, **headers: str
    ) -> str:
        """Serve `file`, except that the `failures` requests behind the first `after` get `status`."""
        body, content_type = file.read_bytes(), CONTENT_TYPES[file.suffix]

        def route(request: Request) -> Answer:
            if after < self.hits(path, request.method) <= after + failures:
                return Answer(status=status, headers=_named(headers), body=b"<h1>Not now</h1>")
            return _ranged(request, body, content_type)

        return self.route(path, route)

    def dripping(
        self, path: str, file: Path, *, piece: int = 100, interval: float = 0.1, announced: int | None = None
    ) -> str:
        """Send `file` over and over, `piece` bytes every `interval` seconds, until the client leaves."""
        body = file.read_bytes()

        def chunks(stopping: threading.Event) -> Iterator[bytes]:
            while not stopping.wait(interval):
                yield from (body[:piece],)

        headers = {"Content-Type": CONTENT_TYPES[file.suffix]}
        answer = Answer(headers=headers, chunks=chunks, length=announced)
        return self.route(path, lambda _: answer)

    def truncated(self, path: str, file: Path, *, missing: int = 1000) -> str:
        """Promise `missing` bytes more than are sent, every time."""
        body = file.read_bytes()
        headers = {"Content-Type": CONTENT_TYPES[file.suffix]}
        return self.route(path, lambda _: Answer(headers=headers, body=body, length=len(body) + missing))

    def endless(self, path: str, content_type: str = "audio/mpeg", start: bytes = b"\xff\xfb\x90\x00") -> str:
        """Send as fast as it goes, for ever, without a length."""
        piece = start.ljust(PIECE, b"\0")

        def chunks(stopping: threading.Event) -> Iterator[bytes]:
            while not stopping.is_set():
                yield piece

        answer = Answer(headers={"Content-Type": content_type}, chunks=chunks)
        return self.route(path, lambda _: answer)

    def silent(self, path: str) -> str:
        """Accept the request and never answer."""

        def route(_: Request) -> Answer:
            self._stopping.wait()
            return Answer(status=503)

        return self.route(path, route)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        asked = urlsplit(request.path)
        route = self._routes.get(f"{asked.hostname}{asked.path}") or self._routes.get(asked.path)
        return route(request) if route else Answer(status=404, body=b"<h1>Nothing here</h1>")

    @property
    def stopping(self) -> threading.Event:
        return self._stopping


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _ranged(request: Request, body: bytes, content_type: str) -> Answer:
    """Answer a GET for all of `body`, or for one range of it (RFC 9110, 14)."""
    headers = {"Content-Type": content_type, "Accept-Ranges": "bytes"}
    unit, _, span = request.headers.get("range", "").partition("=")
    first, _, last = span.partition("-")
    if unit != "bytes" or not first.isdigit():
        return Answer(headers=headers, body=body, length=len(body))
    start, end = int(first), min(int(last), len(body) - 1) if last.isdigit() else len(body) - 1
    if start >= len(body):
        return Answer(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
    part = body[start : end + 1]
    headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
    return Answer(status=206, headers=headers, body=part, length=len(part))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    source: Source

    def get_request(self) -> Any:
        self.source.connections += 1
        return super().get_request()

    def handle_error(self, *_: object) -> None:
        """A client that leaves early is nothing to talk about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        source = self.server.source
        answer = source.answer(Request(method=self.command, path=self.path, headers=headers))
        length = answer.length if answer.length is not None or answer.chunks else len(answer.body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if length != len(answer.body):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body)
        for chunk in answer.chunks(source.stopping) if answer.chunks else ():
            self.wfile.write(chunk)

    do_HEAD = do_GET  # noqa: N815 - the base class looks it up by this name

    def log_message(self, *_: object) -> None:
        """Keep quiet: `Source.requests` remembers."""
