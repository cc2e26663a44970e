"""minidlna on a library, asked as a television would: UPnP's ContentDirectory over SOAP, pictures by HTTP.

    with minidlna.reading(library) as reader:
        assert reader.albums() == [("Björk", "Homogenic")]

In its list of albums it joins all that have one title, whoever made them. So albums are looked up by way of
their artists.
"""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import httpx
from tests.readers.programs import PATIENCE, program, running, wait_until
from tests.readers.reader import AlbumName, Shown

# The names of cover files are those of Debian's own configuration.
_CONFIGURATION = """\
media_dir=A,{library}
db_dir={folder}/database
log_dir={folder}
port={port}
network_interface=lo
inotify=no
album_art_names=Cover.jpg/cover.jpg/AlbumArtSmall.jpg/albumartsmall.jpg
album_art_names=AlbumArt.jpg/albumart.jpg/Album.jpg/album.jpg
album_art_names=Folder.jpg/folder.jpg/Thumb.jpg/thumb.jpg
"""
_SCANNED = "Finished parsing playlists"  # the last thing it does before it is ready
_ALL, _BY_ARTIST, _BY_ALBUM = "1$4", "1$6", "1$7"  # its containers' ids
_ALBUM = "object.container.album.musicAlbum"
_NO_ALBUM = "Unknown Album"

_SERVICE = "urn:schemas-upnp-org:service:ContentDirectory:1"
_BROWSE = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:Browse xmlns:u="{service}">
<ObjectID>{id}</ObjectID><BrowseFlag>BrowseDirectChildren</BrowseFlag><Filter>*</Filter>
<StartingIndex>0</StartingIndex><RequestedCount>0</RequestedCount><SortCriteria></SortCriteria>
</u:Browse></s:Body></s:Envelope>"""
_NAMES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "upnp": "urn:schemas-upnp-org:metadata-1-0/upnp/",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A container or a track, as `Browse` gives it; '' where a property is missing."""

    id: str
    kind: str
    title: str
    creator: str
    artist: str
    number: str
    date: str
    picture: str


class Minidlna:
    """A control point of one minidlna; it satisfies `Reader`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def browse(self, container: str) -> list[Entry]:
        """List what is in a container, in the server's order."""
        answer = self._http.post(
            "/ctl/ContentDir",
            content=_BROWSE.format(service=_SERVICE, id=escape(container)).encode(),
            headers={"SOAPAction": f'"{_SERVICE}#Browse"', "Content-Type": 'text/xml; charset="utf-8"'},
        )
        envelope = _parsed(answer.raise_for_status().text)
        result = _parsed(envelope.findtext(".//Result") or "")
        return [_entry(element) for element in result]

    def album_titles(self) -> list[str]:
        """List the titles in the server's own list of albums."""
        return [entry.title for entry in self.browse(_BY_ALBUM)]

    def titles(self) -> list[str]:
        """List the titles of all tracks."""
        return [entry.title for entry in self.browse(_ALL)]

    def albums(self) -> list[AlbumName]:
        return [name for name, _ in self._containers() if name[1]]

    def tracks(self, name: AlbumName) -> list[Shown]:
        return [_shown(entry) for entry in self.entries_of(name)]

    def covers(self, name: AlbumName) -> list[bytes]:
        return [self.fetch(entry.picture) if entry.picture else b"" for entry in self.entries_of(name)]

    def fetch(self, address: str) -> bytes:
        """Get a picture or a track by HTTP."""
        return self._http.get(address).raise_for_status().content

    def entries_of(self, name: AlbumName) -> list[Entry]:
        return [track for found, id_ in self._containers() if found == name for track in self.browse(id_)]

    def _containers(self) -> list[tuple[AlbumName, str]]:
        return [
            ((artist.title, "" if entry.title == _NO_ALBUM else entry.title), entry.id)
            for artist in self.browse(_BY_ARTIST)
            for entry in self.browse(artist.id)
            if entry.kind == _ALBUM
        ]


@contextmanager
def reading(library: Path) -> Iterator[Minidlna]:
    """Let a minidlna of our own scan the library; it announces itself on the loopback only."""
    with tempfile.TemporaryDirectory(prefix="minidlna-") as temporary:
        folder, port = Path(temporary), _free_port()
        configuration, log = folder / "minidlna.conf", folder / "minidlna.log"
        configuration.write_text(
            _CONFIGURATION.format(library=library, folder=folder, port=port), encoding="utf-8"
        )
        server = program("minidlnad", package="minidlna")
        command = (server, "-S", "-f", configuration, "-P", folder / "pid")
        with running(*command, log=folder / "output") as process:
            wait_until(lambda: _says(log, _SCANNED), process, log, folder / "output")
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as http:
                yield Minidlna(http)


def _entry(element: ET.Element) -> Entry:
    def text(name: str) -> str:
        return element.findtext(name, default="", namespaces=_NAMES)

    return Entry(
        id=element.attrib["id"],
        kind=text("upnp:class"),
        title=text("dc:title"),
        creator=text("dc:creator"),
        artist=text("upnp:artist"),
        number=text("upnp:originalTrackNumber"),
        date=text("dc:date"),
        picture=text("upnp:albumArtURI"),
    )


def _shown(entry: Entry) -> Shown:
    """Read a track's line; minidlna gives the album's artist as the artist, the track's as its creator."""
    return Shown(
        title=entry.title,
        artist=entry.creator,
        number=int(entry.number) if entry.number else None,
        year=entry.date[:4],
    )


def _parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  # it comes from our own child


def _says(log: Path, text: str) -> bool:
    return log.exists() and text in log.read_text("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
