"""The only part that knows yt-dlp; imported by the fork server alone, never by the service."""

from yt_dlp.version import __version__ as version

from music_downloader.engine.ytdlp.downloader import Downloader
from music_downloader.engine.ytdlp.faults import judge

__all__ = ["Downloader", "judge", "version"]
