# ruff: noqa: ASYNC240 - small files of the test's own
"""Another yt-dlp, from a package index on the loopback, through the machine's real pip."""

import asyncio
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest
import yt_dlp
import yt_dlp_ejs
from tests import media
from tests.nursery import Nursery
from tests.package_index import Index, serving
from tests.source import Source

from music_downloader.engine import forkserver
from music_downloader.engine.order import FetchOrder, Progress
from music_downloader.engine.release import index as release_index
from music_downloader.engine.release import tree
from music_downloader.engine.release.ledger import LEDGER, Entry
from music_downloader.engine.release.store import Store
from music_downloader.engine.release.update import roll_back, update
from music_downloader.engine.run import Engine
from music_downloader.engine.watch import WatchRules
from music_downloader.errors import DownloadFailedError, EngineUpdateError
from music_downloader.service import health

NEWER, NEWEST = "2099.1.2", "2099.1.3"
UNCHECKED = (1).to_bytes(4, "little") + bytes(8)  # PEP 552: found by a hash, which nobody compares
pytestmark = pytest.mark.timeout(300)
Order = Callable[..., FetchOrder]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with serving(tmp_path / "index") as (found, settings):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


async def compiled_before(folder: Path, *, into: Path) -> None:
    """Take what was compiled when yt-dlp was installed here, for all files that are the same."""
    del into
    for package in (yt_dlp, yt_dlp_ejs):
        origin = Path(package.__file__).parent
        for source in origin.rglob("*.py"):
            place, compiled = folder / source.relative_to(origin.parent), Path(cache_from_source(source))
            if compiled.exists() and place.exists() and place.read_bytes() == source.read_bytes():
                content = compiled.read_bytes()
                place = Path(cache_from_source(place))
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(content[:4] + UNCHECKED + content[16:])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, warm: Nursery) -> None:
    """Leave out what takes long, and what the first test sees done."""
    monkeypatch.setattr(release_index, "compile_all", compiled_before)
    monkeypatch.setattr(forkserver, "start_server", warm.start_server)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands of files


async def install(store: Store, index: Index, version: str) -> None:
    """Take a version into use as an update does, without asking pip for it and without its trial."""
    index.offer(version)
    incoming = store.folder / "incoming"
    incoming.mkdir(parents=True)
    for wheel in index.wheels():
        tree.unpack(wheel, incoming)
    await compiled_before(incoming, into=store.folder / version)
    store.adopt(incoming, Entry(version=version, seal=tree.seal(incoming)))


def dripping(source: Source) -> str:
    return source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)


async def breaks_down(engine: Engine, order: FetchOrder) -> None:
    """Have a fetch end by a fault that is nobody else's."""
    begun = asyncio.Event()

    def hear(progress: Progress) -> None:
        if progress.phase == "downloading":
            begun.set()

    fetching = asyncio.create_task(engine.fetch(order, on_progress=hear))
    await asyncio.wait_for(begun.wait(), 20)
    children = Path(f"/proc/{engine.template_pid}/task/{engine.template_pid}/children").read_text()
    os.kill(int(children.split()[0]), 9)
    with pytest.raises(DownloadFailedError):
        await fetching


def in_use(store: Store) -> str | None:
    entry = store.in_use()
    return entry.version if entry else None


async def test_an_update_during_downloads_interrupts_none_and_serves_the_next_one(
    index: Index,
    store: Store,
    source: Source,
    order: Order,
    tmp_path: Path,
    warm: Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forkserver, "start_server", warm.start_server)
    index.offer(NEWER)
    piece = media.make("mp3").read_bytes()
    slow = source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)
    async with Engine(releases=store, rules=WatchRules(window=600)) as engine:
        before, begun = engine.template_pid, asyncio.Event()

        def hear(progress: Progress) -> None:
            if progress.phase == "downloading":
                begun.set()

        folder = tmp_path / "slow"
        folder.mkdir()
        running = asyncio.create_task(
            engine.fetch(order(slow, directory=folder, deadline=100), on_progress=hear)
        )
        await asyncio.wait_for(begun.wait(), 20)
        done = await update(store)
        assert (done.version, done.is_new) == (NEWER, True)
        await engine.spawner.renew()
        assert engine.yt_dlp_version == NEWER
        assert engine.template_pid != before
        fetched = await engine.fetch(
            order(source.file("/next.mp3", media.make("mp3"))), on_progress=lambda _: None
        )
        assert fetched.path.read_bytes() == piece
        assert not running.done()
        assert Path(f"/proc/{before}").exists()
        running.cancel()
        await asyncio.wait({running})
        async with asyncio.timeout(90):
            while Path(f"/proc/{before}").exists():  # noqa: ASYNC110 - a process ends
                await asyncio.sleep(0.05)
    said = health.yt_dlp(store.folder.parent, "stable").detail
    assert said.startswith(f"{NEWER}, updated, 0 days old, with deno")
    assert not (await update(store)).is_new


@pytest.mark.usefixtures("quick")
async def test_what_is_not_in_order_changes_nothing_and_is_one_sentence(index: Index, store: Store) -> None:
    index.offer(NEWER, lie="0" * 64)
    with pytest.raises(EngineUpdateError, match="hash"):
        await update(store)
    index.offer(NEWEST, helped=False, YoutubeDL="import nothing_of_that_name")
    with pytest.raises(EngineUpdateError, match="nothing_of_that_name"):
        await update(store)
    assert NEWEST in store.ledger().rejected
    assert not (await update(store, by_itself=True)).is_new
    with pytest.raises(EngineUpdateError, match="hash"):
        await update(store, version=NEWEST, hashes=["sha256:" + "1" * 64])
    with pytest.raises(EngineUpdateError, match="oldest"):
        await update(store, version="2020.1.1")
    assert in_use(store) is None
    assert [path for path in store.folder.iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("quick")
async def test_what_fails_later_is_given_up_for_the_version_before(
    index: Index, store: Store, source: Source, order: Order
) -> None:
    await install(store, index, NEWER)
    ledger = json.loads((store.folder / LEDGER).read_text())
    shutil.copytree(store.folder / NEWER, store.folder / NEWEST)
    ledger["previous"], ledger["current"] = ledger["current"], {**ledger["current"], "version": NEWEST}
    (store.folder / LEDGER).write_text(json.dumps(ledger))
    async with Engine(releases=store) as engine:
        assert engine.spawner.updated_version == NEWEST
        for _ in range(3):
            await breaks_down(engine, order(dripping(source)))
        assert engine.spawner.updated_version == NEWER
    assert "first downloads all failed" in store.ledger().rejected[NEWEST]
    (store.folder / NEWER / "yt_dlp" / "json.py").write_text("# tampered with")
    async with Engine(releases=store) as engine:
        assert engine.spawner.updated_version is None
    assert in_use(store) is None
    assert "json.py was added" in health.yt_dlp(store.folder.parent, "stable").detail
    with pytest.raises(EngineUpdateError, match="nothing to go back from"):
        roll_back(store)


@pytest.mark.usefixtures("quick")
async def test_what_has_fetched_something_is_not_judged_again_after_a_start(
    index: Index, store: Store, source: Source, order: Order, tmp_path: Path
) -> None:
    await install(store, index, NEWER)
    ledger = json.loads((store.folder / LEDGER).read_text())
    del ledger["current"]["passed"]  # as it was written before
    (store.folder / LEDGER).write_text(json.dumps(ledger))
    async with Engine(releases=store) as engine:
        assert engine.spawner.updated_version == NEWER
        await engine.fetch(order(source.file("/a.mp3", media.make("mp3"))), on_progress=lambda _: None)
    async with Engine(releases=store) as engine:
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            await breaks_down(engine, order(dripping(source), directory=folder))
        assert engine.spawner.updated_version == NEWER
    assert in_use(store) == NEWER
    assert store.ledger().rejected == {}


def test_a_wheel_whose_bytes_are_changed_is_refused_with_a_sentence(tmp_path: Path) -> None:
    wheel = tmp_path / "yt_dlp-2099.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("yt_dlp/__init__.py", "import this\n" * 1000)
    begins = len(zipfile.ZipFile(wheel).infolist()[0].FileHeader())
    content = bytearray(wheel.read_bytes())
    content[begins] = 0xFF  # no block of DEFLATE begins so
    wheel.write_bytes(content)
    with pytest.raises(EngineUpdateError, match="damaged"):
        tree.unpack(wheel, tmp_path)
