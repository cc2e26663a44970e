"""How what was found is told: tables, and each figure beside what it is held to."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import feeds
import races

MIB = 1024**2
MOST_OF_ONE_CALL, MOST_GROWTH = 0.8, 1.10


def by_name(sizes: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    """Return the sizes of all processes of one name."""
    found: dict[str, list[int]] = {}
    for name, size in sizes:
        found.setdefault(name, []).append(size)
    return found


def figures(contenders: Sequence[races.Contender]) -> dict[str, Any]:
    """Return what is kept of a race."""
    return {
        contender.name: {
            "wall": contender.wall,
            "cpu": contender.cpu,
            "laps": [{"wall": lap.wall, "cpu": dict(lap.cpu)} for lap in contender.laps],
        }
        for contender in contenders
    }


def table(title: str, contenders: Sequence[races.Contender], *, reference: races.Contender) -> None:
    """Print a race."""
    print(f"\n{title:<40}  seconds    ratio    CPU s")
    for contender in contenders:
        cpu = contender.cpu
        parts = _parts(cpu) if len(cpu) > 1 else ""
        print(
            f"  {contender.name:<38}{contender.wall:9.2f}{contender.wall / reference.wall:9.2f}"
            f"{sum(cpu.values()):9.2f}   {parts}".rstrip()
        )


def _parts(cpu: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {used:.2f}" for part, used in sorted(cpu.items()))


def say_collection(
    ours: races.Contender,
    peer: races.Contender,
    memory: Mapping[str, float],
    background: feeds.Background | None,
) -> None:
    """Print what else there is to say of a collection."""
    for contender in (ours, peer):
        print(f"  {contender.name:<30}first file after {feeds.first(contender):6.2f} s")
    for moment, size in memory.items():
        print(f"  memory, {moment:<30}{size / MIB:9.1f} MiB")
    if background is not None:
        used = sum(background.cpu.values())
        print(
            f"  gains behind the scenes: {background.wall:.1f} s, CPU s {used:.2f}   {_parts(background.cpu)}"
        )
        print(f"  memory, {'gains written':<30}{background.memory / MIB:9.1f} MiB")
    target("time over one call of yt-dlp -x", ours.wall / peer.wall, MOST_OF_ONE_CALL)
    under_way = [size for moment, size in memory.items() if moment != feeds.COMPLETED]
    if len(under_way) > 1:
        target("memory over that at the first look", max(under_way) / under_way[0], MOST_GROWTH)


def spreads(title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    """Print medians, 99th percentiles and the worst."""
    print(f"\n{title:<46}median      p99    worst")
    for name, spread in found.items():
        print(f"  {name:<42}{spread['p50']:8.1f} {spread['p99']:8.1f} {spread['worst']:8.1f}")


def target(what: str, value: float, most: float) -> None:
    """Print whether a figure is small enough."""
    print(f"  -> {what}: {value:.3g}, at most {most:g}: {'met' if value <= most else 'MISSED'}")


def least(what: str, value: float, least: float) -> None:
    """Print whether a figure is large enough."""
    print(f"  -> {what}: {value:.3g}, at least {least:g}: {'met' if value >= least else 'MISSED'}")


def tell(words: str) -> None:
    """Say how far it is, beside what is printed."""
    print(words, file=sys.stderr, flush=True)
