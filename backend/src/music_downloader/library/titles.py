"""Music sense for bare titles, where nobody tells artist and title apart: a page's heading, a file's name.

Every rule takes away only what it is sure of; a title is never used up.
"""
# ruff: noqa: RUF001  # the dashes, quotes and crosses that look alike are what this module is about

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from music_downloader.library.text import folded


@dataclass(frozen=True, kw_only=True, slots=True)
class BareTitle:
    """What a bare title says: `artists` stand beside the dash, the `featured` after a 'feat.'."""

    title: str
    artists: tuple[str, ...] = ()
    featured: tuple[str, ...] = ()
    track_number: int | None = None
    disc_number: int | None = None


# Words of which a bracket like "(Official Music Video)" consists, and those of which it has at least one.
_TELLING = (
    r"official|officiel|oficial|offizielles|ufficiale|video|vídeo|videoclip|musikvideo|audio|lyrics?|hd|hq|uhd|"
    r"4k|8k|720p|1080p|1440p|2160p|60fps|mv|m/v|pv|visuali[sz]er|visual|clip|letra|paroles|"
    r"free (?:download|dl)|out now|premiere"
)
_TELLING_WORD = re.compile(rf"\b(?:{_TELLING})\b", re.IGNORECASE)
_ONLY_NOISE = re.compile(
    rf"(?:(?:{_TELLING}|music|full|with|w/|in|on[ -]screen|only|version|quality|high|new|original|movie|"
    r"colou?r coded|remaster(?:ed)?|upgrade|and|the|\d{4})\b|[\s,|/&+.\-])+",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\s*(?:\(([^()]*)\)|\[([^\[\]]*)\]|\{([^{}]*)\}|【([^【】]*)】)")
_PHRASE_AT_END = re.compile(
    r"[\s|/\-–—:,]+(?:"
    r"(?:the\s+)?offici?al\s+(?:(?:music|lyrics?|hd|4k)\s+)*(?:video\s*clip|video|audio|clip|mv|visuali[sz]er)"
    r"|(?:music|lyrics?)\s+video|(?:with|w/)\s+lyrics|m/v|hd|hq|4k|lyrics"
    r")(?:\s+(?:hd|hq|4k))*\s*$",
    re.IGNORECASE,
)

_FEATURED = re.compile(
    r"\s*[(\[]\s*(?:feat\.?|ft\.?|featuring)\s+(?P<inside>[^()\[\]]+)[)\]]"
    r"|(?<!\d)\s+(?:feat\.?|ft\.?|featuring)\s+(?P<after>[^()\[\]]+?)(?=\s*[(\[]|\s+[-–—]\s|\s*$)",
    re.IGNORECASE,
)
_BETWEEN_FEATURED = re.compile(r"\s*(?:,|;|&|\band\b|\s[x×]\s)\s*", re.IGNORECASE)
_BETWEEN_ARTISTS = re.compile(r"\s+[x×]\s+")  # never "&" or ",": these are in the names of bands

_DASH = re.compile(r"\s+[-–—]{1,2}\s+|\s*—\s*")
_VERSION = re.compile(
    r"live(?:\s+(?:at|in|from|on)\s.*)?|(?:\d{4}\s+)?remaster(?:ed)?(?:\s+(?:\d{4}|version))?|demo|"
    r"(?:acoustic|instrumental|extended|album|single)(?:\s+(?:version|mix|edit))?|radio edit",
    re.IGNORECASE,
)
_CORNERS = re.compile(r"(?P<artist>[^「『]{1,80}?)\s*[「『](?P<title>[^」』]+)[」』]\s*")
_QUOTED = re.compile(r"[\"“”„'‘](.+)[\"“”’']")

_EXTENSION = re.compile(r"\.(?:mp3|m4a|mp4|aac|flac|opus|ogg|oga|wav|aiff?|webm|wma)$", re.IGNORECASE)
_DISC_AND_TRACK = re.compile(r"(?P<disc>[1-9])[-.](?P<track>\d{2})(?:\s*[-–—._)]\s*|\s+)(?P<rest>\D.*)")
_TRACK_FIRST = re.compile(
    r"(?:track\s*)?(?P<track>\d{1,3})"
    r"(?:\s+[-–—]\s+|\s*[-–—_)]\s*(?=\D)|\.\s+|\.(?=\D)|(?<=0\d)\s+)(?P<rest>\S.*)",
    re.IGNORECASE,
)
_TRACK_LATER = re.compile(r"(?P<before>\D.*?)\s+-\s+(?P<track>\d{2})(?:\s+-\s+|\.?\s+)(?P<rest>\S.*)")

_TOPIC = re.compile(r"\s+-\s+(?:topic|tema|thema|sujet|тема)$", re.IGNORECASE)
_VEVO = re.compile(r"^(.*[^\s])\s*VEVO$")
_CAMEL_SEAM = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
_OFFICIAL = re.compile(r"^official\s+|\s+\(?official(?:\s+channel)?\)?$", re.IGNORECASE)


def read_bare_title(text: str, *, known: Iterable[str] = (), is_file_name: bool = False) -> BareTitle:
    """Take a bare title apart.

    With artists `known` from elsewhere, a part before or after the dash is taken for an artist only if it is
    one of them; without, the part before the dash is the artist. Only a file's name begins with a number.
    """
    found = _read_file_name(text) if is_file_name else BareTitle(title=text)
    title = _without_end(_without_noise(found.title))
    artist, title = _split(title, tuple(known))
    title = _unquoted(_without_end(title))
    title, featured = split_featured(title)
    main, also_featured = split_featured(artist or "")
    return replace(
        found,
        title=title.strip() or text.strip(),
        artists=split_artists(main),
        featured=(*also_featured, *featured),
    )


def split_artists(text: str) -> tuple[str, ...]:
    """Tell the artists of one text apart where that is beyond doubt: 'A feat. B & C', 'A x B'."""
    main, featured = split_featured(text)
    return tuple(part for part in (*_BETWEEN_ARTISTS.split(main.strip()), *featured) if part)


def split_featured(text: str) -> tuple[str, tuple[str, ...]]:
    """Take 'feat. X', 'ft. X' and 'featuring X' out of a title or an artist."""
    names = [match["inside"] or match["after"] for match in _FEATURED.finditer(text)]
    left = " ".join(_FEATURED.sub(" ", text).split())
    if not names or not left:
        return text, ()
    featured = (part.strip() for name in names for part in _BETWEEN_FEATURED.split(name))
    return left, tuple(part for part in featured if part)


def channel_artist(name: str) -> str:
    """Read a channel's name as an artist: 'Artist - Topic', 'SomeArtistVEVO', 'Artist Official'."""
    name = _TOPIC.sub("", name.strip())
    vevo = _VEVO.match(name)
    if vevo:
        name = vevo[1] if " " in vevo[1] else _CAMEL_SEAM.sub(" ", vevo[1])
    return _OFFICIAL.sub("", name).strip() or name


def _read_file_name(text: str) -> BareTitle:
    """'01 - Title', '01. Title', '1-01 Title', 'Artist - Album - 01 - Title', 'Artist_-_Title.mp3'."""
    name = _EXTENSION.sub("", text.strip())
    if " " not in name:
        name = name.replace("_", " ").strip() or name
    match = _DISC_AND_TRACK.fullmatch(name) or _TRACK_FIRST.fullmatch(name)
    if match:
        facts = match.groupdict()
        disc = int(facts["disc"]) if facts.get("disc") else None
        return BareTitle(title=facts["rest"], track_number=int(facts["track"]) or None, disc_number=disc)
    match = _TRACK_LATER.fullmatch(name)
    if match:
        artist = _DASH.split(match["before"], maxsplit=1)[0]
        return BareTitle(title=f"{artist} - {match['rest']}", track_number=int(match["track"]) or None)
    return BareTitle(title=name or text)


def _without_noise(text: str) -> str:
    """Drop the brackets that speak of the video, not of the music."""

    def kept(match: re.Match[str]) -> str:
        inside = next((group for group in match.groups() if group is not None), "")
        is_noise = not inside.strip() or (_ONLY_NOISE.fullmatch(inside) and _TELLING_WORD.search(inside))
        return " " if is_noise else match[0]

    left = " ".join(_BRACKET.sub(kept, text).split())
    return left or text


def _without_end(title: str) -> str:
    """Drop 'Official Video', 'HD' and the like from the end, as long as something is left."""
    while True:
        head, bar, tail = title.rpartition("|")
        if bar and head.strip() and _ONLY_NOISE.fullmatch(tail.strip()) and _TELLING_WORD.search(tail):
            shorter = head.rstrip()
        else:
            shorter = _PHRASE_AT_END.sub("", title)
        if shorter == title or not shorter.strip():
            return title
        title = shorter


def _split(title: str, known: tuple[str, ...]) -> tuple[str | None, str]:
    """Artist and title on both sides of the first dash, or 'Artist「Title」'."""
    names = {folded(name) for name in known}
    corners = _CORNERS.match(title)
    if corners and not _DASH.search(title) and (not names or folded(corners["artist"]) in names):
        return corners["artist"], _joined(corners["title"], title[corners.end() :])
    before, after = _at_dash(title)
    if not after or _VERSION.fullmatch(after):
        return None, title
    if not names or names & _spellings(before):
        return before, after
    main_title, _ = split_featured(_without_end(after))
    return (main_title, before) if names & _spellings(main_title) else (None, title)


def _at_dash(title: str) -> tuple[str, str]:
    """Cut at the first dash outside of brackets that has something on both sides."""
    for match in _DASH.finditer(title):
        before, after = title[: match.start()].strip(), title[match.end() :].strip()
        if before and after and _is_balanced(before):
            return before, after
    return title, ""


def _spellings(text: str) -> set[str]:
    return {folded(text), *(folded(name) for name in split_artists(text))}


def _joined(title: str, rest: str) -> str:
    """Put what follows a title in corner brackets back behind it, unless that is noise."""
    return title if _ONLY_NOISE.fullmatch(rest.strip() or "HD") else f"{title} {rest.strip()}"


def _is_balanced(text: str) -> bool:
    return all(text.count(opening) <= text.count(closing) for opening, closing in ("()", "[]", "{}"))


def _unquoted(title: str) -> str:
    match = _QUOTED.fullmatch(title.strip())
    return match[1].strip() if match and not set(match[1]) & set('"“”') else title
