"""One library for all questions to a music server; each server scans it once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import media
from tests.readers import minidlna, mpd
from tests.readers.albums import ALBUMS, SINGLES, UNFINISHED, file_playlist, file_records

from music_downloader.library.filing import staging_directory


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of every record, a playlist of all albums, and one download that hasn't come to its end."""
    root = tmp_path_factory.mktemp("library")
    file_records(root, *ALBUMS, *SINGLES)
    file_playlist(root, *ALBUMS)
    unfinished = media.make("mp3", seconds=1, title=UNFINISHED, artist="Nobody", album="Half")
    shutil.copy(unfinished, staging_directory(root, "unfinished"))
    return root


@pytest.fixture(scope="module")
def in_mpd(library: Path) -> Iterator[mpd.Mpd]:
    """MPD after its scan."""
    with mpd.reading(library) as reader:
        yield reader


@pytest.fixture(scope="module")
def in_minidlna(library: Path) -> Iterator[minidlna.Minidlna]:
    """Minidlna after its scan."""
    with minidlna.reading(library) as reader:
        yield reader
