"""Places for fetching: taken once, given back once, and waited for no longer than there is a reason to."""

import asyncio
from asyncio import Semaphore

import pytest

from music_downloader.task.state import FetchPlace


@pytest.mark.parametrize("which", [0, 1])
async def test_whoever_waits_for_a_place_gives_up_with_the_queue_or_the_worker(which: int) -> None:
    places, reasons = Semaphore(1), (asyncio.Event(), asyncio.Event())
    holder, waiting = FetchPlace(places), FetchPlace(places)
    assert await holder.take(*reasons)
    attempt = asyncio.create_task(waiting.take(*reasons))
    await asyncio.sleep(0)
    reasons[which].set()
    assert await asyncio.wait_for(attempt, 5) is False
    holder.leave()
    assert await asyncio.wait_for(FetchPlace(places).take(asyncio.Event()), 5)
    assert places.locked()
