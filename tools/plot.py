"""Draw docs/benchmarks.svg: ratios that `make bench BENCH='… --json FILE'` found, and what they are held to.

python tools/plot.py FILE…
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import bench
import report

TARGET = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.svg"
_LEFT, _WIDTH, _ROW, _TOP = 350, 400, 30, 46
_STYLE = (
    "text{fill:#333}.held{stroke:#333}.good{fill:#2b8a3e}.missed{fill:#e8590c}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.held{stroke:#ddd}}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One ratio; it is held to `most` or to `least`."""

    label: str
    ratio: float
    most: float | None = None
    least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is what it is held to."""
        return (self.most is None or self.ratio <= self.most) and (
            self.least is None or self.ratio >= self.least
        )


def bars(results: dict[str, Any]) -> Iterator[Bar]:
    """Yield the ratios of one run, by the sections that it has."""
    slow = "150 ms away, " if results["options"]["slow"] else ""
    for section, name, reference, most in (
        ("passthrough", "nas-music, best", "curl + ffmpeg -c copy", bench.MOST_OF_BARE),
        (
            "mp3",
            "nas-music, mp3",
            "curl + ffmpeg -threads 1 to mp3",
            bench.MOST_OF_BARE_MP3_AFAR if slow else bench.MOST_OF_BARE_MP3,
        ),
    ):
        if found := results.get(section):
            ratio = found[name]["wall"] / found[reference]["wall"]
            yield Bar(label=f"{slow}{section}: time over {reference}", ratio=ratio, most=most)
    if found := results.get("collection"):
        ratio = found["nas-music, best"]["wall"] / found["yt-dlp -x, once for all"]["wall"]
        yield Bar(
            label="a feed: time over yt-dlp, once for all",
            ratio=ratio,
            most=report.MOST_OF_ONE_CALL,
        )
    races = results.get("history", {}).get("races", {})
    for name, least in (
        ("page 1", bench.LEAST_OF_PAGE_1),
        ("the last page", bench.LEAST_OF_LAST_PAGE),
    ):
        if race := races.get(name):
            ratio = race["ours"] / race["bare"]
            yield Bar(
                label=f"{name} of a million: answers over a bare route's",
                ratio=ratio,
                least=least,
            )


def draw(found: list[Bar]) -> str:
    """Return the picture: a bar for each ratio, a line at what it is held to, colours for light and dark."""
    scale = _WIDTH / max([bar.ratio for bar in found] + [bar.most or bar.least or 0 for bar in found])
    height = _TOP + _ROW * len(found) + 10
    size = f'viewBox="0 0 {_LEFT + _WIDTH + 70} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f"<style>{_STYLE}</style>",
        '<text x="10" y="20" font-size="14">Ratios of one run; the line is what each is held to</text>',
    ]
    for number, bar in enumerate(found):
        y = _TOP + _ROW * number
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>')
        parts.append(
            f'<rect class="{"good" if bar.holds else "missed"}" x="{_LEFT}" y="{y}" '
            f'width="{bar.ratio * scale:.1f}" height="18" rx="2"/>'
        )
        end = max(bar.ratio, bar.most or bar.least or 0) * scale
        parts.append(f'<text x="{_LEFT + end + 6:.1f}" y="{y + 13}">{bar.ratio:.2f}</text>')
        if held := bar.most or bar.least:
            x = f"{_LEFT + held * scale:.1f}"
            parts.append(
                f'<line class="held" x1="{x}" x2="{x}" y1="{y - 3}" y2="{y + 21}" stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """Draw what the files hold; 1 when that is nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    found = [bar for file in parser.parse_args().files for bar in bars(json.loads(file.read_text("utf-8")))]
    if not found:
        print("plot: there is no ratio in those files.", file=sys.stderr)
        return 1
    TARGET.write_text(draw(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
