"""How loud audio is, measured by ffmpeg's ebur128 (EBU R 128, ITU-R BS.1770-4) while it decodes."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

import structlog

from music_downloader.engine import ffmpeg
from music_downloader.engine.spawner import Spawner

_GATE: Final = -70.0  # the absolute gate of BS.1770-4: what is quieter never counts
_LOUDEST: Final = 50
_INCOMPLETE: Final = 3  # a block of 400 ms ends every 100 ms, so the first three begin before the audio
_MAX_LINE: Final = 1024
_MOMENTARY: Final = b"lavfi.r128.M="
_PEAK: Final = b"lavfi.r128.sample_peak="
# An output that keeps nothing and prints each block. Mono counts as the two speakers that will play it.
MEASURING: Final = (
    *("-map", "0:a:0", "-vn", "-sn", "-dn"),
    *("-af", "ebur128=metadata=1:peak=sample:dualmono=true,ametadata=mode=print:file=-"),
    *("-f", "null", "-"),
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loudness:
    """The loudness of a track, in a form that adds up to that of an album.

    `blocks` says how many blocks of 400 ms (one each 100 ms) had a loudness, in tenths of a LUFS, from -700;
    silence below isn't counted, so it is empty for a track of silence. `peak` is the highest sample, 1.0
    being full scale.
    """

    blocks: dict[int, int]
    peak: float


class Meter:
    """Reads what ffmpeg prints for `MEASURING`, piece by piece, in memory that doesn't grow."""

    def __init__(self) -> None:
        self._blocks: Counter[int] = Counter()
        self._peak = 0.0
        self._seen = 0
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of ffmpeg's output."""
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[:_MAX_LINE]
        for line in lines:
            if line.startswith(_MOMENTARY):
                self._seen += 1
                loudness = _number(line[len(_MOMENTARY) :])
                if self._seen > _INCOMPLETE and loudness is not None and loudness >= _GATE:
                    self._blocks[min(round(loudness * 10), _LOUDEST)] += 1
            elif line.startswith(_PEAK):
                self._peak = max(self._peak, _number(line[len(_PEAK) :]) or 0.0)

    def result(self) -> Loudness:
        """Return what was measured so far."""
        return Loudness(blocks=dict(self._blocks), peak=self._peak)


async def measure(spawner: Spawner, path: Path, *, directory: Path, deadline: float) -> Loudness:
    """Decode `path`, which is only read, and measure it: see `Engine.measure`."""
    meter = Meter()
    source = str(await asyncio.to_thread(path.absolute))  # ffmpeg runs in `directory`
    status, words = await ffmpeg.run(
        spawner,
        ["-loglevel", "error", "-threads", "1", *ffmpeg.guarded_input(source), *MEASURING],
        directory=directory,
        deadline=deadline,
        max_bytes=0,
        idle=True,
        reads=(source,),
        on_output=meter.feed,
    )
    if status != 0:
        log.warning("engine.ffmpeg_failed", status=status, words=words[-500:])
        raise ffmpeg.failure(words)
    return meter.result()


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None
