"""The gate before the library: while it is full, or isn't there, nothing new is begun."""

import asyncio
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.config.settings import Settings
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library import presence
from music_downloader.library.faults import storage_fault
from music_downloader.library.presence import Look
from music_downloader.service import recognition

log = structlog.stdlib.get_logger(__name__)

_KEPT_SECONDS = 5.0  # how long what was found holds
_PATIENCE_SECONDS = 30.0  # for a disk that has to wake up
_MIB = 1024**2
_ITSELF = "It goes on by itself when"


@dataclass(kw_only=True, slots=True)
class Storage:
    """What is known of the library's disk or share. Any number may ask at once: one looks."""

    settings: Settings
    sessionmaker: async_sessionmaker[AsyncSession]
    _name: str | None = None
    _reason: DownloadFailedError | None = None
    _looked_at: float = field(default=float("-inf"))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looking: asyncio.Future[Look] | None = None

    @property
    def name(self) -> str | None:
        """The library's name for itself, once it has been recognised."""
        return self._name

    async def closed(self, *, now: bool = False) -> DownloadFailedError | None:
        """Return why nothing can be filed; None when all is well. With `now`, nothing known is believed."""
        asked_at = asyncio.get_running_loop().time()
        async with self._lock:
            if self._looked_at < (asked_at if now else asked_at - _KEPT_SECONDS):
                reason = await self._reasoned()
                if (reason is None) != (self._reason is None):
                    log.warning("storage.changed", reason=reason.detail if reason else None)
                self._reason, self._looked_at = reason, asyncio.get_running_loop().time()
            return self._reason

    async def is_there(self) -> bool:
        """Whether the library is the one that is known: where it isn't mounted, nothing seems to be left."""
        try:
            found = await asyncio.to_thread(presence.read_marker, self.settings.output_directory)
        except OSError:
            return False
        return found is not None and found == self._name

    async def _reasoned(self) -> DownloadFailedError | None:
        try:
            found = await self._look()
            if found.fault is None and (found.marker is None or found.marker != self._name):
                async with self.sessionmaker.begin() as session:
                    self._name = await recognition.recognise(session, self.settings.output_directory)
                found = await self._look()
        except SQLAlchemyError:
            return self._reason  # without its database, nothing is begun anyway
        except TimeoutError:
            return _closed(
                ErrorCode.INTERNAL, f"The library's disk or share doesn't answer. {_ITSELF} it does."
            )
        except OSError as fault:
            return _of_fault(fault)
        return self._judged(found)

    def _judged(self, found: Look) -> DownloadFailedError | None:
        if found.fault is not None:
            return _of_fault(found.fault)
        if found.marker is None or found.marker != self._name:
            return _closed(
                ErrorCode.INTERNAL,
                "The music library isn't there: its folder is empty, or another one. "
                f"{_ITSELF} the library is back; nas-music doctor says more.",
            )
        floor = self.settings.min_free_space
        if found.free >= floor:
            return None
        return _closed(
            ErrorCode.NO_SPACE,
            f"The library has {found.free // _MIB} MiB left, less than the {floor // _MIB} MiB that it must "
            f"keep free. {_ITSELF} there is room.",
        )

    async def _look(self) -> Look:
        """Look, in a thread; a share that hangs holds one of them, not one more each time."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(
                asyncio.to_thread(presence.look, self.settings.output_directory)
            )
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await asyncio.shield(self._looking)


def least_room(settings: Settings) -> int:
    """Return how much must stay free while work goes on: half of the floor below which none is begun."""
    return settings.min_free_space // 2


def _of_fault(fault: OSError) -> DownloadFailedError:
    said = storage_fault(fault)
    return _closed(said.code, f"{said.detail} {_ITSELF} that has passed.")


def _closed(code: ErrorCode, sentence: str) -> DownloadFailedError:
    return DownloadFailedError(code, sentence, transient=True)
