"""Limits as people write them: `10/5 minutes`, `20/hour`, `5/30s`; `off` for none."""

import re
from dataclasses import dataclass

MOST = 1_000_000
LONGEST_SECONDS = 30 * 86_400

_WORDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_UNITS = {
    **_WORDS,
    **{f"{word}s": seconds for word, seconds in _WORDS.items()},
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86_400,
}
_RATE = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})?\s*([a-z]+)")
_OFF = {"0", "off"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most `count` in `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        word, unit = max(
            ((word, unit) for word, unit in _WORDS.items() if self.seconds % unit == 0),
            key=lambda named: named[1],
        )
        many = self.seconds // unit
        return f"{self.count}/{word}" if many == 1 else f"{self.count}/{many} {word}s"

    def times(self, factor: int) -> "Rate":
        """Return a limit so many times as wide, over the same period."""
        return Rate(count=self.count * factor, seconds=self.seconds)


def parse_rate(value: object) -> Rate | None:
    """Read a limit; None for `0` and `off`. ValueError, in words a person can act on, for anything else."""
    if value is None or isinstance(value, Rate):
        return value
    text = str(value).strip().lower()
    if text in _OFF:
        return None
    match = _RATE.fullmatch(text)
    unit = _UNITS.get(match[3]) if match else None
    if match is None or unit is None:
        raise ValueError("write a limit as a number and a period, 10/5 minutes or 20/hour; off for none")
    count, seconds = int(match[1]), int(match[2] or 1) * unit
    if not (1 <= count <= MOST and 1 <= seconds <= LONGEST_SECONDS):
        raise ValueError(f"the number must be from 1 to {MOST}, and the period at most 30 days; off for none")
    return Rate(count=count, seconds=seconds)
