import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import media
from tests.library.shelf import Stage, remove_tree

from music_downloader.library.filing import staging_directory
from music_downloader.library.presence import make_library

CONTAINERS = ("mp3", "m4a", "flac", "opus", "ogg")


@pytest.fixture(params=CONTAINERS)
def container(request: pytest.FixtureRequest) -> str:
    """Name each of the library's containers in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[..., Path]:
    """Copy one of the session's files into the test's own folder."""

    def copy(kind: str, name: str = "song", **tags: str) -> Path:
        source = media.make(kind, seconds=1.0, **tags)
        return Path(shutil.copy(source, tmp_path / f"{name}{source.suffix}"))

    return copy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "music"
    make_library(root)
    return root


@pytest.fixture
def stage(root: Path) -> Stage:
    """Put a file with this content into a staging folder."""

    def stage(content: bytes = b"music", *, name: str = "1") -> Path:
        staged = staging_directory(root, name) / "audio.mp3"
        staged.write_bytes(content)
        return staged

    return stage


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    folder = Path("/dev/shm") / f"library-test-{os.getpid()}-{random.getrandbits(32):x}"  # noqa: S108  # made here, taken away
    folder.mkdir()
    yield folder
    remove_tree(folder)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system of 64 KiB, where mounting one is allowed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    if mounted:
        make_library(folder)
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
