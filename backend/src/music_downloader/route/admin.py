"""What only administrators may do: see everybody's downloads, accounts and the audit log."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from music_downloader.auth.caller import Administrator
from music_downloader.dependencies import OriginDep, ReadingDep, SessionDep
from music_downloader.model import User
from music_downloader.route.paging import link_pages
from music_downloader.route.parameter import UserId
from music_downloader.schema.admin import (
    AuditPage,
    AuditQuery,
    AuditRead,
    OwnedDownloadPage,
    OwnedDownloadQuery,
    OwnedDownloadRead,
)
from music_downloader.schema.paging import PageQuery
from music_downloader.schema.problem import responses
from music_downloader.schema.user import UserChange, UserPage, UserRead
from music_downloader.service import audit, counted, history, people

router = APIRouter(prefix="/api/admin", tags=["Administration"], responses=responses(401, 403, 422, 503))


@router.get("/users", summary="List all accounts, newest first", operation_id="listUsers")
async def list_users(
    query: Annotated[PageQuery, Query()],
    request: Request,
    response: Response,
    session: SessionDep,
    _administrator: Administrator,
) -> UserPage:
    """Return one page of all accounts."""
    page = await people.list_page(session, number=query.page, size=query.per_page)
    link_pages(request, response, page)
    return UserPage(
        users=[UserRead.model_validate(user) for user in page.rows],
        total=page.total,
        page=page.number,
        per_page=page.size,
        pages=page.count,
    )


@router.patch(
    "/users/{user_id}",
    response_model=UserRead,
    summary="Change an account",
    operation_id="changeUser",
    responses=responses(404, 409),
)
async def change_user(
    user_id: UserId,
    body: UserChange,
    session: SessionDep,
    administrator: Administrator,
    origin: OriginDep,
) -> User:
    """Activate or deactivate an account, or change its role; the last active administrator stays one."""
    return await people.change(
        session,
        user_id=user_id,
        by=administrator,
        is_active=body.is_active,
        is_admin=body.is_admin,
        now=datetime.now(UTC),
        origin=origin,
    )


@router.get(
    "/downloads", summary="List everybody's downloads, newest first", operation_id="listEverybodysDownloads"
)
async def list_downloads(
    query: Annotated[OwnedDownloadQuery, Query()],
    request: Request,
    response: Response,
    reading: ReadingDep,
    _administrator: Administrator,
) -> OwnedDownloadPage:
    """Return one page of what everybody submitted, or with `parent_id` the tracks of a collection."""
    page = await history.list_page(
        reading,
        history.EVERYBODYS,
        number=query.page,
        size=query.per_page,
        user_id=query.user_id,
        status=query.status,
        search=query.q,
        parent_id=query.parent_id,
    )
    link_pages(request, response, page)
    return OwnedDownloadPage(
        downloads=[OwnedDownloadRead.model_validate(row) for row in page.rows],
        total=page.total,
        page=page.number,
        per_page=page.size,
        pages=page.count,
    )


@router.get("/audit-logs", summary="Read the audit log, newest first", operation_id="listAuditLogs")
async def list_audit_logs(
    query: Annotated[AuditQuery, Query()],
    request: Request,
    response: Response,
    reading: ReadingDep,
    _administrator: Administrator,
) -> AuditPage:
    """Return one page of what has happened, by whom, of what kind and when."""
    page = await counted.read(
        reading,
        counted.AUDIT,
        audit.COLUMNS,
        number=query.page,
        size=query.per_page,
        user_id=query.user_id,
        word=query.action,
        since=query.since,
        until=query.until,
    )
    link_pages(request, response, page)
    return AuditPage(
        audit_logs=[AuditRead.model_validate(row) for row in page.rows],
        total=page.total,
        page=page.number,
        per_page=page.size,
        pages=page.count,
    )
