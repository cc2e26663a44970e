"""Handing out what has been downloaded: the audio and its cover."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from music_downloader.auth.caller import CurrentUser
from music_downloader.dependencies import SessionDep, SettingsDep
from music_downloader.route.parameter import DownloadId
from music_downloader.route.sending import AUDIO_TYPES, AudioFile, CoverPicture, Place
from music_downloader.schema.problem import responses
from music_downloader.service import library

router = APIRouter(prefix="/api", tags=["Downloads"], responses=responses(401, 404, 422, 503))

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_AUDIO = dict.fromkeys(sorted(set(AUDIO_TYPES.values())), _BINARY)
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "What you have is the same"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The audio file", "content": _AUDIO},
    206: {
        "description": "The parts that `Range` asks for",
        "content": {**_AUDIO, "multipart/byteranges": _BINARY},
    },
    **_UNCHANGED,
    **responses(416),
}
_COVER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": dict.fromkeys(("image/jpeg", "image/png"), _BINARY)},
    **_UNCHANGED,
}


@router.head("/downloads/{download_id}/file", include_in_schema=False)
@router.get(
    "/downloads/{download_id}/file",
    response_class=Response,
    summary="Fetch the audio file",
    operation_id="getDownloadFile",
    responses=_FILE,
)
async def get_file(
    download_id: DownloadId,
    session: SessionDep,
    settings: SettingsDep,
    user: CurrentUser,
    *,
    as_attachment: Annotated[
        bool, Query(alias="download", description="Ask the browser to save the file, not to play it")
    ] = False,
) -> AudioFile:
    """Send the file of a completed track, whole or in the ranges that are asked for."""
    track = await library.file_of(session, user=user, download_id=download_id)
    place = Place(root=settings.output_directory, path=track.path, sha256=track.sha256)
    return AudioFile(place, as_attachment=as_attachment)


@router.head("/downloads/{download_id}/cover", include_in_schema=False)
@router.get(
    "/downloads/{download_id}/cover",
    response_class=Response,
    summary="Fetch the cover picture",
    operation_id="getDownloadCover",
    responses=_COVER,
)
async def get_cover(
    download_id: DownloadId, session: SessionDep, settings: SettingsDep, user: CurrentUser
) -> CoverPicture:
    """Send the picture inside the file; for a collection, that of its first completed track."""
    track = await library.cover_of(session, user=user, download_id=download_id)
    return CoverPicture(Place(root=settings.output_directory, path=track.path, sha256=track.sha256))
