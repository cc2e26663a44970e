"""Two hundred people at once beside running downloads: no errors but 429, and /health within a second."""

import argparse
import hashlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import races
import rig

ACCOUNTS, TRACKS = 10, 8
MOST_FOR_HEALTH = 1.0
_EVERY = 0.5
_REQUIREMENTS = rig.TOOLS.parent / "backend" / "requirements-load.txt"
_VENV = rig.BIN.parent / "load"


def main() -> int:
    """Run the load and say what came of it; 1 when something failed or /health was late."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    try:
        _provide_locust()
        with rig.temporary_folder() as folder:
            return _run(folder, users=options.users, seconds=options.seconds)
    except rig.RigError as error:
        print(f"\nload: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; everything is cleaned up.", file=sys.stderr)
        return 130


def _run(folder: Path, *, users: int, seconds: int) -> int:
    media = folder / "media"
    names = races.make_tracks(media, suffix=".mp3", number=TRACKS, seconds=60)
    with (
        rig.source(media) as source,
        rig.service(folder / "service", registration_limit="1000/hour", max_per_host=4) as service,
    ):
        environment = {
            "load_tokens": json.dumps(_accounts(service.address)),
            "load_tracks": json.dumps([f"{source}/{name}" for name in names]),
        }
        command = [str(_VENV / "bin" / "locust"), "--headless", "--only-summary", "--host", service.address]
        command += ["--locustfile", str(rig.TOOLS / "load_calls.py"), "--users", str(users)]
        command += ["--spawn-rate", str(max(users // 10, 1)), "--run-time", f"{seconds}s"]
        with _Health(service.address) as health:
            done = subprocess.run(
                command,
                check=False,
                cwd=folder,
                env=rig.environment(folder, **environment),
                timeout=seconds + 120,
            )
        completed = _completed(service.address)
    worst = max(health.taken)
    print(f"/health was asked {len(health.taken)} times: at most {worst:.3f} s (held to {MOST_FOR_HEALTH:g})")
    print(f"Answers of /health that weren't 200: {health.failed}. Downloads completed meanwhile: {completed}")
    good = done.returncode == 0 and worst <= MOST_FOR_HEALTH and not health.failed and completed > 0
    print("Everything held." if good else "Something didn't hold.")
    return 0 if good else 1


def _provide_locust() -> None:
    """Install locust in an environment of its own, which nothing else needs."""
    stamp, wanted = _VENV / ".installed", hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print("Setting up locust ...", flush=True)
    pip = [str(_VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True, timeout=600)
    subprocess.run(
        [*pip, "--quiet", "--require-hashes", "--no-deps", "-r", str(_REQUIREMENTS)], check=True, timeout=1800
    )
    stamp.write_text(wanted, encoding="utf-8")


def _accounts(address: str) -> list[str]:
    tokens = []
    for number in range(ACCOUNTS):
        with rig.Api(address) as api:
            who = {"username": f"person{number}", "email": f"person{number}@example.org"}
            api.call("POST", "/auth/register", {**who, "password": rig.USER["password"]}).expect(201)
            login = {"username": who["username"], "password": rig.USER["password"]}
            tokens.append(api.call("POST", "/auth/login", login, form=True).expect(200)["access_token"])
    return tokens


def _completed(address: str) -> int:
    total = 0
    for number in range(ACCOUNTS):
        with rig.Api(address) as api:
            login = {"username": f"person{number}", "password": rig.USER["password"]}
            api.token = api.call("POST", "/auth/login", login, form=True).expect(200)["access_token"]
            total += int(api.call("GET", "/api/downloads?status=completed").expect(200)["total"])
    return total


class _Health:
    """Asks for /health twice a second while its block runs."""

    def __init__(self, address: str) -> None:
        self.taken: list[float] = []
        self.failed = 0
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with rig.Api(self._address) as api:
            while True:
                began = time.perf_counter()
                self.failed += api.call("GET", "/health").status != 200  # noqa: PLR2004 - HTTP's own
                self.taken.append(time.perf_counter() - began)
                if self._stop.wait(_EVERY):
                    return


if __name__ == "__main__":
    sys.exit(main())
