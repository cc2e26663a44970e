"""How the programs for tests get there: `tools/debian.py`, as the setup calls it."""

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[3] / "tools"
# Only what a test puts on the PATH counts as the system's.
PROVIDE = """
import pathlib, sys, debian
debian.SYSTEM_FOLDERS = ()
sys.exit(not debian.provide(pathlib.Path(sys.argv[1])))
"""


def provide(folder: Path, *, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROVIDE, str(folder)]
    environment = {"PATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, check=False, cwd=TOOLS, env=environment, capture_output=True, text=True, timeout=60
    )


def put_program(file: Path, script: str = "#!/bin/sh\n") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script, encoding="utf-8")
    file.chmod(0o755)


def test_nothing_is_fetched_where_the_system_has_the_programs(tmp_path: Path) -> None:
    for name in ("mpd", "minidlnad", "chromium", "apt-get", "dpkg-deb"):
        put_program(tmp_path / "bin" / name)
    done = provide(tmp_path / "debian", path=tmp_path / "bin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "debian").exists()


def test_nothing_is_fetched_twice(tmp_path: Path) -> None:
    for name in ("mpd", "minidlnad", "chromium"):
        put_program(tmp_path / "debian" / "bin" / name)
    done = provide(tmp_path / "debian", path=tmp_path / "nothing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_system_without_apt_is_told_what_to_install(tmp_path: Path) -> None:
    done = provide(tmp_path / "debian", path=tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("setup: The programs for tests come from Debian")
    assert "mpd" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_failing_apt_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("apt-get", "dpkg-deb"):
        put_program(tmp_path / "bin" / name, "#!/bin/sh\nexit 100\n")
    done = provide(tmp_path / "venv" / "debian", path=tmp_path / "bin")
    assert done.returncode == 1
    assert "apt could not fetch" in done.stderr
    assert list((tmp_path / "venv").iterdir()) == []
