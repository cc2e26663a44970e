"""Traces for whoever runs an OpenTelemetry collector: requests, and the attempts that follow from them.

Without OTEL_EXPORTER_OTLP_ENDPOINT there are none, and what sends them is never loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracerProvider, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from music_downloader import version
from music_downloader.errors import ConfigurationError

_OURS: Final = "nas-music-downloader"
_SEND_SECONDS: Final = 3
_LAST_WORD_SECONDS: Final = 5.0
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_PARENT: Final = "traceparent"
_NOT_INSTALLED: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but what sends traces isn't installed: install the package with its "
    "extra `tracing`, or build the image with REQUIREMENTS=requirements-image-tracing.txt."
)


def _nothing() -> None:
    """Have nothing to end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracing:
    """Where this process' spans go; `is_on` where that is anywhere. `end` sends the last of them."""

    is_on: bool = False
    provider: TracerProvider = field(default_factory=NoOpTracerProvider)
    end: Callable[[], None] = _nothing

    @property
    def tracer(self) -> Tracer:
        """What makes spans of our own."""
        return self.provider.get_tracer(_OURS, version())


def start_tracing(endpoint: str | None) -> Tracing:
    """Begin to send spans to the collector at this address, if there is one; OTLP over HTTP.

    Of OpenTelemetry's other variables, those about names, headers, certificates, sampling and batches hold.
    Raises ConfigurationError where what sends them isn't installed.
    """
    if endpoint is None:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(_NOT_INSTALLED) from error
    resource = Resource.create({SERVICE_VERSION: version()})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # nobody has named it
        resource = resource.merge(Resource({SERVICE_NAME: _OURS}))
    provider = trace.TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def end() -> None:
        ending = Thread(target=provider.shutdown, daemon=True)  # it tries a collector that is away for long
        ending.start()
        ending.join(_LAST_WORD_SECONDS)

    return Tracing(is_on=True, provider=provider, end=end)


def traceparent_now() -> str | None:
    """Return the place in a trace that this task is at, in a form that can be kept (W3C Trace Context)."""
    carried: dict[str, str] = {}
    _PROPAGATOR.inject(carried)
    return carried.get(_PARENT)


def context_after(traceparent: str | None) -> Context:
    """Return the context of what follows from there; without one, of what begins a trace of its own."""
    return _PROPAGATOR.extract({_PARENT: traceparent} if traceparent else {}, Context())
