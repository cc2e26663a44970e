"""A library on a disk that fills up, turns read-only, or goes away: real mounts of the test's own."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import media
from tests.cli.running import Started, log_in
from tests.following import ended, submit, until
from tests.slow import Slow, happens
from tests.source import Source
from tests.worker.landing import eventually, files

from music_downloader.library.filing import STAGING

_MIB = 1024**2
# The disk is a tmpfs, and the library a bind mount of it: so it can go and come back with what is in it.
_MOUNT = "mount -t tmpfs -o size=24m disk $DISK && mount --bind $DISK $LIBRARY && exec $0 -c '{}'"
_SERVE = (
    "from music_downloader.task import storage, upkeep\n"
    'upkeep._EVERY_TEN_SECONDS = "* * * * * *"\n'
    "storage._KEPT_SECONDS = 0.0\n"
    "from music_downloader.cli import serve\n"
    "serve(standalone=False)\n"
)


class Disk:
    """A service whose library lies on a small disk of its own; its mounts are nobody else's."""

    def __init__(self, service: Started, disk: Path, library: Path) -> None:
        self.service = service
        self._disk = disk
        self.library = library

    @property
    def root(self) -> Path:
        """The library as the service sees it, from here."""
        return Path(f"/proc/{self.service.process.pid}/root{self.library}")

    def fill(self, *, leave: int) -> None:
        free = shutil.disk_usage(self.root).free
        with (self.root / "filler").open("wb") as file, contextlib.suppress(OSError):
            for _ in range(max(free - leave, 0) // 65536 + (leave == 0)):
                file.write(bytes(65536))
                file.flush()

    def empty(self) -> None:
        (self.root / "filler").unlink()

    def mount(self, *arguments: str) -> None:
        self._run("mount", *arguments, str(self.library))

    def come_back(self) -> None:
        self._run("mount", "--bind", str(self._disk), str(self.library))

    def go(self) -> None:
        self._run("umount", "--lazy", str(self.library))

    def _run(self, *command: str) -> None:
        inside = ("nsenter", "--target", str(self.service.process.pid), "--user", "--mount")
        subprocess.run([*inside, "--preserve-credentials", *command], check=True)


@pytest.fixture
def disk(tmp_path: Path, database_url: str) -> Iterator[Disk]:
    """Needs no privilege where users may have namespaces; elsewhere the test says that it was left out."""
    unshare = ["unshare", "--map-root-user", "--mount"]
    tried = subprocess.run([*unshare, "mount", "-t", "tmpfs", "t", "/mnt"], check=False, capture_output=True)
    if tried.returncode != 0:
        pytest.skip(f"no mounts of one's own here: {tried.stderr.decode().strip()}")
    small, library = tmp_path / "disk", tmp_path / "library"
    small.mkdir()
    library.mkdir()
    environment = {
        "DATABASE_URL": database_url,
        "DATA_DIRECTORY": str(tmp_path / "data"),
        "OUTPUT_DIRECTORY": str(library),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "MIN_FREE_SPACE": str(8 * _MIB),
        "SECRET_KEY": "a key that is only for tests and long enough",
        "RETRY_DELAY": "0.2s",
        "REPLAYGAIN": "false",
        "LOG_LEVEL": "info",
        "DISK": str(small),
        "LIBRARY": str(library),
    }
    command = (*unshare[1:], "sh", "-c", _MOUNT.format(_SERVE.replace("'", '"')), sys.executable)
    program = Path(shutil.which("unshare") or "unshare")
    with Started(tmp_path / "service", *command, program=program, **environment) as service:
        service.wait_until_healthy()
        yield Disk(service, small, library)


@pytest.fixture
async def alice(disk: Disk) -> AsyncIterator[httpx.AsyncClient]:
    with log_in(disk.service.address) as signed_in:
        headers = dict(signed_in.headers)
    async with httpx.AsyncClient(base_url=disk.service.address, headers=headers, timeout=30) as client:
        yield client


async def _held(alice: httpx.AsyncClient, number: int, *, code: str) -> dict[str, Any]:
    one = await until(alice, number, lambda one: one["status"] == "pending" and one["error_code"] is not None)
    assert (one["error_code"], one["attempts"], one["progress"]) == (code, 0, None), one
    assert "goes on by itself" in one["error_message"]
    return one


async def _storage(alice: httpx.AsyncClient) -> tuple[int, str]:
    answer = await alice.get("/health")
    return answer.status_code, answer.json()["checks"]["storage"]["status"]


async def _completes(alice: httpx.AsyncClient, number: int) -> dict[str, Any]:
    one = await ended(alice, number)
    assert (one["status"], one["attempts"], one["error_code"]) == ("completed", 1, None), one
    return one


async def test_a_disk_that_is_full_read_only_or_gone_is_waited_for_and_costs_nothing(
    disk: Disk, alice: httpx.AsyncClient, source: Source
) -> None:
    tone = partial(media.make, "mp3", artist="Somebody")
    first = await _completes(alice, await submit(alice, source.file("/1.mp3", tone(title="First"))))
    before = (disk.root / first["file_path"]).read_bytes()

    # Below the floor: nothing is begun, and whoever waits is told why.
    disk.fill(leave=4 * _MIB)
    number = await submit(alice, source.file("/2.mp3", tone(title="Second", frequency=300)))
    await _held(alice, number, code="no_space")
    assert await _storage(alice) == (200, "degraded")
    assert source.hits("/2.mp3") == 0
    disk.empty()
    await _completes(alice, number)

    # Full in the middle of a download.
    slow = Slow(source, "/3.mp3", tone(title="Third", frequency=400))
    number = await submit(alice, slow.url)
    await happens(slow.begun)
    disk.fill(leave=0)
    slow.go_on.set()
    await _held(alice, number, code="no_space")
    disk.empty()
    await _completes(alice, number)

    # Read-only in the middle of another.
    slow = Slow(source, "/4.mp3", tone(title="Fourth", frequency=500))
    number = await submit(alice, slow.url)
    await happens(slow.begun)
    disk.mount("-o", "remount,bind,ro")
    slow.go_on.set()
    await _held(alice, number, code="internal")
    assert await _storage(alice) == (503, "unhealthy")
    disk.mount("-o", "remount,bind,rw")
    await _completes(alice, number)

    # Gone in the middle of a third: the empty place where it was is left alone, and nothing counts as lost.
    slow = Slow(source, "/5.mp3", tone(title="Fifth", frequency=600))
    number = await submit(alice, slow.url)
    await happens(slow.begun)
    disk.go()
    slow.go_on.set()
    await _held(alice, number, code="internal")
    assert await _storage(alice) == (503, "unhealthy")
    assert list(disk.root.iterdir()) == []
    gone = await alice.delete(f"/api/downloads/{first['id']}", params={"delete_file": "true"})
    assert gone.status_code == 503
    disk.come_back()
    await _completes(alice, number)

    names = ("First", "Second", "Third", "Fourth", "Fifth")
    assert files(disk.root) == sorted(f"Somebody/{name}.mp3" for name in names)
    assert (disk.root / first["file_path"]).read_bytes() == before
    assert await _storage(alice) == (200, "healthy")
    staging = disk.root / STAGING
    await eventually(lambda: list(staging.iterdir()) == [])


async def test_a_download_does_not_take_what_is_left_of_the_disk(
    disk: Disk, alice: httpx.AsyncClient, source: Source
) -> None:
    slow = Slow(source, "/1.mp3", media.make("mp3", artist="Somebody", title="First"))
    number = await submit(alice, slow.url)
    await happens(slow.begun)
    disk.fill(leave=3 * _MIB)  # less than half of the floor
    await _held(alice, number, code="no_space")
    slow.go_on.set()
    disk.empty()
    await _completes(alice, number)
    assert files(disk.root) == ["Somebody/First.mp3"]
