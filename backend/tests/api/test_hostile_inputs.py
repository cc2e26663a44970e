"""What an attacker may send, and the one answer to each."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Service

from music_downloader.model import User
from music_downloader.schema.user import RegisterRequest

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = "multipart/form-data"
UPLOAD = b'--b\r\nContent-Disposition: form-data; name="username"; filename="x"\r\n\r\nalice\r\n--b--\r\n'
REGISTER, LOGIN, PASSWORD = "/auth/register", "/auth/login", "/auth/password"
BOB = {"username": "bob", "email": "bob@example.org", "password": "correct horse battery"}
DEEP = b"[" * 20_000 + b"]" * 20_000


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One request and its answer; `by` is anon, user or admin."""

    name: str
    method: str
    path: str
    status: int
    by: str = "user"
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def post(name: str, path: str, status: int, **more: Any) -> Attack:
    return Attack(name=name, method="POST", path=path, status=status, **more)


def get(name: str, path: str, status: int, **more: Any) -> Attack:
    return Attack(name=name, method="GET", path=path, status=status, **more)


def patch(name: str, user_id: int, status: int, *, by: str = "admin", **change: Any) -> Attack:
    path = f"/api/admin/users/{user_id}"
    return Attack(name=name, method="PATCH", path=path, status=status, by=by, json=change)


def delete(name: str, path: str, status: int, **more: Any) -> Attack:
    return Attack(name=name, method="DELETE", path=path, status=status, **more)


def register(name: str, status: int = 422, **change: Any) -> Attack:
    return post(f"register {name}", REGISTER, status, by="anon", json={**BOB, **change})


def submit(name: str, url: Any, status: int = 422) -> Attack:
    return post(f"submit {name}", "/api/download", status, json={"url": url})


def bearer(name: str, token: str, status: int = 401) -> Attack:
    header = {"Authorization": f"Bearer {token}"}
    return get(f"token {name}", "/auth/me", status, by="anon", headers=header)


ATTACKS = [
    # Accounts
    register("with a role", is_admin=True),
    register("with an id", id=1),
    register("as inactive, to hide", is_active=False),
    register("with SQL for a name", username="x'; DROP TABLE users; --"),
    register("with a path for a name", username="../../etc/passwd"),
    register("with markup for a name", username="<script>alert(1)</script>"),
    register("with a right-to-left name", username="bob\u202egro"),
    register("with a look-alike name", username="b\u043eb"),
    register("with a name that ends in a newline", username="bob\n"),
    register("with headers in its address", email="bob@example.org\r\nBcc: all@example.org"),
    register("with a NUL in its password", password="correct\x00horse"),
    register("with an endless password", password="x" * 10_000),
    register("with a common password", password="Password123"),
    register("with its name for a password", username="bobsmith", password="BobSmith1"),
    register("with an object for a name", username={"$ne": None}),
    register("with a list for a password", password=["correct horse battery"]),
    register("of somebody who is there", 409, username="ALICE"),
    register("with somebody's address", 409, email="Alice@Example.org"),
    post("register half a body", REGISTER, 422, by="anon", content=b'{"username": "bo', headers=JSON),
    post("register deep nesting", REGISTER, 422, by="anon", content=DEEP, headers=JSON),
    post("register a huge number", REGISTER, 422, by="anon", content=b"1" * 10_000, headers=JSON),
    post("register NaN", REGISTER, 422, by="anon", content=b'{"username": NaN}', headers=JSON),
    post("register bytes", REGISTER, 422, by="anon", content=b"\xff\xfe\x00", headers=JSON),
    post("register a lone surrogate", REGISTER, 422, by="anon", headers=JSON,
         content=b'{"username":"bob","email":"bob@example.org","password":"\\ud800\\ud800\\ud800\\ud800\\ud800'
                 b'\\ud800\\ud800\\ud800"}'),
    post("register XML", REGISTER, 422, by="anon", content=b"<a/>", headers={"Content-Type": "text/xml"}),
    post("register too much", REGISTER, 413, by="anon", content=b" " * 70_000, headers=JSON),
    # Logging in
    post("log in with SQL", LOGIN, 401, by="anon", json={"username": "' OR 1=1 --", "password": "x"}),
    post("log in with a wildcard", LOGIN, 401, by="anon",
         json={"username": "al%", "password": "correct horse battery"}),
    post("log in without a password", LOGIN, 422, by="anon", json={"username": "alice", "password": ""}),
    post("log in with null", LOGIN, 422, by="anon", json={"username": "alice", "password": None}),
    post("log in with true", LOGIN, 422, by="anon", json={"username": "alice", "password": True}),
    post("log in with NUL", LOGIN, 422, by="anon", json={"username": "alice\x00", "password": "x"}),
    post("log in with two passwords", LOGIN, 401, by="anon", headers=FORM,
         content=b"username=alice&password=correct+horse+battery&password=x"),
    post("log in with many fields", LOGIN, 422, by="anon", headers=FORM, content=b"a=b&" * 5000),
    post("log in with a file", LOGIN, 422, by="anon", headers={"Content-Type": f"{MULTIPART}; boundary=b"},
         content=UPLOAD),
    post("log in with no boundary", LOGIN, 422, by="anon", headers={"Content-Type": MULTIPART},
         content=b"x"),
    post("log in with a bad percent", LOGIN, 401, by="anon", headers=FORM,
         content=b"username=%zz&password=%"),
    get("log in by GET, into the logs", f"{LOGIN}?username=alice&password=x", 405, by="anon"),
    # Tokens
    get("token none", "/auth/me", 401, by="anon", headers={"Authorization": "Bearer"}),
    bearer("of nonsense", "x"),
    bearer("without a signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
    bearer("of 20,000 characters", "a" * 20_000),
    bearer("with a path", "../../admin"),
    get("basic credentials", "/auth/me", 401, by="anon", headers={"Authorization": "Basic YWxpY2U6eA=="}),
    get("a token in the query", "/auth/me?access_token=x&token=x", 401, by="anon"),
    post("change a password with the wrong one", PASSWORD, 403,
         json={"current_password": "wrong horse", "new_password": "another horse entirely"}),
    post("change a password for somebody else", PASSWORD, 422,
         json={"current_password": "correct horse battery", "new_password": "another horse", "user_id": 1}),
    post("change a password to a common one", PASSWORD, 422,
         json={"current_password": "correct horse battery", "new_password": "password123"}),
    # Submitting
    submit("of a file", "file:///etc/passwd"),
    submit("by gopher", "gopher://artist.example:70/_x"),
    submit("by ftp", "ftp://artist.example/a.mp3"),
    submit("of data", "data:audio/mpeg;base64,AAAA"),
    submit("of a script", "javascript:alert(1)"),
    submit("of an option", "--exec=id"),
    submit("of a search", "ytsearch:song"),
    submit("of the metadata service", "http://169.254.169.254/latest/meta-data/"),
    submit("of the metadata service by name", "http://metadata.google.internal/"),
    submit("of a private address", "http://192.168.1.1/"),
    submit("of a private address as a number", "http://3232235777/"),
    submit("of a private address in hexadecimal", "http://0xc0.0xa8.1.1/"),
    submit("of a private address inside IPv6", "http://[::ffff:192.168.1.1]/"),
    submit("of a private address through NAT64", "http://[64:ff9b::c0a8:101]/"),
    submit("with a password", "http://user:secret@artist.example/"),
    submit("at a mail server's port", "http://artist.example:25/"),
    submit("with a newline", "http://artist.example/\r\nHost: evil"),
    submit("with a backslash", "http://artist.example\\@192.168.1.1/"),
    submit("of 2,049 characters", "http://artist.example/" + "a" * 2027),
    submit("of nothing", ""),
    submit("of a list", ["http://artist.example/"]),
    post("submit with options", "/api/download", 422,
         json={"url": "https://artist.example/", "postprocessors": [{"key": "Exec"}]}),
    post("submit a path as format", "/api/download", 422,
         json={"url": "https://artist.example/", "format": "../../mp3"}),
    post("submit as somebody else", "/api/download", 422,
         json={"url": "https://artist.example/", "user_id": 1}),
    post("submit as nobody", "/api/download", 401, by="anon", json={"url": "https://artist.example/"}),
    # Reading
    get("a download of somebody else", "/api/downloads/1", 404),
    get("a download with SQL", "/api/downloads/1%20OR%201=1", 422),
    get("a download beyond 64 bits", f"/api/downloads/{2**64}", 422),
    get("a download with NUL", "/api/downloads/%00", 422),
    get("a download with a path", "/api/downloads/..%2F..%2Fetc%2Fpasswd", 404),
    get("a page before the first", "/api/downloads?page=0", 422),
    get("a page beyond all", "/api/downloads?page=99999999999999999999", 422),
    get("a million a page", "/api/downloads?per_page=1000000", 422),
    get("an unknown status", "/api/downloads?status=pending'--", 422),
    get("a search with wildcards", "/api/downloads?q=%25%5F%5C", 200),
    get("a search with NUL", "/api/downloads?q=%00", 422),
    get("an endless search", "/api/downloads?q=" + "a" * 201, 422),
    get("another user's downloads, as a user", "/api/downloads?user_id=1", 200),
    delete("delete of somebody else", "/api/downloads/1?delete_file=true", 404),
    post("cancel of somebody else", "/api/downloads/1/cancel", 404),
    post("retry of somebody else", "/api/downloads/1/retry", 404),
    get("events as nobody", "/api/events", 401, by="anon"),
    get("events with a forged last id", "/api/events", 401, by="anon", headers={"Last-Event-ID": "1" * 5000}),
    get("a file of somebody else", "/api/downloads/1/file", 404, headers={"Range": "bytes=0-"}),
    get("a file with endless ranges", "/api/downloads/1/file", 404,
        headers={"Range": "bytes=" + ",".join("0-1" for _ in range(2000))}),
    get("a cover of somebody else", "/api/downloads/1/cover", 404),
    get("a file above the library", "/api/downloads/1/file/..%2f..%2fsecret.key", 404),
    get("the key by its path", "/../data/secret.key", 404, by="anon"),
    # Administration
    get("accounts as a user", "/api/admin/users", 403),
    get("accounts as nobody", "/api/admin/users", 401, by="anon"),
    get("the log as a user", "/api/admin/audit-logs?user_id=1", 403),
    get("everybody's downloads as a user", "/api/admin/downloads", 403),
    get("accounts as a user with another method", "/api/admin/users", 403,
        headers={"X-HTTP-Method-Override": "PATCH", "X-Original-URL": "/auth/me"}),
    patch("the role for oneself", 2, 403, by="user", is_admin=True),
    patch("an account of nobody", 0, 422),
    patch("an account that isn't there", 999, 404, is_active=False),
    patch("another password, as admin", 2, 422, password="correct horse battery"),
    patch("the last administrator", 1, 409, is_admin=False),
    delete("an entry of the log", "/api/admin/audit-logs", 405, by="admin"),
    get("the log before all time", "/api/admin/audit-logs?since=-99999999999999999999", 422, by="admin"),
    get("the log with SQL", "/api/admin/audit-logs?action=x'%20OR%201=1--", 200, by="admin"),
    get("the log with NUL", "/api/admin/audit-logs?action=%00", 422, by="admin"),
    # The service itself
    Attack(name="TRACE", method="TRACE", path="/", status=405, by="anon"),
    Attack(name="a method of another trade", method="PROPFIND", path="/health/live", status=405, by="anon"),
    get("another's page to be sent to", "//evil.example/%2e%2e", 404, by="anon"),
    get("a forged host", "/health/live", 200, by="anon", headers={"Host": "evil.example"}),
    get("a request id with a line of log", "/health/live", 200, by="anon",
        headers={"X-Request-ID": '" level=critical'}),
]  # fmt: skip


def test_there_are_at_least_sixty_and_each_has_a_name() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


async def test_each_hostile_input_gets_its_one_answer(
    service: Service, sessions: async_sessionmaker[AsyncSession]
) -> None:
    admin = await service.sign_in("root")
    async with sessions.begin() as session:
        await session.execute(update(User).values(is_admin=True))
    callers = {"anon": service.http, "admin": admin, "user": await service.sign_in()}
    await admin.post("/api/download", json={"url": "https://artist.example/mine.mp3"})
    found = {}
    for attack in ATTACKS:
        answer = await _send(callers[attack.by], attack)
        said = [answer.status_code]
        if answer.status_code >= 400:
            said.append(answer.headers["content-type"])
        found[attack.name] = said
        assert answer.headers["x-request-id"].isalnum(), attack.name
        for secret in ("Traceback", "sqlalchemy", "psycopg", "site-packages", "hunter2", "user:secret"):
            assert secret not in answer.text, attack.name
    expected = {
        attack.name: [attack.status, *(["application/problem+json"] if attack.status >= 400 else [])]
        for attack in ATTACKS
    }
    assert found == expected
    assert (await callers["user"].get("/auth/me")).json()["is_admin"] is False


async def _send(client: httpx.AsyncClient, attack: Attack) -> httpx.Response:
    headers = {name: value.encode("latin-1") for name, value in attack.headers.items()}
    async with asyncio.timeout(10):
        return await client.request(
            attack.method, attack.path, json=attack.json, content=attack.content, headers=headers
        )


@given(name=st.text(max_size=60))
def test_a_username_is_taken_exactly_if_it_is_of_plain_characters(name: str) -> None:
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    may_be = 3 <= len(name) <= 50 and set(name) <= plain
    try:
        RegisterRequest(username=name, email="somebody@example.org", password="correct horse battery")
    except ValidationError:
        assert not may_be
    else:
        assert may_be


@given(
    page=st.one_of(st.integers(), st.text(max_size=30)),
    per_page=st.one_of(st.integers(-5, 200), st.text(max_size=5)),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
async def test_any_page_is_a_page_or_a_refusal(service: Service, page: Any, per_page: Any) -> None:
    headers = await _somebodys(service)
    answer = await service.http.get(
        "/api/downloads", params={"page": page, "per_page": per_page}, headers=headers
    )
    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json()["downloads"] == []
        assert 1 <= answer.json()["per_page"] <= 100
        assert 'rel="first"' in answer.headers["link"]


_TOKENS: dict[str, dict[str, str]] = {}


async def _somebodys(service: Service) -> dict[str, str]:
    address = str(service.http.base_url)
    if address not in _TOKENS:
        client = await service.sign_in()
        _TOKENS[address] = {"Authorization": client.headers["authorization"]}
    return _TOKENS[address]
