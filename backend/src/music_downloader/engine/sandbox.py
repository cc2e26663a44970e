"""Which files a process of the engine gets to see: the system and the program itself, and its own folders.

Neither the library nor the data folder with the key is among them, nor the homes of people.
"""

import shutil
import ssl
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from music_downloader.engine import landlock

_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store"),
    # Of /etc, only what libraries load, certificates, and what time it is.
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/mime.types", "/etc/alternatives"),
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
    # Facts about the machine, and about the process itself: Landlock keeps it from looking into others.
    *("/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/sys/kernel/mm"),
)
_DEVICES: Final = ("/dev/null",)


def confine_fetch(*, directory: str, home: str, proxy: str, programs: Iterable[str]) -> None:
    """Leave a fetching child its two folders, the programs of these names, and the way to the proxy.

    Raises OSError when the kernel has Landlock, but it can't be set.
    """
    found = (shutil.which(name) for name in programs)
    own = [str(Path(path).resolve()) for path in found if path]
    landlock.confine(
        reads=(*_readable(), *own),
        writes=(home, *_DEVICES),
        flat=(directory,),
        port=urlsplit(proxy).port,
    )


def confine_server(*, home: str, directory: str, port: int) -> None:
    """Leave a whole fork server its home, this one folder for its children, and the way to the proxy.

    What it starts is confined once more, and can't get more than this. Raises OSError as above.
    """
    runtime = shutil.which("deno")
    landlock.confine(
        reads=(*_readable(), *([str(Path(runtime).resolve())] if runtime else [])),
        writes=(home, directory, *_DEVICES),
        port=port,
    )


def confine_program(*, directory: str, program: str, reads: Iterable[str]) -> None:
    """Leave a program its folder and these files, and no network; raises OSError as above."""
    landlock.confine(reads=(*_readable(), program, *reads), writes=_DEVICES, flat=(directory,), port=None)


@cache
def _readable() -> tuple[str, ...]:
    """Return what any of them may read: worked out once, before the fork."""
    certificates = ssl.get_default_verify_paths()
    own = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
    named = (certificates.openssl_cafile, certificates.openssl_capath)
    return tuple(dict.fromkeys(path for path in (*_SYSTEM, *own, *named) if path.startswith("/")))


def prepare() -> None:
    """Do before the fork what every child would do after it."""
    _readable()
