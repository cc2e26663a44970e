"""The fork server: imports and warms up once, so that a fetch costs a fork.

Run as `python -I -m music_downloader.engine.template FD`, where FD is one end of a SOCK_SEQPACKET pair. It is
single-threaded, which is what makes forking safe. Every message is one JSON object:

    in   {"op": "fetch", "id", "directory", "limits", "order"} and two descriptors: events, stray output;
         perhaps a third with cookies, which only the child reads
         {"op": "picture", …} the same, with an order for a picture
         {"op": "exec", "id", "directory", "limits", "argv", "reads"} and two descriptors: stdout, stderr
         {"op": "kill", "id"}
    out  {"event": "ready", "yt_dlp", "networked", "unconfined"}, {"event": "started", "id", "pid", "home"},
         {"event": "exited", "id", "status"}

What "exec" starts has no network where the kernel can see to it; else `networked` says why it can't.
`unconfined` says what of Landlock is missing, if anything. A fetch gets a home of its own, which the worker
removes when it has ended: that may take a while, and nobody else is to wait. `status` is as
subprocess has it: an exit code, or a signal's number negated; null when nothing could be started. When the
other end closes, every child is killed and the server ends.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from typing import Any, Final, NoReturn

from music_downloader.engine import child, containment, cookies, folder, landlock, sandbox, seccomp
from music_downloader.engine.containment import Limits
from music_downloader.engine.order import ChildOrder, ChildPictureOrder
from music_downloader.engine.ytdlp import Downloader, version

_MAX_MESSAGE: Final = 128 * 1024
_LAST_MOMENT: Final = 1.0
HOMES: Final = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR")


class Template:
    """Serves one worker over one socket."""

    def __init__(self, worker: socket.socket, downloader: Downloader) -> None:
        self._worker = worker
        self._downloader = downloader
        self._pid = os.getpid()
        self._parent = os.getppid()
        self._ids: dict[int, int] = {}  # by pid; a pid stays here until it has been reaped
        self._wakeup, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._networked = seccomp.why_not()

    def serve(self) -> None:
        """Answer until the worker is gone or SIGTERM arrives."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to judge
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            self._send(
                event="ready", yt_dlp=version, networked=self._networked, unconfined=landlock.missing()
            )
            while not self._stopping:
                watched: list[Any] = [self._worker, self._wakeup]
                readable, _, _ = select.select(watched, [], [])
                if self._wakeup in readable:
                    with suppress(BlockingIOError):
                        os.read(self._wakeup, 4096)
                self._reap()
                self._end_strays()
                if self._worker in readable and not self._receive():
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass  # the worker is gone
        finally:
            self._end_all()

    def _stop(self, *_: object) -> None:
        """End if the worker has died; one that is alive was sent the same signal, and ends us in its time."""
        self._stopping = os.getppid() != self._parent

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._worker, _MAX_MESSAGE, 3, socket.MSG_CMSG_CLOEXEC)
        try:
            if not data:
                return False
            message = json.loads(data)
            if message["op"] == "kill":
                self._kill(message["id"])
            else:
                self._start(message, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _start(self, message: dict[str, Any], descriptors: list[int]) -> None:
        home = ""
        try:
            if message["op"] != "exec":
                home = tempfile.mkdtemp(prefix="home-", dir=os.environ["HOME"])
            pid = os.fork()
        except OSError:
            self._send(event="exited", id=message["id"], status=None)
            return
        if pid == 0:
            self._become(message, descriptors, home)
        self._ids[pid] = message["id"]
        self._send(event="started", id=message["id"], pid=pid, home=home)

    def _become(self, message: dict[str, Any], descriptors: list[int], home: str) -> NoReturn:
        """Turn this forked copy into the child; it never returns into the server's loop."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            containment.enter(
                parent=self._pid,
                directory=message["directory"],
                streams=(descriptors[0], descriptors[1]),
                reads=next(iter(descriptors[2:]), None),
                limits=Limits.from_json(message["limits"]),
            )
            if message["op"] == "exec":
                self._execute(message)
            self._fetch(message, home)
            status = 0
        except BaseException:  # noqa: BLE001 - a fault here may only end the child
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _execute(self, message: dict[str, Any]) -> NoReturn:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        program = message["argv"][0]
        sandbox.confine_program(
            directory=message["directory"], program=program, reads=message.get("reads", ())
        )
        if self._networked is None:
            seccomp.restrict("program")
        os.execv(program, message["argv"])  # noqa: S606 - no shell is the point

    def _fetch(self, message: dict[str, Any], home: str) -> None:
        os.environ.update(dict.fromkeys(HOMES, home))
        order: ChildOrder | ChildPictureOrder
        if message["op"] == "picture":
            order = ChildPictureOrder.from_json(message["order"])
        else:
            handed = containment.read_once()
            order = ChildOrder.from_json(message["order"], cookies.load(handed) if handed else ())
        sandbox.confine_fetch(
            directory=message["directory"], home=home, proxy=order.proxy, programs=child.JAVASCRIPT_RUNTIMES
        )
        if self._networked is None:
            seccomp.restrict("fetch")
        child.run(self._downloader, order)

    def _kill(self, wanted: int) -> None:
        for pid, known in self._ids.items():
            if known == wanted:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # it may not lead its group yet

    def _reap(self) -> None:
        """Collect whoever ended; its group dies before its pid can be anyone else's."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            identity = self._ids.get(ended.si_pid)
            if identity is not None:
                with suppress(ProcessLookupError):
                    os.killpg(ended.si_pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            if identity is not None:
                del self._ids[ended.si_pid]
                self._send(event="exited", id=identity, status=os.waitstatus_to_exitcode(status))

    def _end_strays(self) -> None:
        """Kill what has come to us as an orphan: whoever has left the group of a run outlives it else."""
        for pid in containment.children():
            if pid not in self._ids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        """Kill every child, and wait a moment for those that come to us by that."""
        for identity in list(self._ids.values()):
            self._kill(identity)
        self._ids.clear()
        until = time.monotonic() + _LAST_MOMENT
        with suppress(ChildProcessError):
            while time.monotonic() < until:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    self._end_strays()
                    time.sleep(0.01)

    def _send(self, **message: object) -> None:
        self._worker.send(json.dumps(message).encode())


def main() -> None:
    """Serve on the inherited descriptor that the first argument names."""
    containment.die_with_parent(signal.SIGTERM)
    containment.adopt_orphans()
    with socket.socket(fileno=int(sys.argv[1])) as worker:
        worker.set_inheritable(False)
        downloader = Downloader()
        downloader.warm_up()
        sandbox.prepare()
        gc.collect()
        gc.freeze()
        try:
            Template(worker, downloader).serve()
        finally:
            folder.remove(os.environ["HOME"])
    sys.stderr.flush()
    os._exit(0)  # nothing is left to do but to take yt-dlp apart, which takes a NAS seconds


if __name__ == "__main__":
    main()
