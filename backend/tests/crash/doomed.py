"""Run `nas-music` so that it, or another process, is killed at a chosen line: from outside, by patching.

python -m tests.crash.doomed renamed 0 worker    kills itself once a file has been renamed into the library
python -m tests.crash.doomed renamed 4711 worker    kills the process 4711 too, such as PostgreSQL
python -m tests.crash.doomed fetching child worker    kills what it has fetching and converting
"""

import functools
import importlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from music_downloader.cli import main


@dataclass(frozen=True, kw_only=True)
class Line:
    """A function, by module and name, and whether its victim dies before or after it."""

    module: str
    name: str
    after: bool = True
    when: Callable[..., bool] = lambda *_, **__: True


def _is_under_way(_reporter: object, progress: Any) -> bool:
    return bool(progress.downloaded_bytes)


LINES = {
    "claimed": Line(module="task.download", name="_attempt", after=False),
    "fetching": Line(module="task.fetch", name="Reporter.report", when=_is_under_way),
    "listed": Line(module="task.expansion", name="Expansion.take"),
    "closing the list": Line(module="task.expansion", name="Expansion.end", after=False),
    "fetched": Line(module="task.download", name="find_cover"),
    "staged": Line(module="task.filing", name="_tag_and_hash"),
    "announced": Line(module="task.publishing", name="_announce"),
    "synced": Line(module="library.filing", name="sync_file"),
    "renamed": Line(module="library.filing", name="move"),
    "covered": Line(module="task.publishing", name="place_cover"),
    "completing": Line(module="service.download", name="complete"),
    "committed": Line(module="task.download", name="remove_staging", after=False),
    "writing a playlist": Line(module="library.playlists", name="move"),
    "wrote a playlist": Line(module="task.finish", name="write_playlist"),
    "rewrote a file": Line(module="task.gains", name="replace"),
    "rescuing": Line(module="service.orphanage", name="take_in"),
    "submitting": Line(module="service.submission", name="enqueue_download"),
}


def arm(line: Line, kill: Callable[[], None]) -> None:
    """Have `kill` called the first time that the line is reached."""
    module = importlib.import_module(f"music_downloader.{line.module}")
    *holders, name = line.name.split(".")
    holder: Any = functools.reduce(getattr, holders, module)
    original = getattr(holder, name)
    left = [kill]

    def reached(*arguments: Any, **options: Any) -> None:
        if left and line.when(*arguments, **options):
            left.pop()()

    @functools.wraps(original)
    async def awaited(*arguments: Any, **options: Any) -> Any:
        if not line.after:
            reached(*arguments, **options)
        result = await original(*arguments, **options)
        if line.after:
            reached(*arguments, **options)
        return result

    @functools.wraps(original)
    def called(*arguments: Any, **options: Any) -> Any:
        if not line.after:
            reached(*arguments, **options)
        result = original(*arguments, **options)
        if line.after:
            reached(*arguments, **options)
        return result

    setattr(holder, name, awaited if inspect.iscoroutinefunction(original) else called)


def _killer(victim: str) -> Callable[[], None]:
    def kill() -> None:
        if victim not in {"0", "child"}:
            with suppress(ProcessLookupError):
                os.kill(int(victim), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_children() -> None:
        template = next(p for p in psutil.Process().children() if "template" in " ".join(p.cmdline()))
        for child in template.children():
            child.kill()
        threading.Timer(5, kill).start()  # the worker has time to say what has become of its child

    return kill_children if victim == "child" else kill


if __name__ == "__main__":
    which, whom, *sys.argv[1:] = sys.argv[1:]
    arm(LINES[which], _killer(whom))
    main()
