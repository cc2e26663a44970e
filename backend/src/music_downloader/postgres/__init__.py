"""An embedded PostgreSQL for those who bring none of their own."""

from music_downloader.postgres.server import EmbeddedPostgres, embedded_postgres

__all__ = ["EmbeddedPostgres", "embedded_postgres"]
