"""Have the programs that the tests ask: the system's own, or else Debian's, unpacked into a folder.

They are two music servers and a browser.

Nothing on the machine changes: apt only fetches, into that folder. No package is installed, no account made
and no service started, so it goes the same way for root and for anybody else.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The program, and Debian's package of it.
PACKAGES = {"mpd": "mpd", "minidlnad": "minidlna", "chromium": "chromium"}
# Where it lies, if not on the usual paths; the browser's own start script wants to be installed.
_PLACES = {"chromium": "usr/lib/chromium/chromium"}
_ASKS_VERSION = {"chromium": "--version"}
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on everybody's PATH
_LONGEST = {"update": 180, "install": 600, "unpack": 120, "start": 30}  # seconds
_WRAPPER = """#!/bin/sh
# Starts the unpacked program with the libraries unpacked beside it.
here=$(dirname "$(dirname "$(readlink -f "$0")")")
export LD_LIBRARY_PATH="{libraries}"
if [ -d "$here/etc/fonts" ]; then export FONTCONFIG_SYSROOT="$here"; fi
exec "$here/{program}" "$@"
"""


def provide(folder: Path) -> bool:
    """Have every program on the PATH, or as `bin/NAME` in `folder`; False, and a sentence, if that fails."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    missing = [name for name in PACKAGES if not shutil.which(name, path=path)]
    if all(os.access(folder / "bin" / name, os.X_OK) for name in missing):
        return True
    try:
        fault = _fetch(missing, folder)
    except OSError as error:
        fault = f"The programs for tests can't be unpacked: {error}."
    if fault:
        packages = " ".join(PACKAGES[name] for name in missing)
        print(
            f"setup: {fault} Some tests will fail without {' and '.join(missing)}; install them with your "
            f"system's means (Debian: apt install --no-install-recommends {packages}).",
            file=sys.stderr,
        )
    return not fault


def _fetch(names: list[str], folder: Path) -> str:
    """Unpack the programs and all that they need and the system lacks; '', or what went wrong."""
    apt, unpack = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or unpack is None:
        return "The programs for tests come from Debian, and this is another system."
    print(f"Fetching {' and '.join(names)} into {folder} ...", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="debian-", dir=folder.parent) as temporary:
        work, new = Path(temporary), Path(temporary) / "new"
        if not _download(apt, [PACKAGES[name] for name in names], work):
            return "apt could not fetch the programs for tests."
        for package in sorted((work / "archives").glob("*.deb")):
            if not _runs([unpack, "-x", str(package), str(new)], "unpack"):
                return f"{package.name} could not be unpacked."
        for name in names:
            if not _wrap(name, new):
                return f"The unpacked {name} does not start."
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    return ""


def _download(apt: str, packages: list[str], work: Path) -> bool:
    """Fetch packages into `archives`; with fresh lists if the system's are absent or have grown old."""
    for name in ("archives", "lists"):
        (work / name / "partial").mkdir(parents=True)
    settings = {
        "Dir::Cache::archives": work / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Debug::NoLocking": "true",  # what is written to is ours alone
        "APT::Sandbox::User": "root",  # apt's own account may not look into the folder
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
        "Acquire::https::Timeout": 20,
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    install = ["install", "-y", "--no-install-recommends", "--download-only", *packages]
    if _runs([apt, "-qq", *options, *install], "install"):
        return True
    options += ["-o", f"Dir::State::lists={work / 'lists'}"]
    _runs([apt, "-qq", *options, "update"], "update")  # one dead source among many may do no harm
    return _runs([apt, "-qq", *options, *install], "install")


def _wrap(name: str, root: Path) -> bool:
    """Write `bin/NAME`, and see that it starts."""
    places = (Path(_PLACES.get(name, f"usr/bin/{name}")), Path("usr/sbin", name))
    program = next((place for place in places if (root / place).exists()), None)
    if program is None:
        return False
    libraries = sorted(
        {file.parent.relative_to(root) for place in ("lib", "usr/lib") for file in _libraries(root / place)}
    )
    wrapper = root / "bin" / name
    wrapper.parent.mkdir(exist_ok=True)
    path = ":".join(f"$here/{folder}" for folder in libraries)
    wrapper.write_text(_WRAPPER.format(libraries=path, program=program), encoding="utf-8")
    wrapper.chmod(0o755)
    return _runs([str(wrapper), _ASKS_VERSION.get(name, "-V")], "start")


def _libraries(place: Path) -> list[Path]:
    """List what the linker may be asked for: in `lib`, `lib/x86_64-linux-gnu` and folders in that."""
    depths = ("", "*-linux-gnu*/", "*-linux-gnu*/*/")
    return [file for depth in depths for file in place.glob(f"{depth}*.so*")]


def _runs(command: list[str], step: str) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST[step],
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
