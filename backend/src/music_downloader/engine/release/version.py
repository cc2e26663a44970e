"""yt-dlp's versions, which are dates: 2026.10.26, and 2026.11.20.232843.dev0 between two of them."""

import re
from datetime import date
from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "yt-dlp"
_FORM = re.compile(r"(\d{4})\.(\d{1,2})\.(\d{1,2})(?:\.(\d{1,6}))?(?:\.?(?:dev|post|rc)\d{1,9})?", re.ASCII)


def is_version(text: str) -> bool:
    """Tell whether this is one, and so safe as a folder's name and for pip."""
    return _FORM.fullmatch(text) is not None


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by; anything else comes before all of them."""
    found = _FORM.fullmatch(version)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def released(version: str) -> date | None:
    """Return the day of a version."""
    try:
        year, month, day, *_ = order(version)
        return date(year, month, day)
    except ValueError:
        return None


def built_in() -> str:
    """Return the version that came with the service, without importing it; empty where there is none."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""
