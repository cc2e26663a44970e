"""Every kind of fault the project raises.

    MusicDownloaderError
    ├── ConfigurationError           the start is refused
    │   └── NewerDatabaseError
    ├── BackupError                  a backup or a restore is refused
    │   ├── InvalidBackupError
    │   ├── DatabaseInUseError
    │   └── DatabaseNotEmptyError
    ├── EngineUpdateError            yt-dlp stays as it is
    │   └── SlowTrialError
    ├── DownloadFailedError          a download ended without a file (code, transient)
    ├── LostClaimError               an attempt was ended by somebody else
    ├── UnreadableError              what was sealed opens with another key only
    ├── BusyListingError             a long list waits for others to be read
    ├── LostQueueError               a job was ended with the queue's connection
    ├── NotFoundError                404
    │   ├── DownloadNotFoundError
    │   ├── UserNotFoundError
    │   ├── NoFileError
    │   ├── NoCoverError
    │   └── CookiesNotFoundError
    ├── ConflictError                409
    │   ├── UsernameTakenError       (recorded)
    │   ├── EmailTakenError          (recorded)
    │   ├── NotActiveError
    │   ├── NotRetryableError
    │   ├── StillActiveError
    │   ├── TooManySitesError
    │   └── LastAdminError           (recorded)
    ├── InvalidInputError            422
    │   ├── UrlRefusedError          (recorded)
    │   ├── WeakPasswordError
    │   ├── SiteRefusedError
    │   └── CookiesRefusedError
    ├── ForbiddenError               403
    │   ├── RegistrationClosedError
    │   ├── NotAnAdminError          (recorded)
    │   ├── InactiveUserError        (recorded)
    │   └── WrongPasswordError       (recorded)
    ├── NotAuthenticatedError        401
    │   ├── InvalidCredentialsError  (recorded)
    │   ├── InvalidTokenError
    │   └── InvalidMetricsTokenError
    ├── ThrottledError               429 (recorded)
    ├── TooManyActiveError           429
    ├── TooManyStreamsError          429
    └── ServiceUnavailableError      503

    RecordedError marks a refusal that the audit log or a limit's count keeps, although the request itself
    changes nothing.

An exception's docstring is its message unless it is raised with one of its own.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a download ended without a file; a fixed set that users and programs rely on."""

    UNSUPPORTED_URL = "unsupported_url"
    NOT_FOUND = "not_found"
    BLOCKED_ADDRESS = "blocked_address"
    NO_AUDIO = "no_audio"
    DRM_PROTECTED = "drm_protected"
    LOGIN_REQUIRED = "login_required"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    NO_SPACE = "no_space"
    BAD_MEDIA = "bad_media"
    INTERNAL = "internal"


class MusicDownloaderError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)


class ConfigurationError(MusicDownloaderError):
    """The configuration doesn't allow a safe start."""


class NewerDatabaseError(ConfigurationError):
    """The database belongs to a newer version of this service, or to another program; use that one."""


class BackupError(MusicDownloaderError):
    """A backup can't be made or restored."""


class InvalidBackupError(BackupError):
    """The file is no whole backup of this service."""


class DatabaseInUseError(BackupError):
    """The service is using this database; stop it first. Nothing has been changed."""


class DatabaseNotEmptyError(BackupError):
    """There is something in this database; with --replace it is given up. Nothing has been changed."""


class EngineUpdateError(MusicDownloaderError):
    """No other yt-dlp could be taken into use; the one in use stays."""


class SlowTrialError(EngineUpdateError):
    """The trial of another yt-dlp took too long, which may be this machine's fault; it is tried again."""


class DownloadFailedError(MusicDownloaderError):
    """A download ended without a file.

    `code` is the fixed word for programs, `detail` the sentence for the person. A `transient` fault may go
    away by itself, so another attempt makes sense; `retry_after` (seconds) is what the source asked to wait.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.transient = transient
        self.retry_after = retry_after


class LostClaimError(MusicDownloaderError):
    """This attempt at the download was ended by somebody else."""


class UnreadableError(MusicDownloaderError):
    """This was sealed with another key, or for something else."""


class BusyListingError(MusicDownloaderError):
    """As many long lists are being read as may be at once."""


class LostQueueError(MusicDownloaderError):
    """The queue's connection is gone, and the job ended with it; it is done again."""


class RecordedError(MusicDownloaderError):
    """This was refused, and the refusal has been written down."""


class NotFoundError(MusicDownloaderError):
    """There is nothing here, or nothing that you may see."""


class DownloadNotFoundError(NotFoundError):
    """There is no such download among yours."""


class UserNotFoundError(NotFoundError):
    """There is no such account."""


class NoFileError(NotFoundError):
    """This download has no file (yet)."""


class NoCoverError(NotFoundError):
    """There is no cover picture for this download."""


class CookiesNotFoundError(NotFoundError):
    """You have no cookies for this site here."""


class ConflictError(MusicDownloaderError):
    """This clashes with what is already there."""


class UsernameTakenError(ConflictError, RecordedError):
    """This username is taken; choose another."""


class EmailTakenError(ConflictError, RecordedError):
    """An account with this email address exists already; log in instead."""


class NotActiveError(ConflictError):
    """This download has ended already; there is nothing left to cancel."""


class NotRetryableError(ConflictError):
    """Only what has failed or was cancelled can be tried again."""


class StillActiveError(ConflictError):
    """This download is still active; cancel it first."""


class TooManySitesError(ConflictError):
    """You have cookies for as many sites as may be; remove those of another one first."""


class LastAdminError(ConflictError, RecordedError):
    """This is the last active administrator; make another one first."""


class InvalidInputError(MusicDownloaderError):
    """What was sent can't be used; `field` is the one to look at, and `place` where it stands.

    Without a field, it is all that stands there.
    """

    place = "body"
    field = ""


class UrlRefusedError(InvalidInputError, RecordedError):
    """This URL can't be downloaded from."""

    field = "url"


class WeakPasswordError(InvalidInputError):
    """This password is too easy to guess; choose another one."""

    field = "new_password"


class SiteRefusedError(InvalidInputError):
    """Name the site by its host, such as youtube.com."""

    place = "path"
    field = "site"


class CookiesRefusedError(InvalidInputError):
    """This file of cookies can't be used."""


class ForbiddenError(MusicDownloaderError):
    """You may not do this."""


class RegistrationClosedError(ForbiddenError):
    """Registration is closed here; ask the administrator for an account."""


class NotAnAdminError(ForbiddenError, RecordedError):
    """Only administrators may do this."""


class InactiveUserError(ForbiddenError, RecordedError):
    """This account has been deactivated; ask the administrator."""


class WrongPasswordError(ForbiddenError, RecordedError):
    """The current password is wrong."""


class NotAuthenticatedError(MusicDownloaderError):
    """Log in first: this call needs a valid token."""


class InvalidCredentialsError(NotAuthenticatedError, RecordedError):
    """The username or the password is wrong."""


class InvalidTokenError(NotAuthenticatedError):
    """This token is not valid (any more); log in again."""


class InvalidMetricsTokenError(NotAuthenticatedError):
    """Send METRICS_TOKEN as the bearer token."""


class ThrottledError(RecordedError):
    """Tried too often; `detail` says what, and `retry_after` (whole seconds) when it makes sense again."""

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooManyActiveError(MusicDownloaderError):
    """You have too many unfinished downloads; wait until some have ended."""


class TooManyStreamsError(MusicDownloaderError):
    """You follow your downloads from too many places at once; close one of them first."""


class ServiceUnavailableError(MusicDownloaderError):
    """The service can't answer right now; try again shortly."""
