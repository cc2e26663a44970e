"""`nas-music serve` as `make run` starts it: a real process with a database and a worker of its own."""

import asyncio
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests import media
from tests.cli.running import (
    ALICE,
    BIN,
    Started,
    assert_gone,
    environment,
    eventually,
    is_gone,
    log_in,
    nas_music,
)
from tests.source import Source

from music_downloader.auth.password import hash_password
from music_downloader.migration import upgrade
from music_downloader.postgres import embedded_postgres

STANDALONE = ("serve", "--standalone")
BACKEND = Path(__file__).parents[2]
Start = Callable[..., Started]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a service whose database is made already, and knows Alice."""
    folder = tmp_path_factory.mktemp("kept")
    hashed = asyncio.run(hash_password(ALICE["password"]))
    with embedded_postgres(folder / ".data", fsync=False) as url:
        upgrade(make_url(url).set(drivername="postgresql+psycopg"))
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO users (username, email, password_hash) VALUES (%s, %s, %s)",
                [ALICE["username"], ALICE["email"], hashed],
            )
    return folder


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    """A copy of that folder, for one test to wreck."""
    subprocess.run(["cp", "-a", kept, tmp_path / "home"], check=True)
    return tmp_path / "home"


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as running:
        yield running


def test_the_first_start_works_by_itself_and_ctrl_c_leaves_nothing_running(
    tmp_path: Path, source: Source
) -> None:
    url = source.file("/song.mp3", media.make("mp3", title="A Song", artist="Somebody"))
    with Started(tmp_path, *STANDALONE, ALLOWED_NETWORKS="127.0.0.0/8", UMASK="007") as service:
        service.wait_until_healthy()
        assert {"postgres", "template", "web"} == set(service.programs())

        with log_in(service.address) as alice:
            filed = completed(alice, submit(alice, url), within=90)["file_path"]
        assert (tmp_path / "downloads" / filed).stat().st_size > 0

        assert service.interrupt(within=20) == 0
        assert "Traceback" not in service.output
    music = [path for path in tmp_path.rglob("*.mp3") if path.is_file()]
    assert music == [tmp_path / "downloads" / filed]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (music[0], music[0].parent)] == [0o660, 0o770]
    assert stat.S_IMODE((tmp_path / ".data/secret.key").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {".data", "downloads", "output.txt"}


def test_after_a_kill_nothing_is_left_and_the_next_start_knows_everybody(folder: Path) -> None:
    with Started(folder, *STANDALONE) as service:
        service.wait_until_healthy()
        service.kill(within=20)
    with Started(folder, *STANDALONE) as service:
        service.wait_until_healthy()
        who = {name: ALICE[name] for name in ("username", "password")}
        answer = httpx.post(f"{service.address}/auth/login", json=who, timeout=30)
        assert answer.status_code == 200
        assert service.interrupt(within=20) == 0


@pytest.mark.timeout(240)
def test_a_download_cut_off_by_a_kill_is_taken_up_again_and_completed(folder: Path, source: Source) -> None:
    song = media.make("mp3", title="A Song", artist="Somebody")
    url = source.silent("/song.mp3")
    settings = {"ALLOWED_NETWORKS": "127.0.0.0/8"}
    with Started(folder, *STANDALONE, **settings) as service:
        service.wait_until_healthy()
        with log_in(service.address) as alice:
            at = submit(alice, url)
            eventually(lambda: source.hits("/song.mp3"), within=90, what="the source is asked for the song")
        service.kill(within=20)
    source.file("/song.mp3", song)
    with Started(folder, *STANDALONE, **settings) as service:
        service.wait_until_healthy()
        with log_in(service.address) as alice:
            # The dead worker is missed after 15 s of silence, looked for every 10 s, and looked at once more.
            download = completed(alice, at, within=90)
        assert download["attempts"] == 2
        assert (folder / "downloads" / download["file_path"]).exists()
        service.interrupt(within=20)


def test_a_parent_that_is_killed_takes_the_service_with_it(folder: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "service = subprocess.Popen([sys.argv[1], 'serve', '--standalone', '--with-parent'])\n"
        "service.wait()\n"
    )
    with Started(folder, "-c", script, BIN / "nas-music", program=Path(sys.executable)) as parent:
        parent.wait_until_healthy()
        family = parent.family()
        assert len(family) > 3
        parent.process.kill()
        assert_gone(family, within=20)


def test_the_database_killed_under_it_comes_back_and_the_worker_works_on(
    folder: Path, source: Source
) -> None:
    url = source.file("/song.mp3", media.make("mp3", title="A Song", artist="Somebody"))
    with Started(folder, *STANDALONE, ALLOWED_NETWORKS="127.0.0.0/8") as service:
        service.wait_until_healthy()
        postmaster = psutil.Process(
            int((folder / ".data/postgres/pgdata/postmaster.pid").read_text().split()[0])
        )
        postmaster.kill()
        eventually(lambda: is_gone(postmaster), within=20)
        service.wait_until_healthy(within=90)
        with log_in(service.address) as alice:
            completed(alice, submit(alice, url), within=90)
        assert service.process.poll() is None


def test_a_second_service_in_the_same_folder_is_refused_with_a_sentence(folder: Path) -> None:
    with Started(folder, *STANDALONE) as service:
        service.wait_until_healthy()
        second = nas_music(*STANDALONE, folder=folder, PORT="0", HOST="127.0.0.1")
        assert second.returncode == 2
        assert second.stderr.startswith("nas-music: Another nas-music is using the database in ")
        assert second.stderr.count("\n") == 1
        assert httpx.get(f"{service.address}/health", timeout=10).status_code == 200


def test_a_port_in_use_ends_the_start_with_a_message(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = nas_music(*STANDALONE, folder=folder, PORT=str(port), HOST="127.0.0.1")
    assert ran.returncode not in {0, -signal.SIGKILL}
    assert "address already in use" in ran.stderr
    assert str(port) in ran.stderr
    assert "is running at" not in ran.stdout
    assert "Traceback" not in ran.stderr
    assert not _postgres_in(folder)


def test_with_a_database_of_ones_own_no_postgres_is_started(database_url: str, tmp_path: Path) -> None:
    with Started(tmp_path, *STANDALONE, DATABASE_URL=database_url) as service:
        service.wait_until_healthy()
        assert set(service.programs()) == {"template", "web"}
        assert not (tmp_path / ".data" / "postgres").exists()
        assert (tmp_path / ".data" / "secret.key").exists()
        assert service.interrupt(within=20) == 0


def test_ctrl_c_hands_a_running_download_back_and_leaves_nothing_of_it(
    database_url: str, tmp_path: Path, source: Source
) -> None:
    url = source.dripping("/song.mp3", media.make("mp3"))
    settings = {"DATABASE_URL": database_url, "ALLOWED_NETWORKS": "127.0.0.0/8"}
    with Started(tmp_path, *STANDALONE, **settings) as service:
        service.wait_until_healthy()
        with log_in(service.address) as alice:
            submit(alice, url)
        eventually(lambda: source.hits("/song.mp3"), within=90, what="the source is asked for the song")
        assert service.interrupt(within=20) == 0
        assert "Traceback" not in service.output
    with psycopg.connect(database_url) as connection:
        downloads = connection.execute("SELECT status, attempts FROM download_history").fetchall()
        jobs = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = 'downloads'"
        ).fetchone()
    assert downloads == [("pending", 0)]
    assert jobs == (1,)


def test_uvicorn_serves_it_from_the_backend_folder(database_url: str, tmp_path: Path) -> None:
    arguments = ("src.music_downloader.app:app", "--app-dir", BACKEND, "--host", "127.0.0.1", "--port", "0")
    with Started(
        tmp_path,
        *arguments,
        program=BIN / "uvicorn",
        DATABASE_URL=database_url,
        DATA_DIRECTORY=str(tmp_path / "data"),
        OUTPUT_DIRECTORY=str(tmp_path / "music"),
        LOG_LEVEL="info",
    ) as service:
        service.wait_until_healthy()
        with log_in(service.address) as alice:
            assert alice.get("/auth/me").json()["username"] == "alice"
            assert alice.get("/api/downloads").json()["total"] == 0
        assert service.interrupt(within=20) in {0, -signal.SIGINT}


def test_the_models_exist_once_under_both_of_their_names() -> None:
    asked = (
        "import src.music_downloader.app, sys\n"
        "from music_downloader.model import Base\n"
        "print(len(Base.metadata.tables), 'src.music_downloader.model' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=BACKEND,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == "12 False\n"


def submit(client: httpx.Client, url: str) -> int:
    """Submit a URL and return its download's id."""
    return int(client.post("/api/download", json={"url": url}).raise_for_status().json()["id"])


def completed(client: httpx.Client, at: int, *, within: float) -> dict[str, Any]:
    """Follow a download until it is completed."""
    download: dict[str, Any] = {}

    def is_completed() -> bool:
        answer = client.get(f"/api/downloads/{at}")
        if answer.status_code != 503:  # a pooled connection may have died with the database
            download.update(answer.raise_for_status().json())
        return bool(download) and download["status"] == "completed"

    eventually(is_completed, within=within, what="the download is completed")
    return download


def _postgres_in(folder: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and str(folder) in (process.info["cwd"] or "")
    ]
