"""What the pages of a source look like; `tests.source` serves them."""

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FeedItem:
    """One item of a feed; `published` as feeds have it: `Tue, 02 Jan 2024 10:00:00 GMT`."""

    url: str
    title: str = "An Item"
    guid: str | None = None
    published: str | None = None
    author: str | None = None
    image: str | None = None
    duration: str | None = None


@dataclass(frozen=True)
class BandcampTrack:
    """One track of a Bandcamp-like album; without a `file`'s worth of time there is no song, as there."""

    title: str
    file: Path
    artist: str | None = None
    seconds: float = 2.5

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def feed(
    items: list[str | FeedItem], *, title: str = "Feed", author: str | None = None, image: str | None = None
) -> str:
    listed = [
        item if isinstance(item, FeedItem) else FeedItem(item, f"Item {number}")
        for number, item in enumerate(items, 1)
    ]
    channel = f"{_tag('title', title)}{_tag('itunes:author', author)}{_image(image)}"
    return (
        '<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd">'
        f"<channel>{channel}{''.join(map(_item, listed))}</channel></rss>"
    )


def _item(item: FeedItem) -> str:
    url = html.escape(item.url)
    return (
        f"<item>{_tag('title', item.title)}<link>{url}</link>"
        f'<enclosure url="{url}" type="audio/mpeg" length="1"/>'
        f"{_tag('guid', item.guid)}{_tag('pubDate', item.published)}{_tag('itunes:author', item.author)}"
        f"{_tag('itunes:duration', item.duration)}{_image(item.image)}</item>"
    )


def _tag(name: str, value: str | None) -> str:
    return f"<{name}>{html.escape(value)}</{name}>" if value else ""


def _image(url: str | None) -> str:
    return f'<itunes:image href="{html.escape(url)}"/>' if url else ""


def album(audio_urls: list[str], title: str, picture: str | None) -> tuple[str, str]:
    """Return the head and the body of a page with several <audio>."""
    shown = f'<meta property="og:image" content="{html.escape(picture)}">' if picture else ""
    players = "".join(f'<p><audio controls src="{html.escape(url)}"></audio></p>' for url in audio_urls)
    return f"<title>{html.escape(title)}</title>{shown}", players


def xspf(tracks: list[tuple[str, str]]) -> str:
    listed = "".join(
        f"<track>{_tag('title', title)}<location>{html.escape(url)}</location></track>"
        for title, url in tracks
    )
    return (
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/">'
        f"<trackList>{listed}</trackList></playlist>"
    )


def bandcamp_album(
    host: str,
    slug: str,
    tracks: list[BandcampTrack],
    picture: str | None,
    *,
    title: str = "An Album",
    name: str = "The Artist",
    released: str = "26 Feb 2021 00:00:00 GMT",
) -> str:
    facts = {
        "artist": name,
        "album_release_date": released,
        "current": {"title": title, "about": f"All about {title}"},
        "url": f"http://{host}/album/{slug}",
        "trackinfo": [
            {
                "id": _bandcamp_id(host, track),
                "track_id": _bandcamp_id(host, track),
                "title": track.title,
                "title_link": f"/track/{track.slug}",
                "track_num": number,
                "duration": track.seconds,
            }
            for number, track in enumerate(tracks, 1)
        ],
    }
    return _bandcamp(title, name, picture, tralbum=facts)


def bandcamp_track(
    host: str,
    slug: str,
    number: int,
    track: BandcampTrack,
    audio: str,
    picture: str | None,
    *,
    title: str = "An Album",
    name: str = "The Artist",
    released: str = "26 Feb 2021 00:00:00 GMT",
) -> str:
    facts = {
        "artist": track.artist or name,
        "album_release_date": released,
        "current": {"title": track.title, "publish_date": released, "artist": track.artist},
        "album_url": f"/album/{slug}",
        "trackinfo": [
            {
                "id": _bandcamp_id(host, track),
                "track_id": _bandcamp_id(host, track),
                "title": track.title,
                "track_num": number,
                "duration": track.seconds,
                "file": {f"{track.file.suffix[1:]}-128": audio},
            }
        ],
    }
    embed = {"artist": track.artist or name, "album_title": title}
    by = f'by <span><a href="/">{html.escape(name)}</a></span>'
    body = f'<h3 class="albumTitle">from <span>{html.escape(title)}</span> {by}</h3>'
    return _bandcamp(track.title, name, picture, body, tralbum=facts, embed=embed)


def _bandcamp(title: str, name: str, picture: str | None, body: str = "", **data: dict[str, Any]) -> str:
    shown = f'<meta property="og:image" content="{html.escape(picture)}">' if picture else ""
    scripts = "".join(
        f'<script data-{kind}="{html.escape(json.dumps(facts))}"></script>' for kind, facts in data.items()
    )
    head = f"<title>{html.escape(title)} | {html.escape(name)}</title>{shown}{scripts}"
    return f'<!doctype html><html><head><meta charset="utf-8">{head}</head><body>{body}</body></html>'


def _bandcamp_id(host: str, track: BandcampTrack) -> int:
    return int.from_bytes(f"{host}/{track.slug}".encode()) % 1_000_000_007
