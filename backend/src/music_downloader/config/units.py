"""Sizes and durations as people write them: `2GiB`, `500MB`, `12h`, `90s`."""

import re

_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)?", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Seconds in `90`, `90s`, `5m`, `12h` or `1d`; ValueError on anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("write a duration as a number and a unit: 90s, 5m, 12h, 1d")
    return float(match[1]) * _SECONDS[(match[2] or "s").lower()]
