"""What waits for a listener: the latest word on each download, bounded; and the pace of what is told."""

import pytest

from music_downloader.service.subscription import RESET, Notice, Pace, Subscription


def word(number: int) -> Notice:
    return Notice(event="download", data=str(number))


async def test_a_later_word_on_a_download_replaces_an_earlier_one() -> None:
    subscription = Subscription(1)
    for number in range(200):
        subscription.tell(7, word(number))
    subscription.tell(8, word(0))
    assert subscription.take() == [word(199), word(0)]
    assert subscription.take() == []


async def test_a_download_that_changes_all_the_time_keeps_its_place_in_the_queue() -> None:
    subscription = Subscription(1)
    for download_id in (1, 2, 1):
        subscription.tell(download_id, word(download_id))
    assert subscription.take() == [word(1), word(2)]


async def test_beyond_its_bound_all_that_waits_becomes_one_reset_and_the_end() -> None:
    subscription = Subscription(1, limit=100)
    for download_id in range(101):
        subscription.tell(download_id, word(download_id))
    subscription.tell(1, word(1))
    assert subscription.is_over
    assert subscription.take() == [RESET]
    assert subscription.take() == []


async def test_a_word_on_what_waits_already_is_never_too_much() -> None:
    subscription = Subscription(1, limit=100)
    for number in range(1000):
        subscription.tell(number % 100, word(number))
    assert not subscription.is_over


async def test_a_reset_takes_the_place_of_what_waited_and_comes_before_what_follows() -> None:
    subscription = Subscription(1)
    subscription.tell(1, word(1))
    subscription.reset()
    subscription.tell(2, word(2))
    assert subscription.take() == [RESET, word(2)]
    assert not subscription.is_over


async def test_waiting_ends_as_long_as_there_is_something_to_take() -> None:
    subscription = Subscription(1)
    for download_id in range(100):
        subscription.tell(download_id, word(download_id))
    taken: list[Notice] = []
    while len(taken) < 100:
        await subscription.wait(3600)
        taken += subscription.take()
    assert taken == [word(number) for number in range(100)]
    assert not await subscription.wait(0)


async def test_a_doubt_is_told_once() -> None:
    subscription = Subscription(1)
    subscription.doubt()
    assert await subscription.wait(3600)
    assert not await subscription.wait(0)


@pytest.mark.parametrize(
    ("passed", "now", "state", "held"),
    [
        (0.0, 0.1, "a", 0.4),
        (0.0, 0.5, "a", 0.0),
        (0.0, 0.1, "b", 0.0),
    ],
)
def test_the_same_state_waits_for_its_turn_and_a_new_one_does_not(
    passed: float, now: float, state: str, held: float
) -> None:
    pace = Pace(interval=0.5)
    assert pace.hold(1, "a", now=passed) == 0
    assert pace.hold(1, state, now=now) == pytest.approx(held)


def test_what_is_held_passes_after_just_that_long_however_often_it_is_asked() -> None:
    pace = Pace(interval=0.5)
    pace.hold(1, "a", now=0.0)
    passed = [tick for tick in range(1, 101) if pace.hold(1, "a", now=tick / 64) == 0]
    assert passed == [32, 64, 96]


def test_what_is_forgotten_decides_nothing_any_more() -> None:
    pace = Pace(interval=0.5)
    pace.hold(1, "a", now=0.0)
    pace.hold(2, "a", now=0.4)
    pace.forget(now=0.6)
    assert pace.hold(1, "a", now=0.6) == 0
    assert pace.hold(2, "a", now=0.6) > 0
