"""Cookies for a site: read out of a file, and sent to nobody but that site."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests import media
from tests.source import Answer, Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.cookies import Cookie, dump, load, read_cookies
from music_downloader.engine.order import FetchOrder
from music_downloader.engine.run import Engine
from music_downloader.errors import CookiesRefusedError

session_loop = pytest.mark.asyncio(loop_scope="session")
Order = Callable[..., FetchOrder]
NOW = 1_800_000_000.0
SECRET = "kept-between-us-0123456789"


def line(**changed: str) -> str:
    fields = {
        "domain": ".music.example",
        "subdomains": "TRUE",
        "path": "/",
        "secure": "FALSE",
        "expires": "0",
        "name": "sid",
        "value": SECRET,
        **changed,
    }
    return "\t".join(fields.values()) + "\n"


def read(text: str, site: str = "music.example") -> list[Cookie]:
    return list(read_cookies(text.encode(), site=site, now=NOW).cookies)


def test_what_a_browser_exports_is_read() -> None:
    text = (
        "\ufeff# Netscape HTTP Cookie File\r\n\r\n"
        + line(name="a").replace("\n", "\r\n")
        + line(domain="#HttpOnly_WWW.Music.Example.", subdomains="FALSE", path="/my", secure="TRUE", name="b")
        + line(name="c", expires="1900000000.5")
        + line(name="d", expires=str(10**19))
        + line(name="", value="alone")
        + line(name="empty", value="")
        + line(name="cut", value="").rstrip("\t\n")
    )
    found = {each.name: each for each in read(text)}
    assert [*found] == ["a", "b", "c", "d", "", "empty", "cut"]
    assert found["a"] == Cookie(
        domain="music.example",
        subdomains=True,
        path="/",
        secure=False,
        expires=None,
        name="a",
        value=SECRET,
    )
    assert (found["b"].domain, found["b"].subdomains) == ("www.music.example", False)
    assert (found["b"].path, found["b"].secure) == ("/my", True)
    assert (found["c"].expires, found["d"].expires) == (1_900_000_000, 253_402_300_799)
    assert load(dump(tuple(found.values()))) == tuple(found.values())
    assert SECRET not in repr(found["a"])


def test_what_is_for_others_and_what_has_expired_is_left_out_and_counted() -> None:
    text = "".join(
        [
            *(
                line(domain=f".{name}")
                for name in ("notmusic.example", "example", "music.example.org", "ü" * 90)
            ),
            line(domain="." * 70_000),
            line(domain="other.example", path="", expires="never"),  # nobody looks at what is left out anyway
            line(name="old", expires=str(int(NOW))),
            line(domain="a.music.example"),
            line(value="first"),
            line(value="last"),
        ]
    )
    whole = read_cookies(text.encode(), site="music.example", now=NOW)
    assert (whole.foreign, whole.expired, len(whole.cookies)) == (6, 1, 2)
    assert whole.cookies[1].value == "last"
    assert whole.earliest_expiry is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "There is no cookie in this file"),
        ("# Netscape HTTP Cookie File\n", "There is no cookie in this file"),
        (' [{"name": "sid"}]', "This is JSON"),
        (line(expires="1"), "have expired"),
        (line(domain="other.example"), "No cookie in this file is for music.example"),
        (line() + f"sid={SECRET}", "Line 2 of the file can't be used: a cookie has seven fields"),
        (line() + f"{line().rstrip()}\tmore\n", "Line 2"),
        (line(subdomains="YES"), "Line 1 of the file can't be used: the second field"),
        (line(path=SECRET), "the third field"),
        (line(secure="1"), "the fourth field"),
        (line(expires=SECRET), "the fifth field"),
        (line(expires="9" * 30), "the fifth field"),
        (line(name=f"a={SECRET}"), "the sixth field"),
        (line(value=f"{SECRET}; more"), "the seventh field"),
        (line(value=f"{SECRET}\x00"), "the seventh field"),
        (line(name="", value=""), "the seventh field"),
        (line(value=SECRET * 200), "longer than 4,096 characters"),
    ],
)
def test_a_file_that_is_of_no_use_is_refused_by_its_line_and_never_quoted(text: str, words: str) -> None:
    with pytest.raises(CookiesRefusedError) as refused:
        read(text)
    assert words in refused.value.detail
    assert SECRET not in refused.value.detail


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(CookiesRefusedError, match="no text"):
        read_cookies(b"\xff\xfe\x00", site="music.example", now=NOW)


def _order(order: Order, source: Source, url: str, *lines: str) -> FetchOrder:
    cookies = read_cookies("".join(lines).encode(), site="music.example", now=time.time()).cookies
    return order(url, policy=EgressPolicy(), proxy=source.proxy, cookies=cookies)


@session_loop
async def test_cookies_go_to_their_site_and_to_nobody_that_it_leads_to(
    engine: Engine, source: Source, order: Order
) -> None:
    there = source.site("notmusic.example", "/song.mp3", media.make("mp3"))
    to_there = Answer(status=302, headers={"Location": there, "Set-Cookie": "fresh=1; Path=/"})
    further = source.site("cdn.music.example", "/further", lambda _: to_there)
    to_further = Answer(status=302, headers={"Location": further})
    url = source.site("music.example", "/go", lambda _: to_further)
    lines = (line(), line(name="host", domain="www.music.example"), line(name="tls", secure="TRUE"))
    await engine.fetch(_order(order, source, url, *lines), on_progress=lambda _: None)
    sent = {request.path: request.headers.get("cookie") for request in source.requests}
    assert sent[url] == sent[further] == f"sid={SECRET}"
    assert sent[there] is None
    source.requests.clear()
    await engine.fetch(order(url, policy=EgressPolicy(), proxy=source.proxy), on_progress=lambda _: None)
    assert [request.headers.get("cookie") for request in source.requests if request.path == url] == [None]


@session_loop
async def test_cookies_are_with_the_child_alone(engine: Engine, source: Source, order: Order) -> None:
    silent = source.site("music.example", "/song.mp3", lambda _: (source.stopping.wait(20), Answer())[1])
    marker = "".join(chr(97 + number % 26) for number in range(0, 26 * 7, 7))  # this file doesn't hold it
    wanted = _order(order, source, silent, *(line(name=f"n{n}", value=marker * 20) for n in range(10)))
    work = asyncio.create_task(engine.fetch(wanted, on_progress=lambda _: None))
    try:
        async with asyncio.timeout(90):
            while not source.requests:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.02)
        assert engine.template_pid is not None
        template = psutil.Process(engine.template_pid)
        (child,) = template.children()
        for process in (template, child):
            told = f"{process.cmdline()}{process.environ()}"
            assert marker not in told
        assert _stdin(child.pid) == "/dev/null"
        assert await asyncio.to_thread(_holds, child.pid, marker.encode())
        assert not await asyncio.to_thread(_holds, template.pid, marker.encode())
        assert not [
            path for path in wanted.directory.rglob("*") if path.is_file() and marker in path.read_text()
        ]
    finally:
        work.cancel()
        await asyncio.wait({work})


def _stdin(pid: int) -> str:
    return str(Path(f"/proc/{pid}/fd/0").readlink())


def _holds(pid: int, wanted: bytes) -> bool:
    """Look through all that a process can write to."""
    try:
        with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
            for area in maps:
                span, modes, *_ = area.split()
                first, last = (int(end, 16) for end in span.split("-"))
                if modes.startswith("rw"):
                    memory.seek(first)
                    if wanted in memory.read(last - first):
                        return True
    except PermissionError:
        pytest.skip("this user may not look into other processes")
    return False
