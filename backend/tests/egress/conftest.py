from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network

import pytest
import pytest_asyncio
from tests.conftest import started_warm
from tests.egress.canary import Canary, lying
from tests.nursery import Nursery
from tests.source import Source

from music_downloader.egress.gate import Gate
from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine import forkserver
from music_downloader.engine.run import Engine

# The source of a test is at 127.0.0.1, and may be reached; everything else of this machine may not.
SOURCE_ONLY = EgressPolicy(allowed=(ip_network("127.0.0.1/32"),))
NAMES = {
    "source.test": [["127.0.0.1"]],
    "canary.test": [["127.0.0.2"]],
    "six.test": [["::1"]],
    "many.test": [["10.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.2", "169.254.169.254"]],
}


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as source:
        yield source


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as canary:
        yield canary


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def engine(warm: Nursery) -> AsyncIterator[Engine]:
    """An engine whose proxy resolves a few names to addresses that nobody may reach."""
    async with started_warm(Engine(gate=Gate(lying(NAMES))), warm) as engine:
        yield engine


@pytest.fixture
def quick(warm: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an engine of the test's own start with a warm fork server."""
    monkeypatch.setattr(forkserver, "start_server", warm.start_server)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def gate() -> AsyncIterator[Gate]:
    gate = Gate(lying(NAMES))
    await gate.start()
    yield gate
    await gate.close()
