"""Music sense for bare titles, where nobody tells artist and title apart: a page's heading, a file's name.

Every rule takes away only what it is sure of; a title is never used up.
"""
# ruff: noqa: RUF001  # the dashes, quotes and crosses that look alike are what this module is about

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from music_downloader.library.noise import is_noise, without_end, without_noise
from music_downloader.library.text import folded


@dataclass(frozen=True, kw_only=True, slots=True)
class BareTitle:
    """What a bare title says: `artists` stand beside the dash, the `featured` after a 'feat.'."""

    title: str
    artists: tuple[str, ...] = ()
    featured: tuple[str, ...] = ()
    track_number: int | None = None
    disc_number: int | None = None


_FEATURED = re.compile(
    r"\s*[(\[（［]\s*(?:feat\.?|ft\.?|featuring)\s+(?P<inside>[^()\[\]（）［］]+)[)\]）］]"
    r"|(?<!\d)\s+(?:feat\.?|ft\.?|featuring)\s+(?P<after>[^()\[\]]+?)(?=\s*[(\[]|\s+[-–—]\s|\s*$)",
    re.IGNORECASE,
)
_BETWEEN_FEATURED = re.compile(r"\s*(?:,|;|&|\band\b|\s[x×]\s)\s*", re.IGNORECASE)
_BETWEEN_ARTISTS = re.compile(r"\s+[x×]\s+")  # never "&" or ",": these are in the names of bands

_DASH = re.compile(r"\s+[-–—]{1,2}\s+|\s*—\s*|\s+_\s+")
_LOOSE_DASH = re.compile(
    r"\s*[:：]\s+|\s+[|~/]{1,2}\s+"
)  # parts an artist from a title if the artist is known
_VERSION = re.compile(
    r"live(?:\s+(?:at|in|from|on)\s.*)?|(?:\d{4}\s+)?remaster(?:ed)?(?:\s+(?:\d{4}|version))?|demo|"
    r"(?:acoustic|instrumental|extended|single)(?:\s+(?:version|mix|edit))?|album (?:version|mix|edit)|"
    r"radio edit",
    re.IGNORECASE,
)
_CORNERS = re.compile(r"(?P<artist>[^「『《]{1,80}?)\s*[「『《](?P<title>[^」』》]+)[」』》]\s*")
_KNOWN_CORNERS = re.compile(r"(?P<artist>[^【]{1,80}?)\s*【(?P<title>[^】]+)】\s*")
_ARTIST_FIRST = re.compile(r"【(?P<artist>[^】]+)】\s*(?P<title>\S.*)")
_QUOTED = re.compile(r"[\"“”„'‘«「『](.+)[\"“”’'»」』]")
_ARTIST_AND_QUOTED = re.compile(r"(?P<artist>\S.{0,80}?)\s+(?P<title>'[^']+'|\"[^\"]+\"|‘[^’]+’|“[^”]+”)")

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
    plain = without_end(without_noise(found.title))
    artist, title = _split(plain, tuple(known), speaks_of_video=plain != found.title)
    title = _unquoted(without_end(title))
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


def without_artist(title: str, known: Iterable[str]) -> str:
    """Take 'Artist - ' away from the start of a title, if that is one of the artists known."""
    before, after = _at_dash(title)
    names = {folded(name) for name in known if name}
    return after if after and names & _spellings(before) and not _VERSION.fullmatch(after) else title


def without_place(title: str, position: int | None) -> str:
    """Take '01 - ' or '01. ' away from the start of a title, if it is the track's place in its list."""
    match = _DISC_AND_TRACK.fullmatch(title) or _TRACK_FIRST.fullmatch(title)
    return match["rest"] if match and position and int(match["track"]) == position else title


def is_topic(name: str) -> bool:
    """Whether this is one of the channels that YouTube itself makes of an artist's tracks."""
    return bool(_TOPIC.search(name))


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


def _split(title: str, known: tuple[str, ...], *, speaks_of_video: bool) -> tuple[str | None, str]:
    """Artist and title around the first dash, or 'Artist「Title」', or "Artist 'Title'" of a video."""
    names = {folded(name) for name in known}
    before, after = _at_dash(title)
    if not after:
        return _split_without_dash(title, names, speaks_of_video=speaks_of_video)
    if _VERSION.fullmatch(after):
        return None, title
    if not names or names & _spellings(before):
        return before, after
    main_title, _ = split_featured(without_end(after))
    return (main_title, before) if names & _spellings(main_title) else (None, title)


def _split_without_dash(title: str, names: set[str], *, speaks_of_video: bool) -> tuple[str | None, str]:
    for pattern, is_telling in ((_CORNERS, True), (_KNOWN_CORNERS, False), (_ARTIST_FIRST, False)):
        match = pattern.match(title)
        artist = without_end(match["artist"]) if match else ""
        if match and (folded(artist) in names or (is_telling and not names)):
            return artist, _joined(match["title"], title[match.end() :])
    quoted = _ARTIST_AND_QUOTED.fullmatch(title)
    if quoted and (folded(quoted["artist"]) in names or (speaks_of_video and not names)):
        return quoted["artist"], quoted["title"]
    for dash in _LOOSE_DASH.finditer(title):
        before, after = title[: dash.start()], title[dash.end() :]
        if after.strip() and folded(before) in names:
            return before, after
    return None, title


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
    rest = rest.strip()
    return title if not rest or is_noise(rest) else f"{title} {rest}"


def _is_balanced(text: str) -> bool:
    return all(text.count(opening) <= text.count(closing) for opening, closing in ("()", "[]", "{}"))


def _unquoted(title: str) -> str:
    match = _QUOTED.fullmatch(title.strip())
    return match[1].strip() if match and not set(match[1]) & set('"“”') else title
