"""Folders that the service may not start on: one sentence says what is wrong, before anything is made."""

import os
import stat
from pathlib import Path

from music_downloader.config.settings import Settings
from music_downloader.errors import ConfigurationError

# Folders of the system: neither they nor anything below them is a place for music or data ...
_SYSTEM = {
    *("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys"),
    *("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/usr/share"),
}
# ... and these are not, though a folder below them may be.
_SHARED = {"/", "/dev", "/home", "/opt", "/root", "/run", "/tmp", "/usr", "/usr/local", "/var", "/var/lib"}  # noqa: S108 - refused


def check_folders(settings: Settings) -> None:
    """Raise ConfigurationError for folders that are the system's, lie in one another, or are open to all."""
    library, data = settings.output_directory.resolve(), settings.data_directory.resolve()
    for name, folder in (("OUTPUT_DIRECTORY", library), ("DATA_DIRECTORY", data)):
        if is_system_folder(folder):
            raise ConfigurationError(f"{name} is {folder}, a folder of the system; choose one of its own.")
    if library == data or library.is_relative_to(data):
        raise ConfigurationError(
            "OUTPUT_DIRECTORY lies in DATA_DIRECTORY, where the key is kept and nothing is to be shared; "
            "choose two separate folders."
        )
    if data.is_relative_to(library):
        raise ConfigurationError(
            "DATA_DIRECTORY lies in OUTPUT_DIRECTORY, so whoever can read the music could read the key; "
            "choose two separate folders."
        )
    if others_may_write(data):
        raise ConfigurationError(
            f"Everybody on this machine may write to DATA_DIRECTORY ({data}) and so replace the key; "
            f"end that with: chmod o-w '{data}'. If it stays open, as on some shares, choose a "
            "folder on the machine's own disk."
        )


def is_system_folder(folder: Path) -> bool:
    """Whether `folder`, absolute and without links, belongs to the operating system."""
    return str(folder) in _SHARED or any(str(each) in _SYSTEM for each in (folder, *folder.parents))


def others_may_write(folder: Path) -> bool:
    """Whether others may replace what lies in `folder`.

    Not where it is sticky, as the image's own volume is: there, each may remove only what is theirs.
    """
    try:
        mode = folder.stat().st_mode
    except OSError:  # it isn't there yet; whoever needs it makes it, or says why not
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def check_kept_secret(path: Path) -> None:
    """Raise ConfigurationError where others may read or have placed the file that holds a secret of ours."""
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path} is no plain file; remove it and a new key is made.")
    if found.st_uid not in {os.geteuid(), 0, path.parent.stat().st_uid} and os.geteuid() != 0:
        raise ConfigurationError(f"{path} belongs to somebody else; remove it and a new key is made.")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"Others on this machine may read the key in {path}; end that with: chmod 600 '{path}', "
            "or remove the file, since they may have read it: a new key is made, and everybody logs in again."
            " If it stays open, as on some shares, choose a DATA_DIRECTORY on the machine's own disk."
        )
