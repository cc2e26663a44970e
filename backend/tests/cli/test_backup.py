"""`nas-music backup` and `restore`: a live service's database as a file, and back, whole or not at all."""

import asyncio
import io
import json
import logging
import secrets
import signal
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool
from tests import media
from tests.cli.running import NAS_MUSIC, environment, eventually, nas_music
from tests.conftest import Serve
from tests.following import ended, submit
from tests.source import Source

from music_downloader.backup import tables
from music_downloader.command import backup as command
from music_downloader.errors import BackupError, ConfigurationError, NewerDatabaseError
from music_downloader.migration import upgrade
from music_downloader.migration.whole import move_up

Rows = list[tuple[Any, ...]]
KEY = "0123456789abcdef" * 4


def ask(url: str, query: str) -> Rows:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def address(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


def everything(url: str) -> dict[str, list[str]]:
    """Read all that a backup keeps; sessions end and the audit log is added to when one is restored."""
    found = {}
    with psycopg.connect(url) as connection:
        for table in tables.kept(connection):
            columns = ", ".join(name for name in table.columns if name != "tokens_valid_from")
            query = f"SELECT row::text FROM (SELECT {columns} FROM {table.name}) AS row ORDER BY 1"  # noqa: S608
            rows = connection.execute(query.encode()).fetchall()
            found[table.name] = [text for (text,) in rows if "service.restore" not in text]
    return found


async def test_a_live_service_is_backed_up_and_goes_on_from_there(
    empty_database_url: str, serve: Serve, source: Source, tmp_path: Path
) -> None:
    live = await serve()
    tone = source.file("/tone.mp3", media.make("mp3", seconds=1, title="A Tone"))
    alice = await live.sign_in()
    await alice.post("/auth/logout")
    alice = await live.log_in("alice")
    first = await submit(alice, tone)
    url = live.settings.conninfo
    with psycopg.connect(url) as connection:  # as though a worker were at it, and about to file something
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing'")
        connection.execute(
            "UPDATE download_history SET status = 'in-progress', attempts = 1, fetching = true"
        )
        connection.execute(
            "INSERT INTO filing_intents (download_id, attempt, path, sha256, size) VALUES (1, 1, 'a', 'x', 1)"
        )
    has_begun, stop = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await submit(alice, f"{tone}?{secrets.token_hex(4)}")
            has_begun.set()
            await asyncio.sleep(0.3)  # a pace that a worker can make good later

    writing = asyncio.create_task(write())
    await has_begun.wait()
    made = await asyncio.to_thread(nas_music, "backup", "kept.zip", folder=tmp_path, DATABASE_URL=url)
    stop.set()
    await writing
    assert (made.returncode, made.stderr) == (0, "")
    assert "The music itself isn't in it." in made.stdout
    assert stat.S_IMODE((tmp_path / "kept.zip").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*kept.zip*")] == ["kept.zip"]  # noqa: ASYNC240

    restored = await asyncio.to_thread(
        nas_music, "restore", "kept.zip", folder=tmp_path, cold=True, DATABASE_URL=empty_database_url
    )
    assert (restored.returncode, restored.stderr) == (0, "")
    # What is committed together is there together, and nothing of what came later.
    [(downloads,)] = ask(empty_database_url, "SELECT count(*) FROM download_history")
    assert downloads >= 2
    assert ask(
        empty_database_url,
        "SELECT (SELECT count(*) FROM audit_logs WHERE action = 'download.submit'),"
        " (SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'music:run_download'),"
        " (SELECT count(*) FROM filing_intents), (SELECT count(*) FROM token_blacklist)",
    ) == [(downloads, downloads - 1, 0, 1)]

    again = await serve(database_url=empty_database_url, embedded_worker=True)
    back = await again.log_in("alice")
    done = await ended(back, first)
    assert (done["status"], done["attempts"]) == ("completed", 2)
    assert (await ended(back, downloads))["status"] == "completed"
    old = await again.client(Authorization=str(alice.headers["Authorization"]))
    assert (await old.get("/auth/me")).status_code == 401
    listed = (await back.get("/api/downloads")).json()
    assert listed["total"] == downloads
    new = await submit(back, f"{tone}?new")
    assert new > downloads


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Choose the installation that the commands are about."""
    monkeypatch.setattr("music_downloader.command.installation.configure_logging", lambda **_: None)

    def choose(url: str, data: Path = tmp_path / "data", **more: str) -> None:
        for name, value in {"DATABASE_URL": url, "DATA_DIRECTORY": str(data), **more}.items():
            monkeypatch.setenv(name, value)

    return choose


@pytest.fixture
def kept(database_url: str, settings: Callable[..., None], tmp_path: Path) -> Path:
    """A backup, with the key, of an account, a download with odd characters, and many audit entries."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO users (username, email, password_hash) VALUES ('alice', 'a@example.org', 'x')"
        )
        connection.execute(
            "INSERT INTO download_history (user_id, url, format, title, progress) VALUES"
            " (1, 'https://a.example/1', 'best', E'tab\\t, line\\n, back\\\\slash, \\\\N, snow ☃', '{}')"
        )
        connection.execute("INSERT INTO token_blacklist (jti, user_id, expires_at) VALUES ('one', 1, now())")
        connection.execute("SELECT setval('download_history_id_seq', 57)")
        connection.execute(
            "INSERT INTO audit_logs (user_id, action, outcome)"
            " SELECT 1, 'auth.login', 'success' FROM generate_series(1, 3000)"
        )
    settings(database_url, SECRET_KEY=KEY)
    command.backup(tmp_path / "kept.zip", with_key=True)
    settings(database_url, SECRET_KEY="")
    return tmp_path / "kept.zip"


def test_every_row_and_number_comes_back_and_what_was_there_is_given_up_only_by_word(
    kept: Path,
    database_url: str,
    empty_database_url: str,
    settings: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings(empty_database_url)
    command.restore(kept, with_key=True)
    before = everything(database_url)
    assert everything(empty_database_url) == before
    assert len(before["audit_logs"]) == 3000
    shapes = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2",
        "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT last_value FROM download_history_id_seq",
    )
    for shape in shapes:
        assert ask(empty_database_url, shape) == ask(database_url, shape)
    key = tmp_path / "data" / "secret.key"
    assert (key.read_text(), stat.S_IMODE(key.stat().st_mode)) == (KEY, 0o600)

    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO users (username, email, password_hash) VALUES ('eve', 'e@x.org', 'x')"
        )
        connection.execute("CREATE TABLE somebody_elses AS SELECT 1 AS one")
    with pytest.raises(BackupError, match="with --replace"):
        command.restore(kept)
    for word in ("", "yes", "replace"):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{word}\n"))
        if word != "replace":
            with pytest.raises(BackupError, match="Nothing has been changed"):
                command.restore(kept, replace=True)
            assert len(ask(empty_database_url, "SELECT id FROM users")) == 2
        else:
            command.restore(kept, replace=True)
    assert everything(empty_database_url) == before
    assert ask(empty_database_url, "SELECT one FROM somebody_elses") == [(1,)]
    assert "(accounts 1, downloads 1, tracks 0, audit entries 3000)" in capsys.readouterr().out


def test_an_older_revisions_backup_is_brought_up_to_date(
    empty_database_url: str, settings: Callable[..., None], tmp_path: Path
) -> None:
    engine = create_engine(address(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        move_up(connection, "0005")
        connection.execute(
            text("INSERT INTO users (username, email, password_hash) VALUES ('old', 'o@example.org', 'x')")
        )
    settings(empty_database_url)
    command.backup(tmp_path / "old.zip")
    with zipfile.ZipFile(tmp_path / "old.zip") as archive:
        assert json.loads(archive.read("manifest.json"))["revision"] == "0005"
        assert "tables/measurements" not in archive.namelist()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM users"))
    command.restore(tmp_path / "old.zip")
    assert ask(empty_database_url, "SELECT username FROM users") == [("old",)]
    assert upgrade(address(empty_database_url)) is False


def spoilt(kept: Path, **changed: object) -> Path:
    """Write the archive anew with other words in its manifest."""
    with zipfile.ZipFile(kept) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = {**json.loads(members["manifest.json"]), **changed}
    path = kept.with_name("spoilt.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(manifest) if name == "manifest.json" else content)
    return path


def test_what_is_no_whole_backup_of_ours_changes_nothing(
    kept: Path, empty_database_url: str, settings: Callable[..., None], tmp_path: Path
) -> None:
    settings(empty_database_url)
    whole = kept.read_bytes()
    with zipfile.ZipFile(kept) as archive:
        tables_said = json.loads(archive.read("manifest.json"))["tables"]
        middle = archive.getinfo("tables/audit_logs").header_offset + 200

    def written(content: bytes) -> Path:
        path = tmp_path / "bad.zip"
        path.write_bytes(content)
        return path

    def said(**changed: object) -> list[dict[str, object]]:
        return [tables_said[0] | changed, *tables_said[1:]]

    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 3_000_000)
    cases: list[tuple[Callable[[], Path], str]] = [
        (lambda: tmp_path / "missing.zip", "No such file"),
        (lambda: written(b"PGDMP not ours"), "no backup of this service"),
        (lambda: written(whole[: len(whole) // 2]), "was cut short"),
        (lambda: written(whole[:-10]), "was cut short"),
        (lambda: written(whole[:middle] + b"x" * 50 + whole[middle + 50 :]), "tables/audit_logs"),
        (lambda: written(empty.getvalue()), "it has no manifest"),
        (lambda: written(bomb.getvalue()), "its manifest is too large"),
        (lambda: spoilt(kept, format=2, service="9.0"), "made by version 9.0"),
        (lambda: spoilt(kept, revision="9999", service="9.0"), "version 9.0, newer than this one"),
        (lambda: spoilt(kept, tables=said(size=10**15)), "far more than fit"),
        (lambda: spoilt(kept, tables=said(sha256="0" * 64)), "isn't what was written"),
        (lambda: spoilt(kept, tables=said(name="pg_authid")), "doesn't hold what its manifest names"),
        (lambda: spoilt(kept, tables=said(name='x"; DROP')), "makes no sense"),
        (lambda: spoilt(kept, tables=said(columns=["nonsense"])), "has no"),
        (lambda: spoilt(kept, tables=said(rows=10**6)), "rows"),
        (lambda: spoilt(kept, key=None), "doesn't hold what its manifest names"),
    ]
    for make, words in cases:
        with pytest.raises(BackupError, match=words) as refused:
            command.restore(make())
        assert refused.value.detail.count("\n") == 0
        assert ask(empty_database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_database_that_is_used_or_newer_is_left_alone(
    kept: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("replace\n" * 9))
    before = everything(database_url)

    def refused(words: str, **how: bool) -> None:
        with pytest.raises(BackupError, match=words):
            command.restore(kept, **how)
        assert everything(database_url) == before

    for name, word in (("nas-music web", r"the service \(web\)"), ("nas-music queue", r"\(queue\)")):
        with psycopg.connect(database_url, application_name=name):
            refused(word, replace=True)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    refused("a worker was at it", replace=True)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM procrastinate_workers")
        connection.commit()
        monkeypatch.setattr("music_downloader.backup.restore._LOCK_SECONDS", 1)
        connection.execute("LOCK TABLE tracks IN ACCESS SHARE MODE")
        refused("is using this database", replace=True)
        connection.rollback()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for run in (
        lambda: command.restore(kept, replace=True),
        lambda: command.backup(kept.with_name("again.zip")),
        lambda: upgrade(address(database_url)),  # as a start does
    ):
        with pytest.raises(NewerDatabaseError):
            run()
    assert everything(database_url) == before
    assert not kept.with_name("again.zip").exists()


def test_a_role_that_may_not_change_tables_is_told_so(
    kept: Path, database_url: str, settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"guest_{secrets.token_hex(4)}"
    with psycopg.connect(database_url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'guest'".encode())
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}".encode())
    before = everything(database_url)
    try:
        guest = make_url(database_url).set(username=role, password="guest")
        settings(guest.render_as_string(hide_password=False))
        monkeypatch.setattr("sys.stdin", io.StringIO("replace\n"))
        with pytest.raises(BackupError, match="The database refuses: must be owner of"):
            command.restore(kept, replace=True)
        assert everything(database_url) == before
    finally:
        with psycopg.connect(database_url) as connection:
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


def test_a_key_is_taken_over_only_where_it_can_count(
    kept: Path, empty_database_url: str, settings: Callable[..., None], tmp_path: Path
) -> None:
    settings(empty_database_url, SECRET_KEY=KEY[::-1])
    with pytest.raises(BackupError, match="SECRET_KEY is set"):
        command.restore(kept, with_key=True)
    settings(empty_database_url, SECRET_KEY="")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").touch(mode=0o600)
    (tmp_path / "data" / "secret.key").write_text(KEY[::-1])
    with pytest.raises(BackupError, match="another key"):
        command.restore(kept, with_key=True)
    command.restore(kept)
    assert (tmp_path / "data" / "secret.key").read_text() == KEY[::-1]
    command.backup(tmp_path / "without.zip")
    settings(empty_database_url, data=tmp_path / "other")
    with pytest.raises(BackupError, match="no key in this backup"):
        command.restore(tmp_path / "without.zip", with_key=True)


def test_nothing_is_restored_where_its_key_cannot_be_kept(
    kept: Path,
    database_url: str,
    settings: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask(database_url, "UPDATE users SET email = 'b@example.org' RETURNING id")
    (tmp_path / "file").touch()
    settings(database_url, data=tmp_path / "file" / "data", SECRET_KEY="")
    monkeypatch.setattr("sys.stdin", io.StringIO("replace\n"))
    with pytest.raises(ConfigurationError, match="The key can't be kept in"):
        command.restore(kept, replace=True, with_key=True)
    assert ask(database_url, "SELECT email FROM users") == [("b@example.org",)]


def test_a_backup_that_is_broken_off_leaves_nothing_and_one_goes_into_a_pipe(
    kept: Path, database_url: str, settings: Callable[..., None], tmp_path: Path
) -> None:
    settings(database_url)
    with pytest.raises(BackupError, match="is a folder"):
        command.backup(tmp_path)
    with pytest.raises(BackupError, match="No such file"):
        command.backup(tmp_path / "nowhere" / "x.zip")
    before = kept.read_bytes()
    with psycopg.connect(database_url) as holding:
        holding.execute("LOCK TABLE tracks")
        waiting = subprocess.Popen(
            [NAS_MUSIC, "backup", kept.name],
            cwd=tmp_path,
            env=environment(DATABASE_URL=database_url),
            stderr=subprocess.PIPE,
        )
        eventually(lambda: list(tmp_path.glob(".kept.zip-*")), within=90, what="it has begun")
        waiting.terminate()
        assert (waiting.communicate(timeout=30)[1], waiting.returncode) == (b"", 130)
        assert list(tmp_path.glob("*.zip*")) == [kept]
    whole = subprocess.run(
        [NAS_MUSIC, "backup", "-"],
        cwd=tmp_path,
        env=environment(DATABASE_URL=database_url),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"Backed up the database as of" in whole.stderr
    with zipfile.ZipFile(io.BytesIO(whole.stdout)) as archive:
        assert archive.testzip() is None
        assert "secret.key" not in archive.namelist()
    with Path("/dev/full").open("wb") as nowhere:
        full = subprocess.run(
            [NAS_MUSIC, "backup", "-"],
            cwd=tmp_path,
            env=environment(DATABASE_URL=database_url),
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert full.returncode == 2
    assert full.stderr == "nas-music: The backup can't be written to -: No space left on device.\n"
    assert kept.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_breaks_because_it_is_asked_to_stop_is_no_fault(
    number: signal.Signals,
    database_url: str,
    settings: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def dump(*_: object, **_named: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            logging.getLogger("sqlalchemy.pool").exception("a connection in the middle of something")
            raise psycopg.OperationalError("another command is already in progress") from None

    settings(database_url)
    monkeypatch.setattr(command, "dump", dump)
    with pytest.raises(KeyboardInterrupt):
        command.backup(tmp_path / "kept.zip")
    assert not list(tmp_path.glob("*.zip*"))
    assert not caplog.records
