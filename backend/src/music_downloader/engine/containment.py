"""What every process of the engine is made to accept before it does anything: Linux only.

The child dies with its parent, can't gain privileges, leads a group of its own that can be killed as a whole,
holds no descriptor but its three streams, and can't write more than it may.
"""

import ctypes
import fcntl
import os
import resource
import signal
import struct
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}  # libc has no function for it
_IOPRIO_WHO_PROCESS: Final = 1
_IOPRIO_CLASS_IDLE: Final = 3 << 13
_NICEST: Final = 19
_FIRST_OTHER_FD: Final = 3
_LAST_FD: Final = 2**31 - 1
_OPEN_FILES: Final = 256
_MORE_PROCESSES: Final = 256

_CAPABILITY_VERSION: Final = 0x20080522
_FILE_CAPABILITIES: Final = 0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """`file_bytes` bounds each file a process writes, `data_bytes` its writable memory; None is no bound.

    `cpu_seconds` is what it may compute in all its threads together. With `idle`, it gets processor and disk
    only while nobody else wants them, where the system has that.
    """

    file_bytes: int | None = None
    data_bytes: int | None = None
    cpu_seconds: int | None = None
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


def children() -> list[int]:
    """Return the process ids of this process's children, adopted ones included; it must have one thread."""
    with suppress(OSError), open("/proc/thread-self/children", encoding="ascii") as file:  # noqa: PTH123 - a hot path
        return [int(pid) for pid in file.read().split()]
    return _children_by_looking()  # a kernel without CONFIG_PROC_CHILDREN


def _children_by_looking() -> list[int]:
    found: list[int] = []
    for name in filter(str.isdigit, (entry.name for entry in os.scandir("/proc"))):
        with suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a hot path
            if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


def enter(
    *, parent: int, directory: str, streams: tuple[int, int], limits: Limits, reads: int | None = None
) -> None:
    """Put this freshly forked process into its containment; `streams` become stdout and stderr.

    What `reads` holds becomes stdin, which is empty otherwise.
    """
    os.setsid()
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    give_up_privileges()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    # Copied above the three first, since any of them may sit there.
    stdin = nowhere if reads is None else reads
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, _FIRST_OTHER_FD) for fd in (stdin, *streams)]
    for target, copy in enumerate(copies):
        os.dup2(copy, target)
    os.closerange(_FIRST_OTHER_FD, _LAST_FD)
    os.chdir(directory)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_DATA, limits.data_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NPROC, _processes()),
    ):
        if value is not None:
            _lower(limit, value)
    if limits.nice:
        os.nice(limits.nice)
    if limits.idle:
        step_back()
    if limits.nice or limits.idle:
        _step_back_together(_NICEST if limits.idle else limits.nice)  # once: the next one would have to wait


def read_once() -> bytes:
    """Return all that stdin holds, and leave nothing there: programs that are started inherit it."""
    with open(0, "rb", closefd=False) as file:
        content = file.read()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return content


def give_up_privileges() -> None:
    """Keep this process and all it starts from ever gaining privileges; of root's, those for files stay."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities()


def _drop_capabilities() -> None:
    """Take from root what it has beyond files: it could read the memory of others, sandbox or not.

    With no_new_privs, exec doesn't give it back. An ordinary user has nothing to lose. See capset(2).
    """
    if os.geteuid() != 0:
        return
    head = struct.pack("=II", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(struct.calcsize("=6I"))
    if _libc.capget(head, sets) == 0:
        effective, permitted, *_ = struct.unpack("=6I", sets.raw)
        kept = struct.pack("=6I", effective & _FILE_CAPABILITIES, permitted & _FILE_CAPABILITIES, 0, 0, 0, 0)
        if _libc.capset(head, kept) == 0:
            return
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def _processes() -> int | None:
    """Return how many processes the user may have, which is what the kernel counts: some more than now.

    The tasks of the whole system stand for the user's, who has no more than those.
    """
    with suppress(OSError, ValueError), open("/proc/loadavg", encoding="ascii") as file:  # noqa: PTH123 - a hot path
        return int(file.read().split()[3].partition("/")[2]) + _MORE_PROCESSES
    return None


def step_back() -> None:
    """Run at the lowest priority for processor and disk; a system without either does without."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        _libc.syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE)


def _step_back_together(nice: int) -> None:
    """Have the whole session be that nice: with autogroups (sched(7)), a process is so only within it."""
    with suppress(OSError):  # not everywhere are there any
        Path("/proc/self/autogroup").write_text(f"{nice}\n", encoding="ascii")


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
