"""Real parts for every test: an embedded PostgreSQL, the service on a real port, a real source of music."""

import asyncio
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import psycopg
import pytest
import uvicorn
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from tests.databases import Databases
from tests.door import Door
from tests.nursery import Nursery, nursery
from tests.source import Source

from music_downloader.app import create_app
from music_downloader.auth import password
from music_downloader.config.settings import Settings
from music_downloader.engine import ffmpeg, forkserver
from music_downloader.engine.containment import Limits
from music_downloader.engine.run import Engine
from music_downloader.migration import upgrade
from music_downloader.model.database import connect
from music_downloader.postgres import embedded_postgres
from music_downloader.serving.server import configuration

# How long an example takes tells of the machine and of the tests beside it, and nothing else.
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")

SECRET_KEY = "a key that is only for tests and long enough"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; the system's certificates take long to read
_START_SECONDS = 30
_ROOM = 4 * 1024**3  # bytes, for the databases of all processes that test


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server of our own, with a migrated database that each test's own is copied from."""
    with (
        tempfile.TemporaryDirectory(
            prefix="nas-music-tests-", dir=_in_memory(), ignore_cleanup_errors=True
        ) as folder,
        embedded_postgres(Path(folder), fsync=False) as url,
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE template")
        upgrade(make_url(url).set(drivername="postgresql+psycopg", database="template"))
        yield url


def _in_memory() -> str | None:
    """Return a folder that no disk makes wait, where there is one with room; a busy disk can stall."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return None
    return str(memory) if shutil.disk_usage(memory).free >= _ROOM else None


@pytest.fixture
def empty_database_url(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own without any table."""
    name = f"empty_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "template0"')
        try:
            yield make_url(postgres).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def databases(postgres: str) -> Databases:
    return Databases(postgres, template="template")


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated database of the test's own."""
    with databases.lent() as url:
        yield url


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash at the lowest cost; the real one is asserted where it matters."""
    monkeypatch.setattr(password, "COST", 4)
    password.hash_of_nobody.cache_clear()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of whoever runs the tests may decide what they find."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _nobody_steps_back(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ffmpeg have its share: beside other tests, the lowest priority may have none for a minute."""
    if "priority" not in request.keywords:
        monkeypatch.setattr(ffmpeg, "Limits", lambda **limits: Limits(**{**limits, "nice": 0, "idle": False}))


@pytest.fixture
def make_settings(database_url: str, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for a service of the test's own; sources on the loopback are allowed."""

    def make(**changed: Any) -> Settings:
        return Settings(
            **{
                "database_url": database_url,
                "secret_key": SECRET_KEY,
                "output_directory": tmp_path / "library",
                "data_directory": tmp_path / "data",
                "allowed_networks": "127.0.0.0/8",
                "embedded_worker": False,
                "min_free_space": 0,
                "retry_delay": 0.2,
                "shutdown_grace": 1,
                "log_level": "warning",
                **changed,
            }
        )

    return make


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: its settings and a client for it."""

    settings: Settings
    http: httpx.AsyncClient

    @property
    def library(self) -> Path:
        return self.settings.output_directory

    async def sign_in(
        self, name: str = "alice", *, secret: str = "correct horse battery"
    ) -> httpx.AsyncClient:
        """Register somebody and return a client that calls as them; it ends with the service."""
        who = {"username": name, "email": f"{name}@example.org", "password": secret}
        (await self.http.post("/auth/register", json=who)).raise_for_status()
        return await self.log_in(name, secret=secret)

    async def log_in(self, name: str, *, secret: str = "correct horse battery") -> httpx.AsyncClient:
        answer = await self.http.post("/auth/login", json={"username": name, "password": secret})
        token = answer.raise_for_status().json()["access_token"]
        return await self.client(Authorization=f"Bearer {token}")

    async def client(self, **headers: str) -> httpx.AsyncClient:
        return await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self.http.base_url, headers=headers, timeout=30, verify=NO_TLS)
        )

    _stack: AsyncExitStack


Serve = Callable[..., Awaitable[Service]]


@pytest.fixture(scope="session")
def warm() -> Iterator[Nursery]:
    """Where fork servers come from warm."""
    with nursery() as running:
        yield running


@asynccontextmanager
async def started_warm(engine: Engine, warm: Nursery) -> AsyncIterator[Engine]:
    """Start an engine with a fork server of the nursery's; one that it starts later is its own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forkserver, "start_server", warm.start_server)
        await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
async def serve(
    make_settings: Callable[..., Settings], warm: Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Serve]:
    """Start a service on a free port; any number of them, over the test's one database."""
    monkeypatch.setattr(forkserver, "start_server", warm.start_server)
    async with AsyncExitStack() as stack:

        async def start(**changed: Any) -> Service:
            settings = make_settings(**changed)
            port = await stack.enter_async_context(_running(settings))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, verify=NO_TLS)
            )
            return Service(settings=settings, http=http, _stack=stack)

        yield start


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[int]:
    server = uvicorn.Server(configuration(create_app(settings), host="127.0.0.1", port=0, graceful_seconds=2))
    server.capture_signals = nullcontext
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not server.started:
                if task.done():
                    task.result()
                    raise RuntimeError("the service did not start")
                await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def service(serve: Serve) -> Service:
    """A service without a worker: what is submitted stays pending."""
    return await serve()


@pytest.fixture
async def working(serve: Serve) -> Service:
    """A service with its embedded worker."""
    return await serve(embedded_worker=True)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections to the test's database."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    connections = connect(url, application_name="tests", patience=60)  # as a worker has
    yield connections
    await connections.dispose()


@pytest.fixture
def sessions(database: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Transactions on the test's database."""
    return async_sessionmaker(database, expire_on_commit=False)


@pytest.fixture
def source() -> Iterator[Source]:
    """A real HTTP server that plays the sites music comes from."""
    with Source() as running:
        yield running


@pytest.fixture
async def door(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """A door before the test's database, shut at first."""
    monkeypatch.setattr("music_downloader.app._FIRST_WAIT_SECONDS", 0.2)
    door = Door(database_url)
    yield door
    await door.close()
