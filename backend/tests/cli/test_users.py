"""`nas-music user …`: accounts from the machine itself."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cli.running import nas_music
from typer.testing import CliRunner

from music_downloader.cli import cli

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]
Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Run `nas-music user` against the test's own database, which holds Alice and the administrator root."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO users (username, email, password_hash, is_admin) VALUES"
            " ('Alice', 'alice@example.org', 'x', false), ('root', 'root@example.org', 'x', true)"
        )
    return partial(nas_music, "user", folder=tmp_path, DATABASE_URL=database_url)


@pytest.fixture
def ask(database_url: str) -> Ask:
    def look(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    return look


def test_what_is_left_out_is_asked_for(
    database_url: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DATA_DIRECTORY", str(tmp_path / "data"))
    said = "boss\nboss@example.org\ncorrect horse battery\ncorrect horse battery\n"
    ran = CliRunner().invoke(cli, ["user", "create", "--admin"], input=said)
    assert (ran.exit_code, "Made the administrator boss" in ran.output) == (0, True), ran.output
    assert ask("SELECT username, email, is_admin FROM users") == [("boss", "boss@example.org", True)]


def test_everybody_is_listed_with_role_and_state(run: Run) -> None:
    ran = run("list", cold=True)
    assert ran.returncode == 0, ran.stderr
    assert [line.split() for line in ran.stdout.splitlines()] == [
        ["1", "Alice", "user", "active", "never", "alice@example.org"],
        ["2", "root", "administrator", "active", "never", "root@example.org"],
    ]


def test_the_role_is_handed_on_and_the_last_administrator_stays(run: Run, ask: Ask) -> None:
    refused = run("demote", "root")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "nas-music: This is the last active administrator; make another one first.\n"
    assert run("promote", "ALICE@example.org").stdout == "Alice is an administrator.\n"
    assert run("demote", "root").stdout == "root is no administrator.\n"
    assert ask("SELECT username FROM users WHERE is_admin") == [("Alice",)]
    assert ask("SELECT action, outcome, resource, user_id FROM audit_logs ORDER BY id") == [
        ("user.demote", "refused", "user:2", None),
        ("user.promote", "success", "user:1", None),
        ("user.demote", "success", "user:2", None),
    ]


def test_somebody_is_kept_out_and_let_in_again(run: Run, ask: Ask) -> None:
    out = run("deactivate", "alice")
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout.startswith("Alice may not log in any more")
    assert ask("SELECT is_active, tokens_valid_from IS NOT NULL FROM users WHERE id = 1") == [(False, True)]
    assert run("activate", "alice").stdout == "Alice may log in.\n"
    assert ask("SELECT is_active FROM users WHERE id = 1") == [(True,)]
    last = run("deactivate", "root")
    assert (last.returncode, last.stderr.count("\n")) == (2, 1)


def test_a_forgotten_password_is_replaced_and_every_session_ends(run: Run, ask: Ask) -> None:
    ran = run("reset-password", "alice", NAS_MUSIC_PASSWORD="another horse entirely")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "horse" not in ran.stdout
    [(password_hash, has_ended)] = ask(
        "SELECT password_hash, tokens_valid_from IS NOT NULL FROM users WHERE id = 1"
    )
    assert password_hash.startswith("$2b$12$")
    assert has_ended
    assert ask("SELECT action, resource FROM audit_logs") == [("user.reset_password", "user:1")]


@pytest.mark.parametrize(
    ("password", "about"),
    [("short", "8 characters"), ("password123", "most common"), ("alice@example.org", "too close")],
)
def test_a_password_that_is_too_easy_is_refused_in_a_sentence(
    run: Run, ask: Ask, password: str, about: str
) -> None:
    ran = run("reset-password", "alice", NAS_MUSIC_PASSWORD=password)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert about in ran.stderr
    assert password not in ran.stderr
    assert ask("SELECT password_hash FROM users WHERE id = 1") == [("x",)]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *((command, "nobody") for command in ("promote", "demote", "activate", "deactivate")),
        ("reset-password", b"not in \xff any encoding"),
    ],
)
def test_an_unknown_name_is_one_sentence(run: Run, command: str, name: str | bytes) -> None:
    ran = run(command, name, NAS_MUSIC_PASSWORD="another horse entirely")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "nas-music: There is no such account.\n"
