"""What a page costs at the least: FastAPI, one indexed query, no accounts, no totals. For comparison only."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

_USER = 1
_columns = sys.argv[1]
_select = (
    f"SELECT {_columns} FROM download_history WHERE user_id = %s AND parent_id IS NULL ORDER BY created_at"  # noqa: S608 - our own words
)
_pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=8,
    max_size=8,
    open=False,
    kwargs={
        "autocommit": True,
        "row_factory": dict_row,
        # Or it might walk down everybody's rows for an account that has most of them.
        "options": "-c plan_cache_mode=force_generic_plan",
    },
)


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with _pool:
        yield


app = FastAPI(lifespan=_lifespan)


@app.get("/first")
async def first() -> list[dict[str, Any]]:
    """Return the newest ten."""
    return await _rows(f"{_select} DESC, id DESC LIMIT 10")


@app.get("/last")
async def last() -> list[dict[str, Any]]:
    """Return the oldest ten."""
    return await _rows(f"{_select}, id LIMIT 10")


async def _rows(query: str) -> list[dict[str, Any]]:
    async with _pool.connection() as connection:
        cursor = await connection.execute(query.encode(), [_USER], prepare=True)
        return await cursor.fetchall()


if __name__ == "__main__":
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)  # whoever connects from now on is waited for
        print(listening.getsockname()[1], flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run(sockets=[listening])
