"""Processes, which may end while one looks at them."""

import psutil


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, though nobody may have asked for its end yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def below(process: psutil.Process, word: str, *, recursive: bool = False) -> list[psutil.Process]:
    """Return what runs below a process and has this word in its command line."""
    try:
        children = process.children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if any(word in each for each in _words(child))]


def _words(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
    return words
