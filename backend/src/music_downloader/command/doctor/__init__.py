"""`nas-music doctor`."""

from music_downloader.command.doctor.examination import examine

__all__ = ["examine"]
