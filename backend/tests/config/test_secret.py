"""The key that signs tokens: whose it is, where it is kept, and what stops the start."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from music_downloader.config.secret import signing_key
from music_downloader.config.settings import Settings, load_settings
from music_downloader.errors import ConfigurationError

PLACEHOLDER = "your-secret-key-change-in-production"
STARTER = """
import sys, time
from pathlib import Path
from music_downloader.config.secret import signing_key
from music_downloader.config.settings import load_settings

print("ready", flush=True)
while not Path("go").exists():
    time.sleep(0.0005)
print(signing_key(load_settings({"data_directory": Path("data")})))
"""

With = Callable[..., Settings]


@pytest.fixture
def settings(tmp_path: Path) -> With:
    def make(**proposed: object) -> Settings:
        return load_settings({"data_directory": tmp_path / "data", **proposed})

    return make


@pytest.mark.parametrize("chosen", [{}, {"secret_key": PLACEHOLDER}])
def test_the_placeholder_becomes_a_strong_key_that_is_kept(
    settings: With, tmp_path: Path, chosen: dict[str, str]
) -> None:
    key = signing_key(settings(**chosen))
    kept = tmp_path / "data" / "secret.key"
    assert len(bytes.fromhex(key)) == 32
    assert key == signing_key(settings())
    assert kept.read_text().strip() == key
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in kept.parent.iterdir()] == ["secret.key"]


def test_two_installations_never_share_a_key(settings: With, tmp_path: Path) -> None:
    assert signing_key(settings()) != signing_key(settings(data_directory=tmp_path / "other"))


def test_an_own_key_is_used_as_it_is_and_nothing_is_kept(settings: With, tmp_path: Path) -> None:
    assert signing_key(settings(secret_key="k" * 32)) == "k" * 32
    assert not (tmp_path / "data").exists()


def test_the_length_of_an_own_key_is_counted_in_bytes(settings: With) -> None:
    assert signing_key(settings(secret_key="ü" * 16)) == "ü" * 16


@pytest.mark.parametrize("key", ["k" * 31, "hunter2", " "])
def test_a_short_key_stops_the_start_with_a_sentence_that_does_not_show_it(settings: With, key: str) -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY is shorter than 32 bytes") as caught:
        signing_key(settings(secret_key=key))
    assert key == " " or key not in caught.value.detail


def test_starts_at_once_agree_on_one_key(settings: With, tmp_path: Path) -> None:
    starts = 8
    barrier = Barrier(starts)

    def start(_: int) -> str:
        barrier.wait()
        return signing_key(settings())

    with ThreadPoolExecutor(starts) as pool:
        keys = set(pool.map(start, range(starts)))
    assert keys == {(tmp_path / "data" / "secret.key").read_text().strip()}
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    starts = [
        subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(3)
    ]
    try:
        for start in starts:
            assert start.stdout
            assert start.stdout.readline() == "ready\n"
        time.sleep(0.01)
        (tmp_path / "go").touch()
        keys = {start.communicate(timeout=20)[0].strip() for start in starts}
    finally:
        for start in starts:
            start.kill()
            start.communicate()
    assert keys == {(tmp_path / "data" / "secret.key").read_text().strip()}


def test_a_data_folder_that_cannot_be_written_to_is_said_so(settings: With, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    with pytest.raises(ConfigurationError) as caught:
        signing_key(settings(data_directory=folder))
    assert str(folder) in caught.value.detail
    assert "Not a directory" in caught.value.detail
    assert "or set SECRET_KEY" in caught.value.detail


@pytest.mark.parametrize("content", [b"", b"\n", b"abc", b"\xff" * 64, b"\x00" * 5])
def test_a_damaged_key_is_told_and_never_replaced(settings: With, tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "data" / "secret.key"
    kept.parent.mkdir()
    kept.write_bytes(content)
    kept.chmod(0o600)
    with pytest.raises(ConfigurationError, match="damaged") as caught:
        signing_key(settings())
    assert str(kept.parent) in caught.value.detail
    assert kept.read_bytes() == content


def test_a_folder_in_the_keys_place_is_told(settings: With, tmp_path: Path) -> None:
    (tmp_path / "data" / "secret.key").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="is no plain file"):
        signing_key(settings())


def test_a_link_in_the_keys_place_is_not_followed(settings: With, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").write_text("0" * 64)
    (tmp_path / "data" / "secret.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is no plain file"):
        signing_key(settings())


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o604, 0o660, 0o666])
def test_a_key_that_others_may_read_stops_the_start(settings: With, tmp_path: Path, mode: int) -> None:
    key = signing_key(settings())
    (tmp_path / "data" / "secret.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="Others on this machine may read the key") as caught:
        signing_key(settings())
    assert "chmod 600" in caught.value.detail
    assert key not in caught.value.detail


def test_what_the_umask_is_does_not_matter_to_the_key(settings: With, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        signing_key(settings())
    finally:
        os.umask(before)
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o002 == 0
