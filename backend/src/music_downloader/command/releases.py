"""What `nas-music engine` does: which yt-dlp this installation has, a newer one, the one before."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from music_downloader.config.logging import configure_logging
from music_downloader.config.settings import Settings, load_settings
from music_downloader.engine.release.store import Store
from music_downloader.engine.release.update import Updated, roll_back, update
from music_downloader.engine.release.version import is_version
from music_downloader.errors import EngineUpdateError
from music_downloader.postgres.running import is_installed
from music_downloader.service import health

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def take(*, nightly: bool, version: str | None, hashes: Sequence[str]) -> Updated:
    """Install a newer yt-dlp, or this very version; EngineUpdateError where that can't be."""
    if version is not None and not is_version(version):
        raise EngineUpdateError("--version is a version of yt-dlp, like 2026.11.20.")
    if hashes and (version is None or not all(_HASH.fullmatch(each) for each in hashes)):
        raise EngineUpdateError("--hash goes with --version, and is sha256: and 64 digits from 0-9 and a-f.")
    settings = _settings()
    if not settings.data_directory.is_dir():
        raise EngineUpdateError(f"There is no data folder at {settings.data_directory}; set DATA_DIRECTORY.")
    return asyncio.run(
        update(Store(settings.data_directory), nightly=nightly, version=version, hashes=hashes)
    )


def status() -> Iterator[str]:
    """Say which yt-dlp is in use, and what was given up."""
    settings = _settings()
    yield health.yt_dlp(settings.data_directory, settings.engine_updates).detail
    ledger = Store(settings.data_directory).ledger()
    if ledger.fault:
        yield f"The last update failed: {ledger.fault}"
    for version, reason in ledger.rejected.items():
        yield f"Not taken again by itself: {version} ({reason})"


def go_back() -> str:
    """Go back to the version before, and return it."""
    return roll_back(Store(_settings().data_directory))


def _settings() -> Settings:
    """Return the settings; where `make run` keeps its data below this folder, of that installation."""
    settings = load_settings()
    configure_logging(level="error", log_format=settings.log_format)
    here = Path.cwd()
    if settings.names_a_database or not is_installed(here / ".data"):
        return settings
    return load_settings({"output_directory": here / "downloads", "data_directory": here / ".data"})
