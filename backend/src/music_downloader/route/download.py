"""Submitting URLs and following them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from music_downloader.auth.caller import CallerDep, CurrentUser
from music_downloader.dependencies import OriginDep, ReadingDep, SessionDep, SettingsDep
from music_downloader.egress.policy import EgressPolicy
from music_downloader.model import Download
from music_downloader.route.paging import link_pages
from music_downloader.route.parameter import DownloadId
from music_downloader.schema.download import DownloadCreate, DownloadPage, DownloadQuery, DownloadRead
from music_downloader.schema.problem import responses
from music_downloader.service import control, history, submission

router = APIRouter(prefix="/api", tags=["Downloads"], responses=responses(401, 503))


@router.post(
    "/download",
    status_code=202,
    response_model=DownloadRead,
    summary="Queue a URL for download",
    operation_id="submitDownload",
    responses={
        200: {"description": "The same URL and format is still unfinished: this one", "model": DownloadRead},
        **responses(422, 429),
    },
)
async def submit_download(
    body: DownloadCreate,
    request: Request,
    response: Response,
    session: SessionDep,
    settings: SettingsDep,
    user: CurrentUser,
    origin: OriginDep,
) -> Download:
    """Accept one URL; its download starts at once, or as soon as a worker is free."""
    policy = EgressPolicy(allowed=settings.allowed_networks)
    url = await submission.check(session, policy, owner=user, url=body.url, origin=origin)
    download, is_new = await submission.submit(
        session,
        owner=user,
        url=url,
        audio_format=body.format or settings.audio_format,
        max_active=settings.max_active_per_user,
        origin=origin,
    )
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/api/downloads/{download.id}"
    return download


@router.get(
    "/downloads",
    summary="List your downloads, newest first",
    operation_id="listDownloads",
    responses=responses(422),
)
async def list_downloads(
    query: Annotated[DownloadQuery, Query()],
    request: Request,
    response: Response,
    reading: ReadingDep,
    caller: CallerDep,
) -> DownloadPage:
    """Return one page of what you submitted, or with `parent_id` the tracks of a collection."""
    page = await history.list_page(
        reading,
        history.OWN,
        caller=caller,
        user_id=caller.user_id,
        number=query.page,
        size=query.per_page,
        status=query.status,
        search=query.q,
        parent_id=query.parent_id,
    )
    link_pages(request, response, page)
    return DownloadPage.model_validate(
        {
            "downloads": page.rows,
            "total": page.total,
            "page": page.number,
            "per_page": page.size,
            "pages": page.count,
        }
    )


@router.get(
    "/downloads/{download_id}",
    summary="Show one download",
    operation_id="getDownload",
    responses=responses(404, 422),
)
async def get_download(download_id: DownloadId, reading: ReadingDep, caller: CallerDep) -> DownloadRead:
    """Return one of your downloads; another user's is as absent as one that never was."""
    return DownloadRead.model_validate(await history.show(reading, caller=caller, download_id=download_id))


@router.post(
    "/downloads/{download_id}/cancel",
    response_model=DownloadRead,
    summary="Cancel a download",
    operation_id="cancelDownload",
    responses=responses(404, 409, 422),
)
async def cancel_download(
    download_id: DownloadId, session: SessionDep, user: CurrentUser, origin: OriginDep
) -> Download:
    """End a download, or all of a collection that hasn't ended; nothing half-done is left behind."""
    return await control.cancel(session, user=user, download_id=download_id, origin=origin)


@router.post(
    "/downloads/{download_id}/retry",
    status_code=202,
    response_model=DownloadRead,
    summary="Try a download again",
    operation_id="retryDownload",
    responses=responses(404, 409, 422, 429),
)
async def retry_download(
    download_id: DownloadId,
    session: SessionDep,
    settings: SettingsDep,
    user: CurrentUser,
    origin: OriginDep,
) -> Download:
    """Queue a failed or cancelled download again; of a collection, the tracks that failed."""
    return await control.retry(
        session,
        user=user,
        download_id=download_id,
        max_active=settings.max_active_per_user,
        origin=origin,
    )


@router.delete(
    "/downloads/{download_id}",
    status_code=204,
    summary="Delete a download",
    operation_id="deleteDownload",
    responses=responses(404, 409, 422),
)
async def delete_download(
    download_id: DownloadId,
    session: SessionDep,
    settings: SettingsDep,
    user: CurrentUser,
    origin: OriginDep,
    *,
    delete_file: Annotated[
        bool, Query(description="Delete the file too, unless another download still uses it")
    ] = False,
) -> None:
    """Take a download out of the history, a collection with its tracks; files stay unless asked otherwise."""
    await control.delete(
        session,
        user=user,
        download_id=download_id,
        delete_file=delete_file,
        library=settings.output_directory,
        origin=origin,
    )
