"""The folders of attempts: what is taken over, and what is left to whom it belongs."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from music_downloader.library.filing import STAGING
from music_downloader.library.presence import make_library
from music_downloader.library.staging import staging_for_attempt


@pytest.fixture(autouse=True)
def _library(tmp_path: Path) -> None:
    make_library(tmp_path)


def _part(folder: Path, text: str) -> Path:
    (folder / "source.part").write_text(text)
    return folder


def test_an_attempt_goes_on_from_where_the_last_one_ended(tmp_path: Path) -> None:
    first = _part(staging_for_attempt(tmp_path, "7-abc", attempt=1, after=0), "half")
    second = staging_for_attempt(tmp_path, "7-abc", attempt=2, after=0)
    assert (second / "source.part").read_text() == "half"
    assert not first.exists()


def test_a_persons_own_retry_begins_anew(tmp_path: Path) -> None:
    _part(staging_for_attempt(tmp_path, "7-abc", attempt=1, after=0), "half")
    second = staging_for_attempt(tmp_path, "7-abc", attempt=2, after=1)
    assert not list(second.iterdir())
    assert [folder.name for folder in (tmp_path / STAGING).iterdir()] == ["7-abc-2"]


def test_the_last_of_several_is_taken_over(tmp_path: Path) -> None:
    for attempt in (1, 2, 10):
        folder = tmp_path / STAGING / f"7-abc-{attempt}"
        folder.mkdir(parents=True)
        _part(folder, f"of {attempt}")
    latest = staging_for_attempt(tmp_path, "7-abc", attempt=11, after=0)
    assert (latest / "source.part").read_text() == "of 10"
    assert [folder.name for folder in (tmp_path / STAGING).iterdir()] == ["7-abc-11"]


def test_a_stale_attempt_touches_nothing_of_the_live_one(tmp_path: Path) -> None:
    live = _part(staging_for_attempt(tmp_path, "7-abc", attempt=2, after=0), "live")
    other = _part(staging_for_attempt(tmp_path, "7-abcd", attempt=1, after=0), "another download's")
    staging_for_attempt(tmp_path, "7-abc", attempt=1, after=0)
    assert (live / "source.part").read_text() == "live"
    assert (other / "source.part").exists()


def test_what_cant_be_copied_whole_leaves_nothing_of_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _part(staging_for_attempt(tmp_path, "7-abc", attempt=1, after=0), "half")

    def fill_the_disk(_: Path, target: Path, **__: bool) -> None:
        target.mkdir()
        _part(target, "a quarter")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copytree", fill_the_disk)
    second = staging_for_attempt(tmp_path, "7-abc", attempt=2, after=0)
    assert list((tmp_path / STAGING).iterdir()) == [second]
    assert list(second.iterdir()) == []
