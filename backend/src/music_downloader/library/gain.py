"""How much louder or softer a track is to be played, as the containers write it.

ReplayGain 2.0 (https://wiki.hydrogenaudio.org/index.php?title=ReplayGain_2.0_specification) aims at -18 LUFS;
Opus has fields of its own (RFC 7845, section 5.2.1), which aim at -23 LUFS and know no peak.
"""

import re
from dataclasses import dataclass

REFERENCE = -18.0  # LUFS
_R128_REFERENCE = -23.0  # LUFS
_R128_STEPS = 256  # a decibel; the number is a signed one of sixteen bits, Q7.8
_R128_LIMITS = range(-(2**15), 2**15)
_GAIN = re.compile(r"\s*([+-]?\d{1,3}(?:\.\d{1,9})?)\s*(?:dB)?\s*", re.IGNORECASE)
_PEAK = re.compile(r"\s*\+?(\d{1,3}(?:\.\d{1,15})?)\s*")
_WHOLE = re.compile(r"\s*([+-]?\d{1,6})\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """What a player adds to a track, or to each track of an album, in dB; peaks have 1.0 at full scale.

    A gain has two decimals and a peak six, as they are written. No peak can be read from an Opus file.
    """

    track_gain: float
    track_peak: float | None = None
    album_gain: float | None = None
    album_peak: float | None = None

    def __post_init__(self) -> None:
        for name, decimals in (("track_gain", 2), ("track_peak", 6), ("album_gain", 2), ("album_peak", 6)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, round(value, decimals) + 0.0)  # never "-0.00"


def gain_texts(gain: Gain) -> dict[str, str]:
    """Write the fields 'track_gain', 'track_peak', 'album_gain' and 'album_peak' as far as they are known."""
    gains = {"track_gain": gain.track_gain, "album_gain": gain.album_gain}
    peaks = {"track_peak": gain.track_peak, "album_peak": gain.album_peak}
    written = {name: f"{value:.2f} dB" for name, value in gains.items() if value is not None}
    return written | {name: f"{value:.6f}" for name, value in peaks.items() if value is not None}


def read_gain(
    *, track_gain: str | None, track_peak: str | None, album_gain: str | None, album_peak: str | None
) -> Gain | None:
    """Read what `gain_texts` writes, or other programs; None without a track's gain."""
    of_track = _number(_GAIN, track_gain)
    if of_track is None:
        return None
    return Gain(
        track_gain=of_track,
        track_peak=_number(_PEAK, track_peak),
        album_gain=_number(_GAIN, album_gain),
        album_peak=_number(_PEAK, album_peak),
    )


def to_r128(text: str) -> str | None:
    """Write '-7.89 dB' as Opus does, as whole steps from -23 LUFS: '-3300'; None if it isn't a gain."""
    decibels = _number(_GAIN, text)
    if decibels is None:
        return None
    steps = round((decibels + _R128_REFERENCE - REFERENCE) * _R128_STEPS)
    return str(min(max(steps, _R128_LIMITS[0]), _R128_LIMITS[-1]))


def from_r128(text: str) -> str | None:
    """Turn Opus' '-3300' into '-7.89 dB'; None if it isn't such a number."""
    match = _WHOLE.fullmatch(text)
    if match is None or int(match[1]) not in _R128_LIMITS:
        return None
    return f"{int(match[1]) / _R128_STEPS + REFERENCE - _R128_REFERENCE:.2f} dB"


def _number(pattern: re.Pattern[str], text: str | None) -> float | None:
    match = pattern.fullmatch(text or "")
    return float(match[1]) if match else None
