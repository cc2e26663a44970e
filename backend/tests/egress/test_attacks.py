# ruff: noqa: RUF001 - characters that look like others are what some of these URLs are about
"""Many ways to make a fetch connect somewhere, times every way to write where: nobody is ever reached."""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests import media
from tests.egress.canary import Canary, lying
from tests.egress.conftest import SOURCE_ONLY
from tests.source import Answer, Source

from music_downloader.egress.gate import Gate
from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import FetchOrder, PictureOrder
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
AT_ONCE = 4
HLS = "application/vnd.apple.mpegurl"
MPD = "application/dash+xml"
PLAIN = "http://127.0.0.2:{port}/a.mp3"
# The canary listens on every address of the machine; none of these is the source's.
FORMS = [
    PLAIN,
    "https://127.0.0.2:{port}/a.mp3",
    "ftp://127.0.0.2:{port}/a.mp3",
    "http://2130706434:{port}/a.mp3",
    "http://0x7f000002:{port}/a.mp3",
    "http://0x7f.0.0.2:{port}/a.mp3",
    "http://0177.0.0.2:{port}/a.mp3",
    "http://017700000002:{port}/a.mp3",
    "http://127.2:{port}/a.mp3",
    "http://0:{port}/a.mp3",
    "http://0.0.0.0:{port}/a.mp3",
    "http://%31%32%37.0.0.2:{port}/a.mp3",
    "http://１２７.0.0.2:{port}/a.mp3",
    "http://127。0。0。2:{port}/a.mp3",
    "http://[::1]:{port}/a.mp3",
    "http://[::]:{port}/a.mp3",
    "http://[::ffff:127.0.0.2]:{port}/a.mp3",
    "http://[::ffff:7f00:2]:{port}/a.mp3",
    "http://[::127.0.0.2]:{port}/a.mp3",
    "http://[::ffff:0:127.0.0.2]:{port}/a.mp3",
    "http://[64:ff9b::127.0.0.2]:{port}/a.mp3",
    "http://[64:ff9b:1::127.0.0.2]:{port}/a.mp3",
    "http://[2002:7f00:2::]:{port}/a.mp3",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffd]:{port}/a.mp3",
    "http://[2606:4700::5efe:127.0.0.2]:{port}/a.mp3",
    "http://[::1%25lo]:{port}/a.mp3",
    "http://127.0.0.1@127.0.0.2:{port}/a.mp3",
    "http://127.0.0.1:80@127.0.0.2:{port}/a.mp3",
    "http://127.0.0.2:{port}#@127.0.0.1/a.mp3",
    "http://127.0.0.2:{port}\\@127.0.0.1/a.mp3",
    "http://canary.test:{port}/a.mp3",
    "https://canary.test:{port}/a.mp3",
    "http://CANARY.TEST.:{port}/a.mp3",
    "http://six.test:{port}/a.mp3",
    "http://many.test:{port}/a.mp3",
    "http://localhost:{port}/a.mp3",
]
Attack = Callable[[Source, str, str], str]


def redirect(status: int) -> Attack:
    return lambda source, path, target: source.redirect(f"{path}/r.mp3", target, status)


def two_redirects(source: Source, path: str, target: str) -> str:
    return source.redirect(f"{path}/one.mp3", source.redirect(f"{path}/two.mp3", target, 307), 302)


def playlist(*lines: str, ending: str = "#EXT-X-ENDLIST") -> Attack:
    """An HLS playlist; {target} is the victim, {part} a segment of the source's own."""

    def attack(source: Source, path: str, target: str) -> str:
        part = source.file(f"{path}/part.ts", media.make("ts"))
        longest = () if "STREAM-INF" in lines[0] else ("#EXT-X-TARGETDURATION:3",)
        text = "\n".join(["#EXTM3U", "#EXT-X-VERSION:7", *longest, *lines, ending, ""])
        return source.body(f"{path}/a.m3u8", text.format(target=target, part=part).encode(), HLS)

    return attack


def dash(template: str) -> Attack:
    def attack(source: Source, path: str, target: str) -> str:
        own = source.file(f"{path}/part.m4s", media.make("fragmented.m4a"), "audio/mp4")
        body = template.format(target=target.replace("&", "&amp;"), own=own)
        manifest = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT3S" profiles="urn:mpeg:dash:profile:full:2011"><Period>'
            '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="96000" codecs="mp4a.40.2">'
            f"{body}</Representation></AdaptationSet></Period></MPD>"
        )
        return source.body(f"{path}/a.mpd", manifest.encode(), MPD)

    return attack


def disguised(source: Source, path: str, target: str) -> str:
    """A playlist that says it is an MP3."""
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n"
    return source.body(f"{path}/song.mp3", text.encode(), "audio/mpeg")


KEY = '#EXT-X-KEY:METHOD={method},URI="{{target}}"'
ATTACKS: dict[str, Attack] = {
    "direct": lambda _source, _path, target: target,
    **{f"redirect {status}": redirect(status) for status in (301, 302, 303, 307, 308)},
    "two redirects": two_redirects,
    "og:audio": lambda source, path, target: source.open_graph_page(f"{path}/p", target),
    "JSON-LD": lambda source, path, target: source.json_ld_page(f"{path}/p", target),
    "players": lambda source, path, target: source.album_page(f"{path}/p", [target]),
    "meta refresh": lambda source, path, target: source.page(
        f"{path}/p", f'<meta http-equiv="refresh" content="0; url={target}">'
    ),
    "feed": lambda source, path, target: source.feed(f"{path}/f.xml", [target]),
    "XSPF": lambda source, path, target: source.xspf(f"{path}/f.xspf", [("A Song", target)]),
    "HLS segment": playlist("#EXTINF:3,", "{target}"),
    "HLS later segment": playlist("#EXTINF:3,", "{part}", "#EXTINF:3,", "{target}"),
    "HLS key": playlist(KEY.format(method="AES-128"), "#EXTINF:3,", "{part}"),
    "HLS sample key": playlist(KEY.format(method="SAMPLE-AES"), "#EXTINF:3,", "{part}"),
    "HLS map": playlist('#EXT-X-MAP:URI="{target}"', "#EXTINF:3,", "{part}"),
    "HLS variant": playlist("#EXT-X-STREAM-INF:BANDWIDTH=96000", "{target}", ending=""),
    "HLS live": playlist("#EXT-X-MEDIA-SEQUENCE:7", "#EXTINF:3,", "{target}", ending=""),
    "DASH base": dash("<BaseURL>{target}</BaseURL>"),
    "DASH segment": dash(
        '<SegmentList duration="3"><Initialization sourceURL="{own}"/>'
        '<SegmentURL media="{target}"/></SegmentList>'
    ),
    "DASH initialization": dash(
        '<SegmentList duration="3"><Initialization sourceURL="{target}"/>'
        '<SegmentURL media="{own}"/></SegmentList>'
    ),
    "disguised playlist": disguised,
}
# These end before anybody is asked: by the URL, by the kind of stream, or because yt-dlp sees no link there.
NEVER_FOLLOWED = {"HLS sample key", "HLS live", "disguised playlist"}


async def attempt(engine: Engine, url: str, folder: Path, policy: EgressPolicy) -> DownloadFailedError | None:
    folder.mkdir()  # noqa: ASYNC240 - a moment
    order = FetchOrder(url=url, directory=folder, policy=policy, deadline=20)
    try:
        await engine.fetch(order, on_progress=lambda _: None)
    except DownloadFailedError as error:
        return error
    return None


@pytest.mark.parametrize("name", ATTACKS)
async def test_nobody_is_reached(
    engine: Engine, source: Source, canary: Canary, tmp_path: Path, name: str
) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, form: str) -> None:
        async with at_once:
            url = ATTACKS[name](source, f"/{number}", form.format(port=canary.port))
            error = await attempt(engine, url, tmp_path / str(number), SOURCE_ONLY)
        if name not in NEVER_FOLLOWED:
            assert error, form
            assert error.code is not ErrorCode.INTERNAL, (form, error)
        if form == PLAIN and name not in {*NEVER_FOLLOWED, "meta refresh"}:
            assert error
            assert error.code is ErrorCode.BLOCKED_ADDRESS, error

    await asyncio.gather(*itertools.starmap(one, enumerate(FORMS)))
    assert canary.visits == 0


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - NEVER_FOLLOWED))
async def test_the_attack_would_reach_somebody_who_may_be_reached(
    engine: Engine, source: Source, canary: Canary, tmp_path: Path, name: str
) -> None:
    url = ATTACKS[name](source, "/0", PLAIN.format(port=canary.port))
    allowing = EgressPolicy(allowed=(ip_network("127.0.0.0/8"),))
    await attempt(engine, url, tmp_path / "0", allowing)
    assert canary.visits > 0


@pytest.mark.parametrize("redirected", [False, True])
async def test_a_picture_leads_nobody_astray(
    engine: Engine, source: Source, canary: Canary, tmp_path: Path, redirected: bool
) -> None:
    for number, form in enumerate(FORMS):
        target = form.format(port=canary.port)
        url = source.redirect(f"/{number}.jpg", target) if redirected else target
        order = PictureOrder(url=url, directory=tmp_path, policy=SOURCE_ONLY)
        with pytest.raises(DownloadFailedError):
            await engine.fetch_picture(order)
    assert canary.visits == 0


@contextmanager
def other_addresses(port: int) -> Iterator[list[Canary]]:
    """Listen on the source's port of other addresses: of IPv6 too where this machine has it."""
    with ExitStack() as stack:
        canaries = [stack.enter_context(Canary("127.0.0.2", port))]
        if socket.has_dualstack_ipv6():
            canaries.append(stack.enter_context(Canary("::1", port)))
        yield canaries


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("later", ["127.0.0.2", "::1", "::ffff:127.0.0.2", "10.0.0.1", "169.254.169.254"])
async def test_a_name_that_is_bound_anew_leads_nowhere(source: Source, tmp_path: Path, later: str) -> None:
    source.file("/a.mp3", media.make("mp3"))
    page = f"http://rebound.test:{source.port}"
    source.open_graph_page("/page", f"{page}/a.mp3")
    with other_addresses(source.port) as canaries:
        async with Engine(gate=Gate(lying({"rebound.test": [["127.0.0.1"], [later]]}))) as engine:
            error = await attempt(engine, f"{page}/page", tmp_path / "0", SOURCE_ONLY)
        assert error
        assert error.code is ErrorCode.BLOCKED_ADDRESS
        assert [canary.visits for canary in canaries] == [0] * len(canaries)
    assert [request.path for request in source.requests] == ["/page"]


@pytest.mark.usefixtures("quick")
async def test_of_several_addresses_only_the_permitted_are_tried(tmp_path: Path, source: Source) -> None:
    source.file("/a.mp3", media.make("mp3"))
    mixed = {"mixed.test": [["127.0.0.2", "::1", "127.0.0.1"]]}
    with other_addresses(source.port) as canaries:
        async with Engine(gate=Gate(lying(mixed))) as engine:
            url = f"http://mixed.test:{source.port}/a.mp3"
            assert await attempt(engine, url, tmp_path / "0", SOURCE_ONLY) is None
        assert [canary.visits for canary in canaries] == [0] * len(canaries)


async def test_proxies_in_the_environment_change_nothing(
    source: Source, canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"http://127.0.0.2:{canary.port}"
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, elsewhere)
        monkeypatch.setenv(name.upper(), elsewhere)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NO_PROXY", "*")
    async with Engine() as engine:
        url = source.file("/a.mp3", media.make("mp3"))
        assert await attempt(engine, url, tmp_path / "0", SOURCE_ONLY) is None
        error = await attempt(engine, PLAIN.format(port=canary.port), tmp_path / "1", SOURCE_ONLY)
    assert error
    assert error.code is ErrorCode.BLOCKED_ADDRESS
    assert canary.visits == 0


async def test_a_source_can_not_pass_off_an_answer_as_the_proxys(
    engine: Engine, source: Source, tmp_path: Path
) -> None:
    url = source.route("/a.mp3", lambda _: Answer(status=403, headers={"X-Egress": "blocked"}, body=b"no"))
    error = await attempt(engine, url, tmp_path / "0", SOURCE_ONLY)
    assert error
    assert error.code is ErrorCode.LOGIN_REQUIRED
