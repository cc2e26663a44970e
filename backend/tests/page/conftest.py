"""The page in a real browser, before the real service: a process of its own with its worker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect
from sqlalchemy.engine import make_url
from tests.cli.running import Started
from tests.conftest import SECRET_KEY
from tests.page.browsing import ARGUMENTS, SECRET, Visitor
from tests.readers.programs import program
from tests.source import Source

Visit = Callable[..., Awaitable[Visitor]]
_DATABASE = "page"
expect.set_options(timeout=30_000)  # several tests at once share what processors there are
_SETTINGS = {
    "LOG_LEVEL": "info",  # so that it says where it runs
    "SECRET_KEY": SECRET_KEY,
    "ALLOWED_NETWORKS": "127.0.0.0/8",
    "MIN_FREE_SPACE": "0",
    "REPLAYGAIN": "false",  # what has been filed is not written to again
    "RETRY_DELAY": "0.2s",
    "LOGIN_LIMIT": "off",
    "REGISTRATION_LIMIT": "off",
    "ADMIN_USERNAME": "admin",
    "ADMIN_EMAIL": "admin@example.org",
    "ADMIN_PASSWORD": SECRET,
}


@pytest.fixture(scope="session")
def serving(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The service, with its worker."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{_DATABASE}" TEMPLATE "template"')
    folder = tmp_path_factory.mktemp("page")
    url = make_url(postgres).set(database=_DATABASE).render_as_string(hide_password=False)
    settings = {
        **_SETTINGS,
        "DATABASE_URL": url,
        "OUTPUT_DIRECTORY": str(folder / "library"),
        "DATA_DIRECTORY": str(folder / "data"),
    }
    with Started(folder, "serve", **settings) as service:
        service.wait_until_healthy()
        yield service


@pytest.fixture(scope="session")
def library(serving: Started) -> Path:
    return serving.folder / "library"


@pytest.fixture(scope="session")
def sources() -> Iterator[Source]:
    """One source for all tests of the page."""
    with Source() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium", package="chromium"), args=[*ARGUMENTS]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser, serving: Started) -> AsyncIterator[Visit]:
    """Let people come; in the end, nothing of the page may have failed, and nobody outside been asked."""
    async with AsyncExitStack() as stack:
        visitors: list[Visitor] = []

        async def arrive(name: str | None = None, **options: Any) -> Visitor:
            visitor = await Visitor.arrive(browser, serving.address, name=name, **options)
            stack.push_async_callback(visitor.context.close)
            visitors.append(visitor)
            return visitor

        yield arrive
        assert [fault for visitor in visitors for fault in visitor.faults] == []
