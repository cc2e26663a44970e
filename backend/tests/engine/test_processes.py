# ruff: noqa: ASYNC240 - looking at /proc doesn't block
"""Every process the engine starts is contained, and none outlives its run."""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests import media
from tests.family import is_gone
from tests.following import PATIENCE, until_true
from tests.source import Source

from music_downloader.engine import spawner
from music_downloader.engine.order import FetchOrder, Progress
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
Order = Callable[..., FetchOrder]
BACKEND = Path(__file__).parents[2]


class Running:
    """A fetch under way that would take for ever, with its child's process."""

    def __init__(self, engine: Engine, order: FetchOrder) -> None:
        self._transferring = asyncio.Event()
        self._engine = engine
        self.task = asyncio.create_task(engine.fetch(order, on_progress=self._hear))

    def _hear(self, progress: Progress) -> None:
        if progress.phase == "downloading":
            self._transferring.set()

    async def child(self) -> psutil.Process:
        async with asyncio.timeout(60):
            await self._transferring.wait()
        (child,) = psutil.Process(self._engine.template_pid).children()
        return child


@pytest.fixture
def slow(engine: Engine, source: Source, order: Order) -> Callable[[], Running]:
    url = source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)
    return lambda: Running(engine, order(url))


async def gone(pid: int, *, within: float) -> bool:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    until = time.monotonic() + within
    while time.monotonic() < until:
        if is_gone(process):
            return True
        await asyncio.sleep(0.02)
    return False


async def works(engine: Engine, source: Source, order: Order) -> bool:
    file = media.make("mp3")
    fetched = await engine.fetch(order(source.file("/next.mp3", file)), on_progress=lambda _: None)
    return fetched.path.read_bytes() == file.read_bytes()


async def test_the_fork_server_is_lean(engine: Engine) -> None:
    assert engine.template_pid
    rollup = Path(f"/proc/{engine.template_pid}/smaps_rollup").read_text()
    (proportional,) = (int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert proportional < 60_000
    assert engine.yt_dlp_version
    script = (
        "import sys, music_downloader.engine.template;"
        "print([m for m in ('sqlalchemy', 'fastapi', 'pydantic', 'structlog', 'psycopg', 'imageio_ffmpeg')"
        " if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", script, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "[]"


async def test_a_child_is_contained_and_knows_no_secret(
    source: Source, order: Order, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DATABASE_URL", "SECRET_KEY", "http_proxy", "NO_PROXY", "PYTHONPATH"):
        monkeypatch.setenv(name, "not-for-children")
    async with Engine() as engine:
        url = source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)
        running = Running(engine, order(url, max_bytes=20_000_000))
        child = await running.child()
        proc = Path(f"/proc/{child.pid}")
        for pid in (child.pid, engine.template_pid):
            assert b"not-for-children" not in Path(f"/proc/{pid}/environ").read_bytes()
        status = proc.joinpath("status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
        assert (proc / "cwd").readlink() == tmp_path
        limits = proc.joinpath("limits").read_text().split("\n")
        assert any(line.startswith("Max file size") and "20000000" in line for line in limits)
        assert any(line.startswith("Max core file size        0 ") for line in limits)
        assert any(line.startswith("Max open files            256 ") for line in limits)
        targets = {str(fd.readlink()).partition(":")[0] for fd in (proc / "fd").iterdir()}
        assert targets <= {"/dev/null", "pipe", "socket", str(tmp_path / "source.mp3.part")}
        running.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running.task


async def test_a_cancelled_fetch_leaves_no_process(
    slow: Callable[[], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawner, "END_TIMEOUT", 3600.0)  # it ends with its process, not with its patience
    running = slow()
    child = await running.child()
    running.task.cancel()
    await asyncio.wait({running.task}, timeout=PATIENCE)
    assert running.task.cancelled()
    assert not psutil.pid_exists(child.pid)


async def test_a_child_that_ignores_sigterm_is_gone_all_the_same(slow: Callable[[], Running]) -> None:
    running = slow()
    child = await running.child()
    child.suspend()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert not psutil.pid_exists(child.pid)


async def test_a_killed_child_is_a_transient_fault_and_the_next_fetch_works(
    engine: Engine, slow: Callable[[], Running], source: Source, order: Order
) -> None:
    running = slow()
    (await running.child()).kill()
    with pytest.raises(DownloadFailedError, match="Killed") as caught:
        await running.task
    assert (caught.value.code, caught.value.transient) == (ErrorCode.INTERNAL, True)
    assert await works(engine, source, order)


async def test_a_killed_fork_server_takes_its_children_along_and_is_started_again(
    engine: Engine, slow: Callable[[], Running], source: Source, order: Order
) -> None:
    running = slow()
    child = await running.child()
    before = engine.template_pid
    assert before
    os.kill(before, signal.SIGKILL)
    with pytest.raises(DownloadFailedError) as caught:
        await running.task
    assert (caught.value.code, caught.value.transient) == (ErrorCode.INTERNAL, True)
    assert await gone(child.pid, within=20)
    assert await works(engine, source, order)
    assert engine.template_pid != before


async def test_runs_leak_neither_descriptors_nor_processes(
    engine: Engine, source: Source, order: Order
) -> None:
    assert await works(engine, source, order)
    ours, theirs = psutil.Process(), psutil.Process(engine.template_pid)
    before = ours.num_fds(), theirs.num_fds()
    for _ in range(5):
        assert await works(engine, source, order)
        with pytest.raises(DownloadFailedError):
            await engine.fetch(order(source.url("/nothing")), on_progress=lambda _: None)

    async def is_closed() -> bool:  # transports close their pipes in the loop's next turns
        return ours.num_fds() <= before[0] + 2  # a thread pool may have grown

    await until_true(is_closed)
    assert theirs.num_fds() == before[1]
    assert theirs.children() == []


async def test_a_closed_engine_leaves_nothing_behind() -> None:
    engine = Engine()
    await engine.start()
    pid = engine.template_pid
    assert pid
    home = next(
        line.partition("=")[2]
        for line in Path(f"/proc/{pid}/environ").read_text().split("\0")
        if line.startswith("HOME=")
    )
    await engine.close()
    assert not psutil.pid_exists(pid)
    assert not Path(home).exists()
    with pytest.raises(DownloadFailedError):
        await engine.start()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_nothing_outlives_a_killed_worker(source: Source, tmp_path: Path, loop: str) -> None:
    url = source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)
    script = tmp_path / "worker.py"
    script.write_text(
        textwrap.dedent("""
        import asyncio, ipaddress, pathlib, sys
        import uvloop
        from music_downloader.egress.policy import EgressPolicy
        from music_downloader.engine.order import FetchOrder
        from music_downloader.engine.run import Engine

        async def main():
            policy = EgressPolicy(allowed=(ipaddress.ip_network("127.0.0.0/8"),))
            folder = pathlib.Path(sys.argv[2])
            order = FetchOrder(url=sys.argv[1], directory=folder, policy=policy, deadline=60)
            async with Engine() as engine:
                print(engine.template_pid, engine.gate.pid, flush=True)
                await engine.fetch(order, on_progress=lambda p: print(p.phase, flush=True))

        {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[3]](main())
        """)
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(script), url, str(tmp_path), loop, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout
    async with asyncio.timeout(90):
        template, proxy = map(int, (await worker.stdout.readline()).split())
        while await worker.stdout.readline() != b"downloading\n":
            pass
    (child,) = psutil.Process(template).children()
    worker.kill()
    await worker.wait()
    assert await gone(template, within=20)
    assert await gone(child.pid, within=20)
    assert await gone(proxy, within=20)


async def test_a_fetch_may_start_a_javascript_runtime_and_nothing_else(tmp_path: Path) -> None:
    runtime = tmp_path / "deno"
    runtime.symlink_to("/bin/true")
    script = textwrap.dedent("""
        import os, subprocess, sys
        from music_downloader.engine.guard import forbid_programs

        forbid_programs(except_for=frozenset({"deno"}))
        subprocess.run([sys.argv[1]], check=True)
        for start in (lambda: subprocess.run(["/bin/true"]), lambda: os.system("true"), os.fork):
            try:
                start()
            except PermissionError:
                continue
            sys.exit("it was started")
        """)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(runtime))
    assert await process.wait() == 0
