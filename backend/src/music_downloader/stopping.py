"""What signals that ask a process to end come to: the first begins to, the second ends it at once."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

log = structlog.stdlib.get_logger(__name__)

_SAME_SECONDS = 0.5  # a terminal and a supervisor may both pass on what was one wish
_ENDED_BY = 128  # and the signal's number: the exit code of shells


@contextmanager
def stopping(tell: Callable[[], None], *, hand_on: bool = False) -> Iterator[None]:
    """Call `tell` in the loop as soon as a signal asks the process to stop.

    With `hand_on`, the handlers of before hear of it too. The second signal ends the process where it stands.
    Nothing is lost by it: our children die with us by the kernel's hand, and what we held is given to others
    once our heartbeat is missed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asked_at: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        if asked_at is not None:
            if time.monotonic() - asked_at > _SAME_SECONDS:
                os._exit(_ENDED_BY + number)
            return
        asked_at = time.monotonic()
        loop.call_soon_threadsafe(tell)
        handler = before[signal.Signals(number)]
        if hand_on and callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
