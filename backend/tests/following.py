"""Following a download through the API, as a person's client would."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

ENDED = {"completed", "failed", "cancelled"}

# A wait that only has to end waits this many seconds at most: enough on a machine that is busy with others.
PATIENCE = 90.0


async def ended(client: httpx.AsyncClient, download_id: int, *, within: float = PATIENCE) -> dict[str, Any]:
    """Follow a download to its end."""
    return await until(client, download_id, lambda download: download["status"] in ENDED, within=within)


async def until(
    client: httpx.AsyncClient,
    download_id: int,
    condition: Callable[[dict[str, Any]], bool],
    *,
    within: float = PATIENCE,
) -> dict[str, Any]:
    """Look at a download until the condition holds."""
    download: dict[str, Any] = {}
    try:
        async with asyncio.timeout(within):
            while True:
                answer = await client.get(f"/api/downloads/{download_id}")
                download = answer.raise_for_status().json()
                if condition(download):
                    return download
                await asyncio.sleep(0.03)
    except TimeoutError:
        pytest.fail(f"waited {within} s in vain; the download is {download}")


async def submit(client: httpx.AsyncClient, url: str, **more: str) -> int:
    """Submit a URL and return its download's id."""
    answer = await client.post("/api/download", json={"url": url, **more})
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


async def until_true(condition: Callable[[], Awaitable[bool]], *, within: float = PATIENCE) -> None:
    """Ask until the condition holds."""
    try:
        async with asyncio.timeout(within):
            while not await condition():  # noqa: ASYNC110 - neither files nor rows send events
                await asyncio.sleep(0.03)
    except TimeoutError:
        pytest.fail(f"waited {within} s in vain")
