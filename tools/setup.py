"""Make `.venv` hold exactly what the lock names: standard library only, quick when there is nothing to do."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import debian
import frontend

ROOT = Path(__file__).resolve().parent.parent
BACKEND = ROOT / "backend"
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
OLDEST = (3, 11)


def main() -> int:
    """Set up for running, or with --dev for developing and testing as well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    dev = parser.parse_args().dev
    if sys.version_info < OLDEST:
        return _with_newer_python()
    wanted = {name: _digest(name) for name in ("run", "dev")}
    installed = STAMP.read_text(encoding="utf-8") if STAMP.exists() else ""
    is_done = installed == wanted["dev"] or (installed == wanted["run"] and not dev)
    if not is_done and not _has_environment():
        return 1
    with ThreadPoolExecutor(2) as beside:  # while pip unpacks, and Node builds, the other processor is idle
        programs = beside.submit(debian.provide, VENV / "debian") if dev else None
        if not is_done and not _has_packages(dev=dev):
            if programs is not None and not programs.cancel() and not programs.done():
                print("Waiting for the programs of tests, which are being fetched meanwhile ...")
            return 1
        compiled = beside.submit(_compile) if not is_done else None
        has_page = frontend.provide(VENV, dev=dev)
    if compiled is not None:
        compiled.result()
        STAMP.write_text(wanted["dev" if dev else "run"], encoding="utf-8")
    if programs is not None:
        programs.result()
    # Without its page the service runs all the same; tests don't.
    return 0 if has_page or not dev else 1


def _requirements(name: str) -> Path:
    return BACKEND / ("requirements-dev.txt" if name == "dev" else "requirements.txt")


def _digest(name: str) -> str:
    parts = [name.encode(), str(ROOT).encode(), ".".join(map(str, sys.version_info[:2])).encode()]
    parts += [(BACKEND / "pyproject.toml").read_bytes(), _requirements(name).read_bytes()]
    return f"{name} {hashlib.sha256(b'|'.join(parts)).hexdigest()}\n"


def _has_environment() -> bool:
    """Make `.venv` unless it is there; False, and a sentence, if that fails."""
    if not _can_make_venv():
        return _fail("Python can't make virtual environments here; on Debian: apt install python3-venv.")
    STAMP.unlink(missing_ok=True)
    print(f"Setting up {VENV} ...", flush=True)
    return _usable() or _runs([sys.executable, "-m", "venv", "--clear", str(VENV)])


def _has_packages(*, dev: bool) -> bool:
    """Install what the lock names, each with its hash: nothing is left for pip to work out."""
    pip = [_python(), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    pip += ["--no-deps", "--no-compile"]
    requirements = str(_requirements("dev" if dev else "run"))
    return _runs([*pip, "--require-hashes", "-r", requirements]) and _runs(
        [*pip, "--no-build-isolation", "-e", str(BACKEND)]
    )


def _compile() -> None:
    """Compile on all cores, rather than have pip do it on one; what can't be is compiled when it is used."""
    command = [_python(), "-m", "compileall", "-q", "-j", "0", str(_packages())]
    subprocess.run(command, check=False, cwd=ROOT, env=_environment())


def _runs(command: list[str]) -> bool:
    if subprocess.run(command, check=False, cwd=ROOT, env=_environment()).returncode == 0:
        return True
    return _fail("The setup did not finish; what went wrong stands above. Run it again when mended.")


def _python() -> str:
    return str(VENV / "bin" / "python")


def _packages() -> Path:
    return VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _usable() -> bool:
    """Tell whether the environment is one of this very Python; a moved or upgraded one is made anew."""
    python = VENV / "bin" / "python"
    if not python.exists():
        return False
    code = "import sys; print(sys.prefix, *sys.version_info[:2])"
    asked = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
    return asked.stdout.split() == [str(VENV), *map(str, sys.version_info[:2])]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


def _can_make_venv() -> bool:
    """Debian splits this off; where we may install packages, do."""
    probe = [sys.executable, "-c", "import ensurepip"]
    if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
        return True
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    print("Installing python3-venv ...", flush=True)
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([apt, "update", "-qq"], [apt, "install", "-y", "-qq", package]):
        subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def _with_newer_python() -> int:
    for minor in range(19, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    _fail(f"Python {OLDEST[0]}.{OLDEST[1]} or later is needed; this is {sys.version.split()[0]}.")
    return 1


def _fail(sentence: str) -> bool:
    print(f"setup: {sentence}", file=sys.stderr)
    return False


if __name__ == "__main__":
    sys.exit(main())
