"""What a child that somebody has taken over may tell the worker, and how much of it."""

import asyncio
import json
import stat
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from music_downloader.engine.events import Told
from music_downloader.engine.order import Entry, Progress
from music_downloader.engine.source import SourceInfo
from music_downloader.errors import DownloadFailedError, ErrorCode

GOOD = asdict(Progress(phase="downloading", downloaded_bytes=5, total_bytes=9, speed=1.5, eta=2))
NOBODY = SourceInfo(extractor="x", source_id="1")


def stream(*events: dict[str, Any]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=2**20)
    for event in events:
        reader.feed_data(json.dumps(event).encode() + b"\n")
    reader.feed_eof()
    return reader


@pytest.mark.parametrize(
    "changed",
    [
        {"phase": "x" * 100_000},
        {"phase": {"a": 1}},
        {"downloaded_bytes": "5"},
        {"downloaded_bytes": None},
        {"downloaded_bytes": -1},
        {"downloaded_bytes": 2**70},
        {"total_bytes": [1]},
        {"speed": float("nan")},
        {"eta": float("inf")},
        {"more": 1},
    ],
)
async def test_progress_that_is_none_ends_the_run(changed: dict[str, Any]) -> None:
    heard: list[Progress] = []
    told = Told(heard.append)
    await told.read(stream({"event": "progress", **GOOD}))
    with pytest.raises(DownloadFailedError) as caught:
        await told.read(stream({"event": "progress", **GOOD, **changed}))
    assert caught.value.code is ErrorCode.INTERNAL
    assert heard == [Progress(**GOOD)]


async def test_a_list_gives_no_more_entries_than_were_asked_for() -> None:
    taken: list[Entry] = []

    async def take(_whole: SourceInfo, entries: list[Entry]) -> None:
        taken.extend(entries)

    entries = [asdict(Entry(position=number, url=None, info=NOBODY)) for number in range(1, 31)]
    batch = {"event": "entries", "entries": entries}
    told = Told(lambda _: None, take, max_entries=60)
    with pytest.raises(DownloadFailedError):
        await told.read(stream({"event": "list", "collection": asdict(NOBODY)}, batch, batch, batch))
    assert len(taken) == 60


async def test_a_file_is_taken_as_one_that_nobody_can_run(tmp_path: Path) -> None:
    file = tmp_path / "source.mp3"
    file.touch()
    file.chmod(0o6755)
    told = Told(lambda _: None)
    await told.read(stream({"event": "done", "path": "/elsewhere/source.mp3"}))
    assert told.file(tmp_path, 0) == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.rename(tmp_path / "moved")
    file.symlink_to("moved")
    with pytest.raises(DownloadFailedError):
        told.file(tmp_path, 0)


async def test_a_flood_of_events_has_to_wait() -> None:
    began = time.monotonic()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.05)

    beside = asyncio.create_task(others())
    await Told(lambda _: None).read(stream(*[{"event": "progress", **GOOD}] * 201))
    assert time.monotonic() - began > 0.9
    assert turns > 3
    beside.cancel()


@pytest.mark.parametrize("odd", [-5, float("nan"), float("inf"), 10**30, "soon", None])
def test_what_a_source_announces_never_makes_the_childs_own_progress_odd(odd: object) -> None:
    from music_downloader.engine.order import ChildOrder
    from music_downloader.engine.ytdlp.reporting import Meter

    said: list[dict[str, Any]] = []
    order = ChildOrder(
        url="", proxy="", max_bytes=None, max_duration=None, single=True, item=None, max_items=None
    )
    meter = Meter(order, lambda _, **facts: said.append(facts))
    meter({"downloaded_bytes": 7, "total_bytes": odd, "speed": odd, "eta": odd})
    (facts,) = said
    assert Progress.from_json(facts) == Progress(phase="downloading", downloaded_bytes=7)
