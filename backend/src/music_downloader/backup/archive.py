"""The file that a backup is: written in one go, into a pipe too, and looked through before it is believed."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from pydantic import ValidationError

from music_downloader.backup.manifest import (
    FORMAT,
    MANIFEST_LIMIT,
    MANIFEST_MEMBER,
    Format,
    Manifest,
    Part,
)
from music_downloader.errors import InvalidBackupError

_CHUNK = 256 * 1024
_LEVEL = 3  # a NAS has little time; the text of tables becomes small all the same
# COPY's text shrinks to a tenth or so; whatever claims to be this much larger than its file fills a disk.
_MOST_EXPANSION = 200
_SLACK = 64 * 1024 * 1024
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(OSError, ValueError, OverflowError),
)


class ArchiveWriter:
    """Writes members one after the other, and keeps none of them in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._zip.fp = None  # of one that was broken off, the end isn't written: it would look whole

    def add(self, name: str, content: Iterable[bytes | bytearray | memoryview]) -> Part:
        """Write a member of any size."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            for block in content:
                member.write(block)
                digest.update(block)
                size += len(block)
        return Part(size=size, sha256=digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, and the end that tells a whole archive from one that was cut short."""
        self.add(MANIFEST_MEMBER, [manifest.model_dump_json(indent=1).encode()])
        self._zip.close()


class Archive:
    """An archive to read from; nothing in it has been believed before `check`."""

    def __init__(self, path: Path, opened: zipfile.ZipFile, manifest: Manifest) -> None:
        self._path = path
        self._zip = opened
        self.manifest = manifest

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open it and read its manifest. Raises InvalidBackupError."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise InvalidBackupError(f"{path} can't be read: {error.strerror}.") from error
        with file:
            if not file.seekable():
                raise InvalidBackupError(f"{path} is a pipe; a backup is read twice, so it must be a file.")
            try:
                opened = zipfile.ZipFile(file)
            except _DAMAGE as error:
                raise InvalidBackupError(
                    f"{path} is no backup of this service, or was cut short; nothing has been changed."
                ) from error
            with opened:
                yield cls(path, opened, _manifest_of(path, opened))

    def check(self) -> None:
        """Read every member and compare it with the manifest; InvalidBackupError where one differs."""
        parts = self.manifest.parts
        names = [info.filename for info in self._zip.infolist()]
        if sorted(names) != sorted([*parts, MANIFEST_MEMBER]):
            raise _damaged(self._path, "it doesn't hold what its manifest names")
        claimed = sum(part.size for part in parts.values())
        if claimed > _MOST_EXPANSION * self._path.stat().st_size + _SLACK:
            raise _damaged(self._path, f"it claims to hold {claimed} bytes, far more than fit into it")
        for name, part in parts.items():
            if self._zip.getinfo(name).file_size != part.size:
                raise _damaged(self._path, f"{name} has another size than the manifest says")
            digest = hashlib.sha256()
            for block in self.read(name):
                digest.update(block)
            if digest.hexdigest() != part.sha256:
                raise _damaged(self._path, f"{name} isn't what was written")

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a member in pieces, never more than its manifest's size. Raises InvalidBackupError."""
        left = self.manifest.parts[name].size
        try:
            with self._zip.open(name) as member:
                while left and (block := member.read(min(_CHUNK, left))):
                    left -= len(block)
                    yield block
        except (*_DAMAGE, KeyError) as error:
            raise _damaged(self._path, f"{name} can't be read") from error
        if left:
            raise _damaged(self._path, f"{name} was cut short")


def _manifest_of(path: Path, opened: zipfile.ZipFile) -> Manifest:
    try:
        with opened.open(MANIFEST_MEMBER) as member:
            said = member.read(MANIFEST_LIMIT + 1)
    except KeyError as error:
        raise InvalidBackupError(
            f"{path} is no backup of this service: it has no manifest; nothing has been changed."
        ) from error
    except _DAMAGE as error:
        raise _damaged(path, "its manifest can't be read") from error
    if len(said) > MANIFEST_LIMIT:
        raise _damaged(path, "its manifest is too large")
    try:
        if (known := Format.model_validate_json(said)).format > FORMAT:
            raise InvalidBackupError(
                f"{path} was made by version {known.service}, which writes backups that this version can't "
                "read; update the service first. Nothing has been changed."
            )
        return Manifest.model_validate_json(said)
    except ValidationError as error:
        raise _damaged(path, "its manifest makes no sense") from error


def _damaged(path: Path, why: str) -> InvalidBackupError:
    return InvalidBackupError(f"{path} is damaged: {why}. Nothing has been changed.")
