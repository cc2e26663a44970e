"""`nas-music verify` and `nas-music adopt`: the library's files, and whether it is the library."""

import asyncio
import hashlib
import os
import sys
from collections import Counter

import typer
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.command.installation import installation
from music_downloader.command.transaction import in_transaction
from music_downloader.config.settings import Settings
from music_downloader.engine.containment import step_back
from music_downloader.errors import ConfigurationError
from music_downloader.library import presence
from music_downloader.model.database import connect
from music_downloader.service import recognition, reconciliation
from music_downloader.service.reconciliation import Filed

_CHUNK = 1024 * 1024


def verify() -> None:
    """Compare every file with what was filed, at the lowest priority; exit code 1 when one differs."""
    step_back()
    with installation() as settings:
        differing, total = asyncio.run(_verify(settings))
    if not differing:
        typer.echo(f"All {total} files are as they were filed.")
        return
    said = ", ".join(f"{count} {word}" for word, count in sorted(differing.items()))
    typer.echo(f"{total} files, of which {said}.")
    raise typer.Exit(1)


def adopt() -> None:
    """Take the folder at OUTPUT_DIRECTORY for the library, whatever was there before."""

    async def take(session: AsyncSession, settings: Settings) -> None:
        await recognition.recognise(session, settings.output_directory, force=True)

    with installation() as settings:
        in_transaction(lambda session: take(session, settings), settings)
        typer.echo(f"{settings.output_directory} is the library now.")


async def _verify(settings: Settings) -> tuple[Counter[str], int]:
    root = settings.output_directory
    database = connect(settings.sqlalchemy_url, application_name="nas-music verify", pool_size=1)
    sessionmaker = async_sessionmaker(database)
    differing: Counter[str] = Counter()
    total = last = 0
    try:
        async with sessionmaker() as session:
            known = await recognition.known_name(session)
        if known is not None and presence.read_marker(root) != known:
            raise ConfigurationError(
                f"The library isn't there: {root} is empty or another folder. Mount it again; or, if the "
                "music was moved or given up on purpose, run: nas-music adopt"
            )
        while True:
            async with sessionmaker() as session:
                rows = await reconciliation.page(session, after=last)
            if not rows:
                return differing, total
            for filed in rows:
                last, total = filed.id, total + 1
                found = _compared(settings, filed)
                if found is not None:
                    word, sentence = found
                    differing[word] += 1
                    typer.echo(f"{word:<10} {filed.path}: {sentence}")
                elif sys.stderr.isatty() and total % 10 == 0:
                    typer.echo(f"\r{total} files read", nl=False, err=True)
    finally:
        await database.dispose()


def _compared(settings: Settings, filed: Filed) -> tuple[str, str] | None:
    """Return a word and a sentence on a file that differs; None for one that doesn't."""
    path = settings.output_directory / filed.path
    try:
        size = path.stat(follow_symlinks=False).st_size
        if size != filed.size:
            return "changed", f"it has {size} bytes, and had {filed.size} when it was filed"
        digest = _digest(str(path))
    except (FileNotFoundError, NotADirectoryError):
        return "missing", "it isn't there any more; download it again, or put it back"
    except OSError as error:
        return "unreadable", f"the disk says: {error.strerror}"
    if digest != filed.sha256:
        return "changed", "as large as before, but of other content: other tags, or a failing disk"
    return None


def _digest(path: str) -> str:
    """Digest a file, and leave in memory what others have there."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
        while piece := file.read(_CHUNK):
            digest.update(piece)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()
