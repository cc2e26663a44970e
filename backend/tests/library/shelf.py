"""A library on disk for tests to file into and to look at."""

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from music_downloader.library.filing import (
    publish,
    sha256_of,
)
from music_downloader.library.folders import OWN_FOLDER

WANTED = PurePosixPath("Artist/2001 - Album/01 - Title.mp3")
Stage = Callable[..., Path]


def remove_tree(folder: Path) -> None:
    subprocess.run(["rm", "-rf", "--", str(folder)], check=True)


def files_below(root: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file() and ".nas-music" not in file.parts
    }


def listing(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name != OWN_FOLDER]


def file_it(staged: Path, root: Path, wanted: PurePosixPath = WANTED) -> PurePosixPath:
    return publish(staged, root, wanted, digest=sha256_of(staged))
