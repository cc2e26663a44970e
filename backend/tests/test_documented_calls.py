"""The curl lines of the page about the API, run one after the other against a real service."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import media
from tests.cli.running import NAS_MUSIC
from tests.conftest import Serve
from tests.source import Source

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
# A call that is refused fails, but for 503, which says to try again. The stream of events ends by itself.
PRELUDE = """
set -eu -o pipefail
curl() {
    case " $* " in
        *" -sN "*) command curl --fail-with-body --max-time 1 "$@" || [ $? -eq 28 ] ;;
        *) command curl --fail-with-body --retry 3 "$@" ;;
    esac
}
"""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def calls(script: str) -> Iterator[tuple[str, str]]:
    """Yield the method and the path of each curl in a script."""
    for command in re.findall(r"curl ([^\n]*http://localhost:8000[^\n]*)", script.replace("\\\n", " ")):
        address = re.search(r"http://localhost:8000([^\s\"?]*)", command)
        method = re.search(r"-X ([A-Z]+)", command)
        assert address
        yield method[1] if method else "POST" if " -d " in command else "GET", address[1]


def test_every_call_is_shown_with_curl() -> None:
    shown = {
        f"{method} {re.sub(r'/([0-9]+|youtube[.]com)', '/{id}', path)}"
        for method, path in calls("\n".join(blocks()))
    }
    listed = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown == {re.sub(r"{\w+}", "{id}", call) for call in listed}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
async def test_the_lines_do_what_the_page_says_in_their_order(
    serve: Serve, source: Source, tmp_path: Path
) -> None:
    cover = source.file("/cover.jpg", media.picture())
    audio = source.file("/song.mp3", media.make("mp3", seconds=1))
    song = source.json_ld_page("/song", audio, thumbnailUrl=cover)
    service = await serve(embedded_worker=True)
    address = str(service.http.base_url).rstrip("/")
    (tmp_path / "cookies.txt").write_text(".youtube.com\tTRUE\t/\tTRUE\t0\tSID\tnobody hears of this\n")
    script = PRELUDE + "\n".join(blocks())
    for documented, real in {
        "http://localhost:8000": address,
        "https://artist.example/track/song": song,
        "https://artist.example/album/long": source.silent("/long.mp3"),
        ".venv/bin/nas-music": str(NAS_MUSIC),
    }.items():
        assert documented in script
        script = script.replace(documented, real)
    said, status = await run(script, folder=tmp_path, DATABASE_URL=service.settings.conninfo)
    assert status == 0, said[-2000:]
    for words in (
        *('"status":"pending"', '"title":"A Song"', '"status":"cancelled"', 'rel="first"'),
        *('"message":', "alice is an administrator.", '"is_active":false', '"action":"auth.login"'),
        *("nas_music_", '"docs":"/docs"', '"site":"youtube.com","count":1'),
    ):
        assert words in said, words
    assert "nobody hears" not in said
    fetched = {path.suffix: path.stat().st_size for path in tmp_path.iterdir() if path.is_file()}  # noqa: ASYNC240
    assert fetched[".mp3"] > 1000
    assert fetched[".jpg"] > 1000
    assert not list(service.library.rglob("*.mp3"))


async def run(script: str, *, folder: Path, **environment: str) -> tuple[str, int | None]:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return said.decode(), process.returncode
