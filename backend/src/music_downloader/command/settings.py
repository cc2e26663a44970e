"""The settings of what goes on for longer: what can't be used stops it before anything else is loaded."""

from collections.abc import Mapping
from typing import Any

from music_downloader.config.safety import check_folders
from music_downloader.config.secret import given_key, signing_key
from music_downloader.config.settings import Settings, load_settings


def checked_settings(proposed: Mapping[str, Any] | None = None, *, signs: bool = False) -> Settings:
    """Return the settings, with folders that can be used, and a key where the process `signs` tokens.

    A key of one's own is looked at in any case: what it seals can't be opened with another.
    From then on events are logged as the settings say. Raises ConfigurationError.
    """
    settings = load_settings(proposed)
    check_folders(settings)
    if signs:
        signing_key(settings)
    else:
        given_key(settings)
    from music_downloader.config.logging import configure_logging

    configure_logging(level=settings.least_level, log_format=settings.log_format)
    return settings
