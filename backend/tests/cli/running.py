"""The command `nas-music` as a person starts it: a real process, with nothing of our own environment.

with Started(tmp_path, "serve", "--standalone", PORT="0") as service:
    service.wait_until_healthy()
    httpx.get(f"{service.address}/health")
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil
import pytest
from tests.cli import warm
from tests.family import is_gone

BIN = Path(sys.prefix) / "bin"
NAS_MUSIC = BIN / "nas-music"
ALICE = {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **settings}


def nas_music(
    *arguments: str | bytes, folder: Path, within: float = 90, cold: bool = False, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`, with these settings and no others.

    Once for each command, a test starts it `cold`, as a person does; others have what it imports already.
    """
    if not cold:
        return warm.run(arguments, folder=folder, environment=environment(**settings), within=within)
    return subprocess.run(
        [NAS_MUSIC, *arguments],
        cwd=folder,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def eventually(happens: Callable[[], object], *, within: float, what: str = "it") -> None:
    """Wait until `happens` gives something true."""
    deadline = time.monotonic() + within
    while not happens():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {within} s in vain until {what}")
        time.sleep(0.1)


class Started:
    """A process in `folder` that runs until told otherwise; it and all that it started end with the block."""

    def __init__(
        self, folder: Path, *arguments: str | Path, program: Path = NAS_MUSIC, **settings: str
    ) -> None:
        self.folder = folder
        self._command = [program, *arguments]
        self._settings = {"HOST": "127.0.0.1", "PORT": "0", "LOG_LEVEL": "warning", **settings}
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._output = (self.folder / "output.txt").open("w+")
        self.process = subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=environment(**self._settings),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            if not is_gone(process):
                process.kill()
        if kind is not None:
            sys.stderr.write(self.output)
        self._output.close()

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    @property
    def address(self) -> str:
        """Where it said it is running."""
        found = re.search(r"is running at (http://\S+)|running on (http://[^\s\"]+)", self.output)
        return next(filter(None, found.groups())) if found else ""

    def family(self) -> list[psutil.Process]:
        """Every process of it that has been seen so far: itself, and all below it now."""
        try:
            root = psutil.Process(self.process.pid)
            for process in (root, *root.children(recursive=True)):
                self._seen.setdefault(process.pid, process)
        except psutil.NoSuchProcess:
            pass
        return list(self._seen.values())

    def programs(self) -> list[str]:
        """Name what runs below it."""
        return sorted(_name(process) for process in self.family() if not is_gone(process))

    def wait_until_healthy(self, *, within: float = 90) -> None:
        eventually(self._is_healthy, within=within, what="it is healthy")
        self.family()

    def interrupt(self, *, within: float) -> int:
        """Send Ctrl-C; the exit code, and every process is gone by then."""
        family = self.family()
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(within)
        assert_gone(family, within=max(within - (time.monotonic() - begun), 0.1))
        return status

    def kill(self, *, within: float) -> None:
        """Kill the main process alone; every other one is gone by then."""
        family = self.family()
        self.process.kill()
        self.process.wait()
        assert_gone(family, within=within)

    def _is_healthy(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"it ended with {self.process.returncode}:\n{self.output}")
        try:
            return bool(self.address) and httpx.get(f"{self.address}/health", timeout=10).status_code == 200
        except httpx.TransportError:
            return False


def assert_gone(processes: Iterable[psutil.Process], *, within: float) -> None:
    deadline = time.monotonic() + within
    while alive := [process for process in processes if not is_gone(process)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.05)


def _name(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return ""
    if any("engine.template" in word for word in words):
        return "template"
    return (
        "postgres" if words and words[0].startswith(("postgres", "/")) and "postgres" in words[0] else "web"
    )


def log_in(address: str) -> httpx.Client:
    """Return a client that calls as Alice, who may have been there already."""
    httpx.post(f"{address}/auth/register", json=ALICE, timeout=30)
    who = {name: ALICE[name] for name in ("username", "password")}
    answer = httpx.post(f"{address}/auth/login", json=who, timeout=30)
    token = answer.raise_for_status().json()["access_token"]
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
