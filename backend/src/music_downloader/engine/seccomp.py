"""Kernel filters (seccomp) for what the engine runs: Linux only.

A filter stays for good, across exec and in every child. There are two:

- for programs such as ffmpeg: no socket at all;
- for a fetching child: sockets for TCP over IPv4 and IPv6, which may connect, but neither listen nor be sent
  anywhere without connect(2), since that is where it is judged (MSG_FASTOPEN would go around it). Pairs of
  sockets may be made, but not of datagrams, since one of those can be sent to anybody's local socket.

Both refuse to leave the process group, by which a run is killed, and System V's shared memory, queues and
semaphores, which outlive whoever made them.

Both refuse io_uring, which could open and connect sockets without socket(2), and what nobody who fetches
music has any business with: to trace or read other processes, to mount, to load code into the kernel, to
enter or make namespaces, to set the clock. Sockets that are already open are not touched; containment has
closed them.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
from typing import Final, Literal

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_LITTLE_ENDIAN: Final = sys.byteorder == "little"

# Classic BPF, as linux/filter.h and linux/seccomp.h have it.
_LOAD_WORD: Final = 0x20
_AND: Final = 0x54
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_AT_LEAST: Final = 0x35
_JUMP_IF_ANY: Final = 0x45
_RETURN: Final = 0x06
_NUMBER_AT: Final = 0  # offsets into struct seccomp_data
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16  # eight bytes each; the lower half comes first on little-endian machines
# The ends of a program, in the order in which they are put behind it.
_ENDS: Final = {
    "allow": 0x7FFF0000,
    "refuse": 0x00050000 | errno.EACCES,
    "absent": 0x00050000 | errno.ENOSYS,
    "kill": 0x80000000,
}
_SOCKET_KIND: Final = 0xF  # the rest of a type is flags (SOCK_TYPE_MASK)
_MSG_FASTOPEN: Final = 0x20000000
# CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET: a namespace would be a new start for an attack.
_NAMESPACES: Final = 0x7E020000

Wanted = Literal["program", "fetch"]
# An instruction with the ends it jumps to still named: None goes on with the next one.
_Step = tuple[int, str | int | None, str | int | None, int]

# Per machine: AUDIT_ARCH_…, and from where numbers belong to another ABI (x32).
_MACHINES: Final = {"x86_64": (0xC000003E, 0x40000000), "aarch64": (0xC00000B7, 0xFFFFFFFF)}
_COLUMNS: Final = {"x86_64": 0, "aarch64": 1}
_NUMBERS: Final = {
    "socket": (41, 198),
    "clone": (56, 220),
    "clone3": (435, 435),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "socketpair": (53, 199),
}
_REFUSED: Final = (
    *((49, 200), (50, 201), (43, 202), (288, 242)),  # bind, listen, accept, accept4
    *((425, 425), (426, 426), (427, 427)),  # io_uring
    *((101, 117), (310, 270), (311, 271), (312, 272), (438, 438)),  # ptrace, process_vm_*, kcmp, pidfd_getfd
    *((321, 280), (298, 241), (323, 282), (300, 262)),  # bpf, perf_event_open, userfaultfd, fanotify_init
    *((248, 217), (249, 218), (250, 219)),  # keys
    *((165, 40), (166, 39), (155, 41), (161, 51), (304, 265)),  # mount, umount2, pivot_root, chroot, handles
    *((428, 428), (429, 429), (430, 430), (431, 431), (432, 432), (433, 433), (442, 442)),  # the new mounts
    *((272, 97), (308, 268)),  # unshare, setns
    *((112, 157), (109, 154)),  # setsid, setpgid
    *((29, 194), (30, 196), (31, 195), (64, 190), (66, 191)),  # shmget, shmat, shmctl, semget, semctl
    *((68, 186), (71, 187), (240, 180)),  # msgget, msgctl, mq_open
    *((175, 105), (313, 273), (176, 106), (246, 104), (320, 294)),  # modules, kexec
    *((169, 142), (167, 224), (168, 225), (163, 89), (179, 60)),  # reboot, swap, acct, quotactl
    *((164, 170), (227, 112), (159, 171), (305, 266)),  # the clock
    *((170, 161), (171, 162), (103, 116)),  # names of the host, syslog
)
_REFUSED_ON_X86_64: Final = (172, 173)  # iopl, ioperm

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """Struct sock_fprog: how many instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict(wanted: Wanted) -> None:
    """Put this process, and all it starts or becomes, under a filter; there is no way back.

    Raises OSError where the system has no such filter.
    """
    program = _program(wanted)
    # no_new_privs is what lets an ordinary user set a filter.
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if _libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def why_not() -> str | None:
    """Try the filter in a forked copy of this process and return why it doesn't work here; None if it does.

    Call it while the process has one thread only.
    """
    pid = os.fork()
    if pid == 0:
        status = errno.EPROTO
        try:
            status = _tried()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0:
        return None
    return os.strerror(status) if status > 0 else "the kernel ended the process that tried it"


def _tried() -> int:
    """Set both filters and return 0 if they hold, else the error number of what failed."""
    try:
        restrict("fetch")
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
        restrict("program")
    except OSError as error:
        return error.errno or errno.EPROTO
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        return 0
    except OSError as error:
        return error.errno or errno.EPROTO
    return errno.EPROTO


def _program(wanted: Wanted) -> _Program:
    machine = os.uname().machine
    if machine not in _MACHINES or not _LITTLE_ENDIAN or struct.calcsize("P") != 8:  # noqa: PLR2004 - 64 bits
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    code = _assembled(_steps(machine, wanted))
    return _Program(len(code) // 8, code)


def _steps(machine: str, wanted: Wanted) -> list[_Step]:
    architecture, foreign = _MACHINES[machine]
    column = _COLUMNS[machine]
    number = {name: numbers[column] for name, numbers in _NUMBERS.items()}
    refused = [numbers[column] for numbers in _REFUSED]
    refused += _REFUSED_ON_X86_64 if machine == "x86_64" else ()
    steps: list[_Step] = [
        (_LOAD_WORD, None, None, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, None, "kill", architecture),
        (_LOAD_WORD, None, None, _NUMBER_AT),
        (_JUMP_IF_AT_LEAST, "refuse", None, foreign),
        *((_JUMP_IF_EQUAL, "refuse", None, each) for each in refused),
        # Its flags can't be looked at; without it, the C library falls back to clone.
        (_JUMP_IF_EQUAL, "absent", None, number["clone3"]),
        *_case(number["clone"], _unless_any(0, _NAMESPACES)),
        *_case(number["sendto"], _unless_any(3, _MSG_FASTOPEN)),
        *_case(number["sendmsg"], _unless_any(2, _MSG_FASTOPEN)),
        *_case(number["sendmmsg"], _unless_any(3, _MSG_FASTOPEN)),
    ]
    if wanted == "program":
        steps += [(_JUMP_IF_EQUAL, "refuse", None, number[name]) for name in ("socket", "socketpair")]
    else:
        steps += _case(number["socket"], _ONLY_TCP)
        steps += _case(number["socketpair"], _NO_DATAGRAMS)
    steps.append((_RETURN, None, None, _ENDS["allow"]))
    return steps


def _case(number: int, steps: list[_Step]) -> list[_Step]:
    """Take these steps, which all end, for one system call only."""
    return [(_JUMP_IF_EQUAL, None, len(steps), number), *steps]


def _unless_any(argument: int, bits: int) -> list[_Step]:
    return [
        (_LOAD_WORD, None, None, _ARGUMENTS_AT + 8 * argument),
        (_JUMP_IF_ANY, "refuse", "allow", bits),
    ]


_ONLY_TCP: Final[list[_Step]] = [
    (_LOAD_WORD, None, None, _ARGUMENTS_AT),
    (_JUMP_IF_EQUAL, 1, None, socket.AF_INET),
    (_JUMP_IF_EQUAL, None, "refuse", socket.AF_INET6),
    (_LOAD_WORD, None, None, _ARGUMENTS_AT + 8),
    (_AND, None, None, _SOCKET_KIND),
    (_JUMP_IF_EQUAL, None, "refuse", socket.SOCK_STREAM),
    (_LOAD_WORD, None, None, _ARGUMENTS_AT + 16),
    (_JUMP_IF_EQUAL, "allow", None, 0),
    (_JUMP_IF_EQUAL, "allow", "refuse", socket.IPPROTO_TCP),  # MPTCP isn't held by Landlock
]

_NO_DATAGRAMS: Final[list[_Step]] = [
    (_LOAD_WORD, None, None, _ARGUMENTS_AT + 8),
    (_AND, None, None, _SOCKET_KIND),
    (_JUMP_IF_EQUAL, "allow", None, socket.SOCK_STREAM),
    (_JUMP_IF_EQUAL, "allow", "refuse", socket.SOCK_SEQPACKET),
]


def _assembled(steps: list[_Step]) -> bytes:
    """Turn names into distances, which may be 255 at most, and put the ends behind."""
    ends = {name: len(steps) + place for place, name in enumerate(_ENDS)}

    def distance(to: str | int | None, at: int) -> int:
        return ends[to] - at - 1 if isinstance(to, str) else to or 0

    code = [
        struct.pack("=HBBI", operation, distance(yes, at), distance(no, at), value)
        for at, (operation, yes, no, value) in enumerate(steps)
    ]
    return b"".join((*code, *(struct.pack("=HBBI", _RETURN, 0, 0, value) for value in _ENDS.values())))
