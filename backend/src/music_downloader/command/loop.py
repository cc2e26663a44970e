"""The loop of what runs until it is told to stop."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, which answers sooner than the standard library's loop."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)
    finally:
        gc.freeze()  # or the interpreter looks through all that was loaded once more, for seconds on a NAS
