"""Fetching the cover picture that a file carries."""

import base64
from pathlib import Path

import httpx
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggopus
import pytest
from tests import media
from tests.api.filed import Sessions, add, file
from tests.api.problems import assert_problem
from tests.conftest import Service

from music_downloader.model import DownloadKind, DownloadStatus

JPEG = b"\xff\xd8\xff\xe0" + b"j" * 500
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 500


@pytest.fixture
async def alice(service: Service) -> httpx.AsyncClient:
    return await service.sign_in("alice")


def with_cover(folder: Path, kind: str, picture: bytes) -> Path:
    """Return a real file of `kind` with this picture inside, as other programs write it."""
    path = folder / f"song.{kind}"
    path.write_bytes(media.make(kind, title="A Song", artist="Somebody").read_bytes())
    block = mutagen.flac.Picture()
    block.type, block.mime, block.data = 3, "image/jpeg", picture
    if kind == "mp3":
        tags = mutagen.id3.ID3(path)
        tags.add(mutagen.id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=picture))
        tags.save(path)
    elif kind == "m4a":
        audio = mutagen.mp4.MP4(path)
        audio["covr"] = [mutagen.mp4.MP4Cover(picture)]
        audio.save()
    elif kind == "flac":
        flac = mutagen.flac.FLAC(path)
        flac.add_picture(block)
        flac.save()
    else:
        opus = mutagen.oggopus.OggOpus(path)
        opus["metadata_block_picture"] = [base64.b64encode(block.write()).decode()]
        opus.save()
    return path


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus", "flac"])
async def test_the_picture_inside_the_file_is_the_cover(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path, kind: str
) -> None:
    content = with_cover(tmp_path, kind, JPEG)
    download_id = await file(service, sessions, alice, content=content, path=f"Somebody/Song.{kind}")
    answer = await alice.get(f"/api/downloads/{download_id}/cover")
    assert (answer.status_code, answer.content) == (200, JPEG)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]
    assert "max-age=" in answer.headers["cache-control"]


async def test_the_type_is_told_by_the_picture_and_not_by_the_tag(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    download_id = await file(service, sessions, alice, content=with_cover(tmp_path, "mp3", PNG))
    answer = await alice.get(f"/api/downloads/{download_id}/cover")
    assert (answer.headers["content-type"], answer.content) == ("image/png", PNG)
    head = await alice.head(f"/api/downloads/{download_id}/cover")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(PNG)))


async def test_a_cover_that_the_client_has_is_not_sent_again(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    download_id = await file(service, sessions, alice, content=with_cover(tmp_path, "mp3", JPEG))
    place = f"/api/downloads/{download_id}/cover"
    tag = (await alice.get(place)).headers["etag"]
    known = await alice.get(place, headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    assert (await alice.get(place, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_page_in_the_place_of_a_picture_is_never_handed_out(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    content = with_cover(tmp_path, "mp3", b"<html><script>alert(1)</script></html>")
    download_id = await file(service, sessions, alice, content=content)
    answer = await alice.get(f"/api/downloads/{download_id}/cover")
    assert "no cover" in assert_problem(answer, 404)["detail"]


async def test_without_a_picture_it_is_404_and_says_so(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient
) -> None:
    plain = await file(service, sessions, alice, content=media.make("mp3"))
    broken = await file(service, sessions, alice, content=b"no audio at all", path="Somebody/Broken.mp3")
    pending = await add(sessions, alice, status=DownloadStatus.PENDING)
    for download_id in (plain, broken, pending):
        assert_problem(await alice.get(f"/api/downloads/{download_id}/cover"), 404)
    (service.library / "Somebody" / "A Song.mp3").unlink()
    assert_problem(await alice.get(f"/api/downloads/{plain}/cover"), 404)


async def test_a_collection_shows_the_cover_of_its_first_completed_track(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    parent = await add(sessions, alice, kind=DownloadKind.COLLECTION)
    place = f"/api/downloads/{parent}/cover"
    assert_problem(await alice.get(place), 404)
    for position, picture in ((3, PNG), (2, JPEG)):
        content = with_cover(tmp_path, "mp3", picture)
        path = f"Somebody/Album/{position}.mp3"
        more = {"parent_id": parent, "position": position, "url": f"https://music.example/{position}"}
        await file(service, sessions, alice, content=content, path=path, **more)
    await add(
        sessions,
        alice,
        status=DownloadStatus.PENDING,
        parent_id=parent,
        position=1,
        url="https://music.example/1",
    )
    assert (await alice.get(place)).content == JPEG


async def test_nobody_else_sees_it(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    download_id = await file(service, sessions, alice, content=with_cover(tmp_path, "mp3", JPEG))
    bob = await service.sign_in("bob")
    theirs = await bob.get(f"/api/downloads/{download_id}/cover")
    assert assert_problem(theirs, 404) == assert_problem(await bob.get("/api/downloads/999999/cover"), 404)
    assert_problem(await service.http.get(f"/api/downloads/{download_id}/cover"), 401)
