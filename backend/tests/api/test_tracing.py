"""Traces: a submission and all that the worker does for it are one, and nobody waits for the collector."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests import media
from tests.conftest import Serve
from tests.following import ended, submit, until, until_true
from tests.source import Source

from music_downloader.config.tracing import start_tracing
from music_downloader.errors import ConfigurationError


class Collector(ThreadingHTTPServer):
    """Takes spans, as one at home would."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.spans: list[Span] = []
        self.services: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.server.services.add(named["service.name"])
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        serving = threading.Thread(target=running.serve_forever, args=(0.05,))
        serving.start()
        yield running
        running.shutdown()
        serving.join()


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_a_submission_and_its_attempts_are_one_trace(
    serve: Serve, source: Source, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    service = await serve(embedded_worker=True, max_per_host=1, otel_exporter_otlp_endpoint=collector.address)
    alice = await service.sign_in()
    song = source.file("/song.mp3", media.make("mp3", title="A Song", artist="Somebody"))
    numbers = [await submit(alice, url) for url in (song, source.url("/missing.mp3?secret=hunter2"))]
    good, bad = [await ended(alice, number) for number in numbers]  # one waits for the other's place
    assert (good["status"], bad["error_code"]) == ("completed", "not_found")
    await service.http.get("/health")
    await service.http.get("/metrics")
    await service.http.get("/ui/", params={"url": "https://music.example/?token=hunter2"})

    async with alice.stream("GET", "/api/events"):
        pass
    await alice.get("/auth/me")  # spans come in their order: one of those before would be there

    async def is_told() -> bool:
        counts = {"download": 2, "POST /api/download": 2, "GET /auth/me": 1}
        return {name: len(collector.named(name)) for name in counts} == counts

    await until_true(is_told)
    assert collector.services == {"nas-music-downloader"}
    requests = collector.named("POST /api/download")
    told = {attributes(span)["nas_music.download.id"]: span for span in collector.named("download")}
    first, second = told[good["id"]], told[bad["id"]]
    assert {(span.trace_id, span.span_id) for span in requests} == {
        (span.trace_id, span.parent_span_id) for span in (first, second)
    }
    assert first.trace_id != second.trace_id
    assert attributes(first) == {
        "nas_music.download.id": good["id"],
        "nas_music.download.attempt": 1,
        "nas_music.download.format": "best",
        "nas_music.download.result": "completed",
    }
    assert attributes(second)["nas_music.download.result"] == "failed"
    assert attributes(second)["error.type"] == "not_found"
    phases = {span.name for span in collector.spans if span.parent_span_id == first.span_id}
    assert phases == {"resolving", "downloading", "filing"}
    within = [span for span in collector.spans if span.parent_span_id == first.span_id]
    assert all(first.start_time_unix_nano <= span.start_time_unix_nano for span in within)
    assert all(span.end_time_unix_nano <= first.end_time_unix_nano for span in within)
    routes = {attributes(span).get("http.route") for span in collector.spans}
    assert routes - {None} == {
        *("/auth/register", "/auth/login", "/auth/me"),
        *("/api/download", "/api/downloads/{download_id}"),
    }
    assert "hunter2" not in str(collector.spans)


async def test_the_tracks_of_a_list_and_what_is_cancelled_are_told_too(
    serve: Serve, source: Source, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    service = await serve(embedded_worker=True, otel_exporter_otlp_endpoint=collector.address)
    alice = await service.sign_in()
    titles = ("One", "Two")
    songs = [(title, source.file(f"/{title}.mp3", media.make("mp3", title=title))) for title in titles]
    album = await submit(alice, source.xspf("/album.xspf", songs))
    assert (await ended(alice, album))["status"] == "completed"
    slow = await submit(alice, source.dripping("/slow.mp3", media.make("mp3")))
    await until(alice, slow, lambda download: (download["progress"] or {}).get("phase") == "downloading")
    await alice.post(f"/api/downloads/{slow}/cancel")

    async def is_told() -> bool:
        return len(collector.named("download")) == 4

    await until_true(is_told)
    spans = collector.named("download")
    first, second = collector.named("POST /api/download")
    assert [span.parent_span_id for span in spans].count(first.span_id) == 3  # the list, and its tracks
    (cancelled,) = [span for span in spans if span.parent_span_id == second.span_id]
    assert "nas_music.download.result" not in attributes(cancelled)
    within = {span.name for span in collector.spans if span.parent_span_id == cancelled.span_id}
    assert within == {"resolving", "downloading"}


def test_nobody_waits_for_a_collector_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_downloader.config.tracing._LAST_WORD_SECONDS", 0.5)
    with socket.socket() as taken:  # it is bound, and never answers
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        tracing = start_tracing(f"http://127.0.0.1:{taken.getsockname()[1]}")
        begun = time.monotonic()
        for _ in range(3000):
            tracing.tracer.start_span("download").end()
        assert time.monotonic() - begun < 10
        begun = time.monotonic()
        tracing.end()
        assert time.monotonic() - begun < 10


def test_without_what_sends_traces_the_start_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match="build the image with REQUIREMENTS"):
        start_tracing("http://collector.example:4318")
    assert not start_tracing(None).is_on
