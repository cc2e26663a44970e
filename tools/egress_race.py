"""What the way out through the egress proxy costs: a large file for throughput, small ones for latency."""

import asyncio
import os
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import processes

from music_downloader.egress.gate import Gate
from music_downloader.egress.policy import EgressPolicy

LARGE = 100 * 1024**2
_SMALL = 16 * 1024
_PIECE = 64 * 1024
_SMALL_FETCHES = 100
_LOOPBACK = EgressPolicy(allowed=(ip_network("127.0.0.0/8"),))
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(kw_only=True, slots=True)
class Way:
    """Seconds of the wall and of CPU for the large file, one a round; milliseconds for each small one."""

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)


def make(folder: Path) -> None:
    """Write the two files."""
    folder.mkdir()
    for name, size in (("large.mp3", LARGE), ("small.mp3", _SMALL)):
        (folder / name).write_bytes(
            os.urandom(1024 * 1024)[: min(size, 1024 * 1024)] * max(1, size // 1024**2)
        )


def run(source: str, *, rounds: int) -> dict[str, Any]:
    """Fetch both ways in turns; `proxied` counts the proxy's CPU seconds with the client's."""
    return asyncio.run(_run(source, rounds))


async def _run(source: str, rounds: int) -> dict[str, Any]:
    gate = Gate()
    await gate.start()
    try:
        async with gate.admit(_LOOPBACK, None) as way_out:
            ways = {"direct": Way(), "proxied": Way()}
            fetches = {"direct": _fetcher({}), "proxied": _fetcher({"http": way_out})}
            await asyncio.to_thread(_race, source, rounds, ways, fetches, gate.pid or 0)
        size = sum(size for _, size in processes.memory(gate.pid or 0))
    finally:
        await gate.close()
    return {**{name: asdict(way) for name, way in ways.items()}, "pss": size, **_ratios(ways)}


def _race(
    source: str, rounds: int, ways: dict[str, Way], fetches: dict[str, Callable[[str], int]], proxy: int
) -> None:
    for fetch in fetches.values():  # once before it counts
        fetch(f"{source}/small.mp3")
        fetch(f"{source}/large.mp3")
    for _ in range(rounds):
        for name, fetch in fetches.items():
            began, computed = time.perf_counter(), time.thread_time() + _computed(proxy)
            size = fetch(f"{source}/large.mp3")
            ways[name].walls.append(time.perf_counter() - began)
            ways[name].cpus.append(time.thread_time() + _computed(proxy) - computed)
            assert size == LARGE  # noqa: S101 - else nothing here means anything
    for _ in range(_SMALL_FETCHES):
        for name, fetch in fetches.items():
            began = time.perf_counter()
            fetch(f"{source}/small.mp3")
            ways[name].small.append(1000 * (time.perf_counter() - began))


def _fetcher(proxies: dict[str, str]) -> Callable[[str], int]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))

    def fetch(url: str) -> int:
        size = 0
        with opener.open(url, timeout=60) as answer:
            while piece := answer.read(_PIECE):
                size += len(piece)
        return size

    return fetch


def _computed(pid: int) -> float:
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _ratios(ways: dict[str, Way]) -> dict[str, float]:
    direct, proxied = ways["direct"], ways["proxied"]
    return {
        "wall_ratio": statistics.median(proxied.walls) / statistics.median(direct.walls),
        "cpu_ratio": statistics.median(proxied.cpus) / max(statistics.median(direct.cpus), 0.001),
        "more_for_small": statistics.median(proxied.small) - statistics.median(direct.small),
    }
