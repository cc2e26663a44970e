"""Whether nothing was lost: asked of tables and files themselves, by none of the service's own code."""

import hashlib
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import psycopg
from psycopg.rows import dict_row

_OWN = ".nas-music"
_MARKERS = {".ndignore", ".nomedia", ".ignore", ".mpdignore", "library"}


@dataclass
class Verdict:
    """What was found: `faults` in words, and how often what came out."""

    faults: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)


def unfinished(database_url: str) -> int:
    """Count what still moves: downloads, jobs, and words of what is about to be filed."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM download_history WHERE status IN ('pending', 'in-progress'))"
            " + (SELECT count(*) FROM procrastinate_jobs WHERE task_name NOT IN"
            " ('music:rescue', 'music:clean_up') AND status IN ('todo', 'doing'))"
            " + (SELECT count(*) FROM filing_intents)"
        ).fetchone()
    return int(row[0]) if row else 0


def check(
    database_url: str, library: Path, *, accepted: Mapping[int, str], sources: Mapping[str, str]
) -> Verdict:
    """Judge an installation that has come to rest.

    `accepted` are the ids that the API has given out, with what was asked for; `sources` is the digest of the
    audio packets that each title has at its source, for what is kept as it is.
    """
    verdict = Verdict()
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        downloads = connection.execute("SELECT * FROM download_history ORDER BY id").fetchall()
        tracks = connection.execute("SELECT * FROM tracks").fetchall()
        audit = connection.execute(
            "SELECT action, resource FROM audit_logs WHERE resource LIKE 'download:%' ORDER BY id"
        ).fetchall()
        intents = connection.execute("SELECT * FROM filing_intents").fetchall()
    _check_history(verdict, downloads, audit, accepted)
    _check_tracks(verdict, downloads, tracks, library, sources)
    _check_library(verdict, downloads, tracks, library)
    verdict.faults += [f"a word of {said['path']} was never taken back" for said in intents]
    return verdict


def _check_history(
    verdict: Verdict,
    downloads: list[dict[str, Any]],
    audit: list[dict[str, Any]],
    accepted: Mapping[int, str],
) -> None:
    told: dict[str, list[str]] = {}
    for entry in audit:
        told.setdefault(entry["resource"], []).append(entry["action"].removeprefix("download."))
    rows = {row["id"]: row for row in downloads}
    verdict.faults += [
        f"download {number} was accepted and is gone" for number in accepted.keys() - rows.keys()
    ]
    for number, row in rows.items():
        status = row["status"]
        verdict.statuses[status] += 1
        actions = Counter(told.get(f"download:{number}", []))
        ends = {"completed": "complete", "failed": "fail", "cancelled": "cancel"}
        if status not in ends:
            verdict.faults.append(f"download {number} never ended: {status}")
            continue
        if actions["submit"] != (row["parent_id"] is None):
            verdict.faults.append(
                f"download {number} was submitted {actions['submit']} times by its audit rows"
            )
        is_told = status != "cancelled" or row["parent_id"] is None
        again = actions["retry"]
        if is_told and not 1 <= actions[ends[status]] <= 1 + again:
            verdict.faults.append(f"download {number} is {status}, and its audit rows say {dict(actions)}")
        others = sum(actions[word] for one, word in ends.items() if one != status)
        if others > again:
            verdict.faults.append(f"download {number} ended twice: {dict(actions)}")
        if status == "failed":
            verdict.counts[f"failed as {row['error_code']}: {row['error_message'][:60]}"] += 1
        if row["fetching"] or row["parked"]:
            verdict.faults.append(f"download {number} has ended and still has a place at its host")


def _check_tracks(
    verdict: Verdict,
    downloads: list[dict[str, Any]],
    tracks: list[dict[str, Any]],
    library: Path,
    sources: Mapping[str, str],
) -> None:
    by_id = {track["id"]: track for track in tracks}
    for row in downloads:
        if row["status"] == "completed" and row["kind"] == "track" and row["track_id"] not in by_id:
            verdict.faults.append(f"download {row['id']} is completed and has no track")
    for track in tracks:
        path = library / track["path"]
        if not path.is_file():
            verdict.faults.append(f"{track['path']} has a row and is no file")
            continue
        if (_digest(path), path.stat().st_size) != (track["sha256"], track["size"]):
            verdict.faults.append(f"{track['path']} isn't what its row says")
        title = track["tags"]["values"]["title"]
        if not _decodes(path):
            verdict.faults.append(f"{track['path']} can't be decoded")
        elif track["original"] and title in sources and packets(path) != sources[title]:
            verdict.faults.append(f"{track['path']} isn't what the source had")


def _check_library(
    verdict: Verdict, downloads: list[dict[str, Any]], tracks: list[dict[str, Any]], library: Path
) -> None:
    owned = {track["path"] for track in tracks}
    playlists = {row["playlist_path"] for row in downloads if row["playlist_path"]}
    covers = {(str(Path(track["path"]).parent), track["cover_sha256"]) for track in tracks}
    for path in sorted(library.rglob("*")):
        relative = path.relative_to(library)
        if relative.parts[0] == _OWN:
            if (path.is_file() and path.name not in _MARKERS) or (path.is_dir() and len(relative.parts) > 2):
                verdict.faults.append(f"{relative} was left")
        elif path.is_dir():
            if not any(path.iterdir()):
                verdict.faults.append(f"the folder {relative} is empty")
        elif str(relative) in playlists:
            verdict.counts["playlists"] += 1
            verdict.faults += [f"{relative} names {line}, which isn't there" for line in _missing(path)]
        elif str(relative) in owned:
            verdict.counts["files with a row"] += 1
        elif path.name == "cover.jpg" and (str(relative.parent), _digest(path)) in covers:
            verdict.counts["covers"] += 1
        else:
            verdict.faults.append(f"{relative} belongs to nobody")
    gone = [path for path in playlists if not (library / path).is_file()]
    verdict.faults += [f"the playlist {path} isn't there" for path in gone]


def _missing(playlist: Path) -> list[str]:
    lines = [line for line in playlist.read_text().splitlines() if not line.startswith("#")]
    return [line for line in lines if not (playlist.parent / line).is_file()]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def packets(path: Path) -> str:
    """Return the digest of the encoded packets, without any container or tag."""
    ran = _ffmpeg("-i", path, "-map", "0:a", "-c", "copy", "-f", "data", "-")
    return hashlib.sha256(ran.stdout).hexdigest()


def _decodes(path: Path) -> bool:
    ran = _ffmpeg("-xerror", "-i", path, "-map", "0:a", "-f", "null", "-")
    return ran.returncode == 0 and not ran.stderr.strip()


def _ffmpeg(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, timeout=60, check=False)
