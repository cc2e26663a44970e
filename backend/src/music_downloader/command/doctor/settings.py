"""Whether the settings let the service start."""

from music_downloader.command.doctor.finding import Finding, ok, problem
from music_downloader.config.safety import check_folders, check_kept_secret
from music_downloader.config.secret import KEY_FILE, MIN_KEY_BYTES
from music_downloader.config.settings import PLACEHOLDER_SECRET_KEY, Settings
from music_downloader.errors import ConfigurationError


def settled(settings: Settings) -> Finding:
    """See that the settings, the folders and the key can be used."""
    try:
        check_folders(settings)
        key = settings.secret_key.get_secret_value()
        kept = settings.data_directory / KEY_FILE
        if key != PLACEHOLDER_SECRET_KEY:
            if len(key.encode()) < MIN_KEY_BYTES:
                return problem(
                    f"SECRET_KEY is shorter than {MIN_KEY_BYTES} bytes", "make one with: openssl rand -hex 32"
                )
            return ok("they can be used; the key is SECRET_KEY")
        if not kept.exists():
            return ok(f"they can be used; the first start makes a key in {kept}")
        check_kept_secret(kept)
    except ConfigurationError as error:
        return problem("they would stop the start", error.detail)
    except OSError as error:
        return problem(f"the key can't be looked at ({error.strerror})", "run this as the service's user")
    return ok(f"they can be used; the key is in {kept}")
