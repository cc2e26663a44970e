"""A feed as a whole: ours by one submission, yt-dlp's own command by one call."""

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import mutagen
import processes
import races
import rig

COMPLETED = "completed"  # the last moment that memory is looked at; all others are under way
WARM = 2  # tracks of the uncounted feed that each lap of ours begins with
_SUFFIX = ".mp3"
_FINE_POLL, _POLL, _SELDOM = 0.01, 0.1, 1.0
_LOOKS, _BETWEEN_LOOKS = 3, 0.1
_GAIN_POLL = 0.5
_MARKS = (0.05, 0.5, 0.95)
_GAINS = ("TXXX:REPLAYGAIN_TRACK_GAIN", "TXXX:REPLAYGAIN_ALBUM_GAIN")


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedLap(races.Lap):
    """A lap with the seconds until its first file was there, and with our memory (PSS, bytes) by moment."""

    first: float
    memory: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """What followed the last lap: seconds until each file held its gains, and CPU seconds by part."""

    wall: float
    cpu: Mapping[str, float]
    memory: int


def write_feed(path: Path, *, address: str, tracks: Sequence[Path]) -> str:
    """Write an RSS feed whose items are these tracks of the source at `address`; return the feed's own."""
    items = "".join(
        f"<item><title>{track.stem}</title><guid>{track.stem}</guid><enclosure "
        f'url="{address}/{track.name}" length="{track.stat().st_size}" type="audio/mpeg"/></item>\n'
        for track in tracks
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>'
        f"<title>Bench</title><link>{address}/</link><description>Made for measuring</description>\n"
        f"{items}</channel></rss>\n",
        encoding="utf-8",
    )
    return f"{address}/{path.name}"


class Ours:
    """Our side: each lap has a service of its own, so none finds in its library what another one brought."""

    def __init__(self, *, warm: str, items: int, rounds: int) -> None:
        self.contender = races.Contender(name="nas-music, best", run=self._lap)
        self.background: Background | None = None
        self._warm = warm
        self._items = items
        self._rounds = rounds

    def _lap(self, urls: Sequence[str], out: Path) -> FeedLap:
        with (
            rig.service(
                out / "service",
                max_active_per_user=500,
                worker_concurrency=races.AT_ONCE,
                max_per_host=races.AT_ONCE,
            ) as service,
            rig.Api(service.address) as api,
        ):
            api.log_in()
            _completed(api.await_end(api.submit(self._warm), every=_POLL, within=races.PATIENCE))
            _empty(service.library)  # nothing is left of it to measure while we measure
            lap = self._counted(service, api, urls[0])
            if len(self.contender.laps) == self._rounds - 1:
                self.background = _background(service, self._items)
        return lap

    def _counted(self, service: rig.Service, api: rig.Api, url: str) -> FeedLap:
        before = processes.cpu_seconds(service.pid)
        began, clock = time.time(), time.monotonic()
        download_id = api.submit(url)
        first = _until_first_file(service, api, download_id) - clock
        memory = dict(_followed(service, api, download_id, items=self._items))
        row = _completed(api.await_end(download_id, every=_POLL, within=races.PATIENCE))
        used = processes.cpu_seconds(service.pid)
        memory[COMPLETED] = _memory(service)
        _check(service.library, self._items)
        return FeedLap(
            wall=datetime.fromisoformat(str(row["completed_at"])).timestamp() - began,
            cpu={part: used[part] - before[part] for part in used},
            first=first,
            memory=memory,
        )


def yt_dlp(*, items: int) -> races.Contender:
    """Call yt-dlp's own command once with the feed's URL."""

    def lap(urls: Sequence[str], out: Path) -> FeedLap:
        command = [*races.yt_dlp_command(), "-P", str(out), urls[0]]
        before, clock = races.children_cpu(), time.perf_counter()
        with _running(command, rig.environment(out)) as process:
            while process.poll() is None and not _has_file(out):
                time.sleep(_FINE_POLL)
            first = time.perf_counter() - clock
            if process.wait(races.PATIENCE) != 0:
                raise rig.RigError(f"yt-dlp ended with {process.returncode}.")
        wall = time.perf_counter() - clock
        _check(out, items)
        return FeedLap(wall=wall, cpu={"commands": races.children_cpu() - before}, first=first)

    return races.Contender(name="yt-dlp -x, once for all", run=lap)


def first(contender: races.Contender) -> float:
    """Return the median over the laps of the seconds until the first file was there."""
    return statistics.median(lap.first for lap in contender.laps if isinstance(lap, FeedLap))


def memory(contender: races.Contender) -> dict[str, float]:
    """Return the median over the laps of the bytes of memory by moment, in the order of the moments."""
    laps = [lap for lap in contender.laps if isinstance(lap, FeedLap)]
    moments = dict.fromkeys(moment for lap in laps for moment in lap.memory)
    return {
        moment: statistics.median(lap.memory[moment] for lap in laps if moment in lap.memory)
        for moment in moments
    }


def _until_first_file(service: rig.Service, api: rig.Api, download_id: int) -> float:
    """Return the moment at which the first file was there; the service is hardly asked meanwhile."""
    began = asked = time.monotonic()
    while not _has_file(service.library):
        time.sleep(_FINE_POLL)
        now = time.monotonic()
        if now - asked > _SELDOM:
            asked = now
            if api.download(download_id)["status"] in rig.ENDED or now - began > races.PATIENCE:
                break
    return time.monotonic()


def _followed(
    service: rig.Service, api: rig.Api, download_id: int, *, items: int
) -> Iterator[tuple[str, int]]:
    """Give the memory at each mark, as long as the collection isn't through."""
    deadline = time.monotonic() + races.PATIENCE
    for mark in sorted({max(1, round(part * items)) for part in _MARKS}):
        while (row := api.download(download_id))["status"] not in rig.ENDED:
            if (row["items"] or {}).get("completed", 0) >= mark:
                yield f"{mark} tracks done", _memory(service)
                break
            if time.monotonic() > deadline:
                raise rig.RigError(f"Only {row['items']} have come in {races.PATIENCE} s.")
            time.sleep(_POLL)


def _memory(service: rig.Service) -> int:
    """Return the median of a few looks at the whole tree: fetching processes come and go."""
    looks = []
    for _ in range(_LOOKS):
        looks.append(sum(size for _, size in processes.memory(service.pid)))
        time.sleep(_BETWEEN_LOOKS)
    return round(statistics.median(looks))


def _background(service: rig.Service, items: int) -> Background:
    """Wait until each file holds the gains of its track and its album."""
    before, clock = processes.cpu_seconds(service.pid), time.monotonic()
    waiting = _files(service.library)
    while waiting:
        if _has_gains(waiting[-1]):
            waiting.pop()
            continue
        if time.monotonic() - clock > races.PATIENCE:
            raise rig.RigError(f"{len(waiting)} of {items} tracks still have no gain.")
        time.sleep(_GAIN_POLL)
    wall = time.monotonic() - clock
    used = processes.cpu_seconds(service.pid)
    return Background(
        wall=wall, cpu={part: used[part] - before[part] for part in used}, memory=_memory(service)
    )


def _has_gains(path: Path) -> bool:
    file = mutagen.File(path)
    return file is not None and file.tags is not None and all(name in file.tags for name in _GAINS)


def _files(folder: Path) -> list[Path]:
    """Return what a player finds: whole files, at the top or in folders that aren't hidden."""
    return sorted([*folder.glob(f"*{_SUFFIX}"), *folder.glob(f"[!.]*/**/*{_SUFFIX}")])


def _has_file(folder: Path) -> bool:
    return bool(_files(folder))


def _check(folder: Path, items: int) -> None:
    if (found := len(_files(folder))) != items:
        raise rig.RigError(f"{found} files have come of {items}.")


def _empty(library: Path) -> None:
    for folder in library.glob("[!.]*"):
        shutil.rmtree(folder)


def _completed(row: Mapping[str, object]) -> Mapping[str, object]:
    if row["status"] != "completed":
        raise rig.RigError(f"The feed ended as {row['status']}: {row['error_message']}")
    return row


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the block runs; it doesn't outlive it."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()
