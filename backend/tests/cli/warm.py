"""Runs of `nas-music` in a process that is forked from one that has imported everything.

Importing takes seconds of computing, and most tests of a command aren't about how it starts. Run as a
program, this is the warm process: `python warm.py FD`, where FD is one end of a SOCK_SEQPACKET pair. It is
asked with a JSON object and two descriptors, for standard output and error, and answers with the exit status,
or with a signal's number negated.
"""

import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from atexit import register
from collections.abc import Mapping, Sequence
from pathlib import Path

# What a command imports when it is called.
LOADED = (
    *("migration", "command.accounts", "command.backup", "command.cleaning", "command.doctor"),
    *("command.library", "command.releases", "command.web", "command.working"),
)
_MAX_MESSAGE = 128 * 1024


def run(
    arguments: Sequence[str | bytes], *, folder: Path, environment: Mapping[str, str], within: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does."""
    words = [os.fsdecode(argument) for argument in arguments]
    asked = {"arguments": words, "folder": str(folder), "environment": environment}
    warm = _warm()
    warm.settimeout(within)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        socket.send_fds(warm, [json.dumps(asked).encode()], [output.fileno(), errors.fileno()])
        try:
            status = json.loads(warm.recv(_MAX_MESSAGE))
        except BaseException:
            _warm.cache_clear()  # its answer may still come, and is nobody else's
            raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())


@functools.cache
def _warm() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait(10)

    register(end)
    return ours


def _serve(asked: socket.socket) -> None:
    """Answer until nobody asks any more; the forked process alone returns before that."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, _MAX_MESSAGE, 2)
        if not data:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            asked.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _become(json.loads(data), descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        asked.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def _become(asked: Mapping[str, object], descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    os.chdir(str(asked["folder"]))
    tempfile.tempdir = None
    sys.argv = ["nas-music", *asked["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    from music_downloader.cli import main

    for name in LOADED:
        importlib.import_module(f"music_downloader.{name}")
    # Behind all other tests, reading a file may take minutes; a command that is started cold does step back.
    sys.modules["music_downloader.command.library"].step_back = lambda: None  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tester's end of the socket
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        _serve(listening)
    main()
