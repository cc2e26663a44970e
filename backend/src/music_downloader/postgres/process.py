"""Starting PostgreSQL's programs: as whom, with what, and ending when we end (Linux)."""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from music_downloader.errors import ConfigurationError

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"}

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The unprivileged user that the server runs as; PostgreSQL refuses to run as root."""

    uid: int
    gid: int


def server_account(pgdata: Path) -> Account | None:
    """Whom to become: the owner of a database that exists, else `postgres`, else `nobody`.

    None where we aren't root, and so run everything as ourselves.
    """
    if os.geteuid() != 0:
        return None
    if pgdata.exists() and (owner := pgdata.stat()).st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users.get("nobody")
    if user is None:
        raise ConfigurationError("PostgreSQL won't run as root, and there is no user 'postgres' or 'nobody'.")
    return Account(uid=user.pw_uid, gid=user.pw_gid)


def spawn(
    command: Sequence[str | Path],
    *,
    account: Account | None,
    output: int,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that is sent SIGINT when the thread that called this ends, be it by SIGKILL.

    It gets a session of its own, so that the terminal's Ctrl-C is for us to answer, and nothing of our
    environment or of our open files but `pass_fds`. Its working directory is `/`: before version 16,
    PostgreSQL fails where it can't return to the one it was started in.
    """
    return subprocess.Popen(  # noqa: S603 - our own argument list, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        umask=0o077,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        pass_fds=pass_fds,
        # preexec_fn is unsafe where it needs a lock that another thread held at the fork. We start before
        # there are threads, and it makes two system calls through a libc that is loaded already. It is called
        # after the change of user, which would clear the signal.
        preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - as said
    )


def run(
    command: Sequence[str | Path],
    *,
    account: Account | None,
    pass_fds: Sequence[int] = (),
    timeout: float,
) -> tuple[int, str]:
    """Run a program to its end; its exit code and all that it wrote. `timeout` is in seconds."""
    with spawn(command, account=account, output=subprocess.PIPE, pass_fds=pass_fds) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return process.returncode, output.decode(errors="replace")


def servers_on(pgdata: Path) -> set[int]:
    """Every process that runs `postgres` in this very folder, whoever started it, under whatever path.

    A process that we may not look at isn't counted: a server of ours has our user, or we are root.
    """
    folder = pgdata.stat()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program = (entry / "exe").readlink().name.removesuffix(" (deleted)")
            if program == "postgres" and os.path.samestat((entry / "cwd").stat(), folder):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def _die_with(parent: int) -> Callable[[], None]:
    def arrange() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)

    return arrange
