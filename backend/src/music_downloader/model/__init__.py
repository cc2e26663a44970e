"""The tables."""

from music_downloader.model.audit import AuditLog, Outcome
from music_downloader.model.base import Base
from music_downloader.model.download import ACTIVE, Download, DownloadKind, DownloadStatus
from music_downloader.model.intent import FilingIntent
from music_downloader.model.throttle import Throttle
from music_downloader.model.track import Track
from music_downloader.model.user import RevokedToken, User, after_every_session

__all__ = [
    "ACTIVE",
    "AuditLog",
    "Base",
    "Download",
    "DownloadKind",
    "DownloadStatus",
    "FilingIntent",
    "Outcome",
    "RevokedToken",
    "Throttle",
    "Track",
    "User",
    "after_every_session",
]
