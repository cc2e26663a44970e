"""Where tracks are filed, as a person writes it: `{album_artist}/[{year} - ]{album}/[{track} - ]{title}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

FIELDS = ("album_artist", "artist", "album", "title", "year", "date", "track", "disc", "genre", "source")
_LONGEST = 300  # characters
_MOST_PARTS = 8  # folders and the file's name
_OWN_FOLDER = ".nas-music"  # where unfinished downloads lie
_TOKEN = re.compile(r"\{(?P<field>[^{}]*)\}|(?P<bracket>[\[\]])|(?P<text>[^{}\[\]]+)|(?P<stray>[{}])")
_REFUSED = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')  # what some share or system doesn't take in a name


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A place for one of FIELDS."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """What stands between brackets: it vanishes when one of its fields is empty."""

    pieces: tuple[str | Field, ...]


Part = tuple[str | Field | Group, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template; the last of its parts is the file's name without its extension.

    Raises ValueError with a sentence for whoever wrote it.
    """

    text: str

    def __post_init__(self) -> None:
        _check_path(self.text)
        *_, name = self.parts
        if not any(Field(name="title") in pieces for pieces in (name, *_groups(name))):
            raise ValueError("the last part is the file's name and has to hold {title}")

    def __str__(self) -> str:
        return self.text

    @classmethod
    def read(cls, value: object) -> Self:
        """Take a template as it is, or read one from a text."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError("write a template like {album_artist}/{album}/{title}")  # noqa: TRY004  # pydantic's rule
        return cls(value.strip())

    @property
    def parts(self) -> tuple[Part, ...]:
        """The folders from the library's root down, and then the file's name."""
        return tuple(_read_part(part) for part in self.text.split("/"))

    def render(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Fill the fields: the folders that stay, and the file's name.

        `values` has a text for each of FIELDS, '' for what is unknown. A folder is left out where a field in
        it that stands in no brackets is empty, or where nothing is left of it. What the values hold isn't
        looked at: a part is no safe name yet.
        """
        *folders, name = self.parts
        rendered = [_fill(part, values) for part in folders if _has_all(part, values)]
        return (*filter(str.strip, rendered), _fill(name, values))


def _check_path(text: str) -> None:
    if not text or len(text) > _LONGEST:
        raise ValueError(f"a template has 1 to {_LONGEST} characters")
    if "\\" in text or text.startswith("/"):
        raise ValueError("write folders with / between them, and none before the first: the library is above")
    parts = text.split("/")
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"a template has at most {_MOST_PARTS} parts")
    if any(not part.strip() or set(part.strip()) == {"."} for part in parts):
        raise ValueError("a folder of a template has a name, and isn't . or ..")
    if parts[0].strip().casefold() == _OWN_FOLDER:
        raise ValueError(f"{_OWN_FOLDER} is the folder of unfinished downloads; choose another")
    if _REFUSED.search(text):
        raise ValueError(
            "leave out < > : \" | ? * and what can't be seen: not every share takes them in a name"
        )


def _read_part(text: str) -> Part:
    """Read one part; brackets hold fields and text, but no brackets."""
    pieces: list[str | Field | Group] = []
    group: list[str | Field] | None = None
    for token in _TOKEN.finditer(text):
        if token["stray"]:
            raise ValueError("a { or } in a template stands alone; fields look like {title}")
        if token["bracket"] == "[":
            if group is not None:
                raise ValueError("brackets of a template don't stand in one another")
            group = []
        elif token["bracket"]:
            pieces.append(_closed(group))
            group = None
        else:
            (pieces if group is None else group).append(_piece(token))
    if group is not None:
        raise ValueError("a [ of a template isn't closed in the same part")
    return tuple(pieces)


def _piece(token: re.Match[str]) -> str | Field:
    if token["text"]:
        return token["text"]
    if token["field"] not in FIELDS:
        raise ValueError(f"a template knows these fields: {' '.join(f'{{{name}}}' for name in FIELDS)}")
    return Field(name=token["field"])


def _closed(group: list[str | Field] | None) -> Group:
    if group is None:
        raise ValueError("a ] of a template has no [ before it in the same part")
    if not any(isinstance(piece, Field) for piece in group):
        raise ValueError("brackets of a template hold a field")
    return Group(pieces=tuple(group))


def _groups(part: Part) -> list[tuple[str | Field, ...]]:
    return [piece.pieces for piece in part if isinstance(piece, Group)]


def _has_all(part: Part | tuple[str | Field, ...], values: Mapping[str, str]) -> bool:
    return all(values[piece.name] for piece in part if isinstance(piece, Field))


def _fill(part: Part, values: Mapping[str, str]) -> str:
    filled = []
    for piece in part:
        if isinstance(piece, Group):
            filled.append(_fill(piece.pieces, values) if _has_all(piece.pieces, values) else "")
        else:
            filled.append(values[piece.name] if isinstance(piece, Field) else piece)
    return "".join(filled)


DEFAULT_TEMPLATE = Template("{album_artist}/[{year} - ]{album}/[{track} - ]{title}")
