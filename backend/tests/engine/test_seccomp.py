"""What the engine runs gets no more of the system than it needs, where the kernel can see to it."""

import errno
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests import media

from music_downloader.engine import ffmpeg
from music_downloader.engine.containment import Limits
from music_downloader.engine.run import Engine

pytestmark = pytest.mark.asyncio(loop_scope="session")
TRIES = textwrap.dedent("""
    import ctypes, json, socket, subprocess, sys

    def tried(family, kind=socket.SOCK_STREAM):
        try:
            socket.socket(family, kind).close()
        except OSError as error:
            return error.errno
        return 0

    families = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET")
    found = {name: tried(getattr(socket, name), socket.SOCK_DGRAM) for name in families}
    libc = ctypes.CDLL(None, use_errno=True)
    opened = libc.syscall(425, 1, ctypes.create_string_buffer(120))  # io_uring_setup
    found["io_uring"] = ctypes.get_errno() if opened < 0 else 0
    if len(sys.argv) == 1:
        output = subprocess.run([sys.executable, __file__, "again"], capture_output=True, check=True).stdout
        found["child"] = json.loads(output)["AF_INET"]
    print(json.dumps(found))
    """)


async def tried(engine: Engine, folder: Path) -> dict[str, int]:
    """Return the error number that each way to a socket ends with in an executed program; 0 for success."""
    script = folder / "tries.py"
    script.write_text(TRIES)
    argv = [sys.executable, str(script)]
    async with engine.spawner.child("exec", directory=folder, limits=Limits(), argv=argv) as child:
        output = await child.stdout.read()
        assert await child.ended == 0, await child.stderr.read()
    found: dict[str, int] = json.loads(output)
    return found


async def test_an_executed_program_can_open_no_socket(engine: Engine, tmp_path: Path) -> None:
    found = await tried(engine, tmp_path)
    if engine.spawner.networked is None:
        assert set(found.values()) == {errno.EACCES}, found
    else:
        assert found["AF_INET"] == 0  # all goes on as it would without


async def test_ffmpeg_reaches_nobody(engine: Engine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        arguments = ["-loglevel", "error", "-f", "mp3", "-i", url, "-f", "null", "-"]
        status, _ = await ffmpeg.run(engine.spawner, arguments, directory=tmp_path, deadline=10)
        assert status != 0
        if engine.spawner.networked is None:
            with pytest.raises(TimeoutError):
                server.accept()


async def test_ffmpeg_works_all_the_same(engine: Engine) -> None:
    described = await ffmpeg.describe(engine.spawner, media.make("mp3"))
    assert described
    assert described.codec == "mp3"


def why_not(machine: str) -> str:
    """Ask on a `machine` of this kind, in a process of its own: asking forks."""
    script = (
        "import os, sys; from music_downloader.engine import seccomp; real = os.uname();"
        "os.uname = lambda: os.uname_result((*real[:4], sys.argv[1])); print(seccomp.why_not())"
    )
    command = [sys.executable, "-c", script, machine]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def test_the_filter_is_tried_before_it_is_relied_on(engine: Engine) -> None:
    assert why_not(os.uname().machine) == str(engine.spawner.networked)
    assert why_not("riscv64") == os.strerror(errno.ENOSYS)


async def test_that_there_is_no_filter_is_said_once_and_all_goes_on() -> None:
    with capture_logs() as logs:
        async with Engine() as engine:
            said = [entry for entry in logs if entry["event"] == "engine.ffmpeg_keeps_network"]
            assert len(said) == (0 if engine.spawner.networked is None else 1)
            assert await ffmpeg.describe(engine.spawner, media.make("mp3"))
