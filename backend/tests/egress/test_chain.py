# ruff: noqa: ASYNC240 - small local files
"""With an operator's proxy, that one resolves and connects, and everything goes through it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests import media
from tests.egress.canary import Canary, lying
from tests.egress.test_attacks import attempt
from tests.source import Source

from music_downloader.egress.chain import Upstream
from music_downloader.egress.gate import Gate
from music_downloader.egress.policy import EgressPolicy, networks
from music_downloader.engine.order import FetchOrder
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
PUBLIC = EgressPolicy()


class Socks:
    """A SOCKS5 server that takes every name to 127.0.0.1 (RFC 1928), for one user if asked to (RFC 1929)."""

    def __init__(self, user: bytes | None = None, reply: int = 0) -> None:
        self.asked: list[tuple[int, bytes, int]] = []
        self._user = user
        self._reply = reply
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                visitor, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._attend, args=(visitor,), daemon=True).start()

    def _attend(self, visitor: socket.socket) -> None:
        with visitor, suppress(OSError):
            methods = visitor.recv(2 + 255)[2:]
            wanted = 0 if self._user is None else 2
            visitor.sendall(bytes((5, wanted if wanted in methods else 255)))
            if self._user is not None:
                shown = visitor.recv(513)
                visitor.sendall(bytes((1, 0 if shown[2 : 2 + shown[1]] == self._user else 1)))
            _, _, _, kind = visitor.recv(4)
            size = visitor.recv(1)[0] if kind == 3 else {1: 4, 4: 16}[kind]
            name = visitor.recv(size)
            port = int.from_bytes(visitor.recv(2))
            self.asked.append((kind, name, port))
            visitor.sendall(bytes((5, self._reply, 0, 1)) + bytes(6))
            if self._reply == 0:
                with socket.create_connection(("127.0.0.1", port)) as there:
                    back = threading.Thread(target=_copy, args=(there, visitor), daemon=True)
                    back.start()
                    _copy(visitor, there)
                    back.join()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def socks() -> Iterator[Socks]:
    server = Socks(user=b"me")
    yield server
    server.close()


async def fetched(engine: Engine, url: str, folder: Path, proxy: str) -> bytes:
    order = FetchOrder(url=url, directory=folder, policy=PUBLIC, deadline=20, proxy=proxy)
    found = await engine.fetch(order, on_progress=lambda _: None)
    return found.path.read_bytes()


async def failure(engine: Engine, url: str, folder: Path, proxy: str) -> DownloadFailedError:
    with pytest.raises(DownloadFailedError) as caught:
        await fetched(engine, url, folder, proxy)
    return caught.value


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_a_socks_proxy_is_given_names_and_a_password(
    engine: Engine, source: Source, socks: Socks, tmp_path: Path, scheme: str
) -> None:
    source.file("/a.mp3", media.make("mp3"))
    proxy = f"{scheme}://me:secret@127.0.0.1:{socks.port}"
    url = f"http://only.there.test:{source.port}/a.mp3"
    assert await fetched(engine, url, tmp_path, proxy) == media.make("mp3").read_bytes()
    assert {asked[:2] for asked in socks.asked} == {(3, b"only.there.test")}


async def test_an_http_proxy_is_shown_its_password(engine: Engine, source: Source, tmp_path: Path) -> None:
    source.file("/a.mp3", media.make("mp3"))
    operators = Gate(lying({"only.there.test": [["127.0.0.1"]]}))
    try:
        async with operators.admit(EgressPolicy(allowed=networks(["127.0.0.0/8"])), None) as proxy:
            url = f"http://only.there.test:{source.port}/a.mp3"
            assert await fetched(engine, url, tmp_path, proxy) == media.make("mp3").read_bytes()
            for path in tmp_path.iterdir():
                path.unlink()
            error = await failure(engine, url, tmp_path, proxy.replace("//run:", "//you:"))
            assert "DOWNLOAD_PROXY" in error.detail
            error = await failure(engine, url.replace("http:", "https:"), tmp_path, proxy)
            assert error.detail == "No secure connection to the source could be made."  # it isn't one of TLS
            assert source.connections > 1
    finally:
        await operators.close()


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (1, ErrorCode.UNAVAILABLE, "DOWNLOAD_PROXY"),
        (2, ErrorCode.UNAVAILABLE, "DOWNLOAD_PROXY"),
        (4, ErrorCode.UNAVAILABLE, "could not be reached"),
        (5, ErrorCode.UNAVAILABLE, "refused the connection"),
        (6, ErrorCode.TIMEOUT, "too long"),
    ],
)
async def test_what_a_socks_proxy_says_is_understood(
    engine: Engine, tmp_path: Path, reply: int, code: ErrorCode, words: str
) -> None:
    server = Socks(reply=reply)
    proxy = f"socks5://127.0.0.1:{server.port}"
    error = await failure(engine, "http://music.test/a.mp3", tmp_path, proxy)
    assert (error.code, error.transient) == (code, True)
    assert words in error.detail
    server.close()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("secure", [False, True])
async def test_a_proxy_that_is_away_or_wants_another_password_is_named(
    engine: Engine, tmp_path: Path, socks: Socks, scheme: str, secure: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    url = "https://music.test/a.mp3" if secure else "http://music.test/a.mp3"
    error = await failure(engine, url, tmp_path, f"{scheme}://127.0.0.1:{closed}")
    assert "DOWNLOAD_PROXY" in error.detail
    if scheme == "socks5":
        error = await failure(engine, url, tmp_path, f"socks5://you:secret@127.0.0.1:{socks.port}")
        assert "DOWNLOAD_PROXY" in error.detail


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize(
    "host", ["127.0.0.2", "0x7f.2", "[::1]", "localhost", "metadata.google.internal", "music.test:22"]
)
async def test_what_is_plainly_hostile_is_not_even_asked_for(
    engine: Engine, canary: Canary, tmp_path: Path, scheme: str, host: str
) -> None:
    error = await failure(engine, f"http://{host}/a.mp3", tmp_path, f"{scheme}://127.0.0.1:{canary.port}")
    assert error.code is ErrorCode.BLOCKED_ADDRESS
    assert canary.visits == 0


async def test_without_a_proxy_such_a_name_leads_nowhere(engine: Engine, tmp_path: Path) -> None:
    error = await attempt(engine, "http://only.there.test/a.mp3", tmp_path / "0", PUBLIC)
    assert error
    assert error.detail == "The source's name could not be resolved."


@pytest.mark.parametrize(
    "url", ["", "proxy:3128", "ftp://proxy", "http://", "socks4://proxy", "http://proxy:x"]
)
async def test_what_is_no_proxy_is_not_taken_for_one(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - urllib has words of its own for some
        Upstream.read(url)
