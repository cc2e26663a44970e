"""How long the phases of an attempt take, for metrics."""

import time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.service import download, measurement
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

RESOLVING, DOWNLOADING, CONVERTING, FILING = "resolving", "downloading", "converting", "filing"
PHASES = (RESOLVING, DOWNLOADING, CONVERTING, FILING)


class Stopwatch:
    """Adds up the seconds that one attempt spends in each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase: str | None = None
        self._since = 0.0

    def enter(self, phase: str) -> None:
        """End the phase before and begin this one; nothing happens within it, or with an unknown word."""
        if phase != self._phase and phase in PHASES:
            self.stop()
            self._phase, self._since = phase, time.monotonic()

    def stop(self) -> None:
        """End the phase; nothing happens when there is none."""
        if self._phase is not None:
            taken = time.monotonic() - self._since
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + taken
            self._phase = None


async def measure(state: WorkerState, watch: Stopwatch) -> None:
    """Note what an attempt has taken; with the database away it is forgotten, since nothing hangs on it."""
    figures: dict[tuple[str, str], float] = {}
    for phase, seconds in watch.seconds.items():
        figures[measurement.PHASE_SECONDS, phase] = seconds
        figures[measurement.PHASES, phase] = 1
    if not figures:
        return
    try:
        async with state.sessionmaker.begin() as session:
            await download.unhurried(session)
            await measurement.note(session, figures)
    except (SQLAlchemyError, OSError) as error:
        log.debug("measurement.lost", error=type(error).__name__)
