"""A whole installation in processes of its own: PostgreSQL, the web, and workers, each killed at will."""

import ctypes
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

from music_downloader.postgres import EmbeddedPostgres

BACKEND = Path(__file__).resolve().parents[2]
NAS_MUSIC = Path(sys.prefix) / "bin" / "nas-music"
_PR_SET_CHILD_SUBREAPER = 36
_START_SECONDS = 90


@dataclass
class Program:
    """One of the cluster's processes; `line` is where it is doomed to die."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    line: str = ""
    started_at: float = field(default_factory=time.monotonic)
    ripe_at: float | None = None

    def is_ripe(self, seconds: float) -> bool:
        """Whether it has been at work for so long."""
        if self.ripe_at is None and re.search(r"worker.started|Uvicorn running", self.log.read_text()):
            self.ripe_at = time.monotonic()
        return self.ripe_at is not None and time.monotonic() - self.ripe_at > seconds


@dataclass
class Cluster:
    """Everything below `folder`; whatever is started ends with the block, and is looked for afterwards."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    workers: list[Program] = field(default_factory=list)

    def __enter__(self) -> Self:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the killed ones' children become ours
        self.folder.mkdir(parents=True, exist_ok=True)
        self.postgres = EmbeddedPostgres(self.folder / "postgres", fsync=False)
        self.postgres.start()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._logs = (self.folder / f"log-{number}.txt" for number in itertools.count(1))
        self.web: Program | None = None
        return self

    def __exit__(self, *_: object) -> None:
        for program in (*self.workers, *filter(None, [self.web])):
            self.kill(program)
        self.postgres.stop()

    @property
    def library(self) -> Path:
        return self.folder / "library"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        logs = sorted(self.folder.glob("log-*.txt"), key=lambda path: path.stat().st_mtime)
        return "".join(path.read_text(errors="replace") for path in logs)

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{BACKEND}:{BACKEND / 'src'}",
            "DATABASE_URL": self.postgres.url,
            "OUTPUT_DIRECTORY": str(self.library),
            "DATA_DIRECTORY": str(self.folder / "data"),
            "ALLOWED_NETWORKS": "127.0.0.0/8",
            "EMBEDDED_WORKER": "false",
            "MIN_FREE_SPACE": "0",
            "RETRY_DELAY": "0.2",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
            "REGISTRATION_LIMIT": "off",
            **self.settings,
        }

    def start_web(self, *, line: str = "", victim: int | str = 0) -> Program:
        self.web = self._start("serve", line=line, victim=victim)
        return self.web

    def start_worker(self, *, line: str = "", victim: int | str = 0) -> Program:
        worker = self._start("worker", line=line, victim=victim)
        self.workers.append(worker)
        return worker

    def wait_for_web(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.address}/health/live", timeout=5).is_success:
                    return
            time.sleep(0.1)
        raise TimeoutError("the web didn't come up")

    def kill(self, program: Program) -> None:
        """Kill -9 a program, and no other."""
        program.process.kill()
        program.process.wait()
        if program in self.workers:
            self.workers.remove(program)

    def end(self, program: Program, *, within: float) -> int:
        """Ask a program to end; its exit code."""
        program.process.send_signal(signal.SIGTERM)
        status = program.process.wait(within)
        if program in self.workers:
            self.workers.remove(program)
        return status

    def fallen(self) -> list[Program]:
        """Return and forget the workers that have died by themselves, at their line."""
        dead = [worker for worker in self.workers if worker.process.poll() is not None]
        self.workers = [worker for worker in self.workers if worker not in dead]
        return dead

    def kill_postgres(self) -> None:
        if self.postgres.pid is not None:
            os.kill(self.postgres.pid, signal.SIGKILL)

    def revive_postgres(self) -> bool:
        """Start PostgreSQL again if it has died; whether it had."""
        if self.postgres.poll() is None:
            return False
        self.postgres.start()
        return True

    def kill_below(self, chosen: random.Random, *, part: str) -> bool:
        """Kill a process of some worker's engine: its `template`, its `gate`, or a `child`."""
        found = [process for worker in self.workers for process in _below(worker.process.pid).get(part, ())]
        if not found:
            return False
        with suppress(psutil.Error):
            chosen.choice(found).kill()
        return True

    def reap(self) -> list[str]:
        """Bury orphans that have ended, and name those that live on."""
        known = {p.process.pid for p in (*self.workers, *filter(None, [self.web]))} | {self.postgres.pid}
        left = []
        for child in psutil.Process().children():
            if child.pid in known:
                continue
            with suppress(psutil.Error, ChildProcessError):
                if child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)
                else:
                    left.append(" ".join(child.cmdline())[:120] or child.name())
        return left

    def _start(self, command: str, *, line: str, victim: int | str) -> Program:
        log = next(self._logs)
        doomed = [sys.executable, "-m", "tests.crash.doomed", line, str(victim)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*(doomed if line else [str(NAS_MUSIC)]), command],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return Program(name=command, process=process, log=log, line=line)


def _below(pid: int) -> dict[str, list[psutil.Process]]:
    """Tell the processes of a worker's engine apart."""
    found: dict[str, list[psutil.Process]] = {}
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children():
            part = "template" if "engine.template" in " ".join(process.cmdline()) else "gate"
            found.setdefault(part, []).append(process)
            if part == "template":
                found.setdefault("child", []).extend(process.children())
    return found
