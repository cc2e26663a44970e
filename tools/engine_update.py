"""An update of yt-dlp in the midst of running downloads: which of them end, and how."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rig

sys.path.append(str(rig.TOOLS.parent / "backend"))
from tests.package_index import serving  # the wheels that the tests offer, too

NEWER = "2099.1.2"
_UPDATE_SECONDS, _END_SECONDS = 300, 600


def run(folder: Path, source: str, names: list[str]) -> dict[str, Any]:
    """Start every download, update yt-dlp while all of them run, and wait for their ends."""
    folder.mkdir()
    settings = {"worker_concurrency": len(names), "max_per_host": len(names), "engine_updates": "off"}
    with (
        serving(folder / "index") as (index, pip),
        rig.service(folder / "service", **settings) as service,
        rig.Api(service.address) as api,
    ):
        index.offer(NEWER)
        api.log_in()
        before = api.call("GET", "/health").expect(200)["checks"]["yt_dlp"]["detail"]
        urls = [f"{source}/{name}" for name in names]
        ids = [api.call("POST", "/api/download", {"url": url}).expect(202)["id"] for url in urls]
        _wait(api, ids, {"in-progress"}, within=60)
        began = time.monotonic()
        _update(folder, pip)
        took = time.monotonic() - began
        running = sum(row["status"] == "in-progress" for row in _rows(api, ids))
        # Whoever comes next is fetched by the new one, which the worker finds out within seconds.
        after = _await_version(api)
        rows = _wait(api, ids, rig.ENDED, within=_END_SECONDS)
        last = api.call("POST", "/api/download", {"url": f"{urls[0]}?again"}).expect(202)["id"]
        ended = _wait(api, [last], rig.ENDED, within=_END_SECONDS)
    return {
        "downloads": len(rows),
        "running when it was done": running,
        "seconds": took,
        "before": before,
        "after": after,
        "failed": sum(row["status"] != "completed" for row in rows + ended),
        "tried more than once": sum(row["attempts"] > 1 for row in rows + ended),
    }


def _update(folder: Path, pip: Mapping[str, str]) -> None:
    environment = rig.environment(folder, data_directory=folder / "service" / "data") | dict(pip)
    command = [str(rig.BIN / "nas-music"), "engine", "update"]
    subprocess.run(command, check=True, env=environment, timeout=_UPDATE_SECONDS, cwd=folder)


def _rows(api: rig.Api, ids: list[int]) -> list[dict[str, Any]]:
    return [api.call("GET", f"/api/downloads/{each}").expect(200) for each in ids]


def _wait(api: rig.Api, ids: list[int], states: set[str] | frozenset[str], *, within: float) -> list[Any]:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        rows = _rows(api, ids)
        if all(row["status"] in states for row in rows):
            return rows
        time.sleep(0.5)
    raise rig.RigError(f"Not all downloads were {' or '.join(sorted(states))} within {within:.0f} seconds.")


def _await_version(api: rig.Api) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said: str = api.call("GET", "/health").expect(200)["checks"]["yt_dlp"]["detail"]
        if said.startswith(NEWER):
            return said
        time.sleep(0.5)
    raise rig.RigError("The updated yt-dlp wasn't taken into use within a minute.")
