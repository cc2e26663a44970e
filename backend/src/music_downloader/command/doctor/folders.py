"""The library's disk or share, and the service's own folder."""

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from music_downloader.command.doctor.connections import session as opened
from music_downloader.command.doctor.connections import sessions
from music_downloader.command.doctor.finding import Finding, ok, problem, warning
from music_downloader.config.settings import Settings
from music_downloader.library import moving
from music_downloader.library.folders import OWN_FOLDER
from music_downloader.service import health, reconciliation

_MOST_NAMED = 10


async def storage(settings: Settings) -> Finding:
    """Look at the library as `/health` does."""
    async with sessions(settings) as sessionmaker:
        check = await health.storage(
            sessionmaker, library=settings.output_directory, min_free_space=settings.min_free_space
        )
    mend = "make room, or lower MIN_FREE_SPACE"
    if check.status is health.Condition.UNHEALTHY:
        mend = (
            f"see that the disk or share is mounted at {settings.output_directory}, and that the service's "
            "user may write there; if the music was moved or given up on purpose, run: nas-music adopt"
        )
    return Finding(status=check.status, detail=check.detail, mend=mend)


def filing(settings: Settings) -> Finding:
    """Try, in the library's own folder, what filing needs."""
    own = settings.output_directory / OWN_FOLDER
    if not own.is_dir():
        return ok("nothing to try it on before the first start")
    try:
        ways = [way.__name__.removeprefix("by_") for way in moving.WAYS if _works(own, way)]
        descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return problem(f"files can't be moved into place ({error.strerror})", "make the library writable")
    if not ways:
        return problem(
            "files can't be renamed without overwriting", "use a file system that can rename or link"
        )
    if ways[0] == "claim":
        return warning(
            "this share neither links nor refuses to overwrite",
            "it works; only let no other program write into the same folders at the same time",
        )
    return ok(f"files are moved into place by {ways[0]}, over nothing")


def _works(own: Path, way: Callable[[moving.Place, moving.Place], None]) -> bool:
    name = f"doctor.{secrets.token_hex(4)}"
    folder = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (own / name).write_bytes(b"\n")
        way(moving.Place(folder=folder, name=name), moving.Place(folder=folder, name=f"{name}.moved"))
    except OSError:
        return False
    finally:
        os.close(folder)
        for left in (own / name, own / f"{name}.moved"):
            left.unlink(missing_ok=True)
    return True


async def files(settings: Settings) -> Finding:
    """Name files that are known to have vanished."""
    async with opened(settings) as session:
        missing = await reconciliation.missing(session, most=_MOST_NAMED + 1)
    if not missing:
        return ok("none is known to have vanished; nas-music verify reads each of them")
    named = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
    return warning(f"vanished from the library: {named}", "put them back, or download them again")


def data(settings: Settings) -> Finding:
    """See that the service may write into its own folder, and has room there."""
    folder = settings.data_directory
    if not folder.exists():
        return ok(f"{folder} isn't there yet, and is made when it is needed")
    if not os.access(folder, os.W_OK | os.X_OK):
        return problem(f"{folder} can't be written to", f"give it to the service's user: chown … '{folder}'")
    free = shutil.disk_usage(folder).free
    if free < 100 * 1024**2:
        return warning(f"{free // 1024**2} MiB left at {folder}", "make room: the database needs it")
    return ok(f"{folder} can be written to")
