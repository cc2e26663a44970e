"""What a worker hands to its jobs."""

import asyncio
from asyncio import Semaphore
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import NoOpTracer, Tracer
from procrastinate import JobContext
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.config.settings import Settings
from music_downloader.engine.run import Engine
from music_downloader.service.claim import Claim
from music_downloader.task.cookies import CookieKey
from music_downloader.task.cover import Covers
from music_downloader.task.storage import Storage

_KEY = "state"


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """An attempt under way in this worker."""

    claimed: Claim
    work: asyncio.Task[None]


@dataclass(kw_only=True, slots=True)
class QueueState:
    """How this worker stands to its queue.

    `lost` is set once the connection is gone, until there is another; `back_since` is when it was back then,
    on the loop's clock. `outlived` are the attempts that were under way, and still are. `worker` is the task
    that all of it runs in.
    """

    lost: asyncio.Event = field(default_factory=asyncio.Event)
    back_since: float | None = None
    outlived: dict[asyncio.Task[None], Claim] = field(default_factory=dict)
    worker: asyncio.Task[Any] | None = field(default_factory=asyncio.current_task)

    @property
    def is_cancelled(self) -> bool:
        """Whether the worker has been told to end at once."""
        return self.worker is not None and self.worker.cancelling() > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerState:
    """One worker's parts, built once by the worker's composition root; `running` is kept by download id.

    `stopping` asks it to begin nothing more. `registered` are the ids by which the queue knows it. `listing`
    are the downloads whose list is long, and being read. `taken` is what attempts have taken, by figure and
    phase, and isn't noted yet. The `tracer` makes their spans.
    """

    settings: Settings
    sessionmaker: async_sessionmaker[AsyncSession]
    engine: Engine
    fetches: Semaphore
    storage: Storage
    cookie_key: CookieKey
    covers: Covers = field(default_factory=Covers)
    running: dict[int, Running] = field(default_factory=dict)
    queue: QueueState = field(default_factory=QueueState)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    registered: set[int] = field(default_factory=set)
    listing: set[int] = field(default_factory=set)
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    tracer: Tracer = field(default_factory=NoOpTracer)

    @property
    def places(self) -> int:
        """How many jobs of downloads may run: each holds its place while it fetches and while it encodes."""
        return self.settings.worker_concurrency + self.settings.encode_concurrency

    def may_list_on(self, download_id: int) -> bool:
        """Take one of the places for long lists, half of all; False while there is none."""
        if len(self.listing - {download_id}) >= max(self.places // 2, 1):
            return False
        self.listing.add(download_id)
        return True

    @property
    def is_ending(self) -> bool:
        """Whether the worker has been asked, or told, to end."""
        return self.stopping.is_set() or self.queue.is_cancelled

    def as_context(self) -> dict[str, object]:
        """Return what the queue passes on to each job."""
        return {_KEY: self}

    @classmethod
    def of(cls, context: JobContext) -> "WorkerState":
        """Return the state that the job's worker was built with."""
        state = context.additional_context[_KEY]
        if not isinstance(state, cls):
            raise TypeError("the worker was started without its state")
        if context.job.worker_id is not None:
            state.registered.add(context.job.worker_id)
        return state


class FetchPlace:
    """One of the places for fetching, given back as soon as the source has sent all it has."""

    def __init__(self, fetches: Semaphore) -> None:
        self._fetches = fetches
        self._is_held = False

    async def take(self, *unless: asyncio.Event) -> bool:
        """Wait until a place is free and take it; False, and none is taken, once one of `unless` is set."""
        taking = asyncio.create_task(self._take())
        refusing = [asyncio.create_task(event.wait()) for event in unless]
        is_refused = True
        try:
            await asyncio.wait({taking, *refusing}, return_when=asyncio.FIRST_COMPLETED)
            is_refused = any(event.is_set() for event in unless)
        finally:
            taking.cancel()
            for refusal in refusing:
                refusal.cancel()
            if is_refused:
                self.leave()
        return not is_refused

    async def _take(self) -> None:
        await self._fetches.acquire()
        self._is_held = True

    def leave(self) -> None:
        """Give the place back; nothing happens the second time."""
        if self._is_held:
            self._is_held = False
            self._fetches.release()
