"""The engine as the service sees it: a URL goes in, an audio file comes out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self, overload

from music_downloader.config.audio import AudioFormat
from music_downloader.egress.gate import Gate
from music_downloader.engine import convert, cookies, faults, loudness, pictures
from music_downloader.engine.containment import Limits
from music_downloader.engine.convert import Converted
from music_downloader.engine.events import OnEntries, Told
from music_downloader.engine.forkserver import Child
from music_downloader.engine.loudness import Loudness
from music_downloader.engine.order import Fetched, FetchOrder, Listed, PictureOrder, Progress
from music_downloader.engine.release.probation import Probation
from music_downloader.engine.release.store import Releases
from music_downloader.engine.spawner import Spawner
from music_downloader.engine.watch import Watch, WatchRules
from music_downloader.errors import DownloadFailedError

__all__ = ["Engine", "OnEntries"]

_FETCH_MEMORY: Final = 1024**3
_FETCH_COMPUTING: Final = 1800  # seconds; a fetch waits for the network nearly all of its time
_DRAIN_TIMEOUT: Final = 2.0


class Engine:
    """Fetches and converts in processes of their own; several runs at once are fine.

    Cancelling a call kills its whole process group before the cancellation propagates.
    """

    def __init__(
        self,
        *,
        encodes: int = 1,
        rules: WatchRules | None = None,
        gate: Gate | None = None,
        releases: Releases | None = None,
    ) -> None:
        """Encode at most `encodes` tracks at once; how many are fetched at once is up to the caller.

        Every fetch goes out through `gate`, which is closed with the engine. `releases` says which yt-dlp to
        run; without it, the built-in one does.
        """
        self.spawner = Spawner(releases)
        self._probation = Probation()
        self.gate = gate or Gate()
        self._encodes = asyncio.Semaphore(encodes)
        self._rules = rules or WatchRules()

    @property
    def yt_dlp_version(self) -> str | None:
        """The version of yt-dlp that fetches; None before the start."""
        return self.spawner.yt_dlp_version

    @property
    def template_pid(self) -> int | None:
        """The process id of the fork server while it runs."""
        return self.spawner.template_pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the way out and the fork server, and wait until that is warm."""
        await asyncio.gather(self.gate.start(), self.spawner.start())

    async def close(self) -> None:
        """End every process of the engine; runs under way fail as transient."""
        try:
            await self.spawner.close()
        finally:
            await self.gate.close()

    @overload
    async def fetch(
        self, order: FetchOrder, *, on_progress: Callable[[Progress], None], on_entries: None = None
    ) -> Fetched: ...

    @overload
    async def fetch(
        self, order: FetchOrder, *, on_progress: Callable[[Progress], None], on_entries: OnEntries | None
    ) -> Fetched | Listed: ...

    async def fetch(
        self,
        order: FetchOrder,
        *,
        on_progress: Callable[[Progress], None],
        on_entries: OnEntries | None = None,
    ) -> Fetched | Listed:
        """Fetch one track, in one pass; `on_progress` hears at most two states a second, first and last.

        Where the URL is that of a list of several, `on_entries` is called with what is known of the list and
        each batch of its entries, none of which is fetched; the listing waits while it runs. Without it, such
        a list is refused. Raises DownloadFailedError, and whatever `on_entries` raises.
        """
        version = self.spawner.updated_version
        try:
            fetched = await self._fetch(order, on_progress, on_entries)
        except DownloadFailedError as error:
            await self._judge(version, error)
            raise
        await self._judge(version, None)
        return fetched

    async def _judge(self, version: str | None, error: DownloadFailedError | None) -> None:
        """Go back from an updated yt-dlp whose first fetches all end in a fault of its own.

        One that has fetched something, now or before an earlier start, is judged no more; nor is one for what
        began with another.
        """
        runs, releases = self.spawner.installed, self.spawner.releases
        if runs is None or runs.passed or runs.version != version:
            return
        if error is None:
            if self._probation.fetched(runs.version):
                await asyncio.to_thread(releases.note_passed, runs.version)
        elif self._probation.failed(runs.version, error):
            await asyncio.to_thread(releases.reject, runs.version, "its first downloads all failed")
            with suppress(DownloadFailedError):  # the next fetch starts one
                await self.spawner.renew()

    async def _fetch(
        self, order: FetchOrder, on_progress: Callable[[Progress], None], on_entries: OnEntries | None
    ) -> Fetched | Listed:
        told = Told(on_progress, on_entries, max_entries=order.max_items)
        async with (
            self.gate.admit(order.policy, order.proxy) as way_out,
            self.spawner.child(
                "fetch",
                directory=order.directory,
                limits=_limits(order.max_bytes),
                order=order.to_json(way_out=way_out, listing=on_entries is not None),
                secret=cookies.dump(order.cookies) if order.cookies else None,
            ) as child,
        ):
            watch = Watch(
                order,
                self._rules,
                transferring=lambda: told.transferring,
                silent_since=told.silent_since,
                home=lambda: child.home,
            )
            reading = asyncio.create_task(told.read(child.stdout))
            try:
                await watch.until(reading)
            finally:
                reading.cancel()
            status = await _status(child)
        # Only now nobody can put something else in the file's place any more.
        return told.track_or_list(order.directory, status)

    async def fetch_picture(self, order: PictureOrder) -> Path:
        """Fetch a picture into the order's folder, as `picture.<its kind>`.

        Raises DownloadFailedError, bad_media for what isn't a JPEG, PNG, WebP, GIF or BMP.
        """
        told = Told(lambda _: None)
        async with (
            self.gate.admit(order.policy, order.proxy) as way_out,
            self.spawner.child(
                "picture",
                directory=order.directory,
                limits=_limits(order.max_bytes),
                order=order.to_json(way_out=way_out),
            ) as child,
        ):
            try:
                async with asyncio.timeout(order.deadline):
                    await told.read(child.stdout)
            except TimeoutError as error:
                raise faults.TIMEOUT.error() from error
            status = await _status(child)
        return told.file(order.directory, status)

    async def make_cover(self, path: Path, *, deadline: float = 20.0) -> bytes:
        """Make a picture into a cover: a baseline JPEG in 4:2:0, at most 1,200 pixels on the longer side.

        It is never enlarged. What is wider or taller than 1.2 to 1 is cropped to the square in its middle.
        Nothing but the picture survives. Its folder must be writable.

        Raises DownloadFailedError: bad_media for what isn't a whole still picture, or one of over 40
        megapixels.
        """
        return await pictures.make_cover(self.spawner, path, deadline=deadline)

    async def convert(
        self,
        path: Path,
        *,
        wanted: AudioFormat,
        deadline: float,
        max_bytes: int | None = None,
        max_duration: float | None = None,
        min_free: int = 0,
        measure: bool = False,
        on_start: Callable[[], None] = lambda: None,
    ) -> Converted:
        """Make what was fetched into the wanted format, beside it; see `convert.to_audio`.

        With `measure`, the loudness comes with it if anything was encoded, from the same pass. `on_start` is
        called when ffmpeg is about to run, which it doesn't where the file is right already.
        """
        return await convert.to_audio(
            self.spawner,
            path,
            wanted=wanted,
            deadline=deadline,
            max_bytes=max_bytes,
            max_duration=max_duration,
            min_free=min_free,
            measure=measure,
            turn=self._turn(on_start),
        )

    async def measure(self, path: Path, *, directory: Path, deadline: float) -> Loudness:
        """Decode a finished file, wherever it lies, and measure it; at the lowest priority there is.

        ffmpeg works in `directory`, but writes nothing. Raises DownloadFailedError: bad_media for what can't
        be decoded, timeout after `deadline` seconds.
        """
        return await loudness.measure(self.spawner, path, directory=directory, deadline=deadline)

    @asynccontextmanager
    async def _turn(self, on_start: Callable[[], None]) -> AsyncIterator[None]:
        async with self._encodes:
            on_start()
            yield


def _limits(max_bytes: int | None) -> Limits:
    return Limits(file_bytes=max_bytes, data_bytes=_FETCH_MEMORY, cpu_seconds=_FETCH_COMPUTING)


async def _status(child: Child) -> int | None:
    """Return how a child ended that has closed its pipe."""
    try:
        return await asyncio.wait_for(asyncio.shield(child.ended), _DRAIN_TIMEOUT)
    except TimeoutError:
        return 0  # it lingers, but has told everything; it is killed when its block is left
