"""The programs that fetch and convert, and what holds them."""

import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from music_downloader.command.doctor.finding import Finding, ok, problem, warning
from music_downloader.config.settings import Settings
from music_downloader.egress.gate import Gate
from music_downloader.engine import ffmpeg
from music_downloader.errors import MusicDownloaderError
from music_downloader.service import health

_ENCODERS = ("libmp3lame", "aac", "libopus", "flac")


def converter(settings: Settings) -> Finding:
    """See that ffmpeg runs, and can write what we need."""
    del settings
    mend = "reinstall the service (make setup), or install ffmpeg"
    try:
        program = ffmpeg.executable()
        listed = subprocess.run(  # noqa: S603 - no shell, nothing from outside
            [program, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=8, check=True
        ).stdout.split()
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return problem("doesn't run", mend)
    lacking = [encoder for encoder in _ENCODERS if encoder not in listed]
    if lacking:
        return problem(f"{program} can't write {', '.join(lacking)}", mend)
    return ok(f"{program}, with all that is needed")


def yt_dlp(settings: Settings) -> Finding:
    """See which yt-dlp fetches, and how old it is."""
    check = health.yt_dlp(settings.data_directory, settings.engine_updates)
    return Finding(status=check.status, detail=check.detail, mend="run: nas-music engine update")


def javascript(settings: Settings) -> Finding:
    """See that deno runs."""
    del settings
    program = shutil.which("deno") or str(Path(sysconfig.get_path("scripts")) / "deno")
    try:
        said = subprocess.run(  # noqa: S603 - no shell, nothing from outside
            [program, "--version"], capture_output=True, text=True, timeout=8, check=True
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return warning("no deno: YouTube may not work", "reinstall the service (make setup), or install deno")
    return ok(" ".join(said[:2]))


def sandbox(lacking: Sequence[str]) -> Finding:
    """Tell what the kernel lacks to hold what fetches and converts."""
    if lacking:
        return warning(
            "; ".join(lacking),
            "use a kernel with Landlock (6.12 or later) and seccomp; without them it works, less safely",
        )
    return ok("Landlock and seccomp hold the processes that fetch and convert")


async def egress(settings: Settings) -> Finding:
    """See that the egress proxy starts."""
    gate = Gate()
    try:
        await gate.start()
    except (MusicDownloaderError, OSError) as error:
        return problem(f"the egress proxy doesn't start ({error})", "see whether 127.0.0.1 works here")
    finally:
        await gate.close()
    through = " and hands on to DOWNLOAD_PROXY" if settings.download_proxy else ""
    return ok(f"the egress proxy starts{through}")
