"""Taking over: whoever was only frozen writes into a folder that nobody reads any more."""

from pathlib import Path

import pytest

from music_downloader.library.filing import STAGING
from music_downloader.library.presence import make_library
from music_downloader.library.staging import give_free, staged_downloads, staging_for_attempt


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_library(tmp_path / "music")
    return tmp_path / "music"


def _folder(root: Path, attempt: int, *, after: int = 0) -> Path:
    return staging_for_attempt(root, "7-abc", attempt=attempt, after=after)


def _half(folder: Path) -> Path:
    file = folder / "source.mp3.part"
    file.write_bytes(b"half")
    return file


def test_what_was_given_free_is_taken_over_as_it_is(root: Path) -> None:
    first = _half(_folder(root, 1))
    inode = first.stat().st_ino
    give_free(first.parent)
    second = _folder(root, 2)
    assert [file.name for file in second.iterdir()] == [first.name]
    assert (second / first.name).stat().st_ino == inode
    assert not first.parent.exists()


def test_what_may_still_be_written_to_is_copied_and_its_writer_left_without_it(root: Path) -> None:
    first = _half(_folder(root, 1))
    with first.open("ab") as frozen:
        second = _folder(root, 2)
        frozen.write(b" and more by one who isn't dead after all")
    assert (second / first.name).read_bytes() == b"half"
    assert not first.parent.exists()
    assert staged_downloads(root) == {"7-abc-2": 7}
    third = _folder(root, 3)  # nobody has given the copy free either
    assert (third / first.name).read_bytes() == b"half"


def test_nothing_can_be_given_free_that_is_gone(root: Path) -> None:
    give_free(root / STAGING / "7-abc-1")
    assert staged_downloads(root) == {}
