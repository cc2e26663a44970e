import errno
import hashlib
import os
from pathlib import Path, PurePosixPath

import pytest
from tests.library.shelf import WANTED, Stage, file_it, files_below, listing

from music_downloader.errors import DownloadFailedError
from music_downloader.library import filing
from music_downloader.library.filing import replace, sha256_of


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def replace_it(staged: Path, root: Path, *, old: bytes = b"old") -> bool:
    return replace(staged, root, WANTED, expected=digest_of(old), digest=sha256_of(staged))


@pytest.fixture
def filed(root: Path, stage: Stage) -> Path:
    file_it(stage(b"old"), root)
    return root / WANTED


def test_the_librarys_file_is_replaced_in_place(filed: Path, root: Path, stage: Stage) -> None:
    filed.chmod(0o640)
    staged = stage(b"new")
    with filed.open("rb") as reader:
        assert replace_it(staged, root)
        assert reader.read() == b"old"
    assert files_below(root) == {str(WANTED): b"new"}
    assert filed.stat().st_mode & 0o777 == 0o640
    assert not staged.exists()


def test_a_file_that_somebody_has_changed_stays(filed: Path, root: Path, stage: Stage) -> None:
    filed.write_bytes(b"changed by a person")
    staged = stage(b"new")
    assert not replace_it(staged, root)
    assert filed.read_bytes() == b"changed by a person"
    assert staged.read_bytes() == b"new"


def test_a_file_that_changes_at_the_last_moment_stays(
    filed: Path, root: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = filing._look  # noqa: SLF001  # what a person does between the look and the rename

    def look_and_be_late(place: filing.Place) -> object:
        seen = look(place)
        filed.write_bytes(b"changed meanwhile")
        return seen

    monkeypatch.setattr(filing, "_look", look_and_be_late)
    staged = stage(b"new")
    assert not replace_it(staged, root)
    assert filed.read_bytes() == b"changed meanwhile"
    assert staged.exists()


def test_replacing_may_be_done_again(filed: Path, root: Path, stage: Stage) -> None:
    assert replace_it(stage(b"new"), root)
    staged = stage(b"new")
    before = filed.stat()
    assert replace_it(staged, root)
    assert filed.stat().st_ino == before.st_ino
    assert not staged.exists()


def test_what_is_gone_is_not_brought_back(filed: Path, root: Path, stage: Stage) -> None:
    staged = stage(b"new")
    filed.unlink()
    assert not replace_it(staged, root)
    filed.parent.rmdir()
    assert not replace_it(staged, root)
    filed.parent.write_bytes(b"a file now")
    assert not replace_it(staged, root)
    assert staged.exists()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_plain_file_stays(
    kind: str, filed: Path, root: Path, stage: Stage, tmp_path: Path
) -> None:
    filed.unlink()
    (tmp_path / "theirs").write_bytes(b"old")
    {
        "link": lambda: filed.symlink_to(tmp_path / "theirs"),
        "folder": filed.mkdir,
        "pipe": lambda: os.mkfifo(filed),
    }[kind]()
    staged = stage(b"new")
    assert not replace_it(staged, root)
    assert staged.exists()
    assert (tmp_path / "theirs").read_bytes() == b"old"


def test_part_of_the_library_may_lie_on_another_disk(filed: Path, root: Path, elsewhere: Path) -> None:
    staged = elsewhere / "audio.mp3"
    staged.write_bytes(b"new")
    assert replace_it(staged, root)
    assert filed.read_bytes() == b"new"
    assert not staged.exists()
    assert listing(filed.parent) == [filed.name]


def test_a_failing_disk_leaves_the_old_file(
    filed: Path, root: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "says the disk")

    monkeypatch.setattr(os, "rename", fail)
    staged = stage(b"new")
    with pytest.raises(DownloadFailedError):
        replace_it(staged, root)
    assert filed.read_bytes() == b"old"
    assert staged.exists()


def test_a_missing_staged_file_is_a_fault(filed: Path, root: Path, stage: Stage) -> None:
    staged = stage(b"new")
    staged.unlink()
    with pytest.raises(DownloadFailedError):
        replace(staged, root, WANTED, expected=digest_of(b"old"), digest=digest_of(b"new"))
    assert filed.read_bytes() == b"old"


def test_only_files_of_the_library_are_replaced(root: Path, stage: Stage) -> None:
    with pytest.raises(ValueError, match="library"):
        replace(stage(b"new"), root, PurePosixPath("../x.mp3"), expected="", digest="")
