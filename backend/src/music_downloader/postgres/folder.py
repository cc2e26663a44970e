"""The folder that an embedded PostgreSQL lives in.

    postgres/            0700, ours
    ├── lock             flock'ed by the one process that owns the folder
    ├── password         0600, the database user's
    ├── postgres.log     what the server says, emptied at a start when it has grown
    └── pgdata/          0700, the server's user's

Where the server's user isn't ours (we are root), it can't get into `postgres/`, nor perhaps through the
folders above, and no permissions are opened for it. It is handed `pgdata` as an open descriptor and reaches
everything through `/proc/self/fd/N`, which needs no right on the path. So the database stays in the data
folder, wherever that is.
"""

import fcntl
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from music_downloader.errors import ConfigurationError
from music_downloader.postgres.binaries import Binaries
from music_downloader.postgres.process import Account, run, servers_on

USER = "nas_music"
LOG_LIMIT = 5_000_000
PREDECESSOR_TIMEOUT = 30.0

_INITDB_TIMEOUT = 300.0
_LOOKS = 50
_LOOKED_AFTER_SECONDS = 0.1
_BUILTIN_LOCALES_SINCE = 17
_FEWER_ITERATIONS_SINCE = 16
_PORT_LINE = 3
_STATUS_LINE = 7  # of postmaster.pid, counted from 0; see LOCK_FILE_LINE_PM_STATUS in PostgreSQL's pidfile.h


def acquire(home: Path) -> int:
    """Make the folder and become its owner until the returned descriptor is closed, or we end in any way.

    The server doesn't inherit the descriptor, so a server that outlives us can't keep the folder locked.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigurationError(
            f"Another nas-music is using the database in {home}: stop it first."
        ) from None
    return lock


def password(home: Path) -> str:
    """Give the database user's password, made up at the first start."""
    file = home / "password"
    if file.exists() and (kept := file.read_text().strip()):
        return kept
    if (home / "pgdata").exists():
        raise ConfigurationError(f"The password of the database is missing: restore {file} from a backup.")
    made = secrets.token_urlsafe(32)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(made)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    _sync(home)
    return made


def open_log(home: Path) -> int:
    """Open the log for appending, emptied first when it has outgrown LOG_LIMIT."""
    log = os.open(home / "postgres.log", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    if os.fstat(log).st_size > LOG_LIMIT:
        os.ftruncate(log, 0)
    return log


def initialise(home: Path, binaries: Binaries, account: Account | None, *, secret: str, fsync: bool) -> None:
    """Make `pgdata` unless it is there. It appears complete or not at all, whenever we are killed."""
    _remove_abandoned(home)
    if (home / "pgdata").exists():
        return
    work = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
    try:
        if account:
            os.chown(work, account.uid, account.gid)
        with handed_over(work) as (folder, path), _as_file(secret) as (pwfile, pwpath):
            code, output = run(
                [
                    *(binaries.folder / "initdb", "--pgdata", path, "--username", USER, "--pwfile", pwpath),
                    *("--auth", "scram-sha-256", "--data-checksums", "--encoding", "UTF8", "--locale", "C"),
                    *_builtin_locale(binaries),
                    *_quick_logins(binaries),
                    *([] if fsync else ["--no-sync"]),
                ],
                account=account,
                pass_fds=(folder, pwfile),
                timeout=_INITDB_TIMEOUT,
            )
        if code != 0:
            raise ConfigurationError(f"PostgreSQL couldn't make a database in {home}:\n{output.strip()}")
        work.rename(home / "pgdata")
        _sync(home)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove_abandoned(home: Path) -> None:
    """Remove what an initdb has left that ended with its owner; it may be clearing up itself still."""
    for _ in range(_LOOKS):
        for abandoned in home.glob("initdb-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if not any(home.glob("initdb-*")):
            return
        time.sleep(_LOOKED_AFTER_SECONDS)


def wait_for_predecessor(pgdata: Path) -> None:
    """Let a server that outlived its owner end, then forget what it left behind.

    To be called by the owner of the folder: then a `postgres` that works in it is an orphan of ours. SIGINT
    asks for a clean end, and it may have been asked already. A pid file is not believed otherwise, since the
    process it names can be anybody's by now.
    """
    pid_file = pgdata / "postmaster.pid"
    deadline = time.monotonic() + PREDECESSOR_TIMEOUT
    asked = False
    while servers := servers_on(pgdata):
        postmaster = _pid_and_status(pgdata)[0]
        # The postmaster only: to some of its children, SIGINT means something else.
        if postmaster in servers and not asked:
            os.kill(postmaster, signal.SIGINT)
            asked = True
        if time.monotonic() > deadline:
            pids = ", ".join(map(str, sorted(servers)))
            raise ConfigurationError(
                f"A PostgreSQL from before still works in {pgdata} and won't end: {pids}."
            )
        time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def is_ready(pgdata: Path, pid: int) -> bool:
    """Whether the server with that pid says that it takes connections; its port is its own then."""
    return _pid_and_status(pgdata) == (pid, "ready")


def port_of(pgdata: Path) -> int | None:
    """Return where the server of this folder takes connections; None while it doesn't."""
    pid, status = _pid_and_status(pgdata)
    if status != "ready" or pid not in servers_on(pgdata):
        return None
    lines = (pgdata / "postmaster.pid").read_text().splitlines()
    return int(lines[_PORT_LINE])


@contextmanager
def handed_over(folder: Path) -> Iterator[tuple[int, str]]:
    """Open a folder for a program that can't walk to it: the descriptor to pass, and its path there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor, f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextmanager
def _as_file(secret: str) -> Iterator[tuple[int, str]]:
    """Put the password in memory as a file, never on a disk where the server's user could read it."""
    descriptor = os.memfd_create("password")
    try:
        os.write(descriptor, secret.encode())
        yield descriptor, f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _builtin_locale(binaries: Binaries) -> list[str]:
    if binaries.major < _BUILTIN_LOCALES_SINCE:
        return []
    return ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]


def _quick_logins(binaries: Binaries) -> list[str]:
    """Spare each new connection thousands of rounds of SHA-256: they protect words that people think up."""
    return ["--set", "scram_iterations=1"] if binaries.major >= _FEWER_ITERATIONS_SINCE else []


def _pid_and_status(pgdata: Path) -> tuple[int | None, str]:
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""
    except (FileNotFoundError, IndexError, ValueError):
        return None, ""


def _sync(folder: Path) -> None:
    with handed_over(folder) as (descriptor, _):
        os.fsync(descriptor)
