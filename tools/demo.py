"""The whole main job once, offline: an album and a single are made, served, downloaded and shown."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import mutagen
import rig

ARTIST, ALBUM, YEAR = "The Loopbacks", "Songs from Nowhere", 2021
# The file as the source has it, the title, and the chord in Hz.
TRACKS = (
    ("one.mp3", "First Light", (262, 330, 392)),
    ("two.m4a", "Noon", (294, 370, 440)),
    ("three.opus", "Long Shadows", (330, 415, 494)),
)
SINGLE = ("four.flac", "Last Train Home", (349, 440, 523))
PAGE, COVER = "album.html", "cover.jpg"
CODING = {
    ".mp3": ("-c:a", "libmp3lame", "-b:a", "128k"),
    ".m4a": ("-c:a", "aac", "-b:a", "128k"),
    ".opus": ("-c:a", "libopus", "-b:a", "96k"),
    ".flac": ("-c:a", "flac"),
}
SECONDS = 6
RATE = 90_000  # bytes a second from the source, so that there is progress to see
PATIENCE = 60
TAGS = ("artist", "album", "albumartist", "title", "tracknumber", "date")
EXPECTED = len(TRACKS) + 1
COLUMNS = ("id", "parent_id", "status", "artist", "title", "format", "codec", "bitrate", "file_size")


def main() -> int:
    """Run the demonstration; 0 when every track landed and the token died."""
    began = time.monotonic()
    try:
        with rig.temporary_folder() as folder:
            landed = _demonstrate(folder)
    except rig.RigError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; everything is cleaned up.", file=sys.stderr)
        return 130
    _step(f"Done in {time.monotonic() - began:.0f} s; the service has ended and all of this is removed again")
    if landed < EXPECTED:
        print(f"   only {landed} of {EXPECTED} tracks landed", file=sys.stderr)
        return 1
    return 0


def _demonstrate(folder: Path) -> int:
    """Return how many tracks landed."""
    _step("Making an album of three short tracks with a cover, and a single, each in another format")
    music = folder / "music"
    music.mkdir()
    for name, title, chord in (*TRACKS, SINGLE):
        _make(music / name, title=title, chord=chord)
        print(f"   {name:<12}{title}")
    rig.ffmpeg("-f", "lavfi", "-i", "gradients=s=1280x720:d=1", "-frames:v", "1", music / COVER)
    print(f"   {COVER:<12}1280 x 720, as a video's still would be")
    _step("Serving it from this machine, and starting the service with its own PostgreSQL and worker")
    with rig.source(music, rate=RATE) as source, rig.service(folder / "service") as service:
        _write_page(music / PAGE, address=source)
        print(f"   the source is {source}, the service {service.address}")
        with rig.Api(service.address) as api:
            landed = _use(_Told(api), source)
        _step("What lies in the library now, as any player reads it")
        _show_files(service.library, landed)
    return len(landed)


def _make(path: Path, *, title: str, chord: tuple[int, ...]) -> None:
    tones = "+".join(f"0.2*sin({frequency}*2*PI*t)" for frequency in chord)
    sound = f"aevalsrc='{tones}|{tones}':s=48000:d={SECONDS},afade=out:st={SECONDS - 1}:d=1"
    facts = {"artist": ARTIST, "title": title, "genre": "Ambient"}
    metadata = [part for name, value in facts.items() for part in ("-metadata", f"{name}={value}")]
    rig.ffmpeg("-f", "lavfi", "-i", sound, *CODING[path.suffix], *metadata, path)


def _write_page(path: Path, *, address: str) -> None:
    """Write what a band's own page may look like: a heading, a picture, and a player for each track."""
    players = "".join(f'<audio controls src="{address}/{name}"></audio>' for name, *_ in TRACKS)
    path.write_text(
        f"<!doctype html><html><head><title>{ARTIST} - {ALBUM} ({YEAR})</title>"
        f'<meta property="og:image" content="{address}/{COVER}"></head><body>{players}</body></html>',
        encoding="utf-8",
    )


class _Told:
    """The API, with every call told in the words of curl."""

    def __init__(self, api: rig.Api) -> None:
        self.api = api

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, form: bool = False
    ) -> rig.Answer:
        bearer = " -H 'Authorization: Bearer …'" if self.api.token else ""
        data = "" if body is None else f" -d '{urlencode(body)}'" if form else f" --json '{json.dumps(body)}'"
        verb = f" -X {method}" if method == "POST" and body is None else ""
        print(f"   $ curl{verb}{bearer} '…{path}'{data}")
        return self.api.call(method, path, body, form=form)


def _use(told: _Told, source: str) -> list[dict[str, Any]]:
    """Walk through the API as a person would; return the downloads that landed."""
    _step("Making an account and logging in")
    told.call("POST", "/auth/register", rig.USER).expect(201)
    login = {name: rig.USER[name] for name in ("username", "password")}
    told.api.token = told.call("POST", "/auth/login", login, form=True).expect(200)["access_token"]
    _step("Handing in two URLs: the album's page, and the single, which is to become MP3")
    wanted = ({"url": f"{source}/{PAGE}"}, {"url": f"{source}/{SINGLE[0]}", "format": "mp3"})
    ids = [told.call("POST", "/api/download", body).expect(202)["id"] for body in wanted]
    _step("Following them; two tracks run at once")
    _follow(told, ids)
    _step("The history: the album is one download, its tracks are listed below it")
    rows = told.call("GET", "/api/downloads?per_page=20").expect(200)["downloads"]
    of_album = told.call("GET", f"/api/downloads?parent_id={ids[0]}").expect(200)["downloads"]
    _table(
        ("id", "of", "status", "artist", "title", "format", "codec", "kbit/s", "bytes"),
        [tuple(row[name] for name in COLUMNS) for row in (*reversed(rows), *of_album)],
    )
    _step("Logging out: the token is dead at once")
    told.call("POST", "/auth/logout").expect(200)
    print(f"   refused: {told.call('GET', '/auth/me').expect(401)['detail']}")
    tracks = (*of_album, *(row for row in rows if row["kind"] == "track"))
    return [row for row in tracks if row["status"] == "completed"]


def _follow(told: _Told, ids: list[int]) -> None:
    print(f"   $ curl -H 'Authorization: Bearer …' '…/api/downloads/{ids[0]}'   (until each has ended)")
    seen: dict[int, str] = {}
    deadline = time.monotonic() + PATIENCE
    open_ids = list(ids)
    while open_ids:
        if time.monotonic() > deadline:
            raise rig.RigError(f"Downloads {open_ids} haven't ended within {PATIENCE} s.")
        for download_id in list(open_ids):
            row = told.api.download(download_id)
            said = _state(row)
            if seen.get(download_id) != said:
                seen[download_id] = said
                print(f"   {download_id}  {said}", flush=True)
            if row["status"] in rig.ENDED:
                open_ids.remove(download_id)
        time.sleep(0.1)


def _state(row: dict[str, Any]) -> str:
    if row["status"] == "failed":
        return f"failed: {row['error_code']}: {row['error_message']}"
    if row["items"] is not None:
        items = row["items"]
        return f"{row['status']:<13}{row['title']}: {items['completed']} of {items['total']} tracks"
    if row["status"] == "completed":
        return f"completed    {row['file_path']}"
    progress = row["progress"]
    if not progress:
        return str(row["status"])
    share = f"{progress['percent']:>4.0f} %" if progress["percent"] else ""
    return f"{progress['phase']:<13}{share}".rstrip()


def _show_files(library: Path, landed: list[dict[str, Any]]) -> None:
    for row in landed:
        path = library / row["file_path"]
        file = mutagen.File(path, easy=True)
        if file is None:
            raise rig.RigError(f"{row['file_path']} can't be read as audio.")
        said = ", ".join(f"{name}={'; '.join(file[name])}" for name in TAGS if name in file)
        print(
            f"   {row['file_path']}   ({path.stat().st_size:,} bytes, {file.info.length:.1f} s)\n      {said}"
        )
    for cover in sorted(library.rglob("cover.jpg")):
        print(
            f"   {cover.relative_to(library)}   ({cover.stat().st_size:,} bytes, square, also in each file)"
        )


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    cells = [heads, *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("   " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _step(sentence: str) -> None:
    print(f"\n── {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
