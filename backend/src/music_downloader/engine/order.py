"""What goes into a fetch and what comes out of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music_downloader.egress.policy import EgressPolicy, networks
from music_downloader.engine.source import SourceInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOrder:
    """One track to fetch into `directory`, which is the run's own and already there.

    `max_bytes` bounds the folder, `max_duration` (seconds) the track and `deadline` (seconds) the whole run;
    None leaves the first two open. With `single`, a URL that names both a track and a list means the track.
    A `.part` file that an earlier run left in `directory` is resumed.
    """

    url: str
    directory: Path
    policy: EgressPolicy
    deadline: float
    max_bytes: int | None = None
    max_duration: float | None = None
    proxy: str | None = None
    single: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return what the fetching process needs to know, as JSON types."""
        return {
            "url": self.url,
            "allowed": [str(network) for network in self.policy.allowed],
            "max_bytes": self.max_bytes,
            "max_duration": self.max_duration,
            "proxy": self.proxy,
            "single": self.single,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildOrder:
    """The part of a `FetchOrder` that crosses into the fetching process."""

    url: str
    policy: EgressPolicy
    max_bytes: int | None
    max_duration: float | None
    proxy: str | None
    single: bool

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ChildOrder":
        """Read what `FetchOrder.to_json` wrote."""
        return cls(
            url=data["url"],
            policy=EgressPolicy(allowed=networks(data["allowed"])),
            max_bytes=data["max_bytes"],
            max_duration=data["max_duration"],
            proxy=data["proxy"],
            single=data["single"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a fetch is: `phase` is `resolving` or `downloading`; bytes, bytes a second and seconds."""

    phase: str
    downloaded_bytes: int = 0
    total_bytes: int | None = None
    speed: float | None = None
    eta: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A fetched file, as the source sent it, and what the source says about it."""

    path: Path
    info: SourceInfo
