"""The page for people, as files: what is served at /ui/, how it keeps, and what it may do."""

import gzip
import re
from pathlib import Path

import pytest
from tests.api.problems import assert_problem
from tests.conftest import Serve, Service

from music_downloader.route import page

INDEX = (
    '<meta name="prefix" content="__PREFIX__"><meta name="registration" content="__REGISTRATION__">'
    '<meta property="csp-nonce" nonce="__NONCE__">'
    '<script src="./assets/index-Ab1.js" nonce="__NONCE__"></script>'
)
SCRIPT = b"console.log(1)" * 50
NASTY = ("..%2findex.html", "%2e%2e", ".built", "index-Ab1.js.gz", "x.py", "%00.js", "index-Ab1.js%2f..")


@pytest.fixture(autouse=True)
def _built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page as small as one can be, in place of the real one."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX, encoding="utf-8")
    (folder / ".built").write_text("a digest", encoding="utf-8")
    (folder / "manifest.webmanifest").write_text("{}", encoding="utf-8")
    (folder / "assets" / "index-Ab1.js").write_bytes(SCRIPT)
    (folder / "assets" / "index-Ab1.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "assets" / "index-Ab1.js.br").write_bytes(b"brotli")
    monkeypatch.setattr(page, "FOLDER", folder)


async def test_every_address_of_the_page_is_the_page(service: Service) -> None:
    for path in ("/ui/", "/ui/history", "/ui/admin/users"):
        answer = await service.http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert 'src="/ui/assets/index-Ab1.js"' in answer.text
    assert (await service.http.get("/ui?url=a%20b")).headers["location"] == "/ui/?url=a%20b"


async def test_the_page_knows_whether_people_may_register(serve: Serve) -> None:
    for registration in ("open", "closed"):
        service = await serve(registration=registration)
        answer = await service.http.get("/ui/sign-in")
        assert f'<meta name="registration" content="{registration}">' in answer.text


async def test_below_a_prefix_the_page_finds_its_own_files(serve: Serve) -> None:
    service = await serve(root_path="/music")
    for path in ("/ui/", "/music/ui/"):
        answer = await service.http.get(path)
        assert 'src="/music/ui/assets/index-Ab1.js"' in answer.text
        assert '<meta name="prefix" content="/music">' in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert (await service.http.get("/music/ui/assets/index-Ab1.js")).status_code == 200
    assert (await service.http.get("/music/ui")).headers["location"] == "/music/ui/"


async def test_no_script_and_no_style_in_the_page_is_run_but_those_of_this_answer(service: Service) -> None:
    nonces = set()
    for _ in range(2):
        answer = await service.http.get("/ui/")
        policy = answer.headers["content-security-policy"]
        [nonce] = re.findall("'nonce-([^']+)'", policy)
        assert answer.text.count(f'nonce="{nonce}"') == 2
        assert "unsafe" not in policy
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        nonces.add(nonce)
    assert len(nonces) == 2


async def test_a_page_that_is_kept_stays_under_the_policy_it_was_written_for(
    service: Service, tmp_path: Path
) -> None:
    first = await service.http.get("/ui/")
    tag, policy = first.headers["etag"], first.headers["content-security-policy"]
    kept = await service.http.get("/ui/history", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (kept.status_code, kept.content) == (304, b"")
    assert (kept.headers["etag"], kept.headers["content-security-policy"]) == (tag, policy)
    for nonsense in (tag[:-3] + '"', tag.replace(".", ".' 'unsafe-inline'"), "*"):
        assert (await service.http.get("/ui/", headers={"If-None-Match": nonsense})).status_code == 200
    (tmp_path / "static" / "index.html").write_text(INDEX + "<p>An update</p>", encoding="utf-8")
    updated = await service.http.get("/ui/", headers={"If-None-Match": tag})
    assert updated.status_code == 200
    assert updated.headers["content-security-policy"] != policy


@pytest.mark.parametrize(
    ("accepted", "encoding", "length"),
    [
        ("gzip, deflate, br", "br", 6),
        ("gzip", "gzip", len(gzip.compress(SCRIPT))),
        ("br;q=0, gzip;q=0.5", "gzip", len(gzip.compress(SCRIPT))),
        ("identity", None, len(SCRIPT)),
    ],
)
async def test_files_come_packed_as_the_browser_likes_and_keep_for_ever(
    service: Service, accepted: str, encoding: str | None, length: int
) -> None:
    async with service.http.stream(
        "GET", "/ui/assets/index-Ab1.js", headers={"Accept-Encoding": accepted}
    ) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert len(raw) == length
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    asked = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": accepted}
    assert (await service.http.get("/ui/assets/index-Ab1.js", headers=asked)).status_code == 304


async def test_nothing_but_the_pages_own_files_is_served(service: Service) -> None:
    assert (await service.http.get("/ui/manifest.webmanifest")).status_code == 200
    for name in (*NASTY, "absent-Ab1.js"):
        for place in ("/ui/", "/ui/assets/"):
            answer = await service.http.get(f"{place}{name}")
            if answer.status_code != 200 or answer.headers["content-type"] != "text/html; charset=utf-8":
                assert_problem(answer, 404)


async def test_without_a_built_page_the_service_says_how_to_build_it(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FOLDER", tmp_path / "nothing")
    answer = await service.http.get("/ui/")
    assert answer.status_code == 200
    assert "make setup" in answer.text
    assert (await service.http.get("/health/live")).status_code == 200
