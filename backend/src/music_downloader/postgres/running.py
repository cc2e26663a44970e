"""The embedded PostgreSQL that another process of this installation is running."""

import fcntl
import os
import time
from pathlib import Path

from music_downloader.errors import ConfigurationError
from music_downloader.postgres import folder
from music_downloader.postgres.server import url_of

_START_SECONDS = 20.0


def is_installed(data_directory: Path) -> bool:
    """Whether there is an embedded PostgreSQL in a data folder, running or not."""
    try:
        return (data_directory / "postgres" / "password").exists()
    except PermissionError:
        return True


def running_url(data_directory: Path) -> str | None:
    """Return how to reach the server that is running in `data_directory`; None if none is.

    The password is in a file that only the service's own user can read, so whoever isn't that user gets a
    ConfigurationError.
    """
    home = data_directory / "postgres"
    try:
        if not _is_owned(home):
            return None
        secret = folder.password(home)
        deadline = time.monotonic() + _START_SECONDS
        while (port := folder.port_of(home / "pgdata")) is None:
            if time.monotonic() > deadline:
                raise ConfigurationError(f"PostgreSQL in {home} is not ready; see {home / 'postgres.log'}.")
            time.sleep(0.1)
    except PermissionError as error:
        raise ConfigurationError(
            f"The database in {home} belongs to somebody else; run this as the user who runs the service."
        ) from error
    return url_of(password=secret, port=port)


def _is_owned(home: Path) -> bool:
    """Whether a running service has locked the folder."""
    try:
        lock = os.open(home / "lock", os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
