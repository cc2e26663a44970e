"""How soon a download starts, and how much memory the service takes."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import processes
import rig

_PATIENCE = 120  # seconds for one download
_POLL = 0.01
_UNDISTURBED = 0.1
_SETTLE = 3.0
_LOOK = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Milliseconds: the median, the 99th percentile and the worst."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Sum seconds up."""
        ranked = sorted(second * 1000 for second in seconds)
        p99 = ranked[min(round(0.99 * len(ranked)), len(ranked) - 1)]
        return cls(p50=statistics.median(ranked), p99=p99, worst=ranked[-1])


def latency(service: rig.Service, source: str, *, number: int) -> dict[str, dict[str, float]]:
    """Submit one small track after the other to an idle service.

    `answer` is the time of the POST; `start` goes from sending it to the row's `started_at`, `pick-up` from
    `created_at` to `started_at`. Both are the database's clock, which is this machine's.
    """
    answers, starts, picked = [], [], []
    spread = random.Random(7)  # noqa: S311 - it only keeps us out of step with the service's own timers
    with rig.Api(service.address) as api:
        api.log_in()
        for _ in range(number):
            time.sleep(spread.uniform(0.1, 0.2))
            sent, clock = time.time(), time.perf_counter()
            download_id = api.submit(f"{source}/small.mp3")
            answers.append(time.perf_counter() - clock)
            time.sleep(_UNDISTURBED)  # whoever asks at once would be part of what is measured
            row = api.await_end(download_id, every=_POLL, within=_PATIENCE)
            if row["status"] != "completed":
                raise rig.RigError(f"A small download failed: {row['error_message']}")
            created, started = (
                datetime.fromisoformat(row[name]).timestamp() for name in ("created_at", "started_at")
            )
            starts.append(started - sent)
            picked.append(started - created)
    measured = {"answer": answers, "start": starts, "pick-up": picked}
    return {name: asdict(Spread.of(values)) for name, values in measured.items()}


def make_small(folder: Path) -> None:
    """Make the small track that `latency` asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:duration=1")
    rig.ffmpeg(
        *sound, "-b:a", "64k", "-metadata", "title=Small", "-metadata", "artist=A", folder / "small.mp3"
    )


def memory(service: rig.Service, source: str, slow_source: str, tracks: Sequence[str]) -> dict[str, object]:
    """Look at the whole tree's memory: idle, idle after 20 downloads, and its peak with two running."""
    looks: dict[str, list[tuple[str, int]]] = {}
    with rig.Api(service.address) as api:
        api.log_in()
        time.sleep(_SETTLE)
        looks["idle"] = processes.memory(service.pid)
        formats = ("best", "mp3")
        ids = [
            api.submit(f"{source}/{tracks[n % len(tracks)]}?n={n}", formats[n % len(formats)])
            for n in range(20)
        ]
        _await_all(api, ids)
        time.sleep(_SETTLE)
        looks["idle after 20 downloads"] = processes.memory(service.pid)
        ids = [api.submit(f"{slow_source}/{name}?slow", "mp3") for name in tracks[:2]]
        peak: list[tuple[str, int]] = []
        deadline = time.monotonic() + _PATIENCE
        while any(api.download(download_id)["status"] not in rig.ENDED for download_id in ids):
            if time.monotonic() > deadline:
                raise rig.RigError("Two downloads from the slow source haven't ended.")
            peak = max(peak, processes.memory(service.pid), key=total)
            time.sleep(_LOOK)
        _await_all(api, ids)
        looks["two running, at the peak"] = peak
    return {name: {"total": total(look), "processes": look} for name, look in looks.items()}


def total(look: Sequence[tuple[str, int]]) -> int:
    """Sum up one look."""
    return sum(size for _, size in look)


def _await_all(api: rig.Api, ids: Sequence[int]) -> None:
    for download_id in ids:
        row = api.await_end(download_id, every=_LOOK, within=_PATIENCE)
        if row["status"] != "completed":
            raise rig.RigError(f"Download {download_id} failed: {row['error_message']}")
