"""What the demonstration and the benchmark share: our service as a real process, a source, and audio.

Everything stays on the loopback and in one temporary folder, and is gone when its block ends.
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self
from urllib.parse import urlencode, urlsplit

import imageio_ffmpeg

TOOLS = Path(__file__).resolve().parent
BIN = TOOLS.parent / ".venv" / "bin"
FFMPEG = shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
ENDED = frozenset({"completed", "failed", "cancelled"})
USER = {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}

_START_SECONDS = 90
_STOP_SECONDS = 30
_ANSWER_SECONDS = 30
_ADDRESS = re.compile(r"is running at (http://\S+)")
_GOOD = 300


class RigError(Exception):
    """Something of ours didn't do what it should; the message is for the person at the terminal."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that is removed in the end, on SIGTERM and Ctrl-C too."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it otherwise
    folder = Path(tempfile.mkdtemp(prefix="nas-music-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def environment(home: Path, **settings: object) -> dict[str, str]:
    """Return an environment in which nothing of the caller's can reach what is started."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return {**kept, "HOME": str(home), **{name.upper(): str(value) for name, value in settings.items()}}


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, quietly, overwriting what is there."""
    command = [FFMPEG, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=600)


@contextmanager
def source(folder: Path, *, delay: float = 0.0, rate: float | None = None) -> Iterator[str]:
    """Serve `folder` at the yielded address; answers wait `delay` seconds, `rate` is in bytes a second."""
    command = [sys.executable, str(TOOLS / "source.py"), str(folder), f"--delay={delay}"]
    command += [f"--rate={rate}"] if rate else []
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not (port := process.stdout.readline().strip()):
            raise RigError("The source didn't start.")
        yield f"http://127.0.0.1:{port.decode()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Our service, running."""

    address: str
    pid: int
    library: Path


@contextmanager
def service(folder: Path, **settings: object) -> Iterator[Service]:
    """Run `nas-music serve --standalone` in `folder` until the block ends, worker and PostgreSQL included."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "service.log"
    chosen = {
        "host": "127.0.0.1",
        "port": 0,
        "allowed_networks": "127.0.0.0/8",
        "output_directory": folder / "library",
        "data_directory": folder / "data",
        "access_token_expire_minutes": 600,
        "min_free_space": 0,
        "log_level": "warning",
        **settings,
    }
    command = [str(BIN / "nas-music"), "serve", "--standalone", "--with-parent"]
    with (
        log.open("wb") as out,
        running(command, cwd=folder, env=environment(folder, **chosen), stdout=out, stderr=out) as process,
    ):
        address = _address(log, process)
        if settings.get("embedded_worker", True):
            _await_worker(address, log, process)
        try:
            yield Service(address=address, pid=process.pid, library=folder / "library")
        except RigError as error:
            raise RigError(f"{error}{_last_words(log)}") from error


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in _patiently(log, process):
        if found := _ADDRESS.search(log.read_text(encoding="utf-8", errors="replace")):
            return found[1]
    raise AssertionError


def _await_worker(address: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    with Api(address) as api:
        for _ in _patiently(log, process):
            if api.call("GET", "/health").status < _GOOD:
                return


def _patiently(log: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        yield
        time.sleep(0.05)
    raise RigError(f"The service didn't start.{_last_words(log)}")


def _last_words(log: Path) -> str:
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    return f" Its log ends:\n{said[-2000:]}" if said else ""


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401 - Popen's own
    """Run a process while the block runs; a session of its own keeps Ctrl-C from ending it under us."""
    options = {"stdin": subprocess.DEVNULL, "env": environment(Path("/")), **options}
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            with suppress(ProcessLookupError):
                process.kill()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the API said."""

    status: int
    body: Any

    def expect(self, *statuses: int) -> Any:  # noqa: ANN401 - JSON
        """Return the body; RigError when the status is none of these."""
        if self.status not in statuses:
            raise RigError(f"The service answered {self.status}: {self.body}")
        return self.body


class Api:
    """One kept connection to the API."""

    def __init__(self, address: str) -> None:
        self.token: str | None = None
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=_ANSWER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, form: bool = False
    ) -> Answer:
        """Send one request, its body as JSON or as a form."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
            data = (urlencode(body) if form else json.dumps(body)).encode()
        try:
            self._connection.request(method, path, data, headers)
            with self._connection.getresponse() as response:
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RigError(f"{method} {path} had no answer: {type(error).__name__}: {error}") from error
        return Answer(status=response.status, body=json.loads(content) if content else None)

    def log_in(self) -> None:
        """Make the account unless it is there, and a session."""
        self.call("POST", "/auth/register", USER).expect(201, 409)
        login = {name: USER[name] for name in ("username", "password")}
        self.token = self.call("POST", "/auth/login", login, form=True).expect(200)["access_token"]

    def submit(self, url: str, audio_format: str = "best") -> int:
        """Queue a URL and return its id."""
        return int(self.call("POST", "/api/download", {"url": url, "format": audio_format}).expect(202)["id"])

    def download(self, download_id: int) -> dict[str, Any]:
        """Return one download as it is now."""
        found: dict[str, Any] = self.call("GET", f"/api/downloads/{download_id}").expect(200)
        return found

    def await_end(self, download_id: int, *, every: float, within: float) -> dict[str, Any]:
        """Return one download once it has ended; RigError when that takes longer than `within` seconds."""
        deadline = time.monotonic() + within
        while (found := self.download(download_id))["status"] not in ENDED:
            if time.monotonic() > deadline:
                raise RigError(f"Download {download_id} is still {found['status']} after {within:.0f} s.")
            time.sleep(every)
        return found
