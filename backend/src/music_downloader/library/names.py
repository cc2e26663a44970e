"""Names of files and folders that ext4, SMB, exFAT, NTFS and NFS all accept.

Rules: https://learn.microsoft.com/windows/win32/fileio/naming-a-file for what Windows and so SMB refuse,
https://learn.microsoft.com/windows/win32/fileio/exfat-specification section 7.7.3 for exFAT, and Linux
for 255 bytes.
"""

import re
import unicodedata
from itertools import pairwise
from pathlib import PurePosixPath

from music_downloader.config.template import DEFAULT_TEMPLATE, Template
from music_downloader.library.tags import TrackTags

LONGEST_NAME = 255  # bytes
UNKNOWN_ARTIST = "Unknown Artist"
_ROOM = len(" (999)")  # bytes kept free for telling files of one name apart
_EXTENSION = re.compile(r"\.?([A-Za-z0-9]{1,8})")

# What Windows refuses, in plain ASCII that reads alike; a question mark is simply left out.
_SUBSTITUTES = str.maketrans({"<": "(", ">": ")", '"': "'", "/": "-", "\\": "-", "|": "-", "*": "_", "?": ""})
_COLON = re.compile(r"\s*:\s+")  # "Title: Part" becomes "Title - Part"; any other colon a plain "-"

_DEVICES = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}
_OF_THE_NAS = {"@EADIR", "@TMP", "#RECYCLE", "#SNAPSHOT", "LOST+FOUND", "THUMBS.DB", "DESKTOP.INI"}

_JOINER = "\u200d"
_DROPPED = {"Cc", "Cf", "Cs", "Co"}  # controls, bidirectional and zero-width formats, surrogates, private use
_BLANKS = {"Zs", "Zl", "Zp"}
_INVISIBLE = set("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two make one flag
_EMOJI_CATEGORIES = {"So", "Sm", "Sk", "Cn"}  # Cn: emoji younger than this Python's tables


def safe_part(text: str, *, limit: int = LONGEST_NAME) -> str:
    """Give one path component of 1 to `limit` bytes in UTF-8; "_" where nothing of `text` can stay.

    Giving the answer again changes nothing. Names that differ only in case stay different.
    """
    if limit < 1:
        raise ValueError("a name has at least one byte")
    replaced = _COLON.sub(" - ", _visible(text)).replace(":", "-").translate(_SUBSTITUTES)
    composed = unicodedata.normalize("NFC", " ".join(replaced.split()))
    name = _trimmed(_cut(_trimmed(composed), limit))
    if _is_reserved(name):
        name = _trimmed(_cut(f"_{name}", limit))
    return name or "_"


def relative_path(
    tags: TrackTags, extension: str, *, template: Template = DEFAULT_TEMPLATE, limit: int = LONGEST_NAME
) -> PurePosixPath:
    """Where in the library a track belongs.

    With the default template `Album Artist/YYYY - Album/01 - Title.ext` (`1-01 - Title` on an album of
    several discs), or `Artist/Title.ext` without an album. `limit` is the longest name in bytes; encrypted
    folders of some NAS allow only 143. A file's name leaves room for a number that tells it from another file
    of the same name.
    """
    match = _EXTENSION.fullmatch(extension)
    if not match:
        raise ValueError("an extension is one to eight ASCII letters and digits")
    suffix = f".{match[1].lower()}"
    *folders, name = template.render(_fields(tags, limit))
    return PurePosixPath(
        *(safe_part(folder, limit=limit) for folder in folders), _file_name(name, suffix, limit)
    )


def numbered(name: str, number: int, *, limit: int = LONGEST_NAME) -> str:
    """Tell `name` from others of the same name: "Title (2).mp3"."""
    path = PurePosixPath(name)
    ending = f" ({number}){path.suffix}"
    return f"{_cut(path.stem, limit - len(ending.encode()))}{ending}"


def _fields(tags: TrackTags, limit: int) -> dict[str, str]:
    """Fill the fields of a template, each of them safe by itself; '' for what isn't known."""
    first_artist = tags.artists[0] if tags.artists else UNKNOWN_ARTIST
    of_album = tags.album_artist or tags.artist if tags.album else tags.album_artist or first_artist
    texts = {
        "album_artist": of_album or UNKNOWN_ARTIST,
        "artist": tags.artist or UNKNOWN_ARTIST,
        "album": tags.album or "",
        "genre": next(iter(tags.genres), ""),
        "source": (tags.source_id or "").partition(":")[0].lower() if ":" in (tags.source_id or "") else "",
        "year": (tags.date or "")[:4],
        "date": tags.date or "",
        "track": _place(tags),
        "disc": str(tags.disc_number or ""),
    }
    safe = {name: safe_part(text, limit=limit) if text else "" for name, text in texts.items()}
    return safe | {"title": safe_part(tags.title, limit=limit)}


def _place(tags: TrackTags) -> str:
    if tags.track_number is None or not tags.album:
        return ""
    several_discs = (tags.disc_total or 1) > 1 or (tags.disc_number or 1) > 1
    disc = f"{tags.disc_number or 1}-" if several_discs else ""
    return f"{disc}{tags.track_number:02}"


def _file_name(stem: str, suffix: str, limit: int) -> str:
    return f"{safe_part(stem, limit=limit - _ROOM - len(suffix))}{suffix}"


def _is_reserved(name: str) -> bool:
    return name.partition(".")[0].rstrip().upper() in _DEVICES or name.upper() in _OF_THE_NAS


def _visible(text: str) -> str:
    """`text` with blanks for white space and without what can't be seen; emoji keep their joiners."""
    seen: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if character in "\t\n\r\v\f\x85" or category in _BLANKS:
            seen.append(" ")
        elif character == _JOINER or not (category in _DROPPED or _is_nothing(character)):
            seen.append(character)
    kept: list[str] = []
    for character, following in pairwise([*seen, " "]):
        if character != _JOINER or (kept and _joins(kept[-1]) and _joins(following)):
            kept.append(character)
    return "".join(kept)


def _is_nothing(character: str) -> bool:
    code = ord(character)
    return character in _INVISIBLE or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # noqa: PLR2004  # Unicode 23.7


def _joins(character: str) -> bool:
    if character == "\ufe0f":  # asks for the coloured picture of the character before
        return True
    return character > "\x7f" and unicodedata.category(character) in _EMOJI_CATEGORIES


def _trimmed(name: str) -> str:
    """`name` without blanks, dots and joiners around it, nor marks that have no letter to stand on."""
    start = 0
    while start < len(name) and (
        name[start] in f" .{_JOINER}" or unicodedata.category(name[start])[0] == "M"
    ):
        start += 1
    return name[start:].rstrip(f" .{_JOINER}")


def _cut(name: str, limit: int) -> str:
    """Keep the longest beginning within `limit` bytes that doesn't tear what is read as one character."""
    size, whole, torn = 0, 0, 0
    for index, character in enumerate(name):
        if not _continues(name, index):
            whole = index
        size += len(character.encode())
        if size > limit:
            return name[: whole or torn]
        torn = index + 1
    return name


def _continues(name: str, index: int) -> bool:
    """Whether what is read as one character goes on at `index`: the usual cases of Unicode's UAX 29."""
    character, before = name[index], name[max(index - 1, 0)]
    if index == 0:
        return False
    if unicodedata.category(character)[0] == "M" or _JOINER in {character, before}:
        return True
    if "\U0001f3fb" <= character <= "\U0001f3ff":  # skin tones
        return True
    if "\u1161" <= character <= "\u11ff" and "\u1100" <= before <= "\u11ff":  # Korean letters of one syllable
        return True
    flags = len(name[:index]) - len(name[:index].rstrip(_FLAG_LETTERS))
    return character in _FLAG_LETTERS and flags % 2 == 1
