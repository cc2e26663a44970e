"""Folders that stop the start: the system's, one in the other, and those that all may write to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from music_downloader.config.safety import check_folders
from music_downloader.config.settings import load_settings
from music_downloader.errors import ConfigurationError

Check = Callable[..., str | None]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a library and a data folder; what is said against them, or None."""

    def said(*, library: Path = tmp_path / "music", data: Path = tmp_path / "data") -> str | None:
        try:
            check_folders(load_settings({"output_directory": library, "data_directory": data}))
        except ConfigurationError as error:
            return error.detail
        return None

    return said


def test_two_folders_side_by_side_are_fine_before_they_are_there(check: Check) -> None:
    assert check() is None


def test_names_that_begin_alike_are_not_one_in_the_other(check: Check, tmp_path: Path) -> None:
    assert check(library=tmp_path / "data-music") is None
    assert check(data=tmp_path / "music-data") is None


@pytest.mark.parametrize("below", [".", "music", "a/b/c"])
def test_a_library_in_the_data_folder_is_refused(check: Check, tmp_path: Path, below: str) -> None:
    assert "OUTPUT_DIRECTORY lies in DATA_DIRECTORY" in str(check(library=tmp_path / "data" / below))


@pytest.mark.parametrize("below", ["data", "a/b/c"])
def test_a_data_folder_in_the_library_is_refused(check: Check, tmp_path: Path, below: str) -> None:
    assert "DATA_DIRECTORY lies in OUTPUT_DIRECTORY" in str(check(data=tmp_path / "music" / below))


def test_neither_links_nor_dots_hide_where_a_folder_is(check: Check, tmp_path: Path) -> None:
    (tmp_path / "data" / "music").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "music")
    assert "lies in DATA_DIRECTORY" in str(check(library=tmp_path / "link"))
    assert "lies in DATA_DIRECTORY" in str(check(library=tmp_path / "other" / ".." / "data" / "music"))


SYSTEM = "/ /etc /etc/music /proc/self /sys /bin /usr /usr/bin /usr/share/music /var /home /root /tmp /boot/x"


@pytest.mark.parametrize("folder", SYSTEM.split())
def test_a_folder_of_the_system_is_refused(check: Check, folder: str) -> None:
    assert "OUTPUT_DIRECTORY is" in str(check(library=Path(folder)))
    assert "DATA_DIRECTORY is" in str(check(data=Path(folder)))


USUAL = (
    "/app/downloads /volume1/music /share/Multimedia /mnt/pool/music /srv/music /home/alice/Music /opt/music"
)


@pytest.mark.parametrize("folder", USUAL.split())
def test_where_people_keep_their_music_is_fine(check: Check, folder: str) -> None:
    assert check(library=Path(folder)) is None


@pytest.mark.parametrize(("mode", "fine"), [(0o700, True), (0o775, True), (0o777, False), (0o702, False)])
def test_a_data_folder_that_everybody_may_write_to_is_refused(
    check: Check, tmp_path: Path, mode: int, fine: bool
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    said = check()
    assert (said is None) is fine
    assert fine or ("chmod o-w" in str(said) and "own disk" in str(said))


def test_a_sticky_one_is_fine_since_each_may_remove_only_their_own(check: Check, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o1777)
    assert check() is None


def test_a_library_that_everybody_may_write_to_is_theirs_to_share(check: Check, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music").chmod(0o777)
    assert check() is None
