"""A yt-dlp in a folder of its own: unpacked from wheels, sealed, and looked through before each use.

The seal is the SHA-256 of the manifest, which names every file with its own. It finds what a failing disk or
a stray hand has done; whoever can write the ledger as well as the folder is the service's own user.
"""

import hashlib
import json
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from music_downloader.errors import EngineUpdateError

PACKAGES: Final = ("yt_dlp", "yt_dlp_ejs")
MANIFEST: Final = "manifest.json"
_MOST_FILES: Final = 10_000
_MOST_BYTES: Final = 200 * 1024**2
_MOST_METADATA: Final = 4 * 1024**2
_PIECE: Final = 1024 * 1024
# What zipfile raises for what is cut off, changed, or packed in a way that it doesn't know.
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_PINNED_HELPER = re.compile(r"(?mi)^Requires-Dist: yt-dlp-ejs *\(?==([0-9][0-9a-z.]{0,30})\)?[ ;\r]*")


class DamagedTreeError(Exception):
    """A tree isn't what was sealed; the message says in which way."""


def unpack(wheel: Path, into: Path) -> None:
    """Unpack the packages of a pure-python wheel; raises EngineUpdateError for what isn't one of yt-dlp's."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            _unpack(archive, into)
    except _DAMAGED as error:
        raise EngineUpdateError("What the package index sent is no wheel, or a damaged one.") from error


def _unpack(archive: zipfile.ZipFile, into: Path) -> None:
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(files) > _MOST_FILES:
        raise EngineUpdateError("The new version holds more files than yt-dlp ever had.")
    left = _MOST_BYTES
    for entry in files:
        parts = PurePosixPath(entry.filename).parts
        if not parts or not all(_PLAIN_NAME.fullmatch(part) and part not in {".", ".."} for part in parts):
            raise EngineUpdateError("The new version holds a file whose name isn't a plain one.")
        if parts[0].endswith((".dist-info", ".data")):
            continue
        if parts[0] not in PACKAGES or len(parts) == 1 or parts[-1].endswith((".so", ".pyd", ".pyc")):
            raise EngineUpdateError("The new version holds something else than yt-dlp in plain Python.")
        path = into.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, path.open("xb") as file:
            while piece := packed.read(min(_PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise EngineUpdateError("The new version is larger than yt-dlp ever was.")
                file.write(piece)


def pinned_helper(wheel: Path) -> str | None:
    """Return the version of yt-dlp-ejs that this yt-dlp asks for; None where it asks for none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next((n for n in archive.namelist() if n.endswith(".dist-info/METADATA")), None)
            if name is None:
                return None
            with archive.open(name) as file:
                said = file.read(_MOST_METADATA).decode("utf-8", "replace")
    except _DAMAGED as error:
        raise EngineUpdateError("What the package index sent is no wheel, or a damaged one.") from error
    found = _PINNED_HELPER.search(said)
    return found[1] if found else None


def seal(folder: Path) -> str:
    """Write the manifest of all that is in the folder, see that it is on the disk, and return the seal."""
    content = json.dumps(_digests(folder), sort_keys=True, indent=0).encode()
    with (folder / MANIFEST).open("wb") as file:
        file.write(content)
    for path in sorted(folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return hashlib.sha256(content).hexdigest()


def check(folder: Path, sealed: str) -> None:
    """Look through the folder; raises DamagedTreeError unless it is, file by file, what was sealed."""
    try:
        content = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(content).hexdigest() != sealed:
            raise DamagedTreeError("its list of files was changed")
        known = json.loads(content)
        found = _digests(folder)
    except OSError as error:
        raise DamagedTreeError(f"it can't be read ({error.strerror})") from error
    for name in sorted(known.keys() | found.keys()):
        if known.get(name) != found.get(name):
            how = "is missing" if name not in found else "was changed" if name in known else "was added"
            raise DamagedTreeError(f"{name} {how}")


def _digests(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                name = os.path.relpath(entry.path, folder)
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    waiting.append(entry.path)
                elif name == MANIFEST:
                    continue
                elif not stat.S_ISREG(mode):
                    raise DamagedTreeError(f"{name} is no plain file")
                else:
                    found[name] = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
                if len(found) > 2 * _MOST_FILES:
                    raise DamagedTreeError("it holds far more files than it should")
    return found
