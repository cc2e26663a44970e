from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from tests.conftest import started_warm
from tests.family import is_gone
from tests.nursery import Nursery
from tests.source import Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import FetchOrder, Progress
from music_downloader.engine.run import Engine

LOOPBACK = EgressPolicy(allowed=(ip_network("127.0.0.0/8"),))


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def engine(warm: Nursery) -> AsyncIterator[Engine]:
    """One warm engine for all tests that don't hurt it (beyond what it recovers from)."""
    async with started_warm(Engine(), warm) as engine:
        yield engine


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as source:
        yield source


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., FetchOrder]:
    """Make an order into the test's own folder, with sensible bounds."""

    def make(url: str, **changes: Any) -> FetchOrder:
        facts: dict[str, Any] = {"directory": tmp_path, "policy": LOOPBACK, "deadline": 30.0, **changes}
        return FetchOrder(url=url, **facts)

    return make


@pytest.fixture
def heard() -> list[Progress]:
    return []


@pytest.fixture
def processes() -> Callable[[], list[psutil.Process]]:
    """List the processes below this one."""
    return lambda: [p for p in psutil.Process().children(recursive=True) if not is_gone(p)]
