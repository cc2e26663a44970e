"""Fork servers that are warm from the start, for tests that aren't about how one starts.

A fork server imports yt-dlp and compiles its patterns, which takes a second of computing, and each of its
children another one for a page. A nursery does that once for each test process, and each worker's fork server
is forked from it. Run as a program, this is the
nursery: `python -I nursery.py FD`, where FD is one end of a SOCK_SEQPACKET pair. It is asked with a JSON
object, the new server's environment, and the socket that is to be served; it answers with a pid.
"""

import gc
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from music_downloader.engine import containment, forkserver, sandbox

_MAX_MESSAGE = 64 * 1024
_ANSWERS_WITHIN = 60.0


class Forked:
    """A fork server of the nursery's; what a `subprocess.Popen` is to the spawner."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)  # the nursery reaps it, so its number may be another's soon

    def __del__(self) -> None:
        os.close(self._descriptor)

    def wait(self, timeout: float) -> int:
        """Wait until it has ended; how it did, the nursery alone could tell."""
        if not select.select([self._descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("fork server", timeout)
        return 0

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)


class Nursery:
    """The tester's side, made once the nursery is warm: no test's event loop may wait for that."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_ANSWERS_WITHIN)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._socket.recv(_MAX_MESSAGE)

    def start_server(self, descriptor: int, home: Path) -> Forked:
        """Do as `forkserver.start_server` does."""
        socket.send_fds(self._socket, [json.dumps(forkserver.environment(home)).encode()], [descriptor])
        return Forked(json.loads(self._socket.recv(_MAX_MESSAGE)))

    def close(self) -> None:
        self._socket.close()
        self._process.wait(_ANSWERS_WITHIN)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Give a nursery, which ends with the block, and all that came from it too."""
    running = Nursery()
    try:
        yield running
    finally:
        running.close()


def _serve(asked: socket.socket) -> None:
    from music_downloader.engine.ytdlp import Downloader

    downloader = Downloader()
    downloader.warm_up()
    with suppress(Exception):  # imports all that looks for players in pages, which each child did anew
        downloader.extract_info("data:text/html,<title>rehearsal</title>")
    sandbox.prepare()
    gc.collect()
    gc.freeze()
    asked.send(b"warm")
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, _MAX_MESSAGE, 1)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            asked.close()
            _become(downloader, json.loads(data), descriptors[0])
        os.close(descriptors[0])
        asked.send(json.dumps(pid).encode())


def _become(downloader: object, environment: dict[str, str], descriptor: int) -> NoReturn:
    """Be what `template.main` is once it is warm."""
    from music_downloader.engine.template import Template

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(environment["HOME"])
    tempfile.tempdir = None
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    containment.die_with_parent(signal.SIGTERM)
    containment.adopt_orphans()
    status = 1
    try:
        with socket.socket(fileno=descriptor) as worker:
            worker.set_inheritable(False)
            Template(worker, downloader).serve()  # type: ignore[arg-type]
        status = 0
    except BaseException:  # noqa: BLE001 - it never returns into the nursery's loop
        traceback.print_exc()
    finally:
        shutil.rmtree(environment["HOME"], ignore_errors=True)
        os._exit(status)


def _main() -> None:
    containment.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is reaped at once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="nas-music-nursery-") as folder:
        os.chdir(folder)
        with socket.socket(fileno=int(sys.argv[1])) as asked:
            _serve(asked)
        os.chdir("/")


if __name__ == "__main__":
    _main()
