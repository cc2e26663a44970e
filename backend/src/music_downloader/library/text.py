"""Text from strangers made fit to store: one normal form, nothing invisible, never endless."""

import re
import unicodedata
from urllib.parse import urlsplit

_LAST_OF_PLANES = range(0xFFFE, 0x110000, 0x10000)
_NONCHARACTERS = "".join(f"{chr(last)}-{chr(last + 1)}" for last in _LAST_OF_PLANES)

# Controls that aren't white space, bidirectional overrides, invisible filler, lone surrogates, noncharacters.
# The joiners U+200C and U+200D stay: Persian, the Indic scripts and emoji are spelled with them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ud800-\udfff" + _NONCHARACTERS + "]"
)


def clean_text(text: str, *, limit: int, lines: bool = False) -> str:
    """`text` in NFC on one line with single blanks, at most `limit` characters; `lines` keeps line breaks."""
    wanted = _UNWANTED.sub("", text[: limit * 4])
    composed = unicodedata.normalize("NFC", wanted)
    if lines:
        collapsed = "\n".join(" ".join(line.split()) for line in composed.splitlines()).strip()
    else:
        collapsed = " ".join(composed.split())
    return collapsed[:limit].strip()


def folded(text: str) -> str:
    """`text` as two spellings of one name are compared: no case, no blanks, no punctuation."""
    bare = "".join(character for character in unicodedata.normalize("NFKC", text) if character.isalnum())
    return bare.casefold() or text.strip().casefold()


def host_and_path(address: str | None) -> tuple[str, str]:
    """Give an address' host in small letters, and its path; both '' where it is no address."""
    try:
        parts = urlsplit(address or "")
        return (parts.hostname or "").casefold(), parts.path
    except ValueError:
        return "", ""
