"""A long history: any page, any filter, search and totals, beside the same query on a route of its own."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
import rig

from music_downloader.postgres import embedded_postgres

USERS, OTHERS_ROWS = 10_000, 100_000
CONNECTIONS = 8
_ADMINS_PAGES = "/api/admin/downloads"
_AUDIT = "/api/admin/audit-logs"
_COLUMNS = (
    "id, url, kind, parent_id, status, title, artist, album, album_artist, track_number, duration, format,"
    " codec, bitrate, file_path, file_size, progress, error_code, error_message, attempts, created_at,"
    " updated_at, started_at, completed_at"
)
_OWN = "user_id = %s AND parent_id IS NULL"

# The service's triggers rest meanwhile; its lists are counted anew afterwards.
_SEED = """
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO users (username, email, password_hash, created_at)
SELECT 'user' || n, 'user' || n || '@example.org', 'x', now() - interval '2 years' + n * interval '1 second'
FROM generate_series(2, {users}) n;
INSERT INTO download_history (user_id, url, status, format, title, artist, album, album_artist, track_number,
    duration, codec, bitrate, file_path, file_size, error_code, error_message, attempts, request_id, host,
    created_at, updated_at, started_at, completed_at)
SELECT owner, 'https://' || host || '/track/' || md5(n::text), status, 'best',
    first || ' ' || second || ' ' || n, artist, 'The ' || second || ' Sessions', artist,
    n % 20, 180 + n % 100, 'mp3', 192,
    artist || '/The ' || second || ' Sessions/' || first || ' ' || n || '.mp3', 4000000 + n,
    CASE status WHEN 'failed' THEN 'not_found' END,
    CASE status WHEN 'failed' THEN 'There is nothing at this address.' END, 1, md5(n::text), host,
    at, at, at, at
FROM (
    SELECT n, CASE WHEN n <= {rows} THEN 1 ELSE 2 + n % ({users} - 1) END AS owner,
        (ARRAY['music.example', 'artist.example', 'sound.example', 'pod.example'])[1 + n % 4] AS host,
        CASE WHEN n % 33 = 0 THEN 'failed' WHEN n % 101 = 0 THEN 'cancelled' ELSE 'completed' END AS status,
        (ARRAY['Blue', 'Silent', 'Northern', 'Golden', 'Broken', 'Hidden', 'Electric', 'Distant', 'Velvet',
            'Winter'])[1 + n % 1000 * 7919 % 10] AS first,
        (ARRAY['River', 'Garden', 'Engine', 'Harbour', 'Mirror', 'Station', 'Forest', 'Signal', 'Window',
            'Street', 'Ocean'])[1 + n % 1000 * 7727 % 11] AS second,
        'Artist ' || n::bigint * 31 % 5000 AS artist,
        now() - interval '1 year' + n * interval '20 seconds' AS at
    FROM generate_series(1, {rows} + {others}) n
) AS made;
INSERT INTO audit_logs (user_id, action, resource, details, ip_address, user_agent, outcome, created_at)
SELECT CASE WHEN n % 5 < 3 THEN 1 WHEN n % 500 <> 4 THEN 1 + n % {users} END,
    (ARRAY['download.submit', 'download.complete', 'auth.login', 'download.start', 'download.complete',
        'download.submit', 'auth.logout', 'download.fail'])[1 + n / 5 % 8],
    'download:' || n, '{{"attempt": 1}}', '192.0.2.' || n % 250, 'Mozilla/5.0', 'success',
    now() - interval '1 year' + n * interval '5 seconds'
FROM generate_series(1, {entries}) n
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """One page's answers a second: ours, and the bare route's with the same rows."""

    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """How much of the bare route's we reach."""
        return self.ours / self.bare


def run(folder: Path, *, rows: int, entries: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Seed an own database, and measure; milliseconds are medians, one call at a time."""
    with embedded_postgres(folder / "database") as url:
        settings = {"database_url": url}
        with rig.service(folder / "first", **settings) as service, rig.Api(service.address) as api:
            api.log_in()
        took = _seed(url, rows=rows, entries=entries)
        _command(folder, url, "cleanup", "--recount")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("UPDATE users SET is_admin = true WHERE id = 1")
        with rig.service(folder / "second", **settings) as service, rig.Api(service.address) as api:
            api.log_in()
            looks = {name: _look(api, path) for name, path in _paths(rows).items()}
            queries = _queries(url, rows)
            with _bare_route(url) as bare:
                races = asyncio.run(_race(service.address, bare, api.token or "", rows, rounds, seconds))
    return {"seeding": took, "looks": looks, "queries": queries, "races": races}


def _seed(url: str, *, rows: int, entries: int) -> float:
    began = time.monotonic()
    statements = _SEED.format(rows=rows, entries=entries, users=USERS, others=OTHERS_ROWS)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements.split(";\n"):
            connection.execute(statement.encode())
    return time.monotonic() - began


def _command(folder: Path, url: str, *words: str) -> None:
    environment = rig.environment(folder, database_url=url)
    subprocess.run(
        [str(rig.BIN / "nas-music"), *words], check=True, env=environment, timeout=3600, cwd=folder
    )


def _paths(rows: int) -> dict[str, str]:
    """Return what is asked for, by what people would call it."""
    last, ours, now = rows // 10, "/api/downloads", datetime.now(UTC)
    asked: dict[str, tuple[str, dict[str, object]]] = {
        "page 1": (ours, {}),
        "the middle page": (ours, {"page": last // 2}),
        "the last page": (ours, {"page": last}),
        "failed, page 1": (ours, {"status": "failed"}),
        "failed, the middle page": (ours, {"status": "failed", "page": last // 66}),
        "completed, the middle page": (ours, {"status": "completed", "page": last // 2}),
        "search, one match": (ours, {"q": f"{rows - 7}"}),
        "search, 1 of 110 matches": (ours, {"q": "winter ocean"}),
        "search, 1 of 11 matches": (ours, {"q": "river"}),
        "search, two letters": (ours, {"q": "ri"}),
        "everybody's, the middle page": (_ADMINS_PAGES, {"page": last // 2}),
        "everybody's failed, page 1": (_ADMINS_PAGES, {"status": "failed"}),
        "audit, page 1": (_AUDIT, {}),
        "audit, far down": (_AUDIT, {"page": rows // 4}),
        "audit of one user and action": (_AUDIT, {"user_id": 1, "action": "auth.login", "page": rows // 100}),
        "audit of three months": (
            _AUDIT,
            {
                "since": f"{now - timedelta(days=300):%Y-%m-%dT%H:%M:%SZ}",
                "until": f"{now - timedelta(days=210):%Y-%m-%dT%H:%M:%SZ}",
            },
        ),
        "accounts, page 500": ("/api/admin/users", {"page": 500}),
    }
    return {name: f"{path}?{urlencode(query)}" for name, (path, query) in asked.items()}


def _look(api: rig.Api, path: str, *, times: int = 21) -> dict[str, float]:
    taken, total = [], 0
    for _ in range(times):
        began = time.perf_counter()
        total = api.call("GET", path).expect(200)["total"]
        taken.append((time.perf_counter() - began) * 1000)
    return {"ms": statistics.median(taken), "total": total}


def _queries(url: str, rows: int) -> dict[str, float]:
    """Return the milliseconds that plain queries take: the indexed ones, and what OFFSET and count cost."""
    select = f"SELECT {_COLUMNS} FROM download_history WHERE {_OWN} ORDER BY created_at"  # noqa: S608 - our own words
    asked = {
        "page 1, by the index": f"{select} DESC, id DESC LIMIT 10",
        "the last page, by the index": f"{select}, id LIMIT 10",
        "the middle page, by OFFSET": f"{select} DESC, id DESC LIMIT 10 OFFSET {rows // 2}",
        "count(*)": f"SELECT count(*) FROM download_history WHERE {_OWN}",  # noqa: S608 - our own words
    }
    found = {}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        for name, query in asked.items():
            taken = []
            for _ in range(11):
                began = time.perf_counter()
                connection.execute(query.encode(), [1], prepare=True).fetchall()
                taken.append((time.perf_counter() - began) * 1000)
            found[name] = statistics.median(taken)
    return found


async def _race(
    service: str, bare: str, token: str, rows: int, rounds: int, seconds: float
) -> dict[str, Race]:
    pages = {
        "page 1": ("/api/downloads", "/first"),
        "the middle page": (f"/api/downloads?page={rows // 20}", "/first"),
        "the last page": (f"/api/downloads?page={rows // 10}", "/last"),
    }
    found = {}
    for name, (ours, theirs) in pages.items():
        laps: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(rounds):
            laps["bare"].append(await hammer(bare, theirs, seconds=seconds))
            laps["ours"].append(await hammer(service, ours, token=token, seconds=seconds))
        found[name] = Race(**{who: statistics.median(rates) for who, rates in laps.items()})
    return found


@contextmanager
def _bare_route(url: str) -> Iterator[str]:
    command = [sys.executable, str(rig.TOOLS / "bare_route.py"), _COLUMNS]
    with rig.running(
        command, stdout=subprocess.PIPE, env=rig.environment(Path("/"), database_url=url)
    ) as process:
        if process.stdout is None or not (port := process.stdout.readline().strip()):
            raise rig.RigError("The bare route didn't start.")
        yield f"http://127.0.0.1:{port.decode()}"


class _Caller(asyncio.Protocol):
    """One kept connection that asks again as soon as it has its answer; it reads no more than it must."""

    def __init__(self, request: bytes) -> None:
        self.answers = 0
        self.failed: bytes | None = None
        self._request = request
        self._got = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a TCP connection
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed = bytes(self._got[:300])
        self.answers += 1
        self._got.clear()
        if self._transport is not None and not self.failed:
            self._transport.write(self._request)


async def hammer(address: str, path: str, *, token: str | None = None, seconds: float) -> float:
    """Return the answers a second that all connections get, after a quarter of the time to warm up."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    credentials = f"Authorization: Bearer {token}\r\n" if token else ""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{credentials}\r\n".encode()
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Caller(request), host, port) for _ in range(CONNECTIONS)]
    callers: Sequence[_Caller] = [caller for _, caller in made]
    await asyncio.sleep(seconds / 4)
    before, began = sum(caller.answers for caller in callers), time.perf_counter()
    await asyncio.sleep(seconds)
    answers, took = sum(caller.answers for caller in callers) - before, time.perf_counter() - began
    for transport, _ in made:
        transport.abort()
    if failed := next((caller.failed for caller in callers if caller.failed), None):
        raise rig.RigError(f"An answer failed: {failed!r}")
    return answers / took
