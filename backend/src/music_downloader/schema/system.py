"""The service itself on the wire."""

from music_downloader.schema.base import Outgoing, example
from music_downloader.service.health import Condition


class ServiceRead(Outgoing):
    """What answers here, and where to go on."""

    name: str
    version: str
    status: str
    docs: str
    health: str


class CheckRead(Outgoing):
    """One part's condition, with a word of why."""

    status: Condition
    detail: str


class HealthRead(Outgoing):
    """The service's condition: that of its worst part."""

    model_config = example(
        {
            "status": "healthy",
            "service": "nas-music-downloader",
            "version": "1.0.0",
            "checks": {"database": {"status": "healthy", "detail": "It answers."}},
        }
    )

    status: Condition
    service: str
    version: str
    checks: dict[str, CheckRead]


class LiveRead(Outgoing):
    """The process answers."""

    status: str = "alive"
