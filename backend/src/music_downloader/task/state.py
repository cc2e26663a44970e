"""What a worker hands to its jobs."""

from asyncio import Semaphore
from dataclasses import dataclass

from procrastinate import JobContext
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.config.settings import Settings
from music_downloader.engine.run import Engine

_KEY = "state"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerState:
    """One worker's parts, built once by the worker's composition root."""

    settings: Settings
    sessionmaker: async_sessionmaker[AsyncSession]
    engine: Engine
    fetches: Semaphore

    def as_context(self) -> dict[str, object]:
        """Return what the queue passes on to each job."""
        return {_KEY: self}

    @classmethod
    def of(cls, context: JobContext) -> "WorkerState":
        """Return the state that the job's worker was built with."""
        state = context.additional_context[_KEY]
        if not isinstance(state, cls):
            raise TypeError("the worker was started without its state")
        return state
