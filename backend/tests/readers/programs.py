"""Music servers as children of a test: found, started, waited for, and ended whatever happens."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0  # seconds that a start or a scan may take
_PAUSE = 0.02
_UNPACKED = Path(sys.prefix, "debian", "bin")  # where `make setup` puts what the system lacks
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on everybody's PATH


def program(name: str, *, package: str) -> str:
    """Return the path of a program; without one, a sentence on how to get it."""
    path = os.pathsep.join((str(_UNPACKED), os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    found = shutil.which(name, path=path)
    if found is None:
        raise RuntimeError(
            f"{name} is missing: run `make setup`, or install {package} from your distribution"
        )
    return found


@contextmanager
def running(*command: str | Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block lasts; it dies with this process, too. What it prints goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], *logs: Path) -> None:
    """Ask until the condition holds; if the server ends or takes too long, raise with what it said."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            said = "\n".join(log.read_text("utf-8", "replace") for log in logs if log.exists())
            state = "takes too long" if process.returncode is None else f"ended with {process.returncode}"
            raise RuntimeError(f"the music server {state}; it said:\n{said}")
        time.sleep(_PAUSE)
