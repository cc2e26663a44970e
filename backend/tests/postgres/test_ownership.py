import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from tests.family import is_gone

from music_downloader.errors import ConfigurationError
from music_downloader.postgres import EmbeddedPostgres, embedded_postgres, folder

OWNER = """
import sys, time
from pathlib import Path
from music_downloader.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), fsync=False)
server.start()
print(server.pid, server.url, flush=True)
time.sleep(60)
"""

StartOwner = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def start_owner(tmp_path: Path) -> Iterator[StartOwner]:
    """Start a process that owns the folder, and that tells the server's pid and URL on its first line."""
    owners = []

    def start() -> subprocess.Popen[str]:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, text=True)
        owners.append(owner)
        return owner

    yield start
    for owner in owners:
        owner.kill()
        owner.wait()
        owner.stdout.close()


@pytest.fixture
def orphan(start_owner: StartOwner) -> Iterator[psutil.Process]:
    """A server that outlives its owner, held up on its way to the end."""
    owner = start_owner()
    server = psutil.Process(int(owner.stdout.readline().split()[0]))
    server.suspend()
    owner.kill()
    owner.wait()
    yield server
    if server.is_running():
        server.resume()
    eventually(lambda: is_gone(server))


def eventually(happens: Callable[[], object], *, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_second_owner_is_refused_and_the_first_one_left_alone(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path, fsync=False) as url:
        with pytest.raises(ConfigurationError, match=rf"Another nas-music is using .*{tmp_path}"):
            EmbeddedPostgres(tmp_path).start()
        psycopg.connect(url).close()


def test_the_server_ends_with_an_owner_that_was_killed(start_owner: StartOwner) -> None:
    owner = start_owner()
    pid, url = owner.stdout.readline().split()
    server = psutil.Process(int(pid))
    family = [server, *server.children()]

    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")  # and leaves its transaction open
        owner.kill()
        eventually(lambda: all(map(is_gone, family)), within=20)
        connection.close()


def test_what_was_committed_before_the_owner_was_killed_is_there_at_once(
    tmp_path: Path, start_owner: StartOwner
) -> None:
    owner = start_owner()
    with psycopg.connect(owner.stdout.readline().split()[1]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    owner.kill()
    owner.wait()

    with embedded_postgres(tmp_path, fsync=False) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)

    assert "not properly shut down" not in (tmp_path / "postgres" / "postgres.log").read_text()


def test_a_start_waits_for_the_server_of_the_owner_before(tmp_path: Path, orphan: psutil.Process) -> None:
    with subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {orphan.pid}"]) as going_on:
        with embedded_postgres(tmp_path, fsync=False) as url:
            assert is_gone(orphan)
            psycopg.connect(url).close()
        assert going_on.poll() == 0


def test_a_start_doesnt_wait_for_ever(
    tmp_path: Path, orphan: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "PREDECESSOR_TIMEOUT", 0.2)

    with pytest.raises(ConfigurationError, match=rf"won't end: .*\b{orphan.pid}\b"):
        EmbeddedPostgres(tmp_path, fsync=False).start()

    assert not is_gone(orphan)


def test_a_stale_pid_file_neither_stops_the_start_nor_harms_the_process_it_names(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path, fsync=False):
        pid_file = tmp_path / "postgres" / "pgdata" / "postmaster.pid"
        left_behind = pid_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *left_behind[1:], ""]))

        with embedded_postgres(tmp_path, fsync=False) as url:
            psycopg.connect(url).close()

        assert bystander.poll() is None
        bystander.kill()


def test_an_initdb_that_was_cut_off_is_begun_again(tmp_path: Path, start_owner: StartOwner) -> None:
    owner = start_owner()
    eventually(lambda: [*tmp_path.glob("postgres/initdb-*/PG_VERSION")])
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert not (tmp_path / "postgres" / "pgdata").exists()

    with embedded_postgres(tmp_path, fsync=False) as url:
        psycopg.connect(url).close()

    assert not [*tmp_path.glob("postgres/initdb-*")]


def test_what_a_cut_off_initdb_still_writes_is_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_postgres(tmp_path, fsync=False):
        left = tmp_path / "postgres" / "initdb-0"
    left.mkdir()
    remove, looks = shutil.rmtree, []

    def rmtree(path: Path, **how: bool) -> None:
        looks.append(path)
        if looks.count(left) == 1:  # something came between the look and the removal
            (left / "late").touch()
        else:
            remove(path, **how)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with embedded_postgres(tmp_path, fsync=False):
        assert not left.exists()
