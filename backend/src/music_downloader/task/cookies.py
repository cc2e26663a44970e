"""Which cookies an attempt is given: its owner's for the site it fetches from, and nobody else's."""

import asyncio

import structlog

from music_downloader.config.secret import found_key
from music_downloader.config.settings import Settings
from music_downloader.engine.cookies import Cookie
from music_downloader.errors import DownloadFailedError, ErrorCode, UnreadableError
from music_downloader.model import SiteCookies
from music_downloader.service import cookies

log = structlog.stdlib.get_logger(__name__)

_SAME_KEY = "Give the workers the web's SECRET_KEY, or its DATA_DIRECTORY."


class CookieKey:
    """Opens cookies with the key that the web seals them with, wherever that is found by then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._has_said = False

    async def open(self, kept: SiteCookies) -> tuple[Cookie, ...]:
        """Return the cookies; none, which is logged once, where this worker has no key.

        Raises DownloadFailedError where they were sealed with another.
        """
        key = await asyncio.to_thread(found_key, self._settings)
        if key is None:
            if not self._has_said:
                log.warning("cookies.no_key", remedy=f"Downloads go on without cookies. {_SAME_KEY}")
            self._has_said = True
            return ()
        try:
            return cookies.opened(kept, key=key)
        except UnreadableError as error:
            log.warning("cookies.unreadable", site=kept.site, remedy=f"Upload them again. {_SAME_KEY}")
            raise DownloadFailedError(
                ErrorCode.LOGIN_REQUIRED,
                f"The service's key has changed; upload the cookies for {kept.site} again.",
            ) from error
