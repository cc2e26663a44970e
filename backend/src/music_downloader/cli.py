"""The command `nas-music`: what can be asked of it. Each command loads what it needs when it is called.

To load everything takes seconds on a NAS, and `--help` needs none of it.
"""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from music_downloader import version
from music_downloader.command.engine import engine
from music_downloader.command.user import users
from music_downloader.errors import MusicDownloaderError

_NO_SUCH_TABLE = "42P01"

cli = typer.Typer(
    name="nas-music",
    help="Self-hosted music downloader: hand it a URL, find a tagged file in the music library.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.add_typer(users, name="user")
cli.add_typer(engine, name="engine")


def main() -> None:
    """Run the command; a fault that a person can mend is one sentence on standard error, and exit code 2."""
    try:
        cli()
    except MusicDownloaderError as error:
        sys.exit(_say(error.detail))
    except Exception as error:
        if sentence := _about_the_database(error):
            sys.exit(_say(sentence))
        raise


def _about_the_database(error: Exception) -> str | None:
    """Return what a person is told of a fault of the database's; None where it is another."""
    from sqlalchemy.exc import OperationalError, ProgrammingError

    if isinstance(error, OperationalError):
        return f"The database can't be reached: {' '.join(str(error.orig).split())[:300]}"
    if isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", "") == _NO_SUCH_TABLE:
        return "The database has no tables yet; run: nas-music migrate"
    return None


def _say(sentence: str) -> int:
    typer.echo(f"nas-music: {sentence}", err=True)
    return 2


@cli.callback(invoke_without_command=True)
def _root(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if show_version:
        typer.echo(version())
        raise typer.Exit


@cli.command()
def serve(
    *,
    standalone: Annotated[
        bool,
        typer.Option(
            help="Keep everything below this folder: music in ./downloads, data in ./.data, and a PostgreSQL "
            "of our own unless DATABASE_URL names one."
        ),
    ] = False,
    with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the API, and with EMBEDDED_WORKER the worker too."""
    from music_downloader.command.settings import checked_settings

    if with_parent:
        from music_downloader.engine.containment import die_with_parent

        die_with_parent(signal.SIGTERM)
    here = Path.cwd()
    proposed: dict[str, Any] = (
        {"output_directory": here / "downloads", "data_directory": here / ".data"} if standalone else {}
    )
    settings = checked_settings(proposed, signs=True)
    from music_downloader.command.web import serve_web

    serve_web(settings, standalone=standalone)


@cli.command()
def worker() -> None:
    """Run a worker on its own; as many as you like, on as many machines."""
    from music_downloader.command.settings import checked_settings

    settings = checked_settings()
    from music_downloader.command.working import work_on

    work_on(settings)


@cli.command()
def migrate() -> None:
    """Bring the database to the shape this version needs; safe to run at any time, and twice at once."""
    from music_downloader.command.installation import installation

    with installation() as settings:
        from music_downloader.migration import upgrade

        changed = upgrade(settings.sqlalchemy_url)
    typer.echo("The database has been brought up to date." if changed else "The database is up to date.")


@cli.command()
def cleanup(
    *,
    recount: Annotated[bool, typer.Option(help="Count all lists anew as well, from their rows.")] = False,
) -> None:
    """Remove expired tokens and counts, as the worker does every quarter of an hour."""
    from music_downloader.command import cleaning

    if recount:
        cleaning.recount()
        typer.echo("Counted every list anew.")
    typer.echo(f"Removed {cleaning.remove_expired()} expired tokens.")


@cli.command()
def doctor() -> None:
    """Look at everything that the service needs; exit code 1 when something doesn't work."""
    from music_downloader.command.doctor import examine

    examine()


@cli.command()
def verify() -> None:
    """Read every file of the library and compare it with what was filed; exit code 1 when one differs.

    Nothing is changed. It runs at the lowest priority, so that music goes on playing meanwhile.
    """
    from music_downloader.command import library

    library.verify()


@cli.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; - for standard output")],
    *,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the key that signs tokens into it, which is a secret.")
    ] = False,
) -> None:
    """Write all that the database knows into one file, as of one moment, while the service goes on.

    The music itself isn't in it: back the library up as you do other files.
    """
    from music_downloader.command import backup

    backup.backup(file, with_key=with_key)


@cli.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What nas-music backup has written")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give up what is in the database now; asks first.")
    ] = False,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Take the key out of the backup, too.")
    ] = False,
) -> None:
    """Put a backup into a database that nobody is using; everything is there afterwards, or nothing changed.

    Everybody has to log in again.
    """
    from music_downloader.command import backup

    backup.restore(file, replace=replace, with_key=with_key)


@cli.command()
def adopt() -> None:
    """Take the folder at OUTPUT_DIRECTORY for the library, although it isn't the one that was there before.

    For when the music has been moved or given up on purpose. Nothing in it is changed.
    """
    from music_downloader.command import library

    library.adopt()
