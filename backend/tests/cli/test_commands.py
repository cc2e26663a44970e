"""The commands that do one thing and end, as real processes."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cli.running import nas_music

from music_downloader import version

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]
PASSWORD = "correct horse battery"
CREATE = ("user", "create", "alice", "alice@example.org")


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Run a command against the test's own migrated database."""
    return partial(
        nas_music,
        folder=tmp_path,
        DATABASE_URL=database_url,
        OUTPUT_DIRECTORY=str(tmp_path / "library"),
        DATA_DIRECTORY=str(tmp_path / "data"),
        MIN_FREE_SPACE="0",
    )


@pytest.fixture
def rows(database_url: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Ask the database, or tell it something that returns rows."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    return ask


@pytest.fixture
def closed(unused_tcp_port: int) -> str:
    """A database's address where nothing listens."""
    return f"postgresql://music:hunter2@127.0.0.1:{unused_tcp_port}/music"


@pytest.fixture
def silent() -> Iterator[str]:
    """A database's address where something listens and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"postgresql://music:hunter2@127.0.0.1:{listening.getsockname()[1]}/music"


def assert_one_sentence(ran: Ran, *, about: str) -> None:
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    assert ran.stderr.startswith("nas-music: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert about in ran.stderr
    assert "hunter2" not in ran.stderr
    assert PASSWORD not in ran.stderr


def test_it_tells_its_version(run: Run) -> None:
    ran = run("--version", cold=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{version()}\n", "")


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help", cold=True)
    assert ran.returncode == 0
    for command in ("serve", "worker", "migrate", "user", "cleanup", "doctor"):
        assert command in ran.stdout


def test_migrate_twice_does_it_once(run: Run, empty_database_url: str) -> None:
    first = run("migrate", cold=True, DATABASE_URL=empty_database_url)
    second = run("migrate", DATABASE_URL=empty_database_url)
    assert (first.returncode, first.stdout) == (0, "The database has been brought up to date.\n")
    assert (second.returncode, second.stdout) == (0, "The database is up to date.\n")


def test_cleanup_removes_what_is_expired_for_good_and_nothing_that_could_still_pass(
    run: Run, rows: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    rows("INSERT INTO users (username, email, password_hash) VALUES ('a', 'b', 'c') RETURNING id")
    rows(
        "INSERT INTO token_blacklist (jti, user_id, expires_at) VALUES"
        " ('long ago', 1, now() - interval '30 days'), ('today', 1, now() - interval '2 hours'),"
        " ('just now', 1, now() - interval '5 minutes'), ('soon', 1, now() + interval '1 minute'),"
        " ('much later', 1, now() + interval '1 year') RETURNING id"
    )
    rows(
        "INSERT INTO throttles (key, count, ends_at) VALUES"
        " ('over', 9, now() - interval '1 s'), ('not over', 9, now() + interval '1 minute') RETURNING key"
    )
    first, second = run("cleanup", cold=True), run("cleanup")
    assert (first.returncode, first.stdout) == (0, "Removed 2 expired tokens.\n")
    assert (second.returncode, second.stdout) == (0, "Removed 0 expired tokens.\n")
    left = rows("SELECT jti FROM token_blacklist ORDER BY expires_at")
    assert left == [("just now",), ("soon",), ("much later",)]
    assert rows("SELECT key FROM throttles") == [("not over",)]


def test_an_administrator_is_made_from_the_command_line_and_audited(
    run: Run, rows: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    ran = run(*CREATE, "--admin", cold=True, NAS_MUSIC_PASSWORD=PASSWORD)
    assert (ran.returncode, ran.stdout) == (0, "Made the administrator alice with id 1.\n")
    assert PASSWORD not in ran.stdout + ran.stderr
    [(is_admin, is_active, password_hash)] = rows("SELECT is_admin, is_active, password_hash FROM users")
    assert (is_admin, is_active) == (True, True)
    assert password_hash.startswith("$2b$12$")
    assert rows("SELECT action, outcome, user_id FROM audit_logs") == [("user.create", "success", 1)]


def test_without_admin_it_is_a_user_like_any_other_and_a_taken_name_is_one_sentence(
    run: Run, rows: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    first = run("user", "create", "Alice", "other@example.org", NAS_MUSIC_PASSWORD=PASSWORD)
    assert first.stdout == "Made the user Alice with id 1.\n"
    second = run(*CREATE, "--admin", NAS_MUSIC_PASSWORD=PASSWORD)
    assert_one_sentence(second, about="taken")
    assert rows("SELECT username, is_admin FROM users") == [("Alice", False)]


@pytest.mark.parametrize(
    ("username", "email", "password", "about"),
    [
        ("a b", "alice@example.org", PASSWORD, "username"),
        ("alice", "alice@example.org", "hunter2", "password"),
    ],
)
def test_a_malformed_account_is_one_sentence_about_the_field(
    run: Run,
    rows: Callable[[str], list[tuple[Any, ...]]],
    username: str,
    email: str,
    password: str,
    about: str,
) -> None:
    ran = run("user", "create", username, email, "--admin", NAS_MUSIC_PASSWORD=password)
    assert_one_sentence(ran, about=about)
    assert rows("SELECT count(*) FROM users") == [(0,)]


def _findings(ran: Ran) -> dict[str, str]:
    lines = [line.split() for line in ran.stdout.splitlines() if not line.startswith(" ")]
    return {words[0]: words[1] for words in lines}


def test_doctor_is_content_when_everything_works(
    run: Run, rows: Callable[[str], list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    (tmp_path / "library").mkdir()
    rows("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '1 hour') RETURNING id")
    ran = run("doctor", cold=True)
    assert ran.returncode == 0, ran.stdout
    found = _findings(ran)
    assert {"database", "tables", "clock", "notify", "queue", "storage", "ffmpeg", "egress"} < set(found)
    assert "problem" not in found.values()
    assert found["notify"] == "ok"


def test_doctor_names_what_does_not_work_and_how_to_mend_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("doctor", OUTPUT_DIRECTORY=str(tmp_path / "file" / "library"), SECRET_KEY="hunter2")
    assert ran.returncode == 1
    problems = [name for name, word in _findings(ran).items() if word == "problem"]
    assert problems == ["settings", "queue", "storage"]
    assert ran.stdout.count("To mend it: ") >= 3
    assert "openssl rand" in ran.stdout
    assert "no worker is running" in ran.stdout
    assert (ran.stderr, "hunter2" in ran.stdout) == ("", False)


def test_doctor_without_a_database_says_so_within_seconds(run: Run, silent: str) -> None:
    begun = time.monotonic()
    ran = run("doctor", DATABASE_URL=silent)
    assert time.monotonic() - begun < 40
    assert ran.returncode == 1
    found = _findings(ran)
    assert (found["database"], found["ffmpeg"]) == ("problem", "ok")
    assert "Traceback" not in ran.stderr
    assert "hunter2" not in ran.stdout


def test_doctor_tells_of_tables_of_another_version(run: Run, empty_database_url: str) -> None:
    ran = run("doctor", DATABASE_URL=empty_database_url)
    assert _findings(ran)["tables"] == "problem"
    assert "nas-music migrate" in ran.stdout


@pytest.mark.timeout(300)  # it leaves the processors to others, such as tests
def test_verify_reads_each_file_and_says_what_differs_and_adopt_takes_another_folder(
    run: Run, rows: Callable[[str], list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    assert run("adopt", cold=True).returncode == 0
    for name, content in {"same": b"music", "larger": b"more music", "rotten": b"musiK"}.items():
        (library / name).write_bytes(content)
    rows(
        "INSERT INTO tracks (path, sha256, size, codec, tags)"
        " SELECT name, encode(sha256('music'), 'hex'), 5, 'mp3', '{}'"
        " FROM unnest(ARRAY['same', 'larger', 'rotten', 'gone']) name RETURNING id"
    )
    ran = run("verify", cold=True, within=200)
    assert ran.returncode == 1, ran.stderr
    words = [line.split()[:2] for line in ran.stdout.splitlines()[:-1]]
    assert words == [["changed", "larger:"], ["changed", "rotten:"], ["missing", "gone:"]]
    assert ran.stdout.splitlines()[-1] == "4 files, of which 2 changed, 1 missing."
    rows("DELETE FROM tracks WHERE path <> 'same' RETURNING id")
    content = run("verify")
    assert (content.returncode, content.stdout) == (0, "All 1 files are as they were filed.\n")
    elsewhere = str(tmp_path / "elsewhere")
    assert_one_sentence(run("verify", OUTPUT_DIRECTORY=elsewhere), about="nas-music adopt")
    assert run("adopt", OUTPUT_DIRECTORY=elsewhere).stdout == f"{elsewhere} is the library now.\n"
    assert run("verify", OUTPUT_DIRECTORY=elsewhere).stdout.startswith("missing    same:")


@pytest.mark.parametrize(
    ("away", "command"),
    [("closed", ("migrate",)), ("closed", CREATE), ("silent", ("migrate",)), ("silent", ("cleanup",))],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_database_that_is_away_is_one_sentence_within_seconds(
    run: Run, request: pytest.FixtureRequest, command: tuple[str, ...], away: str
) -> None:
    begun = time.monotonic()
    ran = run(*command, DATABASE_URL=request.getfixturevalue(away), NAS_MUSIC_PASSWORD=PASSWORD)
    assert time.monotonic() - begun < 40
    assert_one_sentence(ran, about="The database can't be reached")


def test_a_database_without_tables_is_one_sentence_with_the_way_out(
    run: Run, empty_database_url: str
) -> None:
    ran = run(*CREATE, DATABASE_URL=empty_database_url, NAS_MUSIC_PASSWORD=PASSWORD)
    assert_one_sentence(ran, about="nas-music migrate")


@pytest.mark.parametrize(
    ("command", "settings", "about"),
    [
        (("serve",), {"PORT": "eighty"}, "PORT"),
        (("serve", "--standalone"), {"SECRET_KEY": "hunter2"}, "SECRET_KEY is shorter than 32 bytes"),
        (("serve",), {"DATABASE_URL": "mysql://music:hunter2@db/music"}, "DATABASE_URL"),
        (("worker",), {"MAX_DURATION": "a while"}, "MAX_DURATION"),
        (("migrate",), {"LOG_LEVEL": "chatty"}, "LOG_LEVEL"),
    ],
)
def test_a_bad_setting_is_one_sentence_and_nothing_is_started(
    run: Run, tmp_path: Path, command: tuple[str, ...], settings: dict[str, str], about: str
) -> None:
    ran = run(*command, cold=True, **settings)
    assert_one_sentence(ran, about=about)
    assert not (tmp_path / ".data").exists()
