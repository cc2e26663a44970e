# ruff: noqa: ASYNC240 - small local files
"""Loudness is measured while audio is encoded, or afterwards, and agrees with ffmpeg's own summary."""

import asyncio
import os
import re
import shutil
import subprocess
import time
from math import log10
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest
from tests import media
from tests.family import below

from music_downloader.config.audio import AudioFormat
from music_downloader.engine.loudness import Loudness, Meter
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
SWELLING = "anoisesrc=color=pink:seed=1:amplitude=0.6:d=9:r={rate},volume='0.02+0.09*t':eval=frame"


def noise(path: Path, *, rate: int = 44100, channels: int = 2, coding: tuple[str, ...] = ()) -> Path:
    """Make noise that swells, so that the gates of the measurement have something to do."""
    media.ffmpeg("-f", "lavfi", "-i", SWELLING.format(rate=rate), "-ac", str(channels), *coding, path)
    return path


def integrated(blocks: dict[int, int]) -> float:
    """Return the integrated loudness of BS.1770-4: the mean above a gate 10 LU below the mean of all."""

    def mean(above: float) -> float:
        kept = {tenths: count for tenths, count in blocks.items() if tenths / 10 > above}
        energy = sum(count * 10 ** ((tenths / 10 + 0.691) / 10) for tenths, count in kept.items())
        return -0.691 + 10 * log10(energy / sum(kept.values()))

    return mean(mean(-70) - 10)


def summary(path: Path) -> tuple[float, float]:
    """Return what ffmpeg itself says: integrated loudness and sample peak."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostats", "-i", str(path)]
    command += ["-af", "ebur128=peak=sample:dualmono=true", "-f", "null", "-"]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    words = words[words.rindex("Summary:") :]
    loudness, peak = (re.search(rf"{name}:\s+(-?[\d.]+)", words) for name in ("I", "Peak"))
    assert loudness
    assert peak
    return float(loudness[1]), 10 ** (float(peak[1]) / 20)


def agrees(measured: Loudness, path: Path) -> bool:
    loudness, peak = summary(path)
    assert integrated(measured.blocks) == pytest.approx(loudness, abs=0.1)
    assert measured.peak == pytest.approx(peak, abs=0.01)
    return True


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
async def test_a_finished_file_is_measured(engine: Engine, tmp_path: Path, rate: int, channels: int) -> None:
    path = noise(tmp_path / "noise.flac", rate=rate, channels=channels)
    measured = await engine.measure(path, directory=tmp_path, deadline=120)
    assert agrees(measured, path)
    assert sum(measured.blocks.values()) == pytest.approx(87, abs=1)  # nine seconds
    assert all(-700 <= tenths <= 50 for tenths in measured.blocks)


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus", "ogg", "flac"])
async def test_every_kind_of_the_library_is_measured(engine: Engine, tmp_path: Path, kind: str) -> None:
    path = noise(tmp_path / f"noise.{kind}", rate=48000)
    assert agrees(await engine.measure(path, directory=tmp_path, deadline=120), path)


@pytest.mark.parametrize(
    ("coding", "wanted"),
    [
        (("-c:a", "libmp3lame"), AudioFormat.FLAC),
        (("-c:a", "libmp3lame"), AudioFormat.OPUS),
        (("-c:a", "flac"), AudioFormat.MP3),
        (("-c:a", "flac"), AudioFormat.M4A),
        (("-c:a", "pcm_s24le"), AudioFormat.BEST),
        (("-c:a", "pcm_f32le"), AudioFormat.FLAC),
        (("-c:a", "aac"), AudioFormat.MP3),
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (96000, 1)])
async def test_measuring_changes_no_byte_of_what_is_encoded(
    engine: Engine,
    tmp_path: Path,
    coding: tuple[str, ...],
    wanted: AudioFormat,
    rate: int,
    channels: int,
) -> None:
    rate = min(rate, 48000) if "libmp3lame" in coding else rate
    source = noise(tmp_path / "noise.mka", rate=rate, channels=channels, coding=coding)
    files = []
    for measure in (False, True):
        folder = tmp_path / str(measure)
        folder.mkdir()
        path = Path(shutil.copy(source, folder / "source"))
        converted = await engine.convert(path, wanted=wanted, deadline=120, measure=measure)
        assert not converted.original
        assert [file.name for file in folder.iterdir()] == [converted.audio.path.name]
        files.append(converted.audio.path.read_bytes())
        if not measure:
            assert converted.loudness is None
    assert files[0] == files[1]
    assert converted.loudness is not None
    assert agrees(converted.loudness, source)


@pytest.mark.parametrize("kind", ["mp3", "webm"])
async def test_what_is_not_encoded_is_original_and_not_measured(
    engine: Engine, tmp_path: Path, kind: str
) -> None:
    path = Path(shutil.copy(media.make(kind), tmp_path / "source"))
    converted = await engine.convert(path, wanted=AudioFormat.BEST, deadline=120, measure=True)
    assert converted.original
    assert converted.loudness is None


async def test_silence_has_no_blocks(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "silence.flac"
    media.ffmpeg("-f", "lavfi", "-i", "anullsrc=d=3", path)
    measured = await engine.measure(path, directory=tmp_path, deadline=120)
    assert measured == Loudness(blocks={}, peak=0.0)


async def test_a_track_shorter_than_a_block_has_none(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "short.flac"
    media.ffmpeg("-f", "lavfi", "-i", "sine=d=0.3", path)
    measured = await engine.measure(path, directory=tmp_path, deadline=120)
    assert measured.blocks == {}


@pytest.mark.parametrize(
    "name",
    ["a b.flac", "-y.flac", "pipe:0", "%03d.flac", "a\nb'[x];,=\\.flac", "Ænima “é” 曲.flac", "x|y.flac"],
)
async def test_any_name_in_the_library_can_be_measured(engine: Engine, tmp_path: Path, name: str) -> None:
    shelf = tmp_path / "library"
    shelf.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    path = Path(shutil.copy(media.make("flac"), shelf / name))
    path.chmod(0o444)
    measured = await engine.measure(path, directory=work, deadline=120)
    assert sum(measured.blocks.values()) == pytest.approx(22, abs=1)
    assert path.read_bytes() == media.make("flac").read_bytes()
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b"fLaC" + bytes(100)]
)
async def test_what_is_no_audio_can_not_be_measured(engine: Engine, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.flac"
    path.write_bytes(content)
    with pytest.raises(DownloadFailedError) as caught:
        await engine.measure(path, directory=tmp_path, deadline=120)
    assert caught.value.code is ErrorCode.BAD_MEDIA


@pytest.mark.priority
async def test_measuring_steps_back_behind_everything_else(engine: Engine, tmp_path: Path) -> None:
    path = media.make("flac", seconds=1800)
    measuring = asyncio.create_task(engine.measure(path, directory=tmp_path, deadline=120))
    template = psutil.Process(engine.template_pid)
    until = time.monotonic() + 10
    while not (running := below(template, "ffmpeg")):
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    assert os.sched_getscheduler(running[0].pid) == os.SCHED_IDLE
    assert running[0].ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
    group = Path(f"/proc/{running[0].pid}/autogroup")
    if group.exists() and group.read_text():  # the kernel weighs sessions against each other first
        assert group.read_text().split()[-2:] == ["nice", "19"]
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert not running[0].is_running()


async def test_a_measurement_that_takes_too_long_is_given_up(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        await engine.measure(media.make("flac", seconds=1800), directory=tmp_path, deadline=0.05)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.TIMEOUT, True)


async def test_a_meter_reads_pieces_cut_anywhere_and_passes_over_nonsense() -> None:
    words = b"frame:0 pts:0\n" + b"lavfi.r128.M=-120.7\n" * 3
    words += b"lavfi.r128.M=-23.04\nlavfi.r128.M=nan\nlavfi.r128.M=-70.1\nlavfi.r128.M=99\nlavfi.r128.M=\n"
    words += b"lavfi.r128.sample_peak=0.250\nlavfi.r128.sample_peak=inf\nlavfi.r128.sample_peak=0.125\n"
    for step in (1, 7, 1000):
        meter = Meter()
        for start in range(0, len(words), step):
            meter.feed(words[start : start + step])
        assert meter.result() == Loudness(blocks={-230: 1, 50: 1}, peak=0.25)
    endless = Meter()
    for _ in range(100):
        endless.feed(b"x" * 100_000)
    assert endless.result() == Loudness(blocks={}, peak=0.0)
