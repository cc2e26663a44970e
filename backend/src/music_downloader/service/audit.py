"""The audit log: one row an action, in the transaction of what it tells of."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import cast

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import AuditLog, Outcome, User
from music_downloader.service.counted import Columns

_USER_AGENT_LIMIT = 500
_RESOURCE_LIMIT = 100
_VALUE_LIMIT = 2048
_MOST_VALUES = 50
_entries = cast("Table", AuditLog.__table__)
COLUMNS = Columns(
    table=AuditLog,
    chosen=[*_entries.c, User.username],
    joined=_entries.outerjoin(User.__table__, AuditLog.user_id == User.id),
)
_INSERT = insert(_entries)  # plain rows: nothing is read back, so no objects are made
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Action(StrEnum):
    """What can be done here."""

    REGISTER = "auth.register"
    LOGIN = "auth.login"
    LOGOUT = "auth.logout"
    CHANGE_PASSWORD = "auth.password"  # noqa: S105 - the name of an action
    SUBMIT = "download.submit"
    START = "download.start"
    COMPLETE = "download.complete"
    FAIL = "download.fail"
    POSTPONE = "download.postpone"
    EXPAND = "download.expand"
    CANCEL = "download.cancel"
    RETRY = "download.retry"
    DELETE = "download.delete"
    CREATE_USER = "user.create"
    PROMOTE_USER = "user.promote"
    DEMOTE_USER = "user.demote"
    ACTIVATE_USER = "user.activate"
    DEACTIVATE_USER = "user.deactivate"
    RESET_PASSWORD = "user.reset_password"  # noqa: S105 - the name of an action
    ADMINISTER = "admin.call"
    STORE_COOKIES = "cookies.store"
    REMOVE_COOKIES = "cookies.remove"
    RESTORE = "service.restore"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where an action came from; all None for the service's own."""

    ip_address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


HERE = Origin()


def storable(text: str, *, limit: int = _VALUE_LIMIT) -> str:
    """Return the text without what PostgreSQL or a log line can't hold, cut to `limit` characters."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)[:limit]


def _bounded(value: object) -> object:
    """Return a JSON value with every text storable, and of each list or object only the first fifty parts."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _bounded(part) for key, part in islice(value.items(), _MOST_VALUES)}
    if isinstance(value, list | tuple):
        return [_bounded(part) for part in value[:_MOST_VALUES]]
    return value


async def record(
    session: AsyncSession,
    action: Action,
    *,
    user_id: int | None,
    resource: str | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    details: Mapping[str, object] | None = None,
    origin: Origin = HERE,
) -> None:
    """Write one row; every text is made storable and cut, never refused.

    `details` holds plain JSON values and never a secret.
    """
    facts = {key: _bounded(value) for key, value in (details or {}).items()}
    if origin.request_id:
        facts["request_id"] = origin.request_id
    await session.execute(
        _INSERT,
        {
            "user_id": user_id,
            "action": action.value,
            "resource": storable(resource, limit=_RESOURCE_LIMIT) if resource else None,
            "outcome": outcome,
            "details": facts,
            "ip_address": storable(origin.ip_address, limit=45) if origin.ip_address else None,
            "user_agent": storable(origin.user_agent, limit=_USER_AGENT_LIMIT) if origin.user_agent else None,
        },
    )
