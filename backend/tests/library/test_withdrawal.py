"""What somebody filed and died over is found again, wherever it was put."""

import hashlib
from pathlib import Path, PurePosixPath

import pytest

from music_downloader.library.withdrawal import filed_copies, remove_empty_folders

WANTED = PurePosixPath("Somebody", "Album", "01 - Title.mp3")


@pytest.mark.parametrize("name", ["01 - Title.mp3", "01 - Title (2).mp3", "01 - Title (17).mp3"])
def test_a_file_is_found_under_its_name_or_a_numbered_one_by_its_bytes(tmp_path: Path, name: str) -> None:
    folder = tmp_path / WANTED.parent
    folder.mkdir(parents=True)
    others = ("01 - Title.mp3", "01 - Title (2).mp3", "01 - Title (x).mp3", "02 - Title (2).mp3")
    for other in others:
        (folder / other).write_bytes(b"another")
    (folder / name).write_bytes(b"music")
    (folder / "01 - Title (copy).mp3").write_bytes(b"music")
    found = filed_copies(tmp_path, WANTED, size=5, digest=hashlib.sha256(b"music").hexdigest())
    assert found == [WANTED.with_name(name)]


def test_where_there_is_no_folder_there_is_no_file(tmp_path: Path) -> None:
    assert filed_copies(tmp_path, WANTED, size=5, digest="0" * 64) == []
    remove_empty_folders(tmp_path, WANTED.parent)


def test_only_empty_folders_go(tmp_path: Path) -> None:
    (tmp_path / WANTED.parent).mkdir(parents=True)
    (tmp_path / "Somebody" / "a file").touch()
    remove_empty_folders(tmp_path, WANTED.parent)
    assert [path.name for path in (tmp_path / "Somebody").iterdir()] == ["a file"]
    (tmp_path / "Somebody" / "a file").unlink()
    remove_empty_folders(tmp_path, PurePosixPath("Somebody"))
    remove_empty_folders(tmp_path, PurePosixPath())
    assert list(tmp_path.iterdir()) == []
