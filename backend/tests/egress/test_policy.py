# ruff: noqa: RUF001 - characters that look like others are what some of these URLs are about
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.egress.policy import MAX_URL_LENGTH, EgressPolicy, networks
from music_downloader.errors import UrlRefusedError

PUBLIC = EgressPolicy()
LOOPBACK = EgressPolicy(allowed=networks(["127.0.0.0/8"]))

HOSTILE = [
    "",
    " ",
    "song.mp3",
    "//example.com/a.mp3",
    "file:///etc/passwd",
    "ftp://example.com/a.mp3",
    "gopher://example.com/",
    "data:audio/mpeg;base64,AAAA",
    "javascript:alert(1)",
    "ytsearch:anything",
    "http:example.com",
    "http:/example.com/a",
    "http:///a.mp3",
    "https://?q=1",
    "http://#x",
    "http://:80/",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://@example.com/",
    "http://127.0.0.1@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com\\@127.0.0.1/",
    "http:\\\\example.com\\a",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com/a\tb",
    "http://example.com/a\r\nHost: x",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\u2028",
    "http://example.com/\u200b",
    "http://example.com/\ud800",
    "http://exam\u00adple.com/\u00ad",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://example.com:-1/",
    "http://example.com:abc/",
    "http://example.com:/",
    "http://example.com:８０/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:1023/",
    "http://example.com:80:80/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://music.localhost/",
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://172.16.0.1/",
    "http://192.168.1.1:8080/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://256.256.256.256/",
    "http://1.2.3.4.5/",
    "http://08.1.1.1/",
    "http://%31%32%37.0.0.1/",
    "http://%6c%6f%63%61%6c%68%6f%73%74/",
    "http://127%2e0.0.1/",
    "http://example.com%2f@evil/",
    "http://example.com%00.evil.com/",
    "http://%2531%2532%2537.0.0.1/",
    "http://１２７.０.０.１/",
    "http://①②⑦.0.0.1/",
    "http://127。0。0。1/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2001:db8::1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[v1.fe80]/",
    "http://[::1/",
    "http://::1/",
    "http://a[::1]b/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata.google.internal./",
    "http://Metadata/",
    "http://exa\u212ample..com/",
    "http://-example.com/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 130 + "com/",
    "http://example.com/" + "a" * MAX_URL_LENGTH,
]
BENIGN = {
    "http://example.com": "http://example.com",
    "https://example.com/": "https://example.com/",
    "  https://example.com/a.mp3\n": "https://example.com/a.mp3",
    "HTTPS://EXAMPLE.COM/A.MP3": "https://example.com/A.MP3",
    "https://example.com./a": "https://example.com/a",
    "https://example.com:443/a": "https://example.com:443/a",
    "http://example.com:8080/a?b=c&d=%20e#t=10": "http://example.com:8080/a?b=c&d=%20e#t=10",
    "https://www.youtube.com/watch?v=abc_-123&list=x": "https://www.youtube.com/watch?v=abc_-123&list=x",
    "https://artist.bandcamp.com/track/x": "https://artist.bandcamp.com/track/x",
    "https://example.com/@someone/a": "https://example.com/@someone/a",
    "https://example.com/a?u=http://x:y@z/": "https://example.com/a?u=http://x:y@z/",
    "https://bücher.example/a": "https://xn--bcher-kva.example/a",
    "https://例え.jp/曲": "https://xn--r8jz45g.jp/曲",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "https://a_b.example.com/": "https://a_b.example.com/",
    "http://8.8.8.8/": "http://8.8.8.8/",
    "http://134744072/": "http://8.8.8.8/",
    "http://[2606:4700:4700::1111]:8080/": "http://[2606:4700:4700::1111]:8080/",
    "http://[::ffff:8.8.8.8]/": "http://[::ffff:808:808]/",
    "http://nas.local/a.mp3": "http://nas.local/a.mp3",
    "http://127.example.com/": "http://127.example.com/",
}


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_in_words_that_do_not_repeat_it(url: str) -> None:
    with pytest.raises(UrlRefusedError) as caught:
        PUBLIC.check_url(url)
    assert caught.value.detail.endswith(".")
    assert len(url.strip()) < 4 or url.strip() not in caught.value.detail


@pytest.mark.parametrize(("url", "normal"), BENIGN.items())
def test_a_benign_url_is_normalised_and_stays_so(url: str, normal: str) -> None:
    # An IPv4-mapped literal is a matter of spelling that differs between versions of Python.
    checked = PUBLIC.check_url(url).replace("::ffff:8.8.8.8", "::ffff:808:808")
    assert checked == normal
    assert PUBLIC.check_url(checked).replace("::ffff:8.8.8.8", "::ffff:808:808") == normal


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/", "http://localhost:8000/", "http://2130706433/", "http://[::ffff:127.0.0.1]/"],
)
def test_what_is_allowed_is_let_through(url: str) -> None:
    assert LOOPBACK.check_url(url)


def test_a_url_stays_within_the_limit_once_its_host_is_in_ascii() -> None:
    start = "http://\N{LATIN SMALL LETTER U WITH DIAERESIS}.example/"
    with pytest.raises(UrlRefusedError, match="longer than 2048"):
        EgressPolicy().check_url(start + "a" * (2048 - len(start)))


@pytest.mark.parametrize(
    ("host", "port", "target"),
    [
        ("Example.COM.", 443, "example.com"),
        ("[2606:4700::1]", 80, "2606:4700::1"),
        ("2606:4700::1", 8080, "2606:4700::1"),
        ("0x8.8.8.8", 80, "8.8.8.8"),
    ],
)
def test_a_target_is_named_as_it_is_dialled(host: str, port: int, target: str) -> None:
    assert PUBLIC.check_target(host, port) == target


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("example.com", 25),
        ("example.com", 0),
        ("::1", 80),
        ("[::1", 80),
        ("127.1", 80),
        ("", 80),
        ("a b", 80),
    ],
)
def test_a_hostile_target_is_refused(host: str, port: int) -> None:
    with pytest.raises(UrlRefusedError):
        PUBLIC.check_target(host, port)


def test_what_is_allowed_widens_nothing_else() -> None:
    assert not LOOPBACK.permits("10.0.0.1")
    assert not LOOPBACK.permits("::1")
    assert LOOPBACK.permits("127.9.9.9")
    assert EgressPolicy(allowed=networks(["fd00::/8"])).permits("fd12::1")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.1",
        "192.88.99.1",
        "203.0.113.9",
        "240.0.0.1",
        "::",
        "::1",
        "::8.8.8.8",
        "fe80::1%eth0",
        "3fff::1",
        "169.254.169.254",  # metadata: of nearly everybody, and then of those who do it otherwise
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::8.8.8.8",
        "2002:808:808::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:20::1",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:127.0.0.1",
        "4000::1",
        "::ffff:10.0.0.1",
        "x",
        "",
    ],
)
def test_a_special_address_is_not_dialled(address: str) -> None:
    assert not PUBLIC.permits(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "2606:4700::5efe:8.8.8.8"]
)
def test_a_public_address_is_dialled(address: str) -> None:
    assert PUBLIC.permits(address)
    assert PUBLIC.permits(ip_address(address))


@given(
    st.one_of(
        st.text(),
        st.text().map("http://{}".format),
        st.text(alphabet="0123456789abcdefx.:[]%/@").map("https://{}".format),
    )
)
def test_nothing_but_a_refusal_is_raised(text: str) -> None:
    with suppress(UrlRefusedError):
        assert PUBLIC.check_url(text).startswith(("http://", "https://"))


@given(st.ip_addresses())
def test_every_address_is_judged(address: IPv4Address | IPv6Address) -> None:
    assert PUBLIC.permits(address) == PUBLIC.permits(str(address))


def test_a_url_is_judged_in_well_under_a_millisecond() -> None:
    started = time.thread_time()
    for _ in range(1000):
        PUBLIC.check_url("https://artist.bandcamp.com/track/a-song?x=1")
    assert time.thread_time() - started < 0.5
