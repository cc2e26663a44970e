"""`nas-music doctor`."""

from music_downloader.command.doctor.examination import doctor

__all__ = ["doctor"]
