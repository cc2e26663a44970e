"""What a tree of processes uses, read from /proc: Linux only."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process: `part` is what it belongs to, `cpu` its seconds, those of its reaped children included."""

    pid: int
    part: str
    cpu: float


def tree(root: int) -> list[Process]:
    """Return a service's processes, by part: service, engine (the fork server, all it started), postgres."""
    facts = dict(_facts())
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in facts.items():
        children.setdefault(parent, []).append(pid)
    found = []
    left = [(root, "service")]
    while left:
        pid, part = left.pop()
        if pid not in facts:
            continue
        if part == "service" and pid != root:
            part = _part(pid)
        found.append(Process(pid=pid, part=part, cpu=facts[pid][1]))
        left += [(child, part) for child in children.get(pid, ())]
    return found


def cpu_seconds(root: int) -> Counter[str]:
    """Return the CPU seconds that a service's processes have used so far, by part."""
    used: Counter[str] = Counter()
    for process in tree(root):
        used[process.part] += process.cpu  # type: ignore[assignment]  # a Counter counts seconds as well
    return used


def memory(root: int) -> list[tuple[str, int]]:
    """Return each process's name and proportional set size (PSS, see proc(5)) in bytes."""
    sizes = []
    for process in tree(root):
        with suppress(OSError):  # it has just ended
            name = f"{process.part}: {_name(process.pid)}"
            sizes.append((name, _pss(process.pid)))
    return sorted(sizes)


def _facts() -> Iterator[tuple[int, tuple[int, float]]]:
    """Give each process's parent and CPU seconds, see proc_pid_stat(5)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), (int(fields[1]), sum(map(int, fields[11:15])) / _TICK)


def _part(pid: int) -> str:
    name = _name(pid)
    return "postgres" if name.startswith("postgres") else "engine"


def _name(pid: int) -> str:
    """Return a short name: a program and what it says it is."""
    try:
        words = Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "gone"
    program = Path(words[0].split(":")[0].split()[0]).name if words[0].strip() else "kernel"
    if program == "postgres":
        title = words[0].partition(":")[2].split()
        return f"postgres {' '.join(title[:2])}".strip() if title else "postgres"
    if "music_downloader.engine.template" in words:
        return "fork server or its child"
    return "ffmpeg" if program.startswith("ffmpeg") else "nas-music" if "serve" in words else program


def _pss(pid: int) -> int:
    for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _KIB
    return 0
