# ruff: noqa: ASYNC240 - small local files
"""Whoever gets out of a run's process group, or fills its home, is caught all the same."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests import media
from tests.engine.test_processes import Running, gone
from tests.source import Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine import folder, seccomp
from music_downloader.engine.containment import Limits
from music_downloader.engine.order import FetchOrder
from music_downloader.engine.run import Engine
from music_downloader.engine.watch import Watch, WatchRules
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
# Forks twice, tries to lead a session of its own, and lets go of its streams.
DAEMON = textwrap.dedent("""
    import os, sys, time

    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        if os.fork() == 0:
            os.write(1, b"%d\\n" % os.getpid())
            for stream in (1, 2):
                os.dup2(os.open("/dev/null", os.O_WRONLY), stream)
        time.sleep(60)
    else:
        time.sleep(0.5)
    """)
# A fork server on a kernel without filters; it needn't know yt-dlp for this.
UNFILTERED = textwrap.dedent("""
    import socket, sys
    from music_downloader.engine import containment, seccomp, template

    seccomp.why_not = lambda: "not here"
    containment.adopt_orphans()
    with socket.socket(fileno=int(sys.argv[1])) as worker:
        template.Template(worker, None).serve()
    """)


async def test_a_daemon_ends_with_its_run(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    argv = [sys.executable, "daemon.py"]
    async with engine.spawner.child("exec", directory=tmp_path, limits=Limits(), argv=argv) as child:
        daemon = int(await child.stdout.readline())
        if seccomp.why_not() is None:
            assert os.getpgid(daemon) == child.pid
    assert await gone(daemon, within=20)


@pytest.mark.parametrize("at_the_end", [False, True])
async def test_without_a_filter_a_daemon_ends_too(tmp_path: Path, at_the_end: bool) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    assert await gone(await asyncio.to_thread(escaped, tmp_path, at_the_end=at_the_end), within=20)


def escaped(directory: Path, *, at_the_end: bool) -> int:
    """Run a daemon without filters, to its run's end or only to the server's; return its process id."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    with ours, theirs, open(reading, "rb", buffering=0) as told, open(writing, "wb") as end:  # noqa: PTH123 - pipes
        ours.settimeout(60)
        argv = [sys.executable, "-I", "-c", UNFILTERED, str(theirs.fileno())]
        server = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        try:
            assert json.loads(ours.recv(65536))["event"] == "ready"
            order = {"op": "exec", "id": 1, "directory": str(directory), "limits": Limits().to_json()}
            order |= {"argv": [sys.executable, "daemon.py"], "reads": []}
            socket.send_fds(ours, [json.dumps(order).encode()], [end.fileno(), end.fileno()])
            started = json.loads(ours.recv(65536))
            daemon = int(told.readline())
            assert os.getpgid(daemon) != started["pid"]  # it has got out
            if not at_the_end:
                assert json.loads(ours.recv(65536))["event"] == "exited"
                until = time.monotonic() + 20
                while psutil.pid_exists(daemon) and time.monotonic() < until:
                    time.sleep(0.02)
                assert not psutil.pid_exists(daemon)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            assert server.wait(60) == 0
    return daemon


async def test_a_home_of_a_thousand_folders_deep_is_removed_and_the_next_fetch_works(
    source: Source, order: Callable[..., FetchOrder]
) -> None:
    url = source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)
    async with Engine() as engine:
        running = Running(engine, order(url))
        await running.child()
        (home,) = Path(psutil.Process(engine.template_pid).environ()["HOME"]).glob("home-*")
        deep(home)
        before = engine.template_pid
        running.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running.task
        assert not home.exists()
        assert engine.template_pid == before
        following = Running(engine, order(source.file("/song.mp3", media.make("mp3"))))
        assert (await following.task).path.exists()


def deep(top: Path) -> None:
    """Make folders within one another, deeper than any path reaches."""
    at = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


async def test_what_is_in_a_folder_is_counted_and_removed_whatever_it_is(tmp_path: Path) -> None:
    top = tmp_path / "home"
    top.mkdir()
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(5000))
    (top / "a").mkdir(mode=0)
    for name in ("b/c", "b/d/e"):
        (top / name).mkdir(parents=True)
    (top / "b/c/file").write_bytes(bytes(10_000))
    (top / "empty").touch()
    (top / "link").symlink_to(outside)
    os.mkfifo(top / "pipe")
    assert folder.folder_bytes(top) == 10_000 + len(str(outside))
    assert folder.home_bytes(str(top), most=10**6) == 10_000 + 8 * 4096
    deep(top)
    assert folder.home_bytes(str(top), most=10**9) > 10**9
    folder.remove(str(top))
    assert not top.exists()
    assert outside.exists()
    folder.remove(str(top))  # there is none any more


async def test_a_home_that_is_filled_ends_the_run(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).touch()
    staging = tmp_path / "staging"
    staging.mkdir()
    order = FetchOrder(url="http://a.test/", directory=staging, policy=EgressPolicy(), deadline=10)
    rules = WatchRules(interval=0.05, home=1024**2)
    watch = Watch(
        order, rules, transferring=lambda: True, silent_since=lambda: 0.0, home=lambda: str(tmp_path)
    )
    task = asyncio.create_task(asyncio.sleep(10))
    with pytest.raises(DownloadFailedError) as caught:
        await watch.until(task)
    assert caught.value.code is ErrorCode.TOO_LARGE
    task.cancel()
