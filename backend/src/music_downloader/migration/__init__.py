"""Bringing a database to the shape this version needs."""

from music_downloader.migration.run import (
    OLDEST_POSTGRES,
    is_current,
    known_revisions,
    upgrade,
    upgrade_when_reachable,
)

__all__ = ["OLDEST_POSTGRES", "is_current", "known_revisions", "upgrade", "upgrade_when_reachable"]
