import errno
import os
import stat
import time
from collections.abc import Mapping
from itertools import chain, repeat
from pathlib import Path, PurePosixPath

import pytest
from tests.library.shelf import WANTED, Stage, file_it, files_below, listing

from music_downloader.errors import DownloadFailedError
from music_downloader.library import filing, moving
from music_downloader.library.filing import (
    STAGING,
)
from music_downloader.library.writing import sweep

WAYS = {"renameat2": moving.by_renameat2, "link": moving.by_link, "claim": moving.by_claim}


def use(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Let only one of the ways be there, as on a share that lacks the others."""

    def missing(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not on this share")

    names = list(WAYS)
    ways = [WAYS[name] if name == way else missing for name in names[: names.index(way) + 1]]
    monkeypatch.setattr(moving, "WAYS", tuple(ways))


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_moved_to_its_name(
    way: str, monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    use(monkeypatch, way)
    staged = stage()
    assert file_it(staged, root) == WANTED
    assert files_below(root) == {str(WANTED): b"music"}
    assert not staged.exists()


@pytest.mark.parametrize("way", WAYS)
def test_another_file_is_never_overwritten(
    way: str, monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    use(monkeypatch, way)
    names = [file_it(stage(content), root).name for content in (b"one", b"two", b"three", b"two")]
    assert names == ["01 - Title.mp3", "01 - Title (2).mp3", "01 - Title (3).mp3", "01 - Title (2).mp3"]
    assert sorted(files_below(root).values()) == [b"one", b"three", b"two"]
    assert [left.name for left in (root / STAGING / "1").iterdir()] == ["audio.mp3"]  # what was there already


def test_each_way_is_tried_until_one_works(monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage) -> None:
    for refusal in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK):
        tried = []

        def refuse(
            source: moving.Place, _: moving.Place, number: int = refusal, log: list[str] = tried
        ) -> None:
            log.append(source.name)
            raise OSError(number, "not here")

        monkeypatch.setattr(moving, "WAYS", (refuse, refuse, moving.by_claim))
        assert (
            file_it(stage(bytes([refusal])), root, PurePosixPath(f"A/{refusal}.mp3")).name == f"{refusal}.mp3"
        )
        assert tried == ["audio.mp3"] * 2


def test_a_stranger_of_any_kind_keeps_the_name(root: Path, stage: Stage) -> None:
    folder = root / "A"
    folder.mkdir()
    (folder / "folder.mp3").mkdir()
    (folder / "link.mp3").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.mp3")
    for kind in ("folder", "link", "pipe"):
        assert file_it(stage(), root, PurePosixPath(f"A/{kind}.mp3")) == PurePosixPath(f"A/{kind} (2).mp3")


def test_the_identical_file_is_adopted(root: Path, stage: Stage) -> None:
    first = file_it(stage(), root)
    before = (root / first).stat()
    staged = stage()
    assert file_it(staged, root) == first
    assert (root / first).stat().st_ino == before.st_ino
    assert staged.exists()  # whoever owns the other may be about to remove it


def test_a_crash_between_the_two_names_of_a_link_is_healed(root: Path, stage: Stage) -> None:
    staged = stage()
    (root / WANTED).parent.mkdir(parents=True)
    os.link(staged, root / WANTED)
    assert file_it(staged, root) == WANTED
    assert files_below(root) == {str(WANTED): b"music"}


def test_at_some_number_of_files_of_one_name_it_ends(
    root: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "_MOST_OF_ONE_NAME", 9)
    wanted = PurePosixPath("t.mp3")
    for number in range(9):
        file_it(stage(b"%d" % number), root, wanted)
    staged = stage(b"one more")
    with pytest.raises(DownloadFailedError) as caught:
        file_it(staged, root, wanted)
    assert not caught.value.transient
    assert staged.read_bytes() == b"one more"


def test_the_longest_names_fit_with_their_number(root: Path, stage: Stage) -> None:
    wanted = PurePosixPath("桜" * 85, "é" * 125 + ".mp3")
    assert file_it(stage(b"1"), root, wanted) == wanted
    second = file_it(stage(b"2"), root, wanted)
    assert second.name.endswith("é (2).mp3")
    assert len(files_below(root)) == 2


@pytest.mark.parametrize("way", WAYS)
def test_part_of_the_library_may_lie_on_another_disk(
    way: str, monkeypatch: pytest.MonkeyPatch, elsewhere: Path, root: Path, stage: Stage
) -> None:
    use(monkeypatch, way)
    for content, is_adopted in ((b"one", False), (b"two", False), (b"one", True)):
        staged = elsewhere / "audio.mp3"
        staged.write_bytes(content)
        file_it(staged, root)
        assert staged.exists() == is_adopted
    assert sorted(files_below(root).values()) == [b"one", b"two"]
    file_it(stage(b"two"), root)
    assert len(files_below(root)) == 2


def _leave(folder: Path, names: Mapping[str, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, age in names.items():
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time.time() - age,) * 2)


LEFT = {
    ".nas-music-old.part": 90_000,
    ".nas-music-new.part": 10,
    ".nas-music.claim": 90_000,
    ".nas-music.claim-0f": 10,
    "other.part": 90_000,
}


def test_abandoned_copies_are_swept(elsewhere: Path, root: Path) -> None:
    folder = root / WANTED.parent
    _leave(folder, LEFT)
    (elsewhere / "audio.mp3").write_bytes(b"x")
    file_it(elsewhere / "audio.mp3", root)
    assert sorted(listing(folder)) == [
        ".nas-music-new.part",
        ".nas-music.claim-0f",
        "01 - Title.mp3",
        "other.part",
    ]


def test_only_folders_of_the_library_are_swept(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for folder in (outside, root / "Artist", root):
        _leave(folder, LEFT)
    (root / "Link").symlink_to(outside)
    for folder in ("Artist", ".", "Link", str(outside), "../outside", "Nowhere"):
        sweep(root, PurePosixPath(folder))
    kept = [".nas-music-new.part", ".nas-music.claim-0f", "other.part"]
    assert sorted(set(listing(root)) & set(LEFT)) == sorted(listing(root / "Artist")) == kept
    assert set(listing(outside)) == set(LEFT)


def test_a_stale_claim_gives_way_and_a_fresh_one_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    use(monkeypatch, "claim")
    monkeypatch.setattr(moving, "_PATIENCE", 0.1)
    claim = root / moving.CLAIM
    claim.touch()
    with pytest.raises(DownloadFailedError) as caught:
        file_it(stage(), root, PurePosixPath("t.mp3"))
    assert caught.value.transient
    os.utime(claim, (time.time() - 3600,) * 2)
    assert file_it(stage(), root, PurePosixPath("t.mp3")) == PurePosixPath("t.mp3")
    assert not claim.exists()


def test_a_stale_claim_is_dropped_but_not_the_one_that_has_come_in_its_place(
    monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    use(monkeypatch, "claim")
    monkeypatch.setattr(moving, "_PATIENCE", 0.1)
    claim, answers = root / moving.CLAIM, chain([True], repeat(False))
    claim.touch()

    def look(_: int) -> bool:  # and somebody else is quicker to drop it, and has one of their own
        claim.unlink()
        claim.touch()
        return next(answers)

    monkeypatch.setattr(moving, "_is_stale", look)
    with pytest.raises(DownloadFailedError) as caught:
        file_it(stage(), root, PurePosixPath("t.mp3"))
    assert caught.value.transient
    assert sorted(listing(root)) == [moving.CLAIM]


def test_the_edges_of_a_file_are_synced_before_it_is_named(
    monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    """The order that a loss of power demands: the bytes, then the name, then the folder."""
    events = []
    staged = stage()

    def sync(descriptor: int) -> None:
        events.append("bytes" if stat.S_ISREG(os.fstat(descriptor).st_mode) else "folder")

    def named(source: moving.Place, target: moving.Place) -> None:
        events.append("name")
        moving.by_renameat2(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(moving, "WAYS", (named,))
    file_it(staged, root)
    assert events[-3:] == ["bytes", "name", "folder"]


def test_a_share_may_refuse_to_sync_folders_but_not_files(
    monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    refusals = {"folder": errno.EINVAL, "file": 0}
    real = os.fsync

    def sync(descriptor: int) -> None:
        kind = "file" if stat.S_ISREG(os.fstat(descriptor).st_mode) else "folder"
        if refusals[kind]:
            raise OSError(refusals[kind], "not here")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    assert file_it(stage(b"1"), root) == WANTED
    for kind, innocent in (("folder", "file"), ("file", "folder")):
        refusals.update({kind: errno.EIO, innocent: 0})
        with pytest.raises(DownloadFailedError):
            file_it(stage(b"2"), root)
