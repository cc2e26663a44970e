import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mutagen
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen import id3
from mutagen.mp4 import MP4
from tests.library.test_tags import FULL, JPEG, PNG

from music_downloader.library.gain import Gain, from_r128, read_gain, to_r128
from music_downloader.library.loudness import gain, integrated, merged_blocks
from music_downloader.library.tags import TrackTags, read_tags, retag, write_tags

CopyOf = Callable[..., Path]
GAIN = Gain(track_gain=-7.89, track_peak=0.987654, album_gain=-6.5, album_peak=1.0)
GAINED = replace(FULL, gain=GAIN)


def test_the_gain_survives_in_every_container(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container)
    write_tags(song, GAINED)
    kept = GAIN if container != "opus" else Gain(track_gain=-7.89, album_gain=-6.5)
    assert read_tags(song) == replace(FULL, gain=kept)
    write_tags(song, FULL)
    assert read_tags(song) == FULL


def test_the_gain_stands_where_players_look_for_it(copy_of: CopyOf) -> None:
    texts = {
        "REPLAYGAIN_TRACK_GAIN": "-7.89 dB",
        "REPLAYGAIN_TRACK_PEAK": "0.987654",
        "REPLAYGAIN_ALBUM_GAIN": "-6.50 dB",
        "REPLAYGAIN_ALBUM_PEAK": "1.000000",
    }
    songs = {kind: copy_of(kind) for kind in ("mp3", "m4a", "flac", "ogg", "opus")}
    for song in songs.values():
        write_tags(song, GAINED)
    frames: Any = id3.ID3(songs["mp3"])
    assert {name: frames[f"TXXX:{name}"].text for name in texts} == {
        name: [text] for name, text in texts.items()
    }
    atoms: Any = MP4(songs["m4a"]).tags
    assert {name: bytes(atoms[f"----:com.apple.iTunes:{name}"][0]).decode() for name in texts} == texts
    for kind in ("flac", "ogg"):
        comments: Any = mutagen.File(songs[kind])
        assert {name: comments[name] for name in texts} == {name: [text] for name, text in texts.items()}
    opus: Any = mutagen.File(songs["opus"])
    assert not [name for name in opus if name.startswith("replaygain")]
    assert (opus["R128_TRACK_GAIN"], opus["R128_ALBUM_GAIN"]) == (["-3300"], ["-2944"])


@pytest.mark.parametrize("cover", [None, JPEG, PNG])
def test_a_changed_gain_changes_nothing_else(container: str, copy_of: CopyOf, cover: bytes | None) -> None:
    song, whole = copy_of(container, "song"), copy_of(container, "whole")
    write_tags(song, FULL, cover=cover)
    before = song.read_bytes()
    write_tags(whole, GAINED, cover=cover)
    retag(song, GAIN)
    assert song.read_bytes() == whole.read_bytes()
    retag(song, None)
    assert song.read_bytes() == before


def test_a_gain_that_is_none_is_not_read(copy_of: CopyOf) -> None:
    song = copy_of("flac")
    file: Any = mutagen.File(song)
    file["REPLAYGAIN_TRACK_GAIN"] = ["loud"]
    file["REPLAYGAIN_ALBUM_GAIN"] = ["-3 dB"]
    file.save()
    found = read_tags(song)
    assert found is None or found.gain is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("-7.89 dB", "0.987654", None, None), Gain(track_gain=-7.89, track_peak=0.987654)),
        (("+3.5 db", None, "1", "2.5"), Gain(track_gain=3.5, album_gain=1.0, album_peak=2.5)),
        (("0", "-1", "x", "nan"), Gain(track_gain=0.0)),
        ((None, "1.0", "-3 dB", "1.0"), None),
        (("inf", None, None, None), None),
        (("1e9 dB", None, None, None), None),
        (("9" * 500, None, None, None), None),
    ],
)
def test_what_other_programs_write_is_read(texts: tuple[str | None, ...], expected: Gain | None) -> None:
    names = ("track_gain", "track_peak", "album_gain", "album_peak")
    assert read_gain(**dict(zip(names, texts, strict=True))) == expected


@pytest.mark.parametrize(
    ("decibels", "steps"),
    [("5.00 dB", "0"), ("-7.89 dB", "-3300"), ("0.00 dB", "-1280"), ("200 dB", "32767")],
)
def test_opus_counts_from_another_loudness_in_steps(decibels: str, steps: str) -> None:
    assert to_r128(decibels) == steps


@given(st.integers(-9000, 9000).map(lambda hundredths: hundredths / 100))
def test_opus_steps_give_the_same_gain_back(decibels: float) -> None:
    text = f"{decibels:.2f} dB"
    assert from_r128(to_r128(text) or "") == text.replace("-0.00", "0.00")


@pytest.mark.parametrize("text", ["", "1.5", "32768", "-32769", "x", "9" * 99])
def test_what_is_no_whole_number_of_steps_is_no_gain(text: str) -> None:
    assert from_r128(text) is None


def test_loudness_is_the_mean_by_energy() -> None:
    assert integrated({-230: 10}) == pytest.approx(-23.0)
    expected = 10 * math.log10((10**-2.0 + 10**-2.3) / 2)
    assert integrated({-200: 5, -230: 5}) == pytest.approx(expected)


def test_silence_and_what_is_far_below_the_mean_does_not_count() -> None:
    # EBU Tech 3341, case 3 and its kin: quiet parts don't lower the loudness
    assert integrated({-360: 100, -230: 600, -700: 1000, -900: 5}) == pytest.approx(-23.0)
    # the relative gate lies 10 LU below the mean of all that is above the absolute one
    assert integrated({-230: 100, -320: 100}) == pytest.approx(10 * math.log10((10**-2.3 + 10**-3.2) / 2))
    assert integrated({-230: 100, -370: 100}) == pytest.approx(-23.0)


@pytest.mark.parametrize("blocks", [{}, {-700: 50}, {-800: 1, -1200: 3}, {-230: 0}])
def test_silence_has_no_loudness_and_no_gain(blocks: dict[int, int]) -> None:
    assert integrated(blocks) is None
    assert gain((blocks, 0.0)) is None


def test_a_track_is_brought_to_the_reference_and_its_album_as_a_whole() -> None:
    loud, soft, silent = ({-80: 10}, 1.0), ({-280: 10}, 0.25), ({-700: 10}, 0.0)
    assert gain(loud) == Gain(track_gain=-10.0, track_peak=1.0)
    album = [loud, soft, silent]
    assert gain(soft, album) == Gain(track_gain=10.0, track_peak=0.25, album_gain=-10.0, album_peak=1.0)
    assert gain(silent, album) is None
    assert gain(loud, []) == gain(loud)


def test_blocks_of_several_tracks_add_up() -> None:
    assert merged_blocks([{-230: 1, -200: 2}, {-230: 3}, {}]) == {-230: 4, -200: 2}


def test_a_gain_has_the_decimals_that_are_written() -> None:
    gained = Gain(track_gain=-0.001, track_peak=0.12345678, album_gain=1.239)
    assert gained == Gain(track_gain=0.0, track_peak=0.123457, album_gain=1.24)
    assert str(gained.track_gain) == "0.0"
    assert TrackTags(title="T", gain=gained).gain == gained
