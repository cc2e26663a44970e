"""The same tracks, the same source, the same two at a time: ours, yt-dlp's own command, and the bare work."""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

import processes
import rig

AT_ONCE = 2
PATIENCE = 1800  # seconds for one contender's round
_BASES = 4  # tracks that are really encoded; the others are copies of them with other tags
_POLL = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Lap:
    """One contender's round: seconds on the wall, and CPU seconds by part."""

    wall: float
    cpu: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One way to get tracks: `run` takes their URLs and an empty folder."""

    name: str
    run: Callable[[Sequence[str], Path], Lap]
    laps: list[Lap] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """The median of the rounds, in seconds."""
        return statistics.median(lap.wall for lap in self.laps)

    @property
    def cpu(self) -> dict[str, float]:
        """The median of the rounds by part, in CPU seconds."""
        parts = sorted({part for lap in self.laps for part in lap.cpu})
        return {part: statistics.median(lap.cpu.get(part, 0.0) for lap in self.laps) for part in parts}


def make_tracks(folder: Path, *, suffix: str, number: int, seconds: int) -> list[str]:
    """Make `number` distinct stereo files at 192 kbit/s, noise and moving tones; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    coding = {".mp3": "libmp3lame", ".m4a": "aac"}[suffix]
    bases = [folder.parent / f"base-{n}{suffix}" for n in range(min(_BASES, number))]

    def base(seed: int) -> None:
        left, right = (f"anoisesrc=c=pink:a=0.3:r=44100:d={seconds}:s={seed * 2 + side}" for side in (0, 1))
        tones = "|".join(
            f"0.2*sin(2*PI*t*{220 + 30 * seed}+9*sin(t*{speed}))*(1+sin(t*{speed / 2}))/2"
            for speed in (1.7, 2.3)
        )
        graph = (
            f"{left}[l];{right}[r];[l][r]join=inputs=2:channel_layout=stereo,lowpass=f=9000[noise];"
            f"aevalsrc='{tones}':s=44100:d={seconds}[tones];[noise][tones]amix=inputs=2"
        )
        rig.ffmpeg("-filter_complex", graph, "-c:a", coding, "-b:a", "192k", bases[seed])

    def copy(n: int) -> str:
        facts = {"title": f"Track {n + 1:03}", "artist": "The Loopbacks", "album": "Bench", "track": n + 1}
        metadata = [part for name, value in facts.items() for part in ("-metadata", f"{name}={value}")]
        name = f"track-{n + 1:03}{suffix}"
        rig.ffmpeg("-i", bases[n % len(bases)], "-c", "copy", *metadata, folder / name)
        return name

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(base, range(len(bases))))
        return list(pool.map(copy, range(number)))


def run(contenders: Sequence[Contender], urls: Sequence[str], folder: Path, *, rounds: int) -> None:
    """Let every contender have its turn in every round, each round beginning with another one."""
    for number in range(rounds):
        turn = number % len(contenders)
        for contender in (*contenders[turn:], *contenders[:turn]):
            out = folder / "out"
            out.mkdir()
            os.sync()  # nobody pays for what the one before has written
            lap = contender.run(urls, out)
            contender.laps.append(lap)
            shutil.rmtree(out)
            said = f"   round {number + 1}: {contender.name:<38}{lap.wall:8.2f} s"
            print(said, file=sys.stderr, flush=True)


def ours(service: rig.Service, audio_format: str) -> Contender:
    """Through the API: from the first POST to the last `completed_at`."""
    return Contender(name=f"nas-music, {audio_format}", run=lambda urls, _: _lap(service, urls, audio_format))


def bare_copy() -> Contender:
    """Fetch and remux."""
    return _commands(
        "curl + ffmpeg -c copy",
        lambda url, raw, done: [_fetch(url, raw), _ffmpeg(raw, "-c", "copy", f"{done}{raw.suffix}")],
    )


def bare_mp3() -> Contender:
    """Fetch and encode on one thread."""
    coding = ("-vn", "-c:a", "libmp3lame", "-q:a", "0")
    return _commands(
        "curl + ffmpeg -threads 1 to mp3",
        lambda url, raw, done: [_fetch(url, raw), _ffmpeg(raw, "-threads", "1", *coding, f"{done}.mp3")],
    )


def bare_fetch() -> Contender:
    """Fetch and do nothing: what the source and the loopback alone take."""
    return _commands("curl alone", lambda url, raw, _: [_fetch(url, raw)])


def yt_dlp(*options: str, at_once: int = AT_ONCE) -> Contender:
    """Run yt-dlp's own command once a track."""
    name = "yt-dlp -x" + (" to mp3" if options else "") + (", one at a time" if at_once == 1 else "")
    fixed = yt_dlp_command(*options)
    return _commands(name, lambda url, raw, _: [[*fixed, "-P", str(raw.parent), url]], at_once=at_once)


def yt_dlp_command(*options: str) -> list[str]:
    """Return yt-dlp's own command but for the folder and the URL."""
    fixed = [str(rig.BIN / "yt-dlp"), "--ignore-config", "--quiet", "--no-warnings", "-x", *options]
    return [*fixed, "--ffmpeg-location", rig.FFMPEG]


def _lap(service: rig.Service, urls: Sequence[str], audio_format: str) -> Lap:
    with rig.Api(service.address) as api:
        api.log_in()
        before = processes.cpu_seconds(service.pid)
        began = time.time()
        ids = [api.submit(url, audio_format) for url in urls]
        api.await_end(ids[-1], every=_POLL, within=PATIENCE)
        rows = [api.await_end(download_id, every=_POLL, within=PATIENCE) for download_id in ids]
        used = processes.cpu_seconds(service.pid)
    failed = [row for row in rows if row["status"] != "completed"]
    if failed:
        raise rig.RigError(f"{len(failed)} of {len(rows)} downloads failed: {failed[0]['error_message']}")
    ended = max(datetime.fromisoformat(row["completed_at"]) for row in rows).timestamp()
    shutil.rmtree(service.library / "The Loopbacks")  # or the next round would find everything there
    return Lap(wall=ended - began, cpu={part: used[part] - before[part] for part in used})


def _commands(
    name: str, steps: Callable[[str, Path, Path], list[list[str]]], *, at_once: int = AT_ONCE
) -> Contender:
    """Return a contender that runs commands one after the other for each track."""

    def contend(urls: Sequence[str], out: Path) -> Lap:
        environment = rig.environment(out)
        numbers = count()

        def one(url: str) -> None:
            folder = out / str(next(numbers))
            folder.mkdir()
            for command in steps(url, folder / f"raw{Path(url.partition('?')[0]).suffix}", folder / "done"):
                subprocess.run(command, check=True, timeout=PATIENCE, env=environment)

        before, began = children_cpu(), time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one, urls))
        return Lap(wall=time.perf_counter() - began, cpu={"commands": children_cpu() - before})

    return Contender(name=name, run=contend)


def children_cpu() -> float:
    """Return the CPU seconds of all commands that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fetch(url: str, path: Path) -> list[str]:
    if shutil.which("curl"):
        return ["curl", "-sS", "-f", "-o", str(path), url]
    if shutil.which("wget"):
        return ["wget", "-q", "-O", str(path), url]
    code = "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])"
    return [sys.executable, "-c", code, url, str(path)]


def _ffmpeg(path: Path, *arguments: str) -> list[str]:
    return [rig.FFMPEG, "-nostdin", "-loglevel", "error", "-y", "-i", str(path), *arguments]
