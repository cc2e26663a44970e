"""What goes into a fetch and what comes out of it."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Protocol

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.cookies import Cookie
from music_downloader.engine.source import SourceInfo, is_web_address

MAX_AMOUNT: Final = 2**53


class Emit(Protocol):
    """Sends one event to whoever ordered the work."""

    def __call__(self, event: str, **facts: object) -> None:
        """Send `event` with its facts, which are JSON types."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One entry of a list that has no address of its own.

    `position` is its place in the flattened list, from 1; `source_id` its id when it was listed, if any.
    """

    position: int
    source_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOrder:
    """One track to fetch into `directory`, which is the run's own and already there.

    `max_bytes` bounds the folder, `max_duration` (seconds) the track and `deadline` (seconds) the whole run;
    None leaves the first two open. The run ends, too, when less than `min_free` bytes are left on the
    folder's disk, whoever took them. `policy` says what may be connected to, and `proxy` is the operator's
    own proxy, which then does the connecting. With `single`, a URL that names both a track and a list means
    the track. A `.part` file that an earlier run left in `directory` is resumed.

    With `item`, the URL is that of a list, and just this entry of it is fetched. A list that is told instead
    of fetched gives at most `max_items` entries.

    `cookies` are in none of its words: they reach the fetching process by a descriptor of their own.
    """

    url: str
    directory: Path
    policy: EgressPolicy
    deadline: float
    max_bytes: int | None = None
    max_duration: float | None = None
    min_free: int = 0
    proxy: str | None = None
    single: bool = True
    item: Item | None = None
    max_items: int = 1000
    cookies: tuple[Cookie, ...] = field(default=(), repr=False)

    def to_json(self, *, way_out: str, listing: bool) -> dict[str, Any]:
        """Return what the fetching process needs to know, as JSON types.

        `way_out` is the egress proxy's URL; with `listing`, a list may be told.
        """
        return {
            "url": self.url,
            "proxy": way_out,
            "max_bytes": self.max_bytes,
            "max_duration": self.max_duration,
            "single": self.single,
            "item": asdict(self.item) if self.item else None,
            "max_items": self.max_items if listing else None,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildOrder:
    """The part of a `FetchOrder` that crosses into the fetching process; no `max_items`, no lists.

    `proxy` is the way out: the egress proxy's URL, with the credential of this one run.
    """

    url: str
    proxy: str
    max_bytes: int | None
    max_duration: float | None
    single: bool
    item: Item | None
    max_items: int | None
    cookies: tuple[Cookie, ...] = field(default=(), repr=False)

    @classmethod
    def from_json(cls, data: dict[str, Any], cookies: tuple[Cookie, ...] = ()) -> "ChildOrder":
        """Read what `FetchOrder.to_json` wrote."""
        return cls(
            url=data["url"],
            proxy=data["proxy"],
            max_bytes=data["max_bytes"],
            max_duration=data["max_duration"],
            single=data["single"],
            item=Item(**data["item"]) if data["item"] else None,
            max_items=data["max_items"],
            cookies=cookies,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureOrder:
    """A picture to fetch into `directory`: at most `max_bytes`, within `deadline` seconds.

    `referer` is the page that shows it, for sources that ask.
    """

    url: str
    directory: Path
    policy: EgressPolicy
    deadline: float = 30.0
    max_bytes: int = 20 * 1024**2
    proxy: str | None = None
    referer: str | None = None

    def to_json(self, *, way_out: str) -> dict[str, Any]:
        """Return what the fetching process needs to know, as JSON types."""
        return {"url": self.url, "proxy": way_out, "max_bytes": self.max_bytes, "referer": self.referer}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildPictureOrder:
    """The part of a `PictureOrder` that crosses into the fetching process; `proxy` is the way out."""

    url: str
    proxy: str
    max_bytes: int
    referer: str | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ChildPictureOrder":
        """Read what `PictureOrder.to_json` wrote."""
        return cls(**data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a fetch is: `phase` is `resolving` or `downloading`; bytes, bytes a second and seconds."""

    phase: str
    downloaded_bytes: int = 0
    total_bytes: int | None = None
    speed: float | None = None
    eta: float | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Progress":
        """Read what `dataclasses.asdict` and JSON made of one; raises ValueError for anything else."""
        match data:
            case {
                "phase": "resolving" | "downloading" as phase,
                "downloaded_bytes": int(downloaded),
                "total_bytes": int() | None as total,
                "speed": int() | float() | None as speed,
                "eta": int() | float() | None as eta,
            } if len(data) == len(fields(cls)) and all(map(_is_amount, (downloaded, total, speed, eta))):
                return cls(phase=phase, downloaded_bytes=downloaded, total_bytes=total, speed=speed, eta=eta)
            case _:
                raise ValueError("not a Progress")


def _is_amount(value: float | None) -> bool:
    return value is None or 0 <= value <= MAX_AMOUNT  # which neither NaN nor infinity is


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A fetched file, as the source sent it, and what the source says about it."""

    path: Path
    info: SourceInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a list, as the list itself tells it.

    `position` counts over the flattened list, from 1. `url` is the web address that the entry alone can be
    fetched from; without one it is to be had through the list only, as an `Item`. In `info`, `extractor` and
    `source_id` are empty where the list doesn't tell them; it has no description and at most three pictures.
    """

    position: int
    url: str | None
    info: SourceInfo

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Entry":
        """Read what `dataclasses.asdict` and JSON made of one; raises ValueError for anything else."""
        match data:
            case {"position": int(position), "url": str() | None as url, "info": dict(info)} if (
                url is None or is_web_address(url)
            ):
                return cls(position=position, url=url, info=SourceInfo.from_json(info))
            case _:
                raise ValueError("not an Entry")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """How a listing ended: what the source says about the list as a whole, and how many entries were told.

    `left_out` says how many more there are: None means more, and nobody knows how many. The collection's
    `track_count` is the source's own count, if it tells one.
    """

    collection: SourceInfo
    count: int
    left_out: int | None
