import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from music_downloader.command import web
from music_downloader.errors import ConfigurationError
from music_downloader.postgres import EmbeddedPostgres, embedded_postgres, folder
from music_downloader.postgres import server as server_module


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `server`, below one that only we may enter."""
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    return closed / "data" / "postgres"


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server for all tests here; each leaves it running."""
    server = EmbeddedPostgres(home.parent, fsync=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_KEY", "do not tell")
        server.start()
    yield server
    server.stop()


def test_it_is_reached_by_password_over_loopback_only(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as connection:
        [hashed] = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = current_user"
        ).fetchone()
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        encoding, checksums = connection.execute(
            "SELECT getdatabaseencoding(), current_setting('data_checksums')"
        ).fetchone()

    assert hashed.startswith("SCRAM-SHA-256$1:")  # a random word needs no more rounds
    assert rules == [("scram-sha-256",)]
    assert (encoding, checksums) == ("UTF8", "on")
    postmaster = psutil.Process(server.pid)
    assert {socket.laddr.ip for socket in postmaster.net_connections("inet")} == {"127.0.0.1"}
    assert not [socket for socket in postmaster.net_connections("unix") if socket.laddr]


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password"):
        psycopg.connect(server.url, password=password)


def test_the_server_inherits_no_secret_and_no_lock(server: EmbeddedPostgres, home: Path) -> None:
    postmaster = psutil.Process(server.pid)

    assert set(postmaster.environ()) == {"PATH", "LANG", "TZ"}
    assert (home / "password").read_text() not in " ".join(postmaster.cmdline())
    assert str(home / "lock") not in {file.path for file in postmaster.open_files()}


def test_only_we_may_read_the_password_and_the_log(server: EmbeddedPostgres, home: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home, *home.iterdir())}

    private = dict.fromkeys(("lock", "password", "postgres.log"), 0o600)
    assert modes == private | {"postgres": 0o700, "pgdata": 0o700}
    assert psutil.Process(server.pid).uids().real != 0


def test_stop_and_start_keep_the_data_and_the_credentials(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path, fsync=False) as first, psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.commit()

    with embedded_postgres(tmp_path, fsync=False) as second, psycopg.connect(second) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)

    assert first.rsplit(":", 1)[0] == second.rsplit(":", 1)[0]
    assert not folder.servers_on(tmp_path / "postgres" / "pgdata")


def test_a_crash_is_seen_and_mended_under_the_same_url(server: EmbeddedPostgres) -> None:
    url, crashed = server.url, psutil.Process(server.pid)
    assert server.poll() is None
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    crashed.kill()
    psutil.wait_procs([crashed], timeout=5)
    assert server.poll() is not None
    server.start()

    assert server.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


async def test_one_that_cannot_be_started_again_at_once_is_started_later(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, failed = server.start, 0

    def start_later() -> None:
        nonlocal failed
        if failed < 2:
            failed += 1
            server.stop()  # as a start does that fails
            raise ConfigurationError("No space left on device.")
        start()

    monkeypatch.setattr(server, "start", start_later)
    monkeypatch.setattr(web, "_LOOK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(web, "_TRY_AGAIN_SECONDS", 0.05)
    psutil.Process(server.pid).kill()
    keeping = asyncio.create_task(web.keep_running(server))
    async with asyncio.timeout(90):
        while failed < 2 or server.pid is None or server.poll() is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    keeping.cancel()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_starting_twice_and_stopping_twice_do_no_harm(server: EmbeddedPostgres) -> None:
    pid, url = server.pid, server.url
    server.start()
    assert server.pid == pid

    server.stop()
    server.stop()
    assert server.pid is None
    assert server.poll() is None
    assert not psutil.pid_exists(pid)

    server.start()
    assert server.url == url


def test_a_start_that_fails_says_what_the_server_said(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path, fsync=False):
        pass
    (tmp_path / "postgres" / "pgdata" / "global" / "pg_control").unlink()
    server = EmbeddedPostgres(tmp_path, fsync=False)

    with pytest.raises(ConfigurationError, match=r"didn't start:\n(.*\n)*.*pg_control"):
        server.start()

    assert server.pid is None


def test_a_log_that_has_grown_is_emptied_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LOG_LIMIT", 10)
    log = tmp_path / "postgres" / "postgres.log"
    log.parent.mkdir()
    log.write_text("said long ago\n")

    with embedded_postgres(tmp_path, fsync=False):
        said = log.read_text()

    assert "said long ago" not in said
    assert "ready to accept connections" in said


def test_a_lost_password_is_refused_rather_than_replaced(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "pgdata").mkdir(parents=True)

    with pytest.raises(ConfigurationError, match=r"restore .*postgres/password"):
        EmbeddedPostgres(tmp_path).start()


def test_a_server_that_wont_stop_is_killed(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "STOP_TIMEOUT", 0.1)
    monkeypatch.setattr(server_module, "QUIT_TIMEOUT", 0.1)
    postmaster = psutil.Process(server.pid)
    postmaster.suspend()

    server.stop()

    assert not postmaster.is_running()
    server.start()
