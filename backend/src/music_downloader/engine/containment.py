"""What every process of the engine is made to accept before it does anything: Linux only.

The child dies with its parent, can't gain privileges, leads a group of its own that can be killed as a whole,
holds no descriptor but its three streams, and can't write more than it may.
"""

import ctypes
import fcntl
import os
import resource
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}  # libc has no function for it
_IOPRIO_WHO_PROCESS: Final = 1
_IOPRIO_CLASS_IDLE: Final = 3 << 13
_FIRST_OTHER_FD: Final = 3
_LAST_FD: Final = 2**31 - 1
_OPEN_FILES: Final = 256

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """`file_bytes` bounds each file a process writes, `data_bytes` its writable memory; None is no bound.

    With `idle`, it gets processor and disk only while nobody else wants them, where the system has that.
    """

    file_bytes: int | None = None
    data_bytes: int | None = None
    nice: int = 0
    idle: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the limits as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**data)


def die_with_parent(sent: signal.Signals) -> None:
    """Have the kernel send `sent` when the thread that started this process ends (PR_SET_PDEATHSIG)."""
    _prctl(_PR_SET_PDEATHSIG, sent)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent ends, so that they can be reaped."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def enter(*, parent: int, directory: str, streams: tuple[int, int], limits: Limits) -> None:
    """Put this freshly forked process into its containment; `streams` become stdout and stderr."""
    os.setsid()
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    # Copied above the three first, since any of them may sit there.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, _FIRST_OTHER_FD) for fd in (nowhere, *streams)]
    for target, copy in enumerate(copies):
        os.dup2(copy, target)
    os.closerange(_FIRST_OTHER_FD, _LAST_FD)
    os.chdir(directory)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_DATA, limits.data_bytes),
    ):
        if value is not None:
            _lower(limit, value)
    if limits.nice:
        os.nice(limits.nice)
    if limits.idle:
        _step_back()


def _step_back() -> None:
    """Run at the lowest priority for processor and disk; a system without either does without."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        _libc.syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
