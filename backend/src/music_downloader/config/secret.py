"""The key that signs tokens: the operator's, or one made once and kept with the service's data."""

import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from music_downloader.config.safety import check_kept_secret
from music_downloader.config.settings import PLACEHOLDER_SECRET_KEY, Settings
from music_downloader.errors import ConfigurationError

MIN_KEY_BYTES = 32
KEY_FILE = "secret.key"


def signing_key(settings: Settings) -> str:
    """Return the key for HS256.

    The placeholder never signs: with it, a random key of 64 hexadecimal digits is made once, kept in
    DATA_DIRECTORY with mode 0600, and found again at every later start.
    """
    return given_key(settings) or _kept_key(settings.data_directory)


def given_key(settings: Settings) -> str | None:
    """Return the operator's own key, if there is one. Raises ConfigurationError where it is too short."""
    key = settings.secret_key.get_secret_value()
    if key == PLACEHOLDER_SECRET_KEY:
        return None
    if len(key.encode()) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"SECRET_KEY is shorter than {MIN_KEY_BYTES} bytes; make one with: openssl rand -hex 32, "
            "or leave it out and one is made for you."
        )
    return key


def found_key(settings: Settings) -> str | None:
    """Return the key as `signing_key` does, where there is one; none is made."""
    is_kept = settings.secret_key.get_secret_value() == PLACEHOLDER_SECRET_KEY
    if is_kept and not (settings.data_directory / KEY_FILE).is_file():
        return None
    try:
        return signing_key(settings)
    except ConfigurationError:
        return None


@contextmanager
def keep_key(data_directory: Path, key: str) -> Iterator[None]:
    """Keep this key, in place of the one that may be there, once the block has ended well.

    It is written before: the block isn't begun where that fails. Raises ConfigurationError.
    """
    path = data_directory / KEY_FILE
    name = None
    try:
        with _told(path):
            data_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            name = _written(path, key)
            if os.geteuid() == 0:  # the service may be somebody else, and has to read it
                owner = data_directory.stat()
                os.chown(name, owner.st_uid, owner.st_gid)
        yield
        with _told(path):
            Path(name).replace(path)
    finally:
        if name is not None:
            Path(name).unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"The key can't be kept in {path}: {error.strerror}.") from error


def fingerprint(key: str) -> str:
    """Return what tells one key from another and nothing about it."""
    return hmac.digest(key.encode(), b"fingerprint", "sha256").hex()[:8]


def _kept_key(data_directory: Path) -> str:
    path = data_directory / KEY_FILE
    try:
        data_directory.mkdir(mode=0o755, parents=True, exist_ok=True)  # whatever the umask is
        if not path.exists():
            _make(path)
        check_kept_secret(path)
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"No SECRET_KEY is set, and the one kept in {data_directory} can't be made or read "
            f"({getattr(error, 'strerror', None) or 'it is damaged'}); make the folder writable "
            "or set SECRET_KEY."
        ) from error
    if len(key) < MIN_KEY_BYTES:
        raise ConfigurationError(f"The key in {path} is damaged; remove the file and a new one is made.")
    return key


def _make(path: Path) -> None:
    """Write a new key so that two starts at once agree on one of them."""
    name = _written(path, secrets.token_hex(32))
    try:
        try:
            os.link(name, path)  # never over a key that is there
        except FileExistsError:
            return
        except OSError:
            if not path.exists():  # a share without hard links
                Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _written(path: Path, key: str) -> str:
    """Write a key beside where it belongs, and return the file's name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{KEY_FILE}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return name
