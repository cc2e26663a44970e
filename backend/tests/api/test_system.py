"""What the service says of itself, and what every request and every error has in common."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.api.problems import PROBLEM, assert_problem
from tests.conftest import Service

from music_downloader import version
from music_downloader.app import create_app
from music_downloader.config.settings import Settings
from music_downloader.engine import ffmpeg
from music_downloader.service import health as health_service

CHECKS = {"database", "queue", "storage", "ffmpeg", "yt_dlp"}
LIMIT = 64 * 1024
LOGIN = {"username": "alice", "password": "correct horse battery"}


# The service itself


async def test_a_program_that_asks_the_root_learns_where_to_go_on(service: Service) -> None:
    answer = await service.http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "name": "nas-music-downloader",
        "version": version(),
        "status": "running",
        "docs": "/docs",
        "health": "/health",
    }


async def test_a_browser_is_sent_on_to_the_page(service: Service) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = await service.http.get("/", headers={"Accept": accept})
    assert answer.status_code == 307
    assert answer.headers["location"] == "/ui/"
    assert answer.headers["x-request-id"]
    page = await service.http.get("/", headers={"Accept": accept}, follow_redirects=True)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


async def test_the_interactive_documentation_is_there(service: Service) -> None:
    answer = await service.http.get("/docs")
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text


async def test_monitors_that_only_ask_for_the_head_get_it(service: Service) -> None:
    for path, status in (("/", 200), ("/health/live", 200), ("/health", 503), ("/ui/", 200)):
        answer = await service.http.head(path)
        assert (answer.status_code, answer.content) == (status, b""), path
        assert answer.headers["x-request-id"]
        assert_problem(await service.http.delete(path), 405)


# Health


@pytest.fixture
async def heartbeat(database: AsyncEngine) -> None:
    """A worker that has just given a sign of life."""
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))


async def health(service: Service, status: int) -> dict[str, Any]:
    """Look at /health; the conditions of its parts that aren't healthy, with their reasons."""
    answer = await service.http.get("/health")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"status", "service", "version", "checks"}
    assert (body["service"], body["version"]) == ("nas-music-downloader", version())
    assert set(body["checks"]) == CHECKS
    for check in body["checks"].values():
        assert set(check) == {"status", "detail"}
        assert check["detail"]
    conditions = [check["status"] for check in body["checks"].values()]
    worst = next(each for each in ("unhealthy", "degraded", "healthy") if each in conditions)
    assert body["status"] == worst
    return {name: check for name, check in body["checks"].items() if check["status"] != "healthy"}


@pytest.fixture
async def complete(service: Service, heartbeat: None) -> Service:
    """A service that lacks nothing: a library, and a worker that lives."""
    del heartbeat
    service.library.mkdir()
    return service


async def test_a_service_that_lacks_nothing_is_healthy(complete: Service) -> None:
    assert await health(complete, 200) == {}


async def test_without_a_worker_it_is_unhealthy_and_says_so(service: Service) -> None:
    service.library.mkdir()
    unwell = await health(service, 503)
    assert set(unwell) == {"queue"}
    assert "no worker is running" in unwell["queue"]["detail"]
    assert (await service.http.get("/health")).headers["retry-after"].isdigit()


async def test_a_worker_that_fell_silent_is_none(complete: Service, database: AsyncEngine) -> None:
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '31 seconds'")
        )
    assert set(await health(complete, 503)) == {"queue"}


async def test_a_missing_library_is_unhealthy_and_named(complete: Service) -> None:
    complete.library.rmdir()
    unwell = await health(complete, 503)
    assert set(unwell) == {"storage"}
    assert str(complete.library) in unwell["storage"]["detail"]


async def test_a_library_that_cannot_be_written_to_is_unhealthy(serve: Any, heartbeat: None) -> None:
    del heartbeat
    service = await serve()
    service.library.symlink_to("/proc/self")
    assert set(await health(service, 503)) == {"storage"}


async def test_too_little_space_is_degraded_and_still_works(serve: Any, heartbeat: None) -> None:
    del heartbeat
    service = await serve(min_free_space=2**60)
    service.library.mkdir()
    unwell = await health(service, 200)
    assert set(unwell) == {"storage"}
    assert unwell["storage"]["status"] == "degraded"
    assert "GiB free" in unwell["storage"]["detail"]


@pytest.mark.parametrize("program", ["/nonexistent/ffmpeg", "/bin/false"])
async def test_an_ffmpeg_that_does_not_run_is_unhealthy(
    complete: Service, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(ffmpeg, "executable", lambda: program)
    assert set(await health(complete, 503)) == {"ffmpeg"}


async def test_no_ffmpeg_at_all_is_unhealthy(complete: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def executable() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(ffmpeg, "executable", executable)
    assert set(await health(complete, 503)) == {"ffmpeg"}


# Requests


async def test_a_sane_request_id_is_taken_over(service: Service) -> None:
    for given in ("a", "from-a-test", "x" * 128, "1.2_3-4", "0" * 32):
        answer = await service.http.get("/health/live", headers={"X-Request-ID": given})
        assert answer.headers.get_list("x-request-id") == [given]


async def test_any_other_request_id_is_replaced(service: Service) -> None:
    odd = [
        b"x" * 129,
        b"",
        b"a b",
        b"a\tb",
        b"a;b",
        "ü".encode(),
        "\u0664".encode(),
        b"\xff",
        b"a/b",
        b'"',
        b"a,b",
    ]
    for given in odd:
        answer = await service.http.get("/health/live", headers=[(b"X-Request-ID", given)])
        [made] = answer.headers.get_list("x-request-id")
        assert re.fullmatch("[0-9a-f]{32}", made), given


async def test_each_request_without_an_id_gets_one_of_its_own(service: Service) -> None:
    answers = [await service.http.get(path) for path in ("/", "/health/live", "/nowhere", "/docs")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


async def _chunks(size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield b"x" * min(size, 1000)
        size -= 1000


async def test_a_body_over_64_kib_is_refused_announced_or_not(service: Service) -> None:
    for path in ("/auth/login", "/auth/register", "/api/download", "/nowhere"):
        for size in (LIMIT + 1, 1024 * 1024):
            for content in (b"x" * size, _chunks(size)):
                answer = await service.http.post(path, content=content)
                assert "64 KiB" in assert_problem(answer, 413)["detail"]


async def test_a_body_of_just_64_kib_is_read(service: Service) -> None:
    for content in (b"x" * LIMIT, _chunks(LIMIT)):
        assert_problem(await service.http.post("/auth/login", content=content), 422)


# Errors


async def test_an_unknown_path_is_404(service: Service) -> None:
    for path in ("/nowhere", "/api", "/api/downloads/1/nowhere", "/auth", "/health/dead"):
        assert_problem(await service.http.get(path), 404)


async def test_a_wrong_method_is_405_and_names_all_the_right_ones(service: Service, serve: Any) -> None:
    for method, path, allowed in (
        ("GET", "/auth/login", "POST"),
        ("DELETE", "/auth/login", "POST"),
        ("PUT", "/auth/me", "GET"),
        ("POST", "/health", "GET, HEAD"),
        ("TRACE", "/", "GET, HEAD"),
        ("PATCH", "/api/downloads", "GET"),
        ("PUT", "/api/downloads/1", "GET, DELETE"),
    ):
        answer = await service.http.request(method, path)
        assert_problem(answer, 405)
        assert answer.headers["allow"] == allowed, path
    below = await serve(root_path="/music")
    assert (await below.http.get("/music")).json()["docs"] == "/music/docs"  # a proxy may hand it on bare
    assert (await below.http.put("/music/api/downloads/1")).headers["allow"] == "GET, DELETE"


async def test_names_of_fields_that_nobody_knows_are_told_within_bounds(service: Service) -> None:
    answer = await service.http.post("/auth/register", json={"k" * 30_000: 1, "\x00\x1b[31m": 1})
    body = assert_problem(answer, 422)
    assert ["body", "k" * 64] in [error["loc"] for error in body["errors"]]
    assert ["body", "\ufffd\ufffd[31m"] in [error["loc"] for error in body["errors"]]
    many = await service.http.post("/auth/login", json={str(n): 0 for n in range(5000)})
    assert len(many.content) < 10_000


async def test_every_kind_of_refusal_has_the_same_form(service: Service, serve: Any) -> None:
    alice = await service.sign_in()
    closed = await serve(registration="closed")
    taken = {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}
    wrong = {"current_password": "a wrong one", "new_password": "another horse entirely"}
    assert_problem(await service.http.get("/api/downloads"), 401)
    assert_problem(await service.http.post("/auth/login", json={**LOGIN, "password": "wrong horse"}), 401)
    assert_problem(await closed.http.post("/auth/register", json=taken), 403)
    assert_problem(await alice.post("/auth/password", json=wrong), 403)
    assert_problem(await alice.get("/api/downloads/1"), 404)
    assert_problem(await service.http.post("/auth/register", json=taken), 409)
    fields = assert_problem(await alice.post("/api/download", json={"url": "hunter2", "x": "hunter2"}), 422)
    assert_problem(await alice.get("/api/downloads", params={"page": "hunter2"}), 422)
    assert [set(fault) for fault in fields["errors"]] == [{"loc", "msg", "type"}]
    assert "hunter2" not in str(fields)


async def test_what_nobody_foresaw_is_500_without_any_internals(
    make_settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(make_settings())

    @app.get("/fails")
    async def fails() -> None:
        raise ZeroDivisionError("hunter2")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        answer = await client.get("/fails", headers={"X-Request-ID": "from-a-test"})
    assert_problem(answer, 500)
    assert answer.headers["x-request-id"] == "from-a-test"
    assert not [word for word in ("hunter2", "ZeroDivision", "Traceback", ".py") if word in answer.text]
    assert "ZeroDivisionError: hunter2" in capsys.readouterr().err


PATHS = r"""
/%00 /%ff%fe /%2e%2e/%2e%2e/etc/passwd /..;/ // ///etc/passwd /\..\.. /%0d%0aX:y /?% /docs?%zz /docs/%00
/ui/%2e%2e%2f /ui/..%2f..%2fetc/passwd /openapi.json%00 /auth/me?access_token=x /auth/%00 /health/%00
/api/downloads/0 /api/downloads/-1 /api/downloads/1.0 /api/downloads/1e3 /api/downloads/0x1 /api/downloads/%00
/api/downloads/9223372036854775807 /api/downloads/9223372036854775808 /api/downloads/%D9%A1
/api/downloads/1%27-- /api/downloads/ /api/downloads//1
"""
QUERIES = r"""
page=0 page=-1 page=9223372036854775807 page=1e9 page= page page=1&page=2 page=NaN page=10000000&per_page=100
per_page=0 per_page=101 per_page=-1 status=paused status=%00 status= status status=PENDING
q=%00 q=%ff q=%ed%a0%80 q=%25 q=_%25%5C q=%5C q='%3B-- q= q[]=1 %00=%00 &&&===&
parent_id=0 parent_id=9223372036854775808 parent_id=x parent_id=9223372036854775807
"""
NASTY = [
    *PATHS.split(),
    *(f"/api/downloads?{query}" for query in QUERIES.split()),
    *("/" + "x" * 8000, "/api/downloads/" + "9" * 500, "/api/downloads?q=" + "x" * 201),
    "/api/downloads?" + "a=1&" * 2000,
]


async def test_no_path_and_no_query_breaks_it(service: Service) -> None:
    alice = await service.sign_in()
    answers = {}
    for path in NASTY:
        url = httpx.URL(service.http.base_url).copy_with(raw_path=path.encode())
        answer = await alice.get(url)
        answers[path[:60]] = answer.status_code
        assert answer.headers["x-request-id"], path
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == PROBLEM, path
    assert not {path: status for path, status in answers.items() if status >= 500}
    assert (await alice.get("/api/downloads")).status_code == 200


async def test_many_who_ask_at_once_have_it_looked_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    look = health_service.yt_dlp

    def counted(*given: Any) -> health_service.Check:
        looked.append(given)
        return look(*given)

    monkeypatch.setattr(health_service, "yt_dlp", counted)
    answers = await asyncio.gather(*(service.http.get("/health") for _ in range(20)))
    assert all(answer.json()["checks"]["ffmpeg"]["status"] == "healthy" for answer in answers)
    assert len(looked) < 10
