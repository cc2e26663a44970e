"""`nas-music engine`: the yt-dlp that fetches, and newer ones of it."""

import asyncio
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from music_downloader.config.logging import configure_logging
from music_downloader.config.settings import Settings, load_settings
from music_downloader.engine.release.store import Store
from music_downloader.engine.release.update import roll_back
from music_downloader.engine.release.update import update as take
from music_downloader.engine.release.version import is_version
from music_downloader.errors import EngineUpdateError
from music_downloader.postgres.running import is_installed
from music_downloader.service import health

_HASH = re.compile(r"sha256:[0-9a-f]{64}")

engine = typer.Typer(
    help="The yt-dlp that fetches: which it is, a newer one, the one before.", no_args_is_help=True
)


class Channel(StrEnum):
    """Which versions count."""

    STABLE = "stable"
    NIGHTLY = "nightly"


@engine.command()
def update(
    *,
    channel: Annotated[Channel, typer.Option(help="nightly takes what isn't released yet.")] = Channel.STABLE,
    version: Annotated[str | None, typer.Option(help="This very version.")] = None,
    hashes: Annotated[
        list[str] | None, typer.Option("--hash", help="With --version: sha256:… of its wheel.")
    ] = None,
) -> None:
    """Install a newer yt-dlp, once it has passed its trial; running downloads go on."""
    if version is not None and not is_version(version):
        raise EngineUpdateError("--version is a version of yt-dlp, like 2026.11.20.")
    if hashes and (version is None or not all(_HASH.fullmatch(each) for each in hashes)):
        raise EngineUpdateError("--hash goes with --version, and is sha256: and 64 digits from 0-9 and a-f.")
    settings = _settings()
    if not settings.data_directory.is_dir():
        raise EngineUpdateError(f"There is no data folder at {settings.data_directory}; set DATA_DIRECTORY.")
    done = asyncio.run(
        take(
            Store(settings.data_directory),
            nightly=channel is Channel.NIGHTLY,
            version=version,
            hashes=hashes or (),
        )
    )
    if done.is_new:
        typer.echo(f"yt-dlp {done.version} is installed; workers go over to it within seconds.")
    else:
        typer.echo(f"yt-dlp {done.version} is in use, and there is nothing newer to take.")


@engine.command()
def status() -> None:
    """Say which yt-dlp is in use, and what was given up."""
    settings = _settings()
    typer.echo(health.yt_dlp(settings.data_directory, settings.engine_updates).detail)
    ledger = Store(settings.data_directory).ledger()
    if ledger.fault:
        typer.echo(f"The last update failed: {ledger.fault}")
    for version, reason in ledger.rejected.items():
        typer.echo(f"Not taken again by itself: {version} ({reason})")


@engine.command()
def rollback() -> None:
    """Go back to the version before; workers do so within seconds."""
    typer.echo(f"yt-dlp {roll_back(Store(_settings().data_directory))} is in use again.")


def _settings() -> Settings:
    """Return the settings; where `make run` keeps its data below this folder, of that installation."""
    settings = load_settings()
    configure_logging(level="error", log_format=settings.log_format)
    here = Path.cwd()
    if settings.names_a_database or not is_installed(here / ".data"):
        return settings
    return load_settings({"output_directory": here / "downloads", "data_directory": here / ".data"})
