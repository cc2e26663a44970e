"""Taking another yt-dlp into use: fetched, sealed, tried, and only then made the current one."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from music_downloader.engine.release import index, ledger, tree, trial
from music_downloader.engine.release.index import Offer
from music_downloader.engine.release.ledger import Entry
from music_downloader.engine.release.store import INCOMING, Store
from music_downloader.engine.release.version import DISTRIBUTION, built_in, is_version, order
from music_downloader.errors import EngineUpdateError, SlowTrialError

log = structlog.get_logger(__name__)

_HELPER = "yt-dlp-ejs"
_UPDATING = ".updating"
_NEEDED_BYTES = 150 * 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Updated:
    """How an update ended: the version in use now, and whether it is another one than before."""

    version: str
    is_new: bool


async def update(
    store: Store,
    *,
    nightly: bool = False,
    version: str | None = None,
    hashes: Sequence[str] = (),
    by_itself: bool = False,
) -> Updated:
    """Take the newest version into use, or this very one; nothing changes unless it passes its trial.

    With `hashes` (`sha256:…`), the wheel must have one of them. `by_itself`, versions are passed over that
    turned out bad. Running downloads go on with the version that they began with. Raises EngineUpdateError.
    """
    try:
        async with _alone(store) as folder:
            return await _update(store, folder, version, tuple(hashes), nightly=nightly, by_itself=by_itself)
    except EngineUpdateError as error:
        await _note(store, error.detail)
        raise
    except OSError as error:
        raise EngineUpdateError(
            f"The new version can't be written to {store.folder}: {error.strerror}."
        ) from error


async def _update(
    store: Store,
    folder: Path,
    version: str | None,
    hashes: tuple[str, ...],
    *,
    nightly: bool,
    by_itself: bool,
) -> Updated:
    in_use = await asyncio.to_thread(store.version)
    if version is not None and order(version) <= order(built_in()):
        raise EngineUpdateError(
            f"{version} isn't newer than {built_in()}, which came with the service and is the oldest it uses."
        )
    if version is None or not hashes:
        offer = await index.newest(DISTRIBUTION, folder=folder, version=version, nightly=nightly)
    else:
        offer = Offer(distribution=DISTRIBUTION, version=version, hashes=hashes)
    if not is_version(offer.version):
        raise EngineUpdateError("The package index names a version that isn't one of yt-dlp's.")
    passed_over = by_itself and offer.version in store.ledger().rejected
    is_older = version is None and order(offer.version) <= order(in_use)
    if is_older or passed_over or offer.version == in_use:
        await asyncio.to_thread(
            store.change, lambda found: replace(found, checked_at=time.time(), fault=None)
        )
        return Updated(version=in_use, is_new=False)
    log.info("engine.updating", version=offer.version, before=in_use)
    incoming = folder / "tree"
    await _build(offer, folder, incoming, into=store.folder / offer.version)
    seal = await asyncio.to_thread(tree.seal, incoming)
    try:
        await trial.attempt(incoming, offer.version, folder=folder)
    except SlowTrialError:
        raise
    except EngineUpdateError as error:
        bad = {offer.version: error.detail}
        await asyncio.to_thread(
            store.change, lambda found: replace(found, rejected={**found.rejected, **bad})
        )
        raise
    entry = Entry(version=offer.version, seal=seal, channel="nightly" if nightly else "stable")
    await asyncio.to_thread(store.adopt, incoming, entry)
    log.info("engine.updated", version=offer.version, before=in_use)
    return Updated(version=offer.version, is_new=True)


async def _build(offer: Offer, folder: Path, incoming: Path, *, into: Path) -> None:
    wheel = await index.download(offer, folder=folder)
    await asyncio.to_thread(incoming.mkdir, mode=0o700)
    await asyncio.to_thread(tree.unpack, wheel, incoming)
    helper = await asyncio.to_thread(tree.pinned_helper, wheel)
    if helper is not None:
        wanted = await index.newest(_HELPER, folder=folder, version=helper, nightly=False)
        await asyncio.to_thread(tree.unpack, await index.download(wanted, folder=folder), incoming)
    if not await asyncio.to_thread((incoming / tree.PACKAGES[0]).is_dir):
        raise EngineUpdateError("The new version holds no yt-dlp.")
    await index.compile_all(incoming, into=into)
    await asyncio.to_thread(shutil.rmtree, incoming / "tmp", ignore_errors=True)


@asynccontextmanager
async def _alone(store: Store) -> AsyncIterator[Path]:
    """Give a folder to work in, with nobody else updating; raises EngineUpdateError while somebody is."""
    await asyncio.to_thread(lambda: store.folder.mkdir(mode=0o700, parents=True, exist_ok=True))
    if (free := shutil.disk_usage(store.folder).free) < _NEEDED_BYTES:
        raise EngineUpdateError(
            f"An update needs 150 MiB, and {store.folder} has {free // 1024**2} MiB left."
        )
    try:
        with ledger.locked(store.folder, name=_UPDATING, wait=False):
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=INCOMING, dir=store.folder))
            try:
                yield folder
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    except BlockingIOError as error:
        raise EngineUpdateError("Another update is under way; wait until it is through.") from error


async def _note(store: Store, fault: str) -> None:
    with suppress(OSError):
        await asyncio.to_thread(
            store.change, lambda found: replace(found, checked_at=time.time(), fault=fault)
        )


def roll_back(store: Store) -> str:
    """Go back to the version before, or to the built-in one; return which. Raises EngineUpdateError."""
    entry = store.in_use()
    if entry is None:
        raise EngineUpdateError(f"{built_in()} came with the service; there is nothing to go back from.")
    try:
        store.change(
            lambda found: found.without(entry.version, reason="somebody went back from it", bad=True)
        )
    except OSError as error:
        raise EngineUpdateError(f"{store.folder} can't be written to: {error.strerror}.") from error
    return store.version()
