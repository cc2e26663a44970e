"""The tables."""

from music_downloader.model.audit import AuditLog, Outcome
from music_downloader.model.base import Base
from music_downloader.model.cookies import SiteCookies
from music_downloader.model.counted import ANY, EVERYBODY, counted_blocks, counted_changes
from music_downloader.model.download import ACTIVE, Download, DownloadKind, DownloadStatus
from music_downloader.model.intent import FilingIntent
from music_downloader.model.mark import LibraryMark
from music_downloader.model.measurement import measurements
from music_downloader.model.throttle import Throttle
from music_downloader.model.track import Track
from music_downloader.model.user import RevokedToken, User, after_every_session, login_at

__all__ = [
    "ACTIVE",
    "ANY",
    "EVERYBODY",
    "AuditLog",
    "Base",
    "Download",
    "DownloadKind",
    "DownloadStatus",
    "FilingIntent",
    "LibraryMark",
    "Outcome",
    "RevokedToken",
    "SiteCookies",
    "Throttle",
    "Track",
    "User",
    "after_every_session",
    "counted_blocks",
    "counted_changes",
    "login_at",
    "measurements",
]
