"""A kernel sandbox (Landlock) for files and TCP: what isn't granted is refused. Linux only.

It stays for good, across exec and in every child. From its fourth version on, it knows TCP; from its sixth,
it keeps signals and abstract sockets inside as well. A process in it can't look into any outside either, by
ptrace or through /proc. See landlock(7).
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

# The same numbers on every machine.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_FOR_VERSION: Final = 1
_BENEATH_A_PATH: Final = 1
_ON_A_PORT: Final = 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
# How many rights there are to files, by version: all are handled, so all that isn't granted is refused.
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_ALL_FILE_RIGHTS: Final = 16
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE: Final = (
    _WRITE_FILE
    | _READ_FILE
    | _READ_DIR
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _REFER
    | _TRUNCATE
)
_WRITE_FLAT: Final = _WRITE & ~(_MAKE_DIR | _REMOVE_DIR)
_OF_A_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_BIND, _CONNECT = 1 << 0, 1 << 1
_TCP_SINCE: Final = 4
_SCOPES_SINCE: Final = 6
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return which version of Landlock this kernel has; 0 for none."""
    try:
        return _call(_CREATE_RULESET, 0, 0, _ASK_FOR_VERSION)
    except OSError:  # switched off, or older than Linux 5.13
        return 0


def missing() -> str | None:
    """Return what isn't held here, in words; None where all of it is."""
    found = version()
    if found == 0:
        return "no Landlock: files and connections aren't held by the kernel"
    if found < _TCP_SINCE:
        return "Landlock without TCP: connections aren't held by the kernel"
    return None if found >= _SCOPES_SINCE else "Landlock without scopes: signals aren't held by the kernel"


def confine(
    *, reads: Iterable[str], writes: Iterable[str], flat: Iterable[str] = (), port: int | None
) -> None:
    """Leave this process and all it starts these files, and TCP to this one port; there is no way back.

    In what is `flat`, it may write files, but make no folders. Links, pipes and devices may be made nowhere.
    Paths that aren't there are passed over. Does as much as the kernel can, which may be nothing; raises
    OSError when that fails. Needs no_new_privs.
    """
    found = version()
    if found == 0:
        return
    handled = (1 << _FILE_RIGHTS.get(found, _ALL_FILE_RIGHTS)) - 1
    tcp = _BIND | _CONNECT if found >= _TCP_SINCE else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if found >= _SCOPES_SINCE else 0
    attributes = struct.pack("=QQQ", handled, tcp, scopes)
    # An older kernel knows a shorter structure, and refuses a longer one unless the rest is zero.
    rules = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for paths, rights in ((reads, _READ), (writes, _WRITE), (flat, _WRITE_FLAT)):
            for path in paths:
                with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                    _grant(rules, path, rights & handled)
        if port is not None and tcp:
            _call(_ADD_RULE, rules, _ON_A_PORT, struct.pack("=QQ", _CONNECT, port), 0)
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _grant(rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_A_FILE
        _call(_ADD_RULE, rules, _BENEATH_A_PATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes) -> int:
    # As long as registers: ctypes would pass an int as half of one.
    passed = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    result: int = _libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        fault = ctypes.get_errno()
        raise OSError(fault, os.strerror(fault))
    return result
