"""What has a way of its own to be written: durations (`12h`, `90s`), and modes (`022`)."""

import re

_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)?", re.IGNORECASE)
_UMASK = re.compile(r"0?0[0-7]{2}")


def parse_duration(value: object) -> float:
    """Seconds in `90`, `90s`, `5m`, `12h` or `1d`; ValueError on anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("write a duration as a number and a unit: 90s, 5m, 12h, 1d")
    return float(match[1]) * _SECONDS[(match[2] or "s").lower()]


def parse_umask(value: object) -> int:
    """Read `022` or `0002`, which leave the owner everything; ValueError on anything else.

    Fewer digits are refused: YAML reads an unquoted 027 as the number 23, which would be another mask.
    """
    text = str(value).strip()
    if _UMASK.fullmatch(text) is None:
        raise ValueError("write it as three digits from 000 to 077, such as '022', in YAML between quotes")
    return int(text, 8)
