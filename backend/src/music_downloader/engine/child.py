"""What a forked child does: fetch one track or one picture and tell about it in JSON lines.

Events: `progress` (see `Progress`), `warning` (message); for a list `list` (collection), then `entries`
(entries) any number of times; and at the end `done` (path, info), `listed` (count, left_out) or `failed`
(code, detail, transient, retry_after).
"""

import json
import os
import threading
from dataclasses import asdict
from typing import Final

from music_downloader.engine.guard import ConnectGuard, forbid_programs
from music_downloader.engine.order import ChildOrder, ChildPictureOrder
from music_downloader.engine.ytdlp import Downloader, judge

_STDOUT: Final = 1
_STDERR: Final = 2
JAVASCRIPT_RUNTIMES: Final = frozenset({"deno"})
# For what the child starts. There is no no_proxy: the environment is made from a list.
_WAYS_OUT: Final = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def run(downloader: Downloader, order: ChildOrder | ChildPictureOrder) -> None:
    """Fetch `order` into the current folder; events go to what was stdout, stray output to stderr."""
    events = os.dup(_STDOUT)  # not inheritable, so no program that yt-dlp starts can write events
    os.dup2(_STDERR, _STDOUT)
    one_at_a_time = threading.Lock()

    def emit(event: str, **facts: object) -> None:
        line = json.dumps({"event": event, **facts}, ensure_ascii=False).encode() + b"\n"
        with one_at_a_time:
            _write(events, line)

    guard: ConnectGuard | None = None
    try:
        guard = ConnectGuard(order.proxy)
        guard.install()
        forbid_programs(except_for=JAVASCRIPT_RUNTIMES)
        os.environ.update(dict.fromkeys(_WAYS_OUT, order.proxy))
        downloader.fetch(order, emit)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the worker must hear of it
        fault = judge(
            error,
            refused=downloader.met_refusal or (guard is not None and guard.refused),
            signed=downloader.transfers_from_elsewhere,
            answer=downloader.last_refusal,
        )
        emit("failed", **asdict(fault))


def _write(descriptor: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]
