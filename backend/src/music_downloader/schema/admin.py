"""What only administrators see: everybody's downloads, and the audit log."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from music_downloader.model import Outcome
from music_downloader.schema.base import Outgoing, Text, example
from music_downloader.schema.download import DownloadQuery, DownloadRead, none_if_empty
from music_downloader.schema.paging import PageQuery

UserId = Annotated[int | None, Field(ge=1, le=2**63 - 1), BeforeValidator(none_if_empty)]
Bound = Annotated[datetime | None, BeforeValidator(none_if_empty)]


class OwnedDownloadRead(DownloadRead):
    """A download, and whose it is."""

    user_id: int
    username: str


class OwnedDownloadPage(Outgoing):
    """One page of everybody's history, newest first."""

    downloads: list[OwnedDownloadRead]
    total: int
    page: int
    per_page: int
    pages: int


class OwnedDownloadQuery(DownloadQuery):
    """Which part of everybody's history to show."""

    user_id: UserId = None


class AuditRead(Outgoing):
    """One entry of the audit log. `user_id` is None where nobody is known, or the service itself acted."""

    model_config = example(
        {
            "id": 42,
            "user_id": 1,
            "username": "alice",
            "action": "auth.login",
            "resource": "user:1",
            "outcome": "success",
            "details": {},
            "ip_address": "192.168.1.20",
            "user_agent": "curl/8.5.0",
            "created_at": "2026-01-02T18:29:58Z",
        }
    )

    id: int
    user_id: int | None
    username: str | None
    action: str
    resource: str | None
    outcome: Outcome
    details: dict[str, Any]
    ip_address: str | None
    user_agent: str | None
    created_at: datetime


class AuditPage(Outgoing):
    """One page of the audit log, newest first."""

    audit_logs: list[AuditRead]
    total: int
    page: int
    per_page: int
    pages: int


class AuditQuery(PageQuery):
    """Which part of the audit log to show."""

    user_id: UserId = None
    action: Annotated[
        Text | None, Field(max_length=50, examples=["auth.login"]), BeforeValidator(none_if_empty)
    ] = None
    since: Annotated[Bound, Field(description="From this moment on; UTC where it names no offset")] = None
    until: Annotated[Bound, Field(description="Up to this moment, which isn't part of it")] = None
