"""NAS Music Downloader: URLs in, a well-kept music library out."""

from functools import cache

NAME = "nas-music-downloader"


@cache
def version() -> str:
    """Return the installed version; there is one place for it, the package's own metadata."""
    from importlib import metadata  # noqa: PLC0415 - slow, and every process of the engine comes by here

    return metadata.version(NAME)
