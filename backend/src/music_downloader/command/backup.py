"""`nas-music backup` and `nas-music restore`: everything that the database knows, as one file."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import typer

from music_downloader.backup.archive import Archive
from music_downloader.backup.dump import dump
from music_downloader.backup.manifest import KEY_MEMBER, Manifest
from music_downloader.backup.restore import refuse_newer
from music_downloader.backup.restore import restore as restore_archive
from music_downloader.command.installation import installation
from music_downloader.config.secret import KEY_FILE, MIN_KEY_BYTES, keep_key, signing_key
from music_downloader.config.settings import PLACEHOLDER_SECRET_KEY, Settings
from music_downloader.errors import BackupError, InvalidBackupError

_PIPE = Path("-")
_KEY_LIMIT = 4096
_CONSENT = "replace"


def backup(file: Path, *, with_key: bool = False) -> None:
    """Write a backup to `file`, or to standard output for `-`; with the key only on request."""
    with installation() as settings, _ended_in_order(), _target(file) as target:
        key = signing_key(settings) if with_key else None
        manifest = dump(settings.sqlalchemy_url, target, key=key)
    key_too = ", with the key" if manifest.key else ""
    typer.echo(f"Backed up {_summary(manifest)}{key_too}. The music itself isn't in it.", err=file == _PIPE)


def restore(file: Path, *, replace: bool = False, with_key: bool = False) -> None:
    """Put a backup into the database; `replace` gives up what is there now, once a person has agreed."""
    with installation() as settings, Archive.open(file) as archive:
        refuse_newer(archive.manifest)
        archive.check()
        key = _key_of(archive, settings, replace=replace) if with_key else None
        if replace:
            _ask(archive.manifest)
        with nullcontext() if key is None else keep_key(settings.data_directory, key):
            restore_archive(settings.sqlalchemy_url, archive, replace=replace)
    typer.echo(
        f"Restored {_summary(archive.manifest)}. Everybody logs in again. To compare the library with what "
        "the database knows now: nas-music verify"
    )


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Take a request to stop for Ctrl-C: the query is cancelled, and the half file removed.

    Whatever it breaks on its way out, a connection in the middle of something for one, is no fault.
    """
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        logging.disable()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception as error:
        if asked:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        logging.disable(logging.NOTSET)


def _summary(manifest: Manifest) -> str:
    rows = {table.name: table.rows for table in manifest.tables}
    counted = ", ".join(
        f"{word} {rows.get(name, 0)}"
        for name, word in (
            ("users", "accounts"),
            ("download_history", "downloads"),
            ("tracks", "tracks"),
            ("audit_logs", "audit entries"),
        )
    )
    return f"the database as of {manifest.made_at:%Y-%m-%d %H:%M} UTC ({counted})"


def _ask(manifest: Manifest) -> None:
    typer.echo(f"All that is in the database now is given up, for {_summary(manifest)}.", err=True)
    said = typer.prompt(f'Type "{_CONSENT}" to go on', err=True, default="", show_default=False)
    if said.strip() != _CONSENT:
        raise BackupError("Nothing has been changed.")


def _key_of(archive: Archive, settings: Settings, *, replace: bool) -> str:
    """Return the key of a backup, if it may be put where this installation keeps its own."""
    part = archive.manifest.key
    if part is None:
        raise BackupError("There is no key in this backup; leave --with-key out. Nothing has been changed.")
    if settings.secret_key.get_secret_value() != PLACEHOLDER_SECRET_KEY:
        raise BackupError(
            "SECRET_KEY is set, and would win over the backup's; unset it, or leave --with-key out."
        )
    if part.size > _KEY_LIMIT:
        raise InvalidBackupError("The backup is damaged: its key is too long. Nothing has been changed.")
    key = b"".join(archive.read(KEY_MEMBER)).decode(errors="replace")
    if len(key.encode()) < MIN_KEY_BYTES:
        raise InvalidBackupError("The backup is damaged: its key is too short. Nothing has been changed.")
    kept = settings.data_directory / KEY_FILE
    if kept.exists() and not replace and signing_key(settings) != key:
        raise BackupError(
            f"There is another key in {kept}; it is only given up with --replace. Nothing has been changed."
        )
    return key


@contextmanager
def _target(file: Path) -> Iterator[IO[bytes]]:
    """Open what is written to: a file appears whole or not at all, and for its owner's eyes only."""
    try:
        if file == _PIPE:
            if sys.stdout.isatty():
                raise BackupError("A backup isn't for the eye: name a file, or send it into a pipe.")
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        if file.is_dir():
            raise BackupError(f"{file} is a folder; name a file in it.")
        with _beside(file) as target:
            yield target
    except OSError as error:
        if file == _PIPE:
            with suppress(OSError):  # so that the interpreter doesn't try once more at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BackupError(f"The backup can't be written to {file}: {error.strerror or error}.") from error


@contextmanager
def _beside(file: Path) -> Iterator[IO[bytes]]:
    descriptor, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
    folder = os.open(file.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some shares can't
            os.fsync(folder)
    finally:
        os.close(folder)
