"""The edge of the service: headers on every answer, whose address counts, slow bodies, odd characters."""

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from html.parser import HTMLParser
from ipaddress import ip_network
from typing import Any

import httpx
import psycopg
import pytest
from tests.api.problems import assert_problem
from tests.conftest import Serve, Service

from music_downloader.app import create_app
from music_downloader.config.settings import Settings
from music_downloader.route.forwarding import forwarded_client, forwarded_scheme, read_hop
from music_downloader.route.middleware import BodyLimit

ALWAYS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


# Headers


async def test_every_answer_carries_the_headers_that_protect_it(service: Service) -> None:
    alice = await service.sign_in()
    answers = [
        await alice.get("/api/downloads"),
        await alice.get("/api/downloads/1"),
        await alice.get("/api/downloads/1/file"),
        await alice.post("/api/download", content=b"{"),
        await alice.post("/api/download", content=b"x" * 70_000),
        await service.http.get("/api/downloads"),
        await service.http.get("/"),
        await service.http.get("/", headers={"Accept": "text/html"}),
        await service.http.get("/health"),
        await service.http.get("/nowhere"),
        await service.http.delete("/auth/login"),
        await service.http.get("/docs"),
        await service.http.get("/docs/nothing"),
        await service.http.get("/openapi.json"),
        await service.http.head("/health/live"),
    ]
    async with alice.stream("GET", "/api/events") as events:
        answers.append(events)
    for answer in answers:
        headers, where = answer.headers, str(answer.url)
        assert {name: headers.get(name) for name in ALWAYS} == ALWAYS, where
        assert "frame-ancestors 'none'" in headers["content-security-policy"], where
        assert "default-src 'none'" in headers["content-security-policy"], where
        assert "camera=()" in headers["permissions-policy"], where
        assert "cache-control" in headers, where
        assert "server" not in headers, where
        assert "strict-transport-security" not in headers, where


async def test_what_is_not_a_page_may_load_and_run_nothing(service: Service) -> None:
    for path in ("/", "/api/downloads", "/openapi.json", "/nowhere", "/docsnot", "/uix"):
        policy = (await service.http.get(path)).headers["content-security-policy"]
        assert "'self'" not in policy, path
        assert "unsafe" not in policy, path


async def test_what_a_person_may_see_is_kept_by_nobody(service: Service) -> None:
    alice = await service.sign_in()
    for path in ("/api/downloads", "/auth/me", "/api/downloads/1", "/api/downloads?page=0"):
        assert (await alice.get(path)).headers["cache-control"] == "no-store", path
    login = {"username": "alice", "password": "correct horse battery"}
    assert (await service.http.post("/auth/login", json=login)).headers["cache-control"] == "no-store"


async def test_a_fault_of_ours_carries_the_headers_too(make_settings: Callable[..., Settings]) -> None:
    app = create_app(make_settings(root_path="/music"))

    @app.get("/fails")
    async def fails() -> None:
        raise ZeroDivisionError

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        answer = await client.get("/music/fails")
    assert_problem(answer, 500)
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert answer.headers["cache-control"] == "no-store"


# The interactive documentation


class Page(HTMLParser):
    """What a page loads, and what it holds that a strict policy forbids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.openapi = ""
        self._is_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "href") if given.get(name)]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self.openapi = given.get("data-openapi") or self.openapi
        self._is_script = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._is_script = False

    def handle_data(self, data: str) -> None:
        if self._is_script and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("prefix", ["", "/music"])
async def test_the_documentation_loads_nothing_from_elsewhere(serve: Serve, prefix: str) -> None:
    service = await serve(root_path=prefix)
    for reached in {"", prefix}:  # whether or not the proxy takes the prefix off
        answer = await service.http.get(f"{reached}/docs")
        page = Page(answer.text)
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        assert page.inline == []
        assert page.openapi == f"{prefix}/openapi.json"
        loaded = [each for each in page.loads if not each.startswith("data:")]
        assert len(loaded) == 4
        for address in loaded:
            assert address.startswith(f"{prefix}/"), address
            found = await service.http.get(address)
            assert found.status_code == 200, address
            assert found.content, address
    assert (await service.http.get(f"{prefix}/openapi.json")).json()["openapi"].startswith("3.1")


async def test_the_documentations_files_are_kept_by_browsers_and_known_again(service: Service) -> None:
    for name, kind in (("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        first = await service.http.get(f"/docs/{name}")
        assert first.headers["content-type"].startswith(kind)
        assert "max-age=" in first.headers["cache-control"]
        again = await service.http.get(f"/docs/{name}", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert "Apache License" in (await service.http.get("/docs/LICENSE")).text


async def test_the_documentation_hands_out_nothing_but_its_own_files(service: Service) -> None:
    for name in ("..%2f..%2f__init__.py", "__init__.py", "%00", "start.js%00", "", "LICENSE/", "x"):
        raw = f"/docs/{name}".encode()
        url = httpx.URL(service.http.base_url).copy_with(raw_path=raw)
        assert_problem(await service.http.get(url), 404)


# Whose address counts

PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")))


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # nobody we trust says so
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # what was there before may be a lie
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),  # several headers are one list
        ("10.0.0.1", ["10.0.0.7, 10.0.0.2"], "10.0.0.7"),  # the caller is a neighbour of the proxies
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]:4711, fd00::2"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1,\t 10.0.0.2 "], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),  # what is no address ends the search
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1' OR 1=1"], "10.0.0.1"),
        ("10.0.0.1", ["x" * 60_000], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1" + ",10.0.0.2" * 5000], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1"] + ["10.0.0.2"] * 5000, "10.0.0.2"),
    ],
)
def test_the_rightmost_address_that_no_proxy_of_ours_has_is_the_callers(
    peer: str, forwarded: list[str], caller: str
) -> None:
    address = read_hop(peer)
    assert str(forwarded_client(address, forwarded, trusted=PROXIES)) == caller
    assert str(forwarded_client(address, forwarded, trusted=())) == str(address)


ODD_HOPS = """
1.2.3 1.2.3.4.5 1.2.3.4:x 1.2.3.4: 1.2.3.4:123456 [1.2.3.4] [::1 [::1]x [::1]:x ::1]: 01.2.3.4
0x7f.1 2130706433 localhost _hidden "1.2.3.4" for=1.2.3.4 1.2.3.4/8 1.2.3.4%eth0
"""


@pytest.mark.parametrize(
    "hop",
    [*ODD_HOPS.split(), "", " ", "1.2.3.4 5.6.7.8", "1.2.3.4\x00", "::1\n", "\u0661.2.3.4", "1.2.3.4:\u0664"],
)
def test_what_is_no_address_is_none(hop: str) -> None:
    assert read_hop(hop) is None


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS "], "https"),
        (["http"], "http"),
        (["https, http"], "http"),
        (["http", "https"], "https"),
        (["ws"], None),
        (["https;"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_scheme_is_what_the_nearest_proxy_says(values: list[str], scheme: str | None) -> None:
    assert forwarded_scheme(values) == scheme


FORWARDED = {"X-Forwarded-For": "1.1.1.1, 198.51.100.7", "X-Forwarded-Proto": "https"}


def audited(settings: Settings) -> list[Any]:
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        rows = connection.execute("SELECT host(ip_address::inet) FROM audit_logs ORDER BY id").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("trusted", "address", "is_https"),
    [("", "127.0.0.1", False), ("10.0.0.0/8", "127.0.0.1", False), ("127.0.0.0/8", "198.51.100.7", True)],
)
async def test_only_a_trusted_proxy_says_who_calls_and_how(
    serve: Serve, trusted: str, address: str, is_https: bool
) -> None:
    service = await serve(trusted_proxies=trusted)
    answer = await service.http.post(
        "/auth/login", json={"username": "nobody", "password": "wrong horse"}, headers=FORWARDED
    )
    assert_problem(answer, 401)
    assert audited(service.settings) == [address]
    policy = answer.headers.get("strict-transport-security", "")
    assert bool(policy) is is_https
    assert "includeSubDomains" not in policy


# Pages of other origins


async def test_only_pages_of_the_named_origins_may_call(serve: Serve) -> None:
    service = await serve(cors_origins="https://attic.example")
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, is_named in (("https://attic.example", True), ("https://elsewhere.example", False)):
        answer = await service.http.get("/health/live", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == (origin if is_named else None)
        answer = await service.http.options("/api/download", headers={**asks, "Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == (origin if is_named else None)
        if is_named:
            assert answer.status_code == 200
            assert "DELETE" in answer.headers["access-control-allow-methods"]
        else:
            assert "CORS_ORIGINS" in assert_problem(answer, 400)["detail"]
            assert "Origin" in answer.headers["vary"]


# Bodies


async def test_a_body_that_does_not_come_to_an_end_is_408() -> None:
    answers: list[Any] = []
    pieces = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Any:
        with suppress(StopIteration):
            return next(pieces)
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answers.append(message)

    async def never(*_: Any) -> None:
        raise AssertionError("half a body is no request")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"9")]}
    await BodyLimit(never, seconds=0.05)(scope, receive, send)
    assert answers[0]["status"] == 408
    assert dict(answers[0]["headers"])[b"connection"] == b"close"


async def test_a_body_where_none_belongs_changes_nothing(service: Service) -> None:
    alice = await service.sign_in()
    for content in (b"{", b"\x00\xff", json.dumps({"page": 0}).encode()):
        headers = {"Content-Type": "application/json"}
        for method, path, status in (
            ("GET", "/api/downloads", 200),
            ("HEAD", "/health/live", 200),
            ("GET", "/docs", 200),
        ):
            answer = await alice.request(method, path, content=content, headers=headers)
            assert answer.status_code == status, (method, path)


@pytest.mark.parametrize("content", [b"{", b"", b"[" * 10_000, b"\xff", b'{"url": ' + b"1" * 5000])
async def test_who_may_not_call_does_not_learn_what_is_wrong_with_the_body(
    service: Service, content: bytes
) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic YTpi"}):
        for path in ("/api/download", "/auth/password"):
            sent = {"Content-Type": "application/json", **headers}
            answer = await service.http.post(path, content=content, headers=sent)
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"


# Odd characters

ODD = [
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\u2028",
    "\x1b[2J",
    "\ufeff",
    "\U0010ffff",
    "e\u0301" * 60,
]


@pytest.mark.parametrize("text", ODD, ids=ascii)
async def test_no_character_breaks_a_json_body(service: Service, text: str) -> None:
    alice = await service.sign_in()
    odd = json.dumps(text).encode()  # lone surrogates as \ud800
    fields = {
        "/auth/register": ("username", "email", "password"),
        "/auth/login": ("username", "password"),
        "/api/download": ("url", "format"),
        "/auth/password": ("current_password", "new_password"),
    }
    good = {
        "username": b'"carol"',
        "email": b'"carol@example.org"',
        "password": b'"correct horse battery"',
        "url": b'"https://music.example/"',
    }
    for path, names in fields.items():
        for odd_one in names:
            pairs = [(name, odd if name == odd_one else good.get(name, b'"x"')) for name in names]
            body = b"{" + b",".join(b'"%s": %s' % (name.encode(), value) for name, value in pairs) + b"}"
            await _is_refused_or_taken(alice, path, body)
        await _is_refused_or_taken(alice, path, b"{%s: 1}" % odd)
        await _is_refused_or_taken(alice, path, odd)


async def _is_refused_or_taken(alice: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await alice.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, (path, body, answer.text)
    if answer.status_code >= 400:
        assert_problem(answer, answer.status_code)


async def test_no_character_breaks_a_form(service: Service) -> None:
    forms = [
        b"username=%00&password=%00",
        b"username=%ff%fe&password=%ed%a0%80",
        b"username=a\x00b&password=\xff",
        b"%00=%00",
        b"username=alice&username=bob&password=x",
        b"&&&==&%",
        b"username=" + b"%F0%9F%8E%B5" * 500 + b"&password=x",
    ]
    for form in forms:
        answer = await service.http.post(
            "/auth/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code in {401, 422}, (form, answer.text)


async def test_nobody_writes_lines_or_colours_into_the_log(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    for log_format in ("json", "console"):
        service = await serve(log_level="debug", log_format=log_format)
        forged = "/a%0Aforged%1B%5B31m%E2%80%A8%00%C2%85%E2%80%AE"
        await service.http.get(httpx.URL(f"{service.http.base_url}{forged}"))
        login = {"username": "a\nforged\x1b[31m\u2028", "password": "x"}
        agent = {"User-Agent": "a\x1b[31m\x85".encode("latin-1").replace(b"\x1b", b"")}
        await service.http.post("/auth/login", json=login, headers=agent)
        logged = capsys.readouterr().err
        assert r"forged" in logged
        lines = logged.split("\n")
        assert not [line for line in lines if re.match(r"\s*forged", line)]
        assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()]
