"""Measure the service against yt-dlp's own command and the bare work, side by side and on the loopback only.

What each number means is told in docs/benchmarks.md.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import egress_race
import engine_update
import feeds
import gauges
import long_history
import pressure
import races
import report
import rig

SECTIONS = (
    *("passthrough", "mp3", "source", "collection", "slots", "latency", "beside", "queue"),
    *("memory", "egress", "history", "update"),
)
SLOW = {"delay": 0.15, "rate": 1_500_000.0}
# What the service is held to: ratios of wall times, milliseconds, and MiB.
MOST_OF_YT_DLP, MOST_OF_BARE, MOST_OF_BARE_MP3, MOST_OF_BARE_MP3_AFAR = 0.12, 2.0, 1.08, 0.8
ANSWER_P99, START_P50, START_P99 = 25.0, 15.0, 50.0
LEAST_OF_PAGE_1, LEAST_OF_LAST_PAGE = 0.6, 0.5
MOST_OF_DIRECT, MORE_FOR_SMALL, PROXY = 6.0, 10.0, 25.0
IDLE, TWO_RUNNING = 250, 400
MOST_OF_IDLE, HEALTH = 2.0, 1000.0


def main() -> int:
    """Run the chosen sections and print what they found; 1 when something didn't work at all."""
    options = _options()
    began = time.monotonic()
    results: dict[str, Any] = {"options": {**vars(options), "json": None}, "machine": _machine()}
    try:
        with rig.temporary_folder() as folder:
            bench = Bench(folder, options)
            for section in options.only:
                report.tell(f"{section} ...")
                results[section] = bench.sections[section]()
    except rig.RigError as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; everything is cleaned up.", file=sys.stderr)
        return 130
    results["machine"]["load_at_the_end"] = os.getloadavg()[0]
    results["took"] = round(time.monotonic() - began)
    print(f"\n{results['machine']}, {results['took']} s in all")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


class Bench:
    """The sections, each with a service of its own."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._pace = SLOW if options.slow else {}
        self.sections: dict[str, Callable[[], Any]] = {
            "passthrough": self.passthrough,
            "mp3": self.mp3,
            "source": self.source,
            "collection": self.collection,
            "slots": self.slots,
            "latency": self.latency,
            "beside": self.beside,
            "queue": self.queue,
            "memory": self.memory,
            "egress": self.egress,
            "history": self.history,
            "update": self.update,
        }

    def passthrough(self) -> dict[str, Any]:
        """Keep MP3 as it is."""
        media, names = self._tracks(".mp3")
        with (
            rig.source(media, **self._pace) as source,
            rig.service(self._folder / "best", max_active_per_user=500) as service,
        ):
            ours, bare, peer = races.ours(service, "best"), races.bare_copy(), races.yt_dlp()
            one = [races.yt_dlp(at_once=1)] if self._options.thorough else []
            self._race([ours, peer, bare, *one], source, names)
        report.table("passthrough: MP3 stays as it is", [ours, peer, bare, *one], reference=bare)
        report.target("time over yt-dlp -x", ours.wall / peer.wall, MOST_OF_YT_DLP)
        report.target("time over the bare work", ours.wall / bare.wall, MOST_OF_BARE)
        return report.figures([ours, peer, bare, *one])

    def mp3(self) -> dict[str, Any]:
        """Turn AAC into MP3."""
        media, names = self._tracks(".m4a")
        with (
            rig.source(media, **self._pace) as source,
            rig.service(self._folder / "mp3", max_active_per_user=500) as service,
        ):
            ours, bare = races.ours(service, "mp3"), races.bare_mp3()
            peer = races.yt_dlp("--audio-format", "mp3", "--audio-quality", "0")
            self._race([ours, bare, peer], source, names)
        report.table("mp3: AAC becomes MP3 V0", [ours, peer, bare], reference=bare)
        most = MOST_OF_BARE_MP3_AFAR if self._options.slow else MOST_OF_BARE_MP3
        report.target("time over the bare work", ours.wall / bare.wall, most)
        return report.figures([ours, peer, bare])

    def source(self) -> dict[str, Any]:
        """Only fetch: the floor that the source itself sets."""
        media, names = self._tracks(".mp3")
        with rig.source(media, **self._pace) as source:
            alone = races.bare_fetch()
            self._race([alone], source, names)
        report.table("source: fetching and nothing else", [alone], reference=alone)
        return report.figures([alone])

    def collection(self) -> dict[str, Any]:
        """Take a feed with all it holds."""
        items, rounds = self._options.items, self._options.rounds
        media, names = self._tracks(".mp3", number=items + feeds.WARM)
        tracks = [media / name for name in names]
        with rig.source(media, **self._pace) as source:
            warm = feeds.write_feed(media / "warm.xml", address=source, tracks=tracks[items:])
            feed = feeds.write_feed(media / "feed.xml", address=source, tracks=tracks[:items])
            ours = feeds.Ours(warm=warm, items=items, rounds=rounds)
            us, peer = ours.contender, feeds.yt_dlp(items=items)
            races.run([us, peer], [feed], self._folder, rounds=rounds)
        report.table(f"collection: a feed with {items} tracks", [us, peer], reference=peer)
        memory = feeds.memory(us)
        report.say_collection(us, peer, memory, ours.background)
        figures = report.figures([us, peer])
        for contender in (us, peer):
            figures[contender.name]["first"] = feeds.first(contender)
        background = asdict(ours.background) if ours.background else None
        return {**figures, "memory": memory, "background": background}

    def latency(self) -> dict[str, Any]:
        """Submit to an idle service."""
        media = self._folder / "small"
        gauges.make_small(media)
        with (
            rig.source(media) as source,
            rig.service(self._folder / "latency", max_active_per_user=500) as service,
        ):
            found = gauges.latency(service, source, number=self._options.submissions)
        report.spreads(f"latency, {self._options.submissions} submissions, ms", found)
        report.target("answer p99, ms", found["answer"]["p99"], ANSWER_P99)
        report.target("start median, ms", found["start"]["p50"], START_P50)
        report.target("start p99, ms", found["start"]["p99"], START_P99)
        return found

    def slots(self) -> dict[str, Any]:
        """Fetch with more and more slots."""
        media, names = self._tracks(".mp3")
        with rig.source(media, **self._pace) as source:
            found = pressure.slots(self._folder, source, names, rounds=self._options.rounds)
        one = found[pressure.SLOTS[0]]
        print(f"\nslots: {len(names)} tracks                    seconds   of one slot's")
        for number, ours in found.items():
            print(f"  {number:<38}{ours.wall:9.2f}{ours.wall / one.wall:9.2f}")
        return {str(number): report.figures([ours]) for number, ours in found.items()}

    def beside(self) -> dict[str, Any]:
        """Look at the history while tracks are fetched and encoded."""
        media, names = self._tracks(".m4a")
        with rig.source(media, **self._pace) as source:
            found = pressure.beside(self._folder, source, names, seconds=20)
        report.spreads("beside: GET /api/downloads, and /health, ms", found)
        report.target("p99 over the idle one", found["busy"]["p99"] / found["idle"]["p99"], MOST_OF_IDLE)
        report.target("/health at worst, ms", found["health, busy"]["worst"], HEALTH)
        return found

    def queue(self) -> dict[str, Any]:
        """Submit ten thousand URLs, and see how fast they leave the queue with nothing to fetch."""
        number = self._options.urls
        found: dict[str, Any] = {}
        for slots in pressure.SLOTS[1::2]:
            found[str(slots)] = pressure.queue(self._folder / f"queue-{slots}", number=number, slots=slots)
        print(f"\nqueue: {number} URLs              accepted a second   ended a second")
        for slots, rates in found.items():
            print(f"  {slots + ' slots':<38}{rates['accepted']:12.0f}{rates['ended']:17.0f}")
        return found

    def memory(self) -> dict[str, Any]:
        """Add up the whole tree's PSS."""
        media, names = self._tracks(".m4a")
        rate = max((media / name).stat().st_size for name in names) / 6
        with (
            rig.source(media) as source,
            rig.source(media, rate=rate) as slow,
            rig.service(self._folder / "memory", max_active_per_user=500) as service,
        ):
            found: dict[str, Any] = gauges.memory(service, source, slow, names)
        for moment, look in found.items():
            print(f"\nmemory, {moment}: {look['total'] / report.MIB:.0f} MiB (PSS)")
            for name, sizes in report.by_name(look["processes"]).items():
                several = f"   ({len(sizes)} of them)" if len(sizes) > 1 else ""
                print(f"  {name:<50}{sum(sizes) / report.MIB:8.1f}{several}")
        totals = [look["total"] / report.MIB for look in found.values()]
        report.target("idle, MiB", max(totals[:-1]), IDLE)
        report.target("two running, MiB", totals[-1], TWO_RUNNING)
        return found

    def egress(self) -> dict[str, Any]:
        """Fetch with and without the proxy that everything goes through."""
        media = self._folder / "egress"
        egress_race.make(media)
        with rig.source(media) as source:
            found = egress_race.run(source, rounds=2 * self._options.rounds + 1)
        print("\negress: 100 MiB, and a small file          seconds    CPU s   small, ms")
        for name in ("direct", "proxied"):
            wall, cpu, small = (statistics.median(found[name][kind]) for kind in ("walls", "cpus", "small"))
            print(f"  {name:<38}{wall:9.3f}{cpu:9.3f}{small:12.2f}")
        report.target("CPU over a direct fetch", found["cpu_ratio"], MOST_OF_DIRECT)
        report.target("more for a small file, ms", found["more_for_small"], MORE_FOR_SMALL)
        report.target("the proxy's memory, MiB", found["pss"] / report.MIB, PROXY)
        print(f"  time over a direct fetch: {found['wall_ratio']:.2f}")
        return found

    def update(self) -> dict[str, Any]:
        """Take another yt-dlp into use while twenty tracks are fetched."""
        media, names = self._tracks(".mp3", number=20)
        rate = max((media / name).stat().st_size for name in names) / 60
        with rig.source(media, rate=rate) as source:
            found = engine_update.run(self._folder / "update", source, names)
        print(f"\nupdate: {', '.join(f'{what} {value}' for what, value in found.items())}")
        report.target("downloads that failed", found["failed"], 0)
        return found

    def history(self) -> dict[str, Any]:
        """Page through a long history."""
        options = self._options
        found = long_history.run(
            self._folder / "history",
            rows=options.rows,
            entries=5 * options.rows,
            rounds=options.rounds,
            seconds=3,
        )
        print(
            f"\nhistory: {options.rows} rows of one user, {5 * options.rows} audit entries      ms     total"
        )
        for name, look in found["looks"].items():
            print(f"  {name:<38}{look['ms']:30.1f}{look['total']:10}")
        print("  in SQL alone, ms: " + ", ".join(f"{name} {ms:.1f}" for name, ms in found["queries"].items()))
        for name, race in found["races"].items():
            said = f"{race.ours:.0f} answers a second, the bare route {race.bare:.0f}"
            print(f"  {name:<38}{said}: {race.ratio:.2f}")
        report.least("page 1 over the bare route", found["races"]["page 1"].ratio, LEAST_OF_PAGE_1)
        report.least(
            "the last page over the bare route", found["races"]["the last page"].ratio, LEAST_OF_LAST_PAGE
        )
        return {**found, "races": {name: asdict(race) for name, race in found["races"].items()}}

    def _tracks(self, suffix: str, *, number: int | None = None) -> tuple[Path, list[str]]:
        """Return a folder and the names of `number` tracks in it, as many as the options say by default."""
        number = number or self._options.tracks
        media = self._folder / f"media{suffix}" / f"tracks-{number}"
        if media.exists():
            return media, sorted(path.name for path in media.glob(f"*{suffix}"))
        seconds = self._options.seconds
        report.tell(f"   making {number} tracks of {seconds} s ({suffix})")
        return media, races.make_tracks(media, suffix=suffix, number=number, seconds=seconds)

    def _race(self, contenders: Sequence[races.Contender], source: str, names: Sequence[str]) -> None:
        urls = [f"{source}/{name}" for name in names]
        for contender in contenders:  # once before it counts: files are cached, processes are warm
            out = self._folder / "warm"
            out.mkdir()
            contender.run(urls[:2], out)
            shutil.rmtree(out)
        races.run(contenders, urls, self._folder, rounds=self._options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=180, help="length of a track")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=200, help="how many tracks the collection has")
    parser.add_argument("--submissions", type=int, default=200, help="how many for latency")
    parser.add_argument("--urls", type=int, default=10_000, help="how many are queued")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how long the history is")
    parser.add_argument("--only", type=_sections, default=SECTIONS, help=",".join(SECTIONS))
    parser.add_argument("--slow", action="store_true", help="a source of 150 ms and 1.5 MB/s a connection")
    parser.add_argument("--thorough", action="store_true", help="yt-dlp one at a time as well")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args()


def _sections(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no such section: {', '.join(sorted(unknown))}")
    return chosen


def _machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_the_start": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
