"""Music servers as judges of what we write: records filed by the library's own functions, and scanned."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.readers.albums import ALBUMS, OPUS, PLAYLIST, SINGLES, TWO_DISCS, UNFINISHED, Record, as_meant
from tests.readers.covers import is_of
from tests.readers.minidlna import Minidlna
from tests.readers.mpd import Mpd, values
from tests.readers.reader import expected, shown

SHOWN_BY_MINIDLNA = [record for record in ALBUMS if record is not OPUS]  # it knows no .opus


def each(records: Sequence[Record]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("record", records, ids=lambda record: f"{record.kind}-{record.name[0]}")


def test_mpd_shows_every_album_once_in_order_with_the_right_artists(in_mpd: Mpd) -> None:
    assert shown(in_mpd) == as_meant(ALBUMS)


def test_minidlna_shows_every_album_once_in_order_with_the_right_artists(in_minidlna: Minidlna) -> None:
    assert shown(in_minidlna) == as_meant(SHOWN_BY_MINIDLNA)


def test_minidlna_lists_every_album_title_once(in_minidlna: Minidlna) -> None:
    assert sorted(in_minidlna.album_titles()) == sorted({record.name[1] for record in SHOWN_BY_MINIDLNA})


@each(SINGLES)
def test_mpd_shows_a_single_without_an_album(in_mpd: Mpd, record: Record) -> None:
    assert in_mpd.tracks(record.name) == [expected(record.tracks[0])]


@each(SINGLES)
def test_minidlna_shows_a_single_without_an_album(in_minidlna: Minidlna, record: Record) -> None:
    assert in_minidlna.tracks(record.name) == [expected(record.tracks[0])]


@each([*ALBUMS, *SINGLES])
def test_mpd_finds_the_right_cover_in_every_file(in_mpd: Mpd, record: Record) -> None:
    covers = in_mpd.covers(record.name)
    assert len(covers) == len(record.tracks)
    assert all(is_of(cover, record.colour) for cover in set(covers))


@each([*SHOWN_BY_MINIDLNA, *SINGLES])
def test_minidlna_shows_the_right_cover_beside_every_track(in_minidlna: Minidlna, record: Record) -> None:
    covers = in_minidlna.covers(record.name)
    assert len(covers) == len(record.tracks)
    assert all(is_of(cover, record.colour) for cover in set(covers))


@each(ALBUMS)
def test_mpd_finds_the_cover_in_an_albums_folder(in_mpd: Mpd, library: Path, record: Record) -> None:
    cover = (library / record.paths[0].with_name("cover.jpg")).read_bytes()
    for song in in_mpd.songs_of(record.name):
        assert in_mpd.picture("albumart", song[0][1]) == cover


@each(ALBUMS)
def test_mpd_knows_the_whole_date_and_the_genres(in_mpd: Mpd, record: Record) -> None:
    for song, tags in zip(in_mpd.songs_of(record.name), record.tracks, strict=True):
        assert values(song)["Date"] == [tags.date]
        assert values(song)["Genre"] == list(tags.genres)


def test_mpd_knows_the_disc_of_each_track(in_mpd: Mpd) -> None:
    discs = [values(song)["Disc"] for song in in_mpd.songs_of(TWO_DISCS.name)]
    assert discs == [[str(tags.disc_number)] for tags in TWO_DISCS.tracks]


@each([record for record in ALBUMS if record is not OPUS])  # of Opus it keeps the gain to itself
def test_mpd_finds_the_gain_in_every_file(in_mpd: Mpd, record: Record) -> None:
    for path in record.paths:
        said = in_mpd.comments(path)
        assert said["REPLAYGAIN_TRACK_GAIN"] == "-7.89 dB"
        assert said["REPLAYGAIN_ALBUM_GAIN"] == "1.50 dB"
        assert said["REPLAYGAIN_TRACK_PEAK"] == "0.987654"


def test_mpd_finds_every_track_of_a_playlist(in_mpd: Mpd) -> None:
    assert in_mpd.playlist(f"Playlists/{PLAYLIST}.m3u8") == [
        str(path) for record in ALBUMS for path in record.paths
    ]


def test_no_server_shows_what_is_still_being_downloaded(in_mpd: Mpd, in_minidlna: Minidlna) -> None:
    assert in_mpd.titles()
    assert UNFINISHED not in in_mpd.titles()
    assert in_minidlna.titles()
    assert UNFINISHED not in in_minidlna.titles()
