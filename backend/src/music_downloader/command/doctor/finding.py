"""What was found about one part of an installation."""

from dataclasses import dataclass

from music_downloader.service.health import Condition


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found about one part, and how to mend it where it needs mending."""

    status: Condition
    detail: str
    mend: str = ""


def ok(detail: str) -> Finding:
    """Say that all is well with it."""
    return Finding(status=Condition.HEALTHY, detail=detail)


def warning(detail: str, mend: str) -> Finding:
    """Say that it works, less well than it might."""
    return Finding(status=Condition.DEGRADED, detail=detail, mend=mend)


def problem(detail: str, mend: str) -> Finding:
    """Say that it doesn't work."""
    return Finding(status=Condition.UNHEALTHY, detail=detail, mend=mend)
