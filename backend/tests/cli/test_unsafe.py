"""What stops the start: one sentence each; and that no secret is ever written out, however much is logged."""

import socket
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.cli.running import BIN, Started, eventually, log_in, nas_music

BACKEND = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("settings", "about"),
    [
        ({"SECRET_KEY": "hunter2"}, "SECRET_KEY is shorter than 32 bytes"),
        ({"OUTPUT_DIRECTORY": "data/music"}, "OUTPUT_DIRECTORY lies in DATA_DIRECTORY"),
        ({"OUTPUT_DIRECTORY": "/etc"}, "a folder of the system"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({"ROOT_PATH": "music"}, "ROOT_PATH"),
        ({"DOWNLOAD_PROXY": "ftp://music:hunter2@proxy"}, "DOWNLOAD_PROXY"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_an_unsafe_configuration_stops_the_start_with_one_sentence(
    tmp_path: Path, command: str, settings: dict[str, str], about: str
) -> None:
    given = {"DATA_DIRECTORY": "data", "OUTPUT_DIRECTORY": "music", **settings}
    ran = nas_music(command, folder=tmp_path, DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x", **given)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("nas-music: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert about in ran.stderr
    assert "hunter2" not in ran.stdout + ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_open_to_all_stops_the_start_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data").chmod(0o777)
    ran = nas_music("serve", "--standalone", folder=tmp_path)
    assert ran.returncode == 2
    assert "chmod o-w" in ran.stderr
    assert list((tmp_path / ".data").iterdir()) == []


def test_a_role_that_may_not_bring_the_database_up_to_date_is_told_in_a_sentence(
    empty_database_url: str, tmp_path: Path
) -> None:
    role = f"role_{abs(hash(empty_database_url))}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'".encode())
        try:
            url = make_url(empty_database_url).set(username=role, password="pw")
            given = {"DATABASE_URL": url.render_as_string(hide_password=False), "DATA_DIRECTORY": "data"}
            for command in ("migrate", "serve"):
                ran = nas_music(command, folder=tmp_path, **given, OUTPUT_DIRECTORY="music", PORT="0")
                assert ran.returncode == 2, ran.stderr
                assert ran.stderr.splitlines()[-1].startswith("nas-music: The database isn't up to date")
        finally:
            connection.execute(f"DROP ROLE {role}".encode())


def test_no_secret_is_written_out_however_much_is_logged(tmp_path: Path) -> None:
    settings = {
        "LOG_LEVEL": "debug",
        "DEBUG": "true",
        "ADMIN_USERNAME": "root",
        "ADMIN_PASSWORD": "a long one",
    }
    proxy = {"DOWNLOAD_PROXY": "http://music:hunter2@127.0.0.1:9"}
    with Started(
        tmp_path, "serve", "--standalone", **settings, **proxy, ADMIN_EMAIL="r@example.org"
    ) as service:
        service.wait_until_healthy()
        with log_in(service.address) as alice:
            token = alice.headers["authorization"].removeprefix("Bearer ")
            cookies = ".music.example\tTRUE\t/\tFALSE\t0\tsid\ta-cookie-of-hers\n"
            assert alice.put("/api/cookies/music.example", content=cookies).status_code == 201
            submitted = alice.post("/api/download", json={"url": "http://music.example/song.mp3"})
            assert submitted.status_code == 202
            assert alice.get("/api/downloads").status_code == 200
            assert alice.post("/auth/logout").status_code == 200
            assert alice.get("/auth/me").status_code == 401
        eventually(lambda: "download" in service.output, within=90, what="something is logged")
        said = service.output
        key = (tmp_path / ".data" / "secret.key").read_text().strip()
    logged = "\n".join(line for line in said.splitlines() if line.startswith("{"))  # no greeting
    assert '"level": "debug"' in logged
    for secret in (
        key,
        "a long one",
        "hunter2",
        "a-cookie-of-hers",
        "correct horse battery",
        token,
        token.rpartition(".")[2],
    ):
        assert secret not in logged, "a secret was written out"


def test_uvicorns_own_trust_in_this_machine_is_undone(database_url: str, tmp_path: Path) -> None:
    arguments = ("src.music_downloader.app:app", "--app-dir", BACKEND, "--host", "127.0.0.1", "--port", "0")
    settings = {
        "DATABASE_URL": database_url,
        "DATA_DIRECTORY": str(tmp_path / "data"),
        "OUTPUT_DIRECTORY": str(tmp_path / "music"),
        "LOG_LEVEL": "info",
        "EMBEDDED_WORKER": "false",
    }
    with Started(tmp_path, *arguments, program=BIN / "uvicorn", **settings) as service:
        eventually(lambda: service.address, within=90, what="it is running")
        forged = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
        who = {"username": "nobody", "password": "wrong horse"}
        answer = httpx.post(f"{service.address}/auth/login", json=who, headers=forged, timeout=30)
        assert answer.status_code == 401
        assert "strict-transport-security" not in answer.headers
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT host(ip_address::inet) FROM audit_logs").fetchall() == [
            ("127.0.0.1",)
        ]


def test_the_server_itself_holds_slow_and_odd_requests_to_its_limits(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"DATA_DIRECTORY": "data", "OUTPUT_DIRECTORY": "music", "EMBEDDED_WORKER": "false"}
    with Started(tmp_path, "serve", DATABASE_URL=database_url, LOG_LEVEL="info", **settings) as service:
        eventually(lambda: service.address, within=90, what="it is running")
        url = httpx.URL(service.address)
        with socket.create_connection((url.host, url.port or 80), timeout=20) as odd:
            odd.sendall(b"no such thing\r\n\r\n")
            assert b"application/problem+json" in odd.recv(4096)
        with socket.create_connection((url.host, url.port or 80), timeout=20) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n")
            assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
