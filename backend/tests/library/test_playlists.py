from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.library.shelf import listing
from tests.library.test_names import ANY_TEXT, NASTY_TEXT, is_legal

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.folders import OWN_FOLDER
from music_downloader.library.playlists import PlaylistTrack, playlist_text, remove_playlist, write_playlist

TRACKS = [
    PlaylistTrack(
        path=PurePosixPath("Björk/1997 - Homogenic/02 - Jóga.mp3"),
        title="Jóga",
        artist="Björk",
        duration=305.4,
    ),
    PlaylistTrack(path=PurePosixPath("Nobody/#1.opus"), title="#1"),
]
TEXT = """#EXTM3U
#PLAYLIST:Mix
#EXTINF:305,Björk - Jóga
../Björk/1997 - Homogenic/02 - Jóga.mp3
#EXTINF:-1,#1
../Nobody/#1.opus
"""


def test_a_playlist_names_its_tracks_from_where_it_lies() -> None:
    assert playlist_text(TRACKS, name="Mix") == TEXT
    assert playlist_text([], name="Mix") == "#EXTM3U\n#PLAYLIST:Mix\n"


def test_every_path_leads_to_its_track(root: Path) -> None:
    for track in TRACKS:
        (root / track.path).parent.mkdir(parents=True)
        (root / track.path).write_bytes(b"")
    filed = root / write_playlist(root, "Mix", TEXT)
    lines = [line for line in filed.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert [(filed.parent / line).resolve() for line in lines] == [root / track.path for track in TRACKS]


@given(ANY_TEXT | NASTY_TEXT, ANY_TEXT | NASTY_TEXT, st.none() | st.floats(-1e9, 1e9))
def test_whatever_the_tags_hold_a_track_has_two_lines(
    title: str, artist: str, duration: float | None
) -> None:
    track = PlaylistTrack(path=PurePosixPath("A/T.mp3"), title=title, artist=artist, duration=duration)
    lines = playlist_text([track], name=f"{title}{artist}").splitlines()
    assert len(lines) == 4
    assert lines[3] == "../A/T.mp3"
    assert lines[1].startswith("#PLAYLIST:")
    assert lines[2].startswith("#EXTINF:")


def test_a_path_that_fits_on_no_line_is_left_out() -> None:
    track = PlaylistTrack(path=PurePosixPath("A/T\nmore.mp3"), title="T")
    assert playlist_text([track], name="Mix") == "#EXTM3U\n#PLAYLIST:Mix\n"
    with pytest.raises(ValueError, match="library"):
        playlist_text([PlaylistTrack(path=PurePosixPath("/etc/passwd"), title="T")], name="Mix")


def test_a_playlist_is_kept_up_to_date_in_place(root: Path) -> None:
    first = write_playlist(root, "Mix", "one")
    assert first == PurePosixPath("Playlists/Mix.m3u8")
    assert write_playlist(root, "Renamed since", "two", previous=first) == first
    assert (root / first).read_text() == "two"
    assert listing(root / "Playlists") == ["Mix.m3u8"]


def test_a_playlist_that_somebody_removed_is_written_anew(root: Path) -> None:
    gone = PurePosixPath("Playlists/Gone.m3u8")
    assert write_playlist(root, "Mix", "one", previous=gone) == PurePosixPath("Playlists/Mix.m3u8")


def test_a_playlist_of_somebody_else_stays_and_an_equal_one_is_adopted(root: Path) -> None:
    (root / "Playlists").mkdir()
    (root / "Playlists/Mix.m3u8").write_text("theirs")
    second = write_playlist(root, "Mix", "ours")
    assert second == PurePosixPath("Playlists/Mix (2).m3u8")
    assert write_playlist(root, "Mix", "ours") == second
    assert (root / "Playlists/Mix.m3u8").read_text() == "theirs"
    assert sorted(listing(root / "Playlists")) == ["Mix (2).m3u8", "Mix.m3u8"]


def test_a_playlist_goes_with_its_folder_but_never_with_others(root: Path) -> None:
    first, second = write_playlist(root, "A", "a"), write_playlist(root, "B", "b")
    assert remove_playlist(root, first)
    assert not remove_playlist(root, first)
    assert listing(root / "Playlists") == ["B.m3u8"]
    assert remove_playlist(root, second)
    assert listing(root) == []


@pytest.mark.parametrize(
    "path",
    ["Mix.m3u8", "Playlists/a/Mix.m3u8", "Playlists/song.mp3", "../Playlists/Mix.m3u8", "/etc/Mix.m3u8"],
)
def test_only_playlists_are_replaced_or_removed(path: str, root: Path) -> None:
    with pytest.raises(ValueError, match=r"library"):
        remove_playlist(root, PurePosixPath(path))
    with pytest.raises(ValueError, match=r"library"):
        write_playlist(root, "Mix", "x", previous=PurePosixPath(path))


@given(name=ANY_TEXT | NASTY_TEXT)
def test_any_name_becomes_a_legal_file_with_room_for_a_number(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("music")
    (root / OWN_FOLDER).mkdir()
    names = [write_playlist(root, name, text).name for text in ("1", "2")]
    assert all(is_legal(each) and each.endswith(".m3u8") for each in names)
    assert sorted(listing(root / "Playlists")) == sorted(names)


@pytest.mark.parametrize("previous", [None, PurePosixPath("Playlists/Mix.m3u8")])
def test_a_full_disk_leaves_the_old_playlist_whole(
    previous: PurePosixPath | None, tiny_disk: Path | None
) -> None:
    if tiny_disk is None:
        return
    write_playlist(tiny_disk, "Mix", "old")
    with pytest.raises(DownloadFailedError) as caught:
        write_playlist(tiny_disk, "Mix", "x" * 200_000, previous=previous)
    assert caught.value.code is ErrorCode.NO_SPACE
    assert listing(tiny_disk / "Playlists") == ["Mix.m3u8"]
    assert (tiny_disk / "Playlists/Mix.m3u8").read_text() == "old"


def test_a_link_that_stands_for_a_playlist_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (root / "Playlists").mkdir()
    (root / "Playlists/Mix.m3u8").symlink_to(tmp_path / "theirs")
    filed = write_playlist(root, "Mix", "ours", previous=PurePosixPath("Playlists/Mix.m3u8"))
    assert filed == PurePosixPath("Playlists/Mix (2).m3u8")
    assert (tmp_path / "theirs").read_text() == "theirs"
