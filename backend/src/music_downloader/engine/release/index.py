"""Fetching wheels from the package index that this machine's pip is set up for.

pip knows the way there: its own configuration says which index, through which proxy, with which certificates.
It is the one of our own interpreter, or of the one that our virtual environment was made with. It runs as a
process of its own that knows none of our secrets, ends with us, and has bounds on time and bytes.
"""

import asyncio
import importlib.util
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from music_downloader.errors import EngineUpdateError

_SECONDS: Final = 300.0
_MOST_BYTES: Final = 64 * 1024**2
_MOST_SAID: Final = 256 * 1024
_PURE: Final = ("-py3-none-any.whl", "-py2.py3-none-any.whl")
_PASSED_ON: Final = frozenset(
    {
        *("PATH", "HOME", "LANG", "TZ", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "NETRC"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    }
)
# Dies with us (PR_SET_PDEATHSIG), writes no larger file, and makes way for everybody else.
_BOUNDED: Final = (
    "import ctypes, os, resource, runpy, sys\n"
    "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "os.nice(10)\n"
    "limit = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
    "sys.argv = sys.argv[2:]\n"
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
)
_ADDRESS = re.compile(r"\b[a-z+]+://\S+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What the index has: a version of a distribution, and the SHA-256 of its wheel."""

    distribution: str
    version: str
    hashes: tuple[str, ...]


async def newest(distribution: str, *, folder: Path, version: str | None, nightly: bool) -> Offer:
    """Ask which version there is: this very one, or the newest, with `nightly` before its release too.

    `folder` is where pip may write. Raises EngineUpdateError.
    """
    report = folder / f"{distribution}.json"
    wanted = distribution if version is None else f"{distribution}=={version}"
    await _pip(
        *("install", "--dry-run", "--ignore-installed", "--report", str(report)),
        *(["--pre"] if nightly else []),
        wanted,
        folder=folder,
    )
    try:
        said: Any = json.loads(await asyncio.to_thread(report.read_bytes))
        (found,) = said["install"]
        digest = str(found["download_info"]["archive_info"]["hash"])
        offered = str(found["metadata"]["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUpdateError("pip's answer about yt-dlp could not be understood.") from error
    if not digest.startswith("sha256="):
        raise EngineUpdateError("The package index gives no SHA-256 for yt-dlp.")
    return Offer(
        distribution=distribution,
        version=offered,
        hashes=(digest.replace("=", ":", 1),),
    )


async def download(offer: Offer, *, folder: Path) -> Path:
    """Download the one wheel that has one of these hashes; raises EngineUpdateError."""
    into = folder / "wheels" / offer.distribution
    requirement = folder / f"{offer.distribution}.txt"
    held = " ".join(f"--hash={each}" for each in offer.hashes)

    def prepare() -> None:
        into.mkdir(parents=True)
        requirement.write_text(f"{offer.distribution}=={offer.version} {held}\n", encoding="utf-8")

    await asyncio.to_thread(prepare)
    await _pip(
        *("download", "--require-hashes", "--dest", str(into), "--requirement", str(requirement)),
        folder=folder,
    )
    wheels = await asyncio.to_thread(lambda: list(into.iterdir()))
    if len(wheels) != 1 or not wheels[0].name.endswith(_PURE):
        raise EngineUpdateError("The package index has no wheel of this version that is plain Python.")
    return wheels[0]


async def compile_all(folder: Path, *, into: Path) -> None:
    """Compile the sources, in a process that runs none of them; `into` is where they will lie.

    What comes of it is believed without looking at the sources again: the seal holds both.
    """
    status, _ = await run_bounded(
        [sys.executable],
        *("compileall", "-q", "-s", str(folder), "-p", str(into)),
        *("--invalidation-mode", "unchecked-hash", str(folder)),
        folder=folder,
    )
    if status != 0:
        raise EngineUpdateError("The new version isn't Python that this interpreter understands.")


async def _pip(command: str, *arguments: str, folder: Path) -> None:
    status, said = await run_bounded(
        [_interpreter()],
        *("pip", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-color", "--quiet"),
        *(command, "--no-deps", "--only-binary", ":all:", *arguments),
        folder=folder,
    )
    if status != 0:
        raise EngineUpdateError(_sentence(said))


def _interpreter() -> str:
    """Return an interpreter that has pip: ours, or the one that our environment was made with."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    folder = Path(sys.base_prefix) / "bin"
    names = (f"python{sys.version_info[0]}.{sys.version_info[1]}", "python3")
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        raise EngineUpdateError("Updates need pip, and there is none beside this Python; install it.")
    return str(found)


async def run_bounded(interpreter: Sequence[str], *arguments: str, folder: Path) -> tuple[int, str]:
    """Run a module with the bounds from above; return its exit code and what it said.

    Raises EngineUpdateError after five minutes, with the whole group of processes gone.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if value and (name.upper() in _PASSED_ON or name.startswith("PIP_"))
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *interpreter,
            *("-I", "-c", _BOUNDED, str(_MOST_BYTES), *arguments),
            cwd=folder,
            env={**inherited, "TMPDIR": str(temporary)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise EngineUpdateError(f"pip could not be started ({error.strerror}).") from error
    try:
        async with asyncio.timeout(_SECONDS):
            said = await _read(process)
            return await process.wait(), said
    except TimeoutError as error:
        raise EngineUpdateError("The package index took longer than five minutes.") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)


async def _read(process: asyncio.subprocess.Process) -> str:
    """Read to the end, and keep the end."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    said = b""
    while piece := await process.stdout.read(64 * 1024):
        said = (said + piece)[-_MOST_SAID:]
    return said.decode("utf-8", "replace")


def _sentence(said: str) -> str:
    """Make of what pip said one sentence, without addresses: they may hold a password."""
    if "No module named pip" in said or "No module named 'pip'" in said:
        return "Updates need pip, and there is none beside this Python; install it."
    if "DO NOT MATCH THE HASHES" in said or "HashMismatch" in said:
        return "What the package index sent doesn't have the hash that it should; nothing was changed."
    if "No matching distribution" in said or "Could not find a version" in said:
        return "The package index doesn't have this version of yt-dlp, or can't be reached."
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")] or said.splitlines()
    last = _ADDRESS.sub("…", errors[-1].removeprefix("ERROR: "))[:200] if errors else "it said nothing"
    return f"pip could not get yt-dlp: {' '.join(last.split())}"
