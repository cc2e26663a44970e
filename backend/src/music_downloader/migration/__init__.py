"""Bringing a database to the shape this version needs."""

from music_downloader.migration.run import is_current, upgrade, upgrade_when_reachable

__all__ = ["is_current", "upgrade", "upgrade_when_reachable"]
