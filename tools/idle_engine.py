"""A worker as the service has it, whose engine says at once that there is nothing: the queue is left."""

import asyncio
from typing import Any, NoReturn

from music_downloader import worker
from music_downloader.config.logging import configure_logging
from music_downloader.config.settings import load_settings
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode


class IdleEngine(Engine):
    """It fetches nothing."""

    async def start(self) -> None:
        """Start no process."""

    async def fetch(self, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401 - whatever is asked for
        """Fail for good."""
        raise DownloadFailedError(ErrorCode.NOT_FOUND, "There is nothing at this address.")


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(level=settings.least_level, log_format=settings.log_format)
    worker.Engine = IdleEngine  # type: ignore[misc]  # in its place
    asyncio.run(worker.run_worker(settings))
