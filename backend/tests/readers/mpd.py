"""MPD on a library, asked in its own protocol (https://mpd.readthedocs.io/en/stable/protocol.html).

with mpd.reading(library) as reader:
    assert reader.albums() == [("Björk", "Homogenic")]
"""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath

from tests.readers.programs import PATIENCE, program, running, wait_until
from tests.readers.reader import AlbumName, Shown

Pairs = list[tuple[str, str]]

_CONFIGURATION = """\
music_directory "{library}"
db_file "{folder}/database"
bind_to_address "{folder}/socket"
auto_update "no"
zeroconf_enabled "no"
audio_output {{
    type "null"
    name "nothing is played"
}}
"""


class Mpd:
    """A client of one MPD; it satisfies `Reader`."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(address))
        self._stream = self._socket.makefile("rwb")
        self._stream.readline()  # its greeting

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, command: str, *arguments: str) -> Pairs:
        """Send a command and return what it answers, name by value; RuntimeError for MPD's own errors."""
        return self._answer(command, *arguments)[0]

    def picture(self, command: str, file: str) -> bytes:
        """Fetch a picture by `readpicture`, out of the file, or `albumart`, beside it; b'' if none."""
        data, size = b"", 1
        while len(data) < size:
            facts, piece = self._answer(command, file, str(len(data)))
            if not piece:
                return b""
            data, size = data + piece, int(dict(facts)["size"])
        return data

    def is_scanning(self) -> bool:
        return "updating_db" in dict(self.ask("status"))

    def albums(self) -> list[AlbumName]:
        names, artist = [], ""
        for name, value in self.ask("list", "album", "group", "albumartist"):
            if name == "AlbumArtist":
                artist = value
            elif value:
                names.append((artist, value))
        return names

    def tracks(self, name: AlbumName) -> list[Shown]:
        return [_shown(song) for song in self.songs_of(name)]

    def covers(self, name: AlbumName) -> list[bytes]:
        return [self.picture("readpicture", song[0][1]) for song in self.songs_of(name)]

    def songs_of(self, name: AlbumName) -> list[Pairs]:
        """Give what MPD knows of an album's songs, the file first."""
        whose, album = map(_quoted, name)
        return self._songs(f"((AlbumArtist == {whose}) AND (Album == {album}))")

    def titles(self) -> list[str]:
        """List the titles of all songs."""
        return [_shown(song).title for song in self._songs('(file != "")')]

    def comments(self, file: PurePosixPath) -> dict[str, str]:
        """Give the tags that MPD finds in a song but keeps no list of, by their names in capitals."""
        return {name.upper(): value for name, value in self.ask("readcomments", str(file))}

    def playlist(self, file: str) -> list[str]:
        """List the songs of a playlist in the library, each by its path there."""
        return [value for _, value in self.ask("listplaylist", file)]

    def _songs(self, condition: str) -> list[Pairs]:
        found: list[Pairs] = []
        for name, value in self.ask("find", condition):
            if name == "file":
                found.append([])
            found[-1].append((name, value))
        return found

    def _answer(self, command: str, *arguments: str) -> tuple[Pairs, bytes]:
        self._stream.write(" ".join([command, *map(_quoted, arguments)]).encode() + b"\n")
        self._stream.flush()
        pairs: Pairs = []
        data = b""
        while (line := self._stream.readline().decode().rstrip("\n")) != "OK":
            name, colon, value = line.partition(": ")
            if not colon or name.startswith("ACK"):
                raise RuntimeError(f"MPD says to {command!r}: {line!r}")
            pairs.append((name, value))
            if name == "binary":
                data = self._stream.read(int(value))
                self._stream.readline()
        return pairs, data


@contextmanager
def reading(library: Path) -> Iterator[Mpd]:
    """Let an MPD of our own scan the library; it listens on a socket in a folder of its own only."""
    with tempfile.TemporaryDirectory(prefix="mpd-") as temporary:
        folder = Path(temporary)
        configuration, log = folder / "mpd.conf", folder / "log"
        configuration.write_text(_CONFIGURATION.format(library=library, folder=folder), encoding="utf-8")
        command = (program("mpd", package="mpd"), "--no-daemon", "--stderr", configuration)
        with running(*command, log=log) as process:
            wait_until(lambda: _listens(folder / "socket"), process, log)
            client = Mpd(folder / "socket")
            try:
                client.ask("update")
                wait_until(lambda: not client.is_scanning(), process, log)
                yield client
            finally:
                client.close()


def values(song: Pairs) -> dict[str, list[str]]:
    """Gather a song's tags by name."""
    ordered = sorted(song, key=lambda pair: pair[0])
    return {name: [value for _, value in pairs] for name, pairs in groupby(ordered, key=lambda pair: pair[0])}


def _shown(song: Pairs) -> Shown:
    tags = values(song)

    def first(name: str) -> str:
        return tags.get(name, [""])[0]

    number = first("Track")
    return Shown(
        title=first("Title"),
        artist=" / ".join(tags.get("Artist", [])),
        number=int(number) if number else None,
        year=first("Date")[:4],
    )


def _listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        return attempt.connect_ex(str(address)) == 0


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
