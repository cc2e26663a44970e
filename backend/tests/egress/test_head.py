"""The heads of messages: read strictly from clients, and rewritten without a way to smuggle."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.egress import head, verdict
from music_downloader.egress.verdict import Verdict


@pytest.mark.parametrize(
    ("raw", "host", "port", "path"),
    [
        (b"GET http://a.example/x?y=1#z HTTP/1.1\r\n\r\n", "a.example", 80, b"/x?y=1"),
        (b"GET HTTP://a.example:8080 HTTP/1.0\r\n\r\n", "a.example", 8080, b"/"),
        (b"GET http://a.example?q=1 HTTP/1.1\r\n\r\n", "a.example", 80, b"/?q=1"),
        (b"HEAD http://[2606:4700::1]:81/ HTTP/1.1\r\n\r\n", "[2606:4700::1]", 81, b"/"),
        (b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", "a.example", 443, b""),
        (b"CONNECT 2606:4700::1:443 HTTP/1.0\r\n\r\n", "2606:4700::1", 443, b""),
    ],
)
def test_a_request_names_its_host_and_port(raw: bytes, host: str, port: int, path: bytes) -> None:
    request = head.read_request(raw)
    assert (request.host, request.port, request.origin_form) == (host, port, path)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET http://a.example/ HTTP/1.1\r\nA: b\nHost: c\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET http://a.example/ HTTP/1.1\r\nA: \0\r\n\r\n",
        b"GET http://a.example/ b HTTP/1.1\r\n\r\n",
        b"GET http://a.example\\@b.example/ HTTP/1.1 \r\n\r\n",
        b"GET http://a@b.example/ HTTP/1.1\r\n\r\n",
        b"GET http://[::1]x/ HTTP/1.1\r\n\r\n",
        b"get http://a.example/ HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(head.MalformedError):
        head.read_request(raw)


def test_a_field_full_of_spaces_is_read_in_no_time() -> None:
    value = b"a" + b" " * 60_000 + b"b"
    begun = time.process_time()
    read = head.read_request(b"GET http://a.example/ HTTP/1.1\r\nCookie: \t" + value + b" \t\r\n\r\n")
    assert time.process_time() - begun < 1  # by way of back and forth it would be a minute
    assert read.fields == ((b"Cookie", value),)


def test_another_proxy_is_asked_in_absolute_form_and_shown_its_own_credential() -> None:
    raw = b"GET http://a.example:81/x HTTP/1.1\r\nHost: b\r\nProxy-Authorization: Basic b3Vyczpv\r\n\r\n"
    request = head.read_request(raw)
    assert request.credential == "ours:o"
    assert request.for_proxy(head.basic("me", "secret")) == (
        b"GET http://a.example:81/x HTTP/1.1\r\nHost: a.example:81\r\n"
        b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\nConnection: close\r\n\r\n"
    )
    assert b"Authorization" not in request.for_origin()


def test_the_framing_of_an_answer_is_never_dropped() -> None:
    raw = b"HTTP/1.1 200 OK\nConnection: transfer-encoding, x\nX: 1\n folded\nTransfer-Encoding: chunked\n\n"
    assert head.rewrite_answer(raw) == (
        200,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    )


def test_every_verdict_is_read_back_from_what_is_sent() -> None:
    for each in Verdict:
        first, *fields = verdict.answer(each).decode().split("\r\n")
        shown = dict(field.split(": ", 1) for field in fields if field)
        assert verdict.read(shown[verdict.HEADER]) is each
        _, status, reason = first.split(" ", 2)
        assert verdict.read_tunnel_failure(f"Tunnel connection failed: {status} {reason}") is each
    assert verdict.read(None) is verdict.read("no such word") is None
    assert verdict.read_tunnel_failure("Tunnel connection failed: 403 Forbidden") is None


@given(st.binary(max_size=300))
def test_no_head_ends_in_anything_but_a_refusal(raw: bytes) -> None:
    for read in (head.read_request, head.rewrite_answer):
        try:
            read(raw + b"\r\n\r\n")
        except (head.MalformedError, head.ForeignSchemeError):
            continue
