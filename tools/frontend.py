"""Build the page out of `frontend/` into the package that serves it; quick if nothing is new.

Node is the machine's own, or else the one that comes as a wheel into `.venv`. Every package of npm is held to
its hash by package-lock.json.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRONTEND = ROOT / "frontend"
BUILT = ROOT / "backend" / "src" / "music_downloader" / "static"
NODE_REQUIREMENTS = ROOT / "backend" / "requirements-node.txt"
# What decides how the page comes out; tests and the OpenAPI document don't.
SOURCES = (
    "package.json",
    "package-lock.json",
    "index.html",
    "vite.config.ts",
    "tsconfig.json",
    "public",
    "src",
)
_STAMP = BUILT / ".built"
_INSTALLED = FRONTEND / "node_modules" / ".installed"
_OLDEST = {20: 19, 22: 12}  # the least minor version of each; from 24 on, any
_LATER = 24
_LONGEST = {"node": 20, "wheel": 600, "packages": 600, "build": 300}  # seconds


def provide(venv: Path, *, dev: bool) -> bool:
    """Have the page built, with `dev` also what its tests need; False, and a sentence, if that fails."""
    is_built = _STAMP.exists() and _STAMP.read_text(encoding="utf-8") == digest()
    installed = _INSTALLED.read_text(encoding="utf-8") if _INSTALLED.exists() else ""
    wanted = {name: f"{name} {_digest_of_packages()}" for name in ("build", "dev")}
    is_installed = installed == wanted["dev"] or (installed == wanted["build"] and not dev)
    if is_built and (is_installed or not dev):
        return True
    path = find_node(venv)
    if path is None:
        return _fail("There is no Node 20.19 or later here, and none could be installed.")
    if not is_installed:
        print("Fetching what builds the page ...", flush=True)
        _INSTALLED.unlink(missing_ok=True)
        less = [] if dev else ["--omit=dev"]
        if not _runs(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", *less], "packages", path):
            return _fail("npm could not fetch what builds the page; what went wrong stands above.")
        _INSTALLED.write_text(wanted["dev" if dev else "build"], encoding="utf-8")
    if not is_built:
        print("Building the page ...", flush=True)
        if not _runs(["npm", "run", "--silent", "build", "--", "--logLevel=warn"], "build", path):
            return _fail("The page could not be built; what went wrong stands above.")
        _STAMP.write_text(digest(), encoding="utf-8")
    return True


def digest() -> str:
    """Return what tells one state of the page's sources from another."""
    found = hashlib.sha256()
    for name in SOURCES:
        top = FRONTEND / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and ".test." not in file.name:
                found.update(f"{file.relative_to(FRONTEND)}\0".encode() + file.read_bytes() + b"\0")
    return f"{found.hexdigest()}\n"


def find_node(venv: Path) -> str | None:
    """Return a PATH whose first Node is new enough; one is installed into `venv` if need be."""
    own = os.environ.get("PATH", os.defpath)
    carried = os.pathsep.join((str(venv / "bin"), own))
    if _is_new_enough(own):
        return own
    if _is_new_enough(carried):
        return carried
    print("Fetching Node into .venv ...", flush=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    options = ["--quiet", "--require-hashes", "--no-deps", "--no-compile", "-r", str(NODE_REQUIREMENTS)]
    return carried if _runs([*pip, *options], "wheel", own) and _is_new_enough(carried) else None


def _is_new_enough(path: str) -> bool:
    node = shutil.which("node", path=path)
    if node is None or shutil.which("npm", path=path) is None:
        return False
    try:
        asked = subprocess.run(
            [node, "--version"], check=False, capture_output=True, text=True, timeout=_LONGEST["node"]
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.match(r"v(\d+)\.(\d+)\.", asked.stdout)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return major >= _LATER or minor >= _OLDEST.get(major, sys.maxsize)


def _digest_of_packages() -> str:
    lock = (FRONTEND / "package-lock.json").read_bytes() + (FRONTEND / "package.json").read_bytes()
    return f"{hashlib.sha256(lock).hexdigest()}\n"


def _runs(command: Sequence[str], step: str, path: str) -> bool:
    program = shutil.which(command[0], path=path) or command[0]
    environment = {**os.environ, "PATH": path}
    try:
        done = subprocess.run(
            [program, *command[1:]],
            check=False,
            cwd=FRONTEND,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=_LONGEST[step],
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"setup: {error}", file=sys.stderr)
        return False
    return done.returncode == 0


def _fail(sentence: str) -> bool:
    print(f"setup: {sentence} The service works without its page.", file=sys.stderr)
    return False
