"""The name that a file is saved under (RFC 6266), whatever characters it has (RFC 8187)."""

import unicodedata
from pathlib import PurePosixPath
from urllib.parse import quote

_PLAIN = set(" !#$&'()+,-.;=@[]^_`{}~")


def content_disposition(name: str, *, as_attachment: bool) -> str:
    """Return the header's value; old clients get a name in plain ASCII, all others the name itself."""
    kind = "attachment" if as_attachment else "inline"
    plain = _ascii(name)
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def _ascii(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    kept = "".join(
        character if (character.isascii() and character.isalnum()) or character in _PLAIN else "_"
        for character in decomposed
        if not unicodedata.combining(character)
    )
    stem = PurePosixPath(kept).stem
    return kept if any(map(str.isalnum, stem)) else f"track{PurePosixPath(kept).suffix}"
