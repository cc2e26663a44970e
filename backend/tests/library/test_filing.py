import errno
import os
import stat
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from tests.library.shelf import WANTED, Stage, file_it, files_below, listing

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library import moving
from music_downloader.library.faults import as_failure
from music_downloader.library.filing import (
    STAGING,
    check_writable,
    free_space,
    longest_name,
    publish,
    remove_staging,
    staging_directory,
    unpublish,
)


def test_a_link_out_of_the_library_is_refused(root: Path, tmp_path: Path, stage: Stage) -> None:
    outside = tmp_path / "outside"
    (outside / "2001 - Album").mkdir(parents=True)
    (outside / "2001 - Album" / "01 - Title.mp3").write_bytes(b"not ours")
    staged = stage()
    for target in (outside, Path("../outside"), Path("/"), Path("Artist"), tmp_path / "nowhere"):
        (root / "Artist").symlink_to(target)
        with pytest.raises(DownloadFailedError) as caught:
            file_it(staged, root)
        assert caught.value.code is ErrorCode.INTERNAL
        if target != Path("Artist"):
            with pytest.raises(DownloadFailedError):
                unpublish(root, WANTED)
        (root / "Artist").unlink()
    assert staged.exists()
    assert [file.name for file in outside.rglob("*.mp3")] == ["01 - Title.mp3"]
    assert not (tmp_path / "nowhere").exists()


def test_a_link_within_the_library_is_followed(root: Path, stage: Stage) -> None:
    (root / "Real" / "Deep").mkdir(parents=True)
    (root / "Artist").symlink_to("Real/Deep")
    assert file_it(stage(), root) == WANTED
    assert (root / "Real/Deep/2001 - Album/01 - Title.mp3").read_bytes() == b"music"
    assert unpublish(root, WANTED)
    assert (root / "Artist").is_symlink()


def test_the_library_itself_may_be_a_link(root: Path, tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "link").symlink_to(root)
    (root / "Other").mkdir()
    (root / "Artist").symlink_to(root / "Other")
    assert file_it(stage(), tmp_path / "link") == WANTED


@pytest.mark.parametrize(
    "wanted", ["../x.mp3", "/etc/x.mp3", "a/../../x.mp3", ".", "", "a\x00b", ".nas-music/x.mp3"]
)
def test_a_path_that_is_not_in_the_library_is_an_error(wanted: str, root: Path, stage: Stage) -> None:
    staged = stage()
    with pytest.raises(ValueError, match="library"):
        publish(staged, root, PurePosixPath(wanted), digest="")
    with pytest.raises(ValueError, match="library"):
        unpublish(root, PurePosixPath(wanted))
    assert staged.exists()


def test_a_file_where_a_folder_should_be_is_reported(root: Path, stage: Stage) -> None:
    (root / "Artist").write_bytes(b"a file")
    with pytest.raises(DownloadFailedError) as caught:
        file_it(stage(), root)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.INTERNAL, True)
    assert not unpublish(root, WANTED)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, ErrorCode.NO_SPACE),
        (errno.EDQUOT, ErrorCode.NO_SPACE),
        (errno.EROFS, ErrorCode.INTERNAL),
        (errno.EACCES, ErrorCode.INTERNAL),
        (errno.EPERM, ErrorCode.INTERNAL),
        (errno.EIO, ErrorCode.INTERNAL),
        (errno.ESTALE, ErrorCode.INTERNAL),
    ],
)
def test_what_the_disk_says_becomes_a_sentence(
    number: int, code: ErrorCode, monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "says the disk")

    monkeypatch.setattr(moving, "WAYS", (fail,))
    staged = stage()
    with pytest.raises(DownloadFailedError) as caught:
        file_it(staged, root)
    assert (caught.value.code, caught.value.transient) == (code, True)
    assert "says the disk" not in caught.value.detail
    assert staged.exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, ErrorCode.NO_SPACE),
        (errno.EACCES, ErrorCode.INTERNAL),
        (errno.ENOENT, ErrorCode.INTERNAL),
        (errno.ESTALE, ErrorCode.INTERNAL),
        (errno.ECONNRESET, None),
        (errno.EPIPE, None),
        (None, None),
    ],
)
def test_only_what_a_disk_says_is_taken_for_a_fault_of_the_library(
    number: int | None, code: ErrorCode | None
) -> None:
    failure = as_failure(OSError(number, "says somebody") if number else OSError("says somebody"))
    assert (failure.code if failure else None) == code


def test_a_full_disk_is_said_to_be_full(tiny_disk: Path | None, tmp_path: Path) -> None:
    if tiny_disk is None:
        return
    staged = tmp_path / "audio.mp3"
    staged.write_bytes(bytes(200_000))
    with pytest.raises(DownloadFailedError) as caught:
        file_it(staged, tiny_disk)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.NO_SPACE, True)
    assert staged.stat().st_size == 200_000
    assert files_below(tiny_disk) == {}


def test_a_read_only_library_is_said_to_be_so(tiny_disk: Path | None, tmp_path: Path) -> None:
    if tiny_disk is None:
        return
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    staged = tmp_path / "audio.mp3"
    staged.write_bytes(b"x")
    with pytest.raises(DownloadFailedError) as caught:
        file_it(staged, tiny_disk)
    assert caught.value.detail.startswith("The library can't be written to")
    with pytest.raises(OSError, match="Read-only"):
        check_writable(tiny_disk)


def test_a_removed_file_takes_its_empty_folders_with_it(root: Path, stage: Stage) -> None:
    file_it(stage(), root)
    (root / "Artist" / "cover.jpg").write_bytes(b"")
    assert unpublish(root, WANTED)
    assert not unpublish(root, WANTED)
    assert listing(root / "Artist") == ["cover.jpg"]
    (root / "Artist" / "cover.jpg").unlink()
    file_it(stage(), root)
    assert unpublish(root, WANTED)
    assert listing(root) == []
    assert not unpublish(root, PurePosixPath("No/Such/File.mp3"))
    (root / "Folder").mkdir()
    assert not unpublish(root, PurePosixPath("Folder"))
    assert (root / "Folder").is_dir()


def test_a_file_in_the_root_is_removed_alone(root: Path, stage: Stage) -> None:
    file_it(stage(), root, PurePosixPath("t.mp3"))
    assert unpublish(root, PurePosixPath("t.mp3"))
    assert root.is_dir()


def test_music_servers_are_kept_out_of_staging(root: Path) -> None:
    folder = staging_directory(root, "0195b7a4-1111-7000-8000-000000000000")
    assert staging_directory(root, "0195b7a4-1111-7000-8000-000000000000") == folder
    assert {".ndignore", ".nomedia"} <= set(listing(root / ".nas-music"))
    (folder / "audio.mp3").write_bytes(b"x")
    remove_staging(folder)
    remove_staging(folder)
    assert listing(root / STAGING) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "a b", "x" * 65, "a\n"])
def test_a_staging_folder_has_a_plain_name(name: str, root: Path) -> None:
    with pytest.raises(ValueError, match="id"):
        staging_directory(root, name)


def test_only_staging_folders_are_removed(root: Path) -> None:
    with pytest.raises(ValueError, match="staging"):
        remove_staging(root)
    assert root.is_dir()


def test_the_umask_decides_on_permissions(root: Path, elsewhere: Path) -> None:
    old = os.umask(0o002)
    try:
        staged = elsewhere / "audio.mp3"
        staged.write_bytes(b"x")
        file_it(staged, root)
    finally:
        os.umask(old)
    assert stat.S_IMODE((root / WANTED).stat().st_mode) == 0o664
    assert stat.S_IMODE((root / WANTED).parent.stat().st_mode) == 0o775


def test_the_disk_is_asked(root: Path) -> None:
    check_writable(root)
    assert listing(root) == []
    assert free_space(root) > 0
    assert longest_name(root) == 255
    with pytest.raises(FileNotFoundError):
        check_writable(root / "missing")


def test_no_descriptor_is_left_open(root: Path, stage: Stage, elsewhere: Path) -> None:
    def work(number: int) -> None:
        (root / "Loop").symlink_to("Artist") if number == 0 else None
        file_it(stage(b"%d" % number), root)
        (elsewhere / "audio.mp3").write_bytes(b"e%d" % number)
        file_it(elsewhere / "audio.mp3", root, PurePosixPath("Loop/t.mp3"))
        unpublish(root, PurePosixPath("Loop/t.mp3"))

    work(0)
    before = len(listing(Path("/proc/self/fd")))
    for number in range(1, 6):
        work(number)
    assert len(listing(Path("/proc/self/fd"))) == before
