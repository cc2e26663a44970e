"""A PostgreSQL of our own: started with us, ended with us, for us alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from music_downloader.errors import ConfigurationError
from music_downloader.postgres import folder
from music_downloader.postgres.binaries import Binaries, find_binaries
from music_downloader.postgres.process import Account, server_account, spawn

DATABASE = "nas_music_downloader"
HOST = "127.0.0.1"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
QUIT_TIMEOUT = 10.0

_LOG_TAIL = 15
_IO_METHOD_SINCE = 18

# For a box with little memory and slow disks, one application, and at most its pools' connections.
SETTINGS = MappingProxyType(
    {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": "60",
        "shared_buffers": "32MB",
        "work_mem": "4MB",
        "maintenance_work_mem": "32MB",
        "min_wal_size": "32MB",
        "max_wal_size": "256MB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "max_worker_processes": "0",
        "max_parallel_workers": "0",
        "max_parallel_workers_per_gather": "0",
        "max_parallel_maintenance_workers": "0",
        "autovacuum": "on",
        "autovacuum_max_workers": "2",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_checkpoints": "off",
    }
)
# A crash of the server still loses nothing; one of the machine may lose the database.
UNSAFE_SETTINGS = MappingProxyType({"fsync": "off", "full_page_writes": "off"})


class EmbeddedPostgres:
    """The server of one data folder.

    start() and stop() are to be called from the main thread: the server is ended when the thread that started
    it ends. After a crash, seen by poll(), start() starts it again under the same URL.
    """

    def __init__(self, data_directory: Path, *, fsync: bool = True) -> None:
        self._home = data_directory.absolute() / "postgres"
        self._pgdata = self._home / "pgdata"
        self._fsync = fsync
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._password = ""

    @property
    def url(self) -> str:
        """What libpq connects to, password included; known after the first start."""
        if self._port is None:
            raise RuntimeError("The server hasn't been started yet.")
        return self._url(DATABASE)

    @property
    def pid(self) -> int | None:
        """The server's process, None before start() and after stop()."""
        return self._process.pid if self._process else None

    def poll(self) -> int | None:
        """Give the exit code of a server that ended without being told to; None while all is well."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Return when the server takes our login and has our database; do nothing if it runs.

        Raises ConfigurationError where that can't be, with a sentence for the person, and leaves nothing
        running.
        """
        if self._process and self._process.poll() is None:
            return
        if sys.platform != "linux":
            raise ConfigurationError(
                "The embedded PostgreSQL needs Linux: set DATABASE_URL to one of your own."
            )
        try:
            self._start()
        except (OSError, subprocess.SubprocessError) as error:
            self.stop()
            raise ConfigurationError(f"The database in {self._home} can't be started: {error}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, cleanly unless that takes longer than STOP_TIMEOUT, and let go of the folder."""
        try:
            if self._process:
                _end(self._process)
        finally:
            self._process = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _start(self) -> None:
        self._lock = folder.acquire(self._home) if self._lock is None else self._lock
        account = server_account(self._pgdata)
        binaries = find_binaries(self._pgdata, account)
        self._password = folder.password(self._home)
        folder.initialise(self._home, binaries, account, secret=self._password, fsync=self._fsync)
        folder.wait_for_predecessor(self._pgdata)
        deadline = time.monotonic() + START_TIMEOUT
        # Bound without listening, the port can't be given to anybody else until the server listens on it:
        # with SO_REUSEADDR, which the server sets too, Linux allows the two of them.
        with socket.socket() as reserved:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind((HOST, self._port or 0))
            self._port = int(reserved.getsockname()[1])
            self._launch(binaries, account, deadline)
        self._log_in(deadline)

    def _launch(self, binaries: Binaries, account: Account | None, deadline: float) -> None:
        settings = {**SETTINGS, "port": str(self._port)}
        if binaries.major >= _IO_METHOD_SINCE:
            settings["io_method"] = "sync"  # the least memory: no processes for input and output
        if not self._fsync:
            settings |= UNSAFE_SETTINGS
        log = folder.open_log(self._home)
        try:
            said_before = os.fstat(log).st_size
            with folder.handed_over(self._pgdata) as (pgdata, path):
                self._process = spawn(
                    [binaries.folder / "postgres", "-D", path, *(f"--{k}={v}" for k, v in settings.items())],
                    account=account,
                    output=log,
                    pass_fds=(pgdata,),
                )
            while not folder.is_ready(self._pgdata, self._process.pid):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = os.pread(log, 100_000, said_before).decode(errors="replace").splitlines()
                    last_lines = "\n".join(said[-_LOG_TAIL:])
                    raise ConfigurationError(f"PostgreSQL in {self._home} didn't start:\n{last_lines}")
                time.sleep(0.02)
        finally:
            os.close(log)

    def _log_in(self, deadline: float) -> None:
        timeout = max(2, int(deadline - time.monotonic()))
        try:
            with psycopg.connect(
                self._url("postgres"), autocommit=True, connect_timeout=timeout
            ) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if not known.fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.Error as error:
            raise ConfigurationError(f"PostgreSQL in {self._home} doesn't let us in: {error}") from error

    def _url(self, database: str) -> str:
        return url_of(password=self._password, port=self._port or 0, database=database)


def url_of(*, password: str, port: int, database: str = DATABASE) -> str:
    """Write down how libpq reaches a server of ours."""
    return f"postgresql://{folder.USER}:{password}@{HOST}:{port}/{database}"


@contextmanager
def embedded_postgres(data_directory: Path, *, fsync: bool = True) -> Iterator[str]:
    """Run a PostgreSQL in `data_directory`/postgres and yield its URL.

    To be entered in the main thread, before there are other threads. Without `fsync` it is quicker and may
    lose everything when the machine stops: for tests.
    """
    server = EmbeddedPostgres(data_directory, fsync=fsync)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _end(process: subprocess.Popen[bytes]) -> None:
    asks = ((signal.SIGINT, STOP_TIMEOUT), (signal.SIGQUIT, QUIT_TIMEOUT), (signal.SIGKILL, None))
    for ask, patience in asks:
        process.send_signal(ask)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
