"""NAS Music Downloader: URLs in, a well-kept music library out."""

from functools import cache
from importlib import metadata

NAME = "nas-music-downloader"


@cache
def version() -> str:
    """Return the installed version; there is one place for it, the package's own metadata."""
    return metadata.version(NAME)
