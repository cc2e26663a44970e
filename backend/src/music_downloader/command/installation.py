"""Which installation a command is about: the one that is named, or that of `make run` in this folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from music_downloader.config.logging import configure_logging
from music_downloader.config.settings import Settings, load_settings
from music_downloader.postgres import embedded_postgres
from music_downloader.postgres.running import is_installed, running_url


@contextmanager
def installation() -> Iterator[Settings]:
    """Give the installation's settings; its database can be reached while the block runs.

    Without DATABASE_URL, and where `make run` has kept its data below this folder, that is the installation.
    Its PostgreSQL is used where it is running, and started for as long as the block takes where it isn't.
    Raises ConfigurationError.
    """
    settings = load_settings()
    # What a command has to say, it prints; the log is for what goes on for longer.
    configure_logging(level="error", log_format=settings.log_format)
    if settings.names_a_database:
        yield settings
        return
    here = Path.cwd()
    own = load_settings({"output_directory": here / "downloads", "data_directory": here / ".data"})
    if not is_installed(own.data_directory):
        yield settings
        return
    url = running_url(own.data_directory)
    if url is not None:
        yield _with(own, url)
        return
    with embedded_postgres(own.data_directory) as started:
        yield _with(own, started)


def _with(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})
