"""How long the phases of an attempt take, for metrics and traces."""

import asyncio
import time
from collections import Counter

import structlog
from opentelemetry.trace import INVALID_SPAN, Span, Tracer
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.service import download, measurement
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_NOTED_EVERY_SECONDS = 5.0
_LAST_WORD_SECONDS = 2.0


class Stopwatch:
    """Adds up the seconds that one attempt spends in each phase; each time is a span of the attempt's own."""

    def __init__(self, tracer: Tracer) -> None:
        self.seconds: dict[str, float] = {}
        self._phase: str | None = None
        self._since = 0.0
        self._tracer = tracer
        self._span: Span = INVALID_SPAN

    def enter(self, phase: str) -> None:
        """End the phase before and begin this one; nothing happens within it, or with an unknown word."""
        if phase != self._phase and phase in measurement.PHASE_NAMES:
            self.stop()
            self._phase, self._since = phase, time.monotonic()
            self._span = self._tracer.start_span(phase)

    def stop(self) -> None:
        """End the phase; nothing happens when there is none."""
        if self._phase is not None:
            taken = time.monotonic() - self._since
            self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + taken
            self._phase = None
            self._span.end()

    def add_to(self, taken: Counter[tuple[str, str]]) -> None:
        """Add what the attempt has taken so far to the figures of all."""
        for phase, seconds in self.seconds.items():
            taken[measurement.PHASE_SECONDS, phase] += seconds  # type: ignore[assignment]  # seconds too
            taken[measurement.PHASES, phase] += 1


async def keep_noting(state: WorkerState) -> None:
    """Write down now and then what attempts have taken, until cancelled: once for many of them."""
    while True:
        await asyncio.sleep(_NOTED_EVERY_SECONDS)
        await _note(state)


async def note_the_rest(state: WorkerState) -> None:
    """Write down what is left when the worker ends, if the database answers soon."""
    noting = asyncio.create_task(_note(state))  # cancelling it would wait for a silent database once more
    _, late = await asyncio.wait({noting}, timeout=_LAST_WORD_SECONDS)
    if late:
        noting.cancel()
        log.debug("measurement.lost", error="TimeoutError")
    else:
        noting.result()


async def _note(state: WorkerState) -> None:
    """Write down what was added since the last time; with the database away it is kept for the next.

    A commit whose answer is lost is done twice: figures may, seldom, be a little too high.
    """
    figures = dict(state.taken)
    if not figures:
        return
    state.taken.clear()
    try:
        async with state.sessionmaker.begin() as session:
            await download.unhurried(session)
            await measurement.note(session, figures)
    except BaseException as error:
        state.taken.update(figures)
        if not isinstance(error, SQLAlchemyError | OSError):
            raise
        log.debug("measurement.postponed", error=type(error).__name__)
