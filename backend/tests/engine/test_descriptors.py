"""Descriptors on the event loop that the service runs on, beside threads that open files."""

import asyncio
import errno
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import NoReturn

import pytest
import uvloop
from tests.nursery import Nursery

from music_downloader.egress import gate
from music_downloader.engine import forkserver
from music_downloader.engine.containment import Limits
from music_downloader.engine.spawner import Spawner

_CHILDREN = 150


def test_no_descriptor_of_somebody_else_is_closed_with_a_childs_streams(
    tmp_path: Path, warm: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forkserver, "start_server", warm.start_server)

    async def main() -> None:
        over = Event()
        spawner = Spawner()
        await spawner.start()
        try:
            watching = [
                asyncio.create_task(asyncio.to_thread(_open_and_close, tmp_path, over.is_set))
                for _ in range(4)
            ]
            for _ in range(_CHILDREN):
                limits = Limits()
                async with spawner.child(
                    "exec", directory=tmp_path, limits=limits, argv=["/bin/true"]
                ) as child:
                    await child.ended
            over.set()
            await asyncio.gather(*watching)
        finally:
            over.set()
            await spawner.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _open_and_close(folder: Path, is_over: Callable[[], bool]) -> None:
    """Open and close as fast as can be; OSError (EBADF) where another has closed it meanwhile."""
    while not is_over():
        os.close(os.open(folder, os.O_RDONLY))


async def test_a_server_that_cannot_be_started_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(subprocess, "Popen", fail)
    listening = socket.socket()
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for start in (lambda: forkserver.ForkServer.launch(None), lambda: gate.Run(["-c", ""], listening)):
        with pytest.raises(OSError, match="memory"):
            start()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
    listening.close()
