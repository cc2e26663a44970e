"""`nas-music engine`: the yt-dlp that fetches, and newer ones of it."""

from enum import StrEnum
from typing import Annotated

import typer

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
    from music_downloader.command import releases

    done = releases.take(nightly=channel is Channel.NIGHTLY, version=version, hashes=hashes or ())
    if done.is_new:
        typer.echo(f"yt-dlp {done.version} is installed; workers go over to it within seconds.")
    else:
        typer.echo(f"yt-dlp {done.version} is in use, and there is nothing newer to take.")


@engine.command()
def status() -> None:
    """Say which yt-dlp is in use, and what was given up."""
    from music_downloader.command import releases

    for line in releases.status():
        typer.echo(line)


@engine.command()
def rollback() -> None:
    """Go back to the version before; workers do so within seconds."""
    from music_downloader.command import releases

    typer.echo(f"yt-dlp {releases.go_back()} is in use again.")
