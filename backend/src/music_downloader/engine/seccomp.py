"""A kernel filter (seccomp) under which a program can open no socket but a local one: Linux only.

The filter stays for good, across exec and in every child. It refuses socket(2) for any family other than
AF_UNIX, and io_uring, which could open and connect sockets without socket(2). Sockets that are already open
are not touched; containment has closed them before.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_LITTLE_ENDIAN: Final = sys.byteorder == "little"

# Classic BPF, as linux/filter.h and linux/seccomp.h have it.
_LOAD_WORD: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_NUMBER_AT: Final = 0  # offsets into struct seccomp_data
_ARCHITECTURE_AT: Final = 4
_FIRST_ARGUMENT_AT: Final = 16  # its lower half, on little-endian machines
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EACCES
_KILL: Final = 0x80000000

# Per machine: AUDIT_ARCH_…, the number of socket(2), and from where numbers belong to another ABI (x32).
_MACHINES: Final = {
    "x86_64": (0xC000003E, 41, 0x40000000),
    "aarch64": (0xC00000B7, 198, 0xFFFFFFFF),
}
_IO_URING_SETUP: Final = 425

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """Struct sock_fprog: how many instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_network() -> None:
    """Let this process, and all it starts or becomes, open no socket but a local one; there is no way back.

    Raises OSError where the system has no such filter.
    """
    program = _program()
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
    """Set the filter and return 0 if it holds, else the error number of what failed."""
    try:
        forbid_network()
    except OSError as error:
        return error.errno or errno.EPROTO
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        return 0
    except OSError as error:
        return error.errno or errno.EPROTO
    return errno.EPROTO


def _program() -> _Program:
    machine = _MACHINES.get(os.uname().machine)
    if machine is None or not _LITTLE_ENDIAN or struct.calcsize("P") != 8:  # noqa: PLR2004 - 64 bits
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    architecture, socket_number, foreign = machine
    instructions = (
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_AT_LEAST, 5, 0, foreign),  # to refuse
        (_JUMP_IF_EQUAL, 4, 0, _IO_URING_SETUP),  # to refuse
        (_JUMP_IF_EQUAL, 0, 2, socket_number),  # to allow, unless equal
        (_LOAD_WORD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_IF_EQUAL, 0, 1, socket.AF_UNIX),  # to refuse, unless equal
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    return _Program(len(instructions), code)
