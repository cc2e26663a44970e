# ruff: noqa: ASYNC240 - looking at /proc doesn't block
"""Code that has taken over a fetching child still reaches nobody, and sees no files but its own."""

import asyncio
import json
import socket
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs
from tests import media
from tests.egress.canary import Canary
from tests.engine.test_processes import Running
from tests.source import Source

from music_downloader.engine import ffmpeg, landlock, loudness, seccomp
from music_downloader.engine.guard import AddressRefusedError, ConnectGuard
from music_downloader.engine.order import FetchOrder
from music_downloader.engine.run import Engine

pytestmark = pytest.mark.asyncio(loop_scope="session")
ENTER = textwrap.dedent("""
    import ctypes, json, os, pathlib, socket, subprocess, sys, tempfile

    from music_downloader.engine import containment, sandbox, seccomp
    from music_downloader.engine.containment import Limits

    facts = json.loads(sys.argv[1])
    ended = []

    def tried(attempt):
        try:
            attempt()
        except OSError as error:
            return error.errno or -1
        return 0

    def enter():
        sandbox.prepare()
        out = os.dup(1)
        containment.enter(parent=os.getppid(), directory=facts["folder"], streams=(out, out), limits=Limits())
        proxy = f"http://run:x@127.0.0.1:{facts['proxy']}"
        sandbox.confine_fetch(directory=facts["folder"], home=facts["home"], proxy=proxy, programs={"deno"})
        if facts["filtered"]:
            seccomp.restrict("fetch")

    def connect(family, kind, where, protocol=0):
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(2)
            sock.connect(where)

    def send(kind, flags, where):
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.sendto(b"x", flags, where)

    def message(flags, where):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.sendmsg([b"x"], [], flags, where)

    def listen():
        with socket.create_server(("127.0.0.1", 0)):
            pass
    """)
CONNECTIONS = ENTER + textwrap.dedent("""
    enter()
    canary, proxy = ("127.0.0.1", facts["canary"]), ("127.0.0.1", facts["proxy"])
    again = "import socket; socket.create_connection(('127.0.0.1', %d), 2)" % facts["canary"]
    six = ("::1", facts["canary"])
    number = ctypes.CDLL(None, use_errno=True)
    print(json.dumps({
        "proxy": tried(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, proxy)),
        "TCP": tried(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, canary)),
        "TCP over IPv6": tried(lambda: connect(socket.AF_INET6, socket.SOCK_STREAM, six)),
        "MPTCP": tried(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, canary, 262)),
        "fast open": tried(lambda: send(socket.SOCK_STREAM, 0x20000000, canary)),
        "fast open, as a message": tried(lambda: message(0x20000000, canary)),
        "UDP": tried(lambda: send(socket.SOCK_DGRAM, 0, ("127.0.0.1", 53))),
        "raw": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
        "packet": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "netlink": tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
        "datagrams": tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)),
        "local": tried(lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, facts["local"])),
        "listening": tried(listen),
        "io_uring": ctypes.get_errno() if number.syscall(425, 1, ctypes.create_string_buffer(120)) < 0 else 0,
        "another program": subprocess.run([sys.executable, "-c", again], capture_output=True).returncode,
    }))
    """)
FILES = ENTER + textwrap.dedent("""
    enter()
    other, parent = facts["other"], os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o600)
    shared = 0 if segment >= 0 else ctypes.get_errno()
    if segment >= 0:
        libc.shmctl(segment, 0, None)
    print(json.dumps({
        "own folder": tried(lambda: pathlib.Path("own").write_text("x")),
        "own home": tried(lambda: pathlib.Path(facts["home"], "own").write_text("x")),
        "renaming": tried(lambda: os.rename("own", "other")),
        "nothing": tried(lambda: pathlib.Path("/dev/null").write_text("x")),
        "reading": tried(lambda: pathlib.Path(other).read_text()),
        "listing": tried(lambda: os.listdir(os.path.dirname(other))),
        "writing": tried(lambda: pathlib.Path(other).write_text("x")),
        "removing": tried(lambda: os.unlink(other)),
        "linking": tried(lambda: os.link(other, "linked")),
        "a link": tried(lambda: os.symlink(other, "link")),
        "a folder": tried(lambda: os.mkdir("folder")),
        "beside": tried(lambda: pathlib.Path(other + "-beside").write_text("x")),
        "accounts": tried(lambda: pathlib.Path("/etc/passwd").read_text()),
        "a secret of the parent": tried(lambda: pathlib.Path(f"/proc/{parent}/environ").read_bytes()),
        "a signal": tried(lambda: os.kill(parent, 0)),
        "memory that outlives it": shared,
        "running its own": tried(lambda: (
            pathlib.Path("run").write_text("#!/bin/sh"), os.chmod("run", 0o755), subprocess.run(["./run"])
        )),
    }))
    """)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """What stands where the proxy would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


async def attempted(script: str, **facts: object) -> dict[str, int]:
    """Run a script as a fetching child that somebody has taken over."""
    facts["filtered"] = seccomp.why_not() is None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", script, json.dumps(facts)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SECRET_KEY": "not-for-children"},
    )
    output, words = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, words.decode()
    found: dict[str, int] = json.loads(output)
    return found


async def test_code_in_the_child_reaches_the_proxy_and_nobody_else(
    tmp_path: Path, listening: socket.socket
) -> None:
    local = str(tmp_path / "socket")
    with Canary() as canary, socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory() as home:
        server.bind(local)
        server.listen()
        ends = await attempted(
            CONNECTIONS,
            folder=str(tmp_path),
            home=home,
            proxy=listening.getsockname()[1],
            canary=canary.port,
            local=local,
        )
        assert ends.pop("proxy") == 0
        if landlock.version() >= 4 and seccomp.why_not() is None:
            assert 0 not in ends.values(), ends
            assert canary.visits == 0
        else:
            assert ends  # what the kernel hasn't, nobody can ask it for


async def test_code_in_the_child_sees_its_own_folders_and_nobody_elses(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "library" / "secret.key"
    own.mkdir()
    other.parent.mkdir()
    other.write_text("secret")
    with tempfile.TemporaryDirectory() as home:
        ends = await attempted(FILES, folder=str(own), home=home, proxy=9, other=str(other))
    allowed = {ends.pop(what) for what in ("own folder", "own home", "renaming", "nothing")}
    assert allowed == {0}
    if landlock.version() >= 6 and seccomp.why_not() is None:
        assert 0 not in ends.values(), ends
        assert other.read_text() == "secret"


async def test_what_the_kernel_lacks_is_said_once_and_all_goes_on() -> None:
    with capture_logs() as logs:
        async with Engine() as engine:
            said = [entry for entry in logs if entry["event"] == "engine.sandbox_incomplete"]
            assert len(said) == (0 if engine.spawner.unconfined is None else 1)
            assert engine.spawner.unconfined == landlock.missing()


async def test_ffmpeg_sees_its_folder_and_the_one_file_it_measures(engine: Engine, tmp_path: Path) -> None:
    work, library = tmp_path / "work", tmp_path / "library"
    work.mkdir()
    library.mkdir()
    song = library / "song.mp3"
    song.write_bytes(media.make("mp3").read_bytes())
    found = await loudness.measure(engine.spawner, song, directory=work, deadline=120)
    assert found.blocks
    if landlock.version():
        arguments = ["-loglevel", "error", "-i", str(song), "-f", "null", "-"]
        status, words = await ffmpeg.run(engine.spawner, arguments, directory=work, deadline=10)
        assert status != 0
        assert "Permission denied" in words


async def test_a_fetch_has_a_home_of_its_own_that_goes_with_it(
    source: Source, order: Callable[..., FetchOrder]
) -> None:
    url = source.dripping("/slow.mp3", media.make("mp3"), announced=10_000_000)
    async with Engine() as engine:
        running = Running(engine, order(url))
        child = await running.child()
        shared = Path(psutil.Process(engine.template_pid).environ()["HOME"])
        homes = list(shared.glob("home-*"))
        assert len(homes) == 1
        limits = Path(f"/proc/{child.pid}/limits").read_text()
        assert "Max cpu time              1800" in limits
        assert not any(line.startswith("Max processes             unlimited") for line in limits.splitlines())
        status = Path(f"/proc/{child.pid}/status").read_text()
        (effective,) = (line for line in status.splitlines() if line.startswith("CapEff:"))
        assert int(effective.split()[1], 16) & ~0b1110 == 0
        running.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running.task
        for _ in range(100):
            if not any(home.exists() for home in homes):
                break
            await asyncio.sleep(0.02)
        assert list(shared.glob("home-*")) == []


async def test_the_guard_in_python_lets_nobody_pass_but_the_proxy() -> None:
    guard = ConnectGuard("http://run:secret@127.0.0.1:4321")
    with (
        socket.socket() as sock,
        socket.socket(type=socket.SOCK_DGRAM) as datagram,
        socket.socket(socket.AF_UNIX) as local,
    ):
        guard.check(sock, ("127.0.0.1", 4321))
        assert not guard.refused
        for one, address in (
            (sock, ("127.0.0.1", 4322)),
            (sock, ("127.0.0.2", 4321)),
            (sock, ("localhost", 4321)),
            (datagram, ("127.0.0.1", 4321)),
            (local, "/run/docker.sock"),
        ):
            guard.refused = False
            with pytest.raises(AddressRefusedError):
                guard.check(one, address)
            assert guard.refused


async def test_a_fetch_still_may_start_deno(tmp_path: Path) -> None:
    script = ENTER + textwrap.dedent("""
        enter()
        arguments = ["deno", "run", "--no-prompt", "--no-remote", "--no-lock", "--no-config", "--no-npm", "-"]
        os.environ["DENO_DIR"] = facts["home"]
        done = subprocess.run(arguments, input=b"console.log(6 * 7)", capture_output=True)
        assert done.stdout.strip() == b"42", done
        print(json.dumps({}))
        """)
    with tempfile.TemporaryDirectory() as home:
        assert await attempted(script, folder=str(tmp_path), home=home, proxy=9) == {}
