"""From measured loudness to the gain that players apply.

Loudness is counted in blocks of 400 ms, as ITU-R BS.1770-4 and EBU R 128 define them: how many had which
loudness, in tenths of a LUFS. Counts of several tracks add up to those of their album.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from music_downloader.library.gain import REFERENCE, Gain

_SILENCE = -70.0  # LUFS; BS.1770-4's absolute gate
_BELOW_MEAN = 10.0  # LU; its relative gate


def integrated(blocks: Mapping[int, int]) -> float | None:
    """Take the mean loudness in LUFS of all that isn't silence; None if everything is.

    The gates of BS.1770-4: blocks at or below -70 LUFS don't count, nor do those more than 10 LU below the
    mean of the others.
    """
    audible = {tenths / 10: count for tenths, count in blocks.items() if tenths / 10 > _SILENCE and count > 0}
    mean = _mean(audible)
    if mean is None:
        return None
    return _mean({level: count for level, count in audible.items() if level > mean - _BELOW_MEAN})


def merged_blocks(several: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Add the blocks of several tracks up to those of their album."""
    total: Counter[int] = Counter()
    for blocks in several:
        total.update(blocks)
    return dict(total)


def gain(
    track: tuple[Mapping[int, int], float],
    album: Sequence[tuple[Mapping[int, int], float]] | None = None,
) -> Gain | None:
    """Work out ReplayGain 2.0 from a track's blocks and sample peak, and those of all tracks of its album.

    The album's are the track's own among them. None if the track is silent.
    """
    blocks, peak = track
    loudness = integrated(blocks)
    if loudness is None:
        return None
    album_loudness = integrated(merged_blocks(blocks for blocks, _ in album)) if album else None
    if not album or album_loudness is None:
        return Gain(track_gain=REFERENCE - loudness, track_peak=peak)
    return Gain(
        track_gain=REFERENCE - loudness,
        track_peak=peak,
        album_gain=REFERENCE - album_loudness,
        album_peak=max(peak for _, peak in album),
    )


def _mean(levels: Mapping[float, int]) -> float | None:
    """Average by energy, as loudness adds up; in LUFS."""
    count = sum(levels.values())
    if not count:
        return None
    return 10 * math.log10(sum(10 ** (level / 10) * times for level, times in levels.items()) / count)
