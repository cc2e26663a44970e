import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.library.shelf import files_below, remove_tree

WAYS = ("renameat2", "link", "claim")

RACER = """
    import sys
    from pathlib import Path, PurePosixPath
    from music_downloader.library import filing, moving
    root, name, way, rounds = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    if way != "all":
        moving.WAYS = (getattr(moving, "by_" + way),)
    sys.stdin.readline()
    for number in range(rounds):
        staged = filing.staging_directory(root, name) / "audio.mp3"
        staged.write_bytes(f"{name} {number} ".encode() * 20_000)
        wanted = PurePosixPath("Artist", f"{number}.mp3")
        filing.publish(staged, root, wanted, digest=filing.sha256_of(staged))
        if name == "tidy":
            filing.unpublish(root, wanted)
"""


def start(program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)], stdin=subprocess.PIPE
    )


@pytest.mark.parametrize("way", WAYS)
def test_two_that_race_for_one_name_both_keep_their_file(way: str, root: Path) -> None:
    rounds = 40
    racers = [start(RACER, root, name, way, str(rounds)) for name in ("left", "right")]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    assert [racer.wait(30) for racer in racers] == [0, 0]
    expected = sorted(
        f"{name} {number} ".encode() * 20_000 for name in ("left", "right") for number in range(rounds)
    )
    found = files_below(root)
    assert sorted(found.values()) == expected
    assert set(found) == {f"Artist/{number}{end}.mp3" for number in range(rounds) for end in ("", " (2)")}
    for racer in racers:
        racer.communicate()


KILLED = """
    import sys
    from pathlib import Path, PurePosixPath
    from music_downloader.library import filing, moving
    root, staged, way = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    moving.WAYS = (getattr(moving, "by_" + way),)
    digest = filing.sha256_of(staged)
    print("ready", flush=True)
    filing.publish(staged, root, PurePosixPath("Artist/Title.mp3"), digest=digest)
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_leaves_nothing_or_a_whole_file(way: str, root: Path, elsewhere: Path) -> None:
    content = os.urandom(1024) * 8_192
    for delay in (0.0, 0.004, 0.008, 0.016, 0.04):
        staged = elsewhere / "audio.mp3"  # on another file system, so that there is a copy to be caught in
        staged.write_bytes(content)
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(root), str(staged), way],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        filed = [file for file in root.rglob("*.mp3") if not file.name.startswith(".")]
        assert all(file.read_bytes() == content for file in filed)
        assert filed or staged.read_bytes() == content
        remove_tree(root / "Artist")


def test_a_folder_that_is_emptied_meanwhile_is_made_again(root: Path) -> None:
    racers = [start(RACER, root, name, "all", "80") for name in ("tidy", "busy")]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    assert [racer.wait(30) for racer in racers] == [0, 0]
    for racer in racers:
        racer.communicate()
