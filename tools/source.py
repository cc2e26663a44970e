"""A source on the loopback: serves the files of one folder, with ranges, and on request late and slowly.

    python tools/source.py FOLDER [--delay SECONDS] [--rate BYTES_A_SECOND]

A process of its own, so that its work is nobody else's. It prints its port and ends with its standard input.
A query is passed over, so one file has as many addresses as one likes.
"""

import argparse
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TYPES = {
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".xml": "application/rss+xml",
}
_PIECE = 16 * 1024


class Server(ThreadingHTTPServer):
    """Serves `folder`; each answer waits `delay` seconds, each connection sends `rate` bytes a second."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, folder: Path, *, delay: float, rate: float | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.delay = delay
        self.rate = rate

    def handle_error(self, *_: object) -> None:
        """Keep quiet about a client that leaves early."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Send the file, or one range of it (RFC 9110, 14)."""
        time.sleep(self.server.delay)
        path = self.server.folder / Path(unquote(urlsplit(self.path).path)).name
        if not path.is_file():
            self._head(404, 0, {"Content-Type": "text/plain"})
            return
        size = path.stat().st_size
        headers = {"Content-Type": TYPES[path.suffix], "Accept-Ranges": "bytes"}
        unit, _, span = self.headers.get("Range", "").partition("=")
        first, _, last = span.partition("-")
        if unit != "bytes" or not first.isdigit() or int(first) >= size:
            start, end, status = 0, size - 1, 200
        else:
            start, end, status = int(first), min(int(last), size - 1) if last.isdigit() else size - 1, 206
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        self._head(status, end - start + 1, headers)
        if self.command == "GET":
            with path.open("rb") as file:
                self._body(file.fileno(), start, end + 1)

    do_HEAD = do_GET  # noqa: N815 - the base class looks it up by this name

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, file: int, position: int, end: int) -> None:
        rate, began, first = self.server.rate, time.monotonic(), position
        while position < end:
            piece = min(_PIECE if rate else end - position, end - position)
            sent = os.sendfile(self.connection.fileno(), file, position, piece)
            if sent == 0:
                break
            position += sent
            if rate:
                time.sleep(max(0.0, began + (position - first) / rate - time.monotonic()))

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--rate", type=float)
    arguments = parser.parse_args()
    server = Server(arguments.folder, delay=arguments.delay, rate=arguments.rate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
