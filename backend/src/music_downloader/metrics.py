"""The metrics of this process, and the form in which Prometheus reads all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

MEDIA_TYPE = CONTENT_TYPE_LATEST
PREFIX = "nas_music_"
NO_ROUTE = "none"
_OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each one, that nobody asks for


class Requests:
    """Counts the requests of one application; what callers choose freely never becomes a label."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count = Counter(
            f"{PREFIX}http_requests",
            "Requests that this process has answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}http_request_seconds",
            "Seconds until the answer began",
            ("method", "route"),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, *, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one request; `route` is the template that it matched, `status` 0 where no answer began."""
        key = (method if method in _METHODS else _OTHER, route or NO_ROUTE, status)
        found = self._known.get(key)
        if found is None:
            counter = self._count.labels(key[0], key[1], str(status) if status else NO_ROUTE)
            found = self._known[key] = counter, self._seconds.labels(key[0], key[1])
        found[0].inc()
        found[1].observe(seconds)


@dataclass(kw_only=True, slots=True)
class Told:
    """Metrics that are read at the moment they are asked for."""

    families: list[Metric] = field(default_factory=list)

    def gauge(
        self, name: str, said: str, values: Iterable[tuple[Sequence[str], float]], labels: Sequence[str] = ()
    ) -> None:
        """Add what goes up and down."""
        self._add(GaugeMetricFamily(PREFIX + name, said, labels=labels), values)

    def counter(
        self, name: str, said: str, values: Iterable[tuple[Sequence[str], float]], labels: Sequence[str] = ()
    ) -> None:
        """Add what only grows; its name ends with `_total` then."""
        self._add(CounterMetricFamily(PREFIX + name, said, labels=labels), values)

    def summary(
        self, name: str, said: str, values: Iterable[tuple[str, int, float]], labels: Sequence[str]
    ) -> None:
        """Add how often something was, and its sum."""
        family = SummaryMetricFamily(PREFIX + name, said, labels=labels)
        for label, count, total in values:
            family.add_metric([label], count_value=count, sum_value=total)
        self.families.append(family)

    def _add(
        self,
        family: GaugeMetricFamily | CounterMetricFamily,
        values: Iterable[tuple[Sequence[str], float]],
    ) -> None:
        for labels, value in values:
            family.add_metric(labels, value)
        self.families.append(family)


class _Once(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(requests: Requests, told: Told) -> bytes:
    """Return everything in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Once(told.families))
    return generate_latest(requests.registry) + generate_latest(registry)
