"""One table from the kinds of faults to HTTP, and the one form that every error has."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from psycopg.errors import QueryCanceled, UndefinedTable
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import InterfaceError as DatabaseInterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from music_downloader.auth.caller import bearer, get_administrator, get_claims, get_current_user
from music_downloader.dependencies import get_origin, get_session
from music_downloader.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    MusicDownloaderError,
    NotAuthenticatedError,
    NotFoundError,
    ServiceUnavailableError,
    ThrottledError,
    TooManyActiveError,
    TooManyStreamsError,
)
from music_downloader.schema.problem import DESCRIPTIONS, MEDIA_TYPE, FieldProblem, Problem

log = structlog.stdlib.get_logger(__name__)

STATUS_OF: dict[type[MusicDownloaderError], int] = {
    NotAuthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    InvalidInputError: 422,
    ThrottledError: 429,
    TooManyActiveError: 429,
    TooManyStreamsError: 429,
    ServiceUnavailableError: 503,
}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "60"}, 503: {"Retry-After": "5"}}
_DATABASE_AWAY = (
    *(OperationalError, DatabaseInterfaceError, PoolTimeoutError),
    *(psycopg.OperationalError, psycopg.InterfaceError, UndefinedTable),  # where no session stands between
)
_FIELD_MESSAGE_LIMIT = 300
_FIELD_NAME_LIMIT = 64  # the name of a field that we don't know is theirs, not ours
_MOST_FIELDS = 50
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def problem(
    status: int,
    detail: str,
    *,
    errors: list[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return one fault as application/problem+json."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={**_HEADERS.get(status, {}), **(headers or {})},
    )


async def on_known(_request: Request, error: Exception) -> JSONResponse:
    """Answer a fault of our own kinds."""
    if not isinstance(error, MusicDownloaderError):
        raise error
    status = next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), 500)
    errors = headers = None
    if isinstance(error, InvalidInputError):
        place = [error.place, error.field] if error.field else [error.place]
        errors = [FieldProblem(loc=[*place], msg=error.detail, type="refused")]
    if isinstance(error, ThrottledError):
        headers = {"Retry-After": str(error.retry_after)}
    return problem(status, error.detail, errors=errors, headers=headers)


async def on_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework itself refuses: unknown paths, wrong methods, bodies that can't be read."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.BAD_REQUEST:  # how the framework calls a body that is no JSON at all
        unreadable = FieldProblem(loc=["body"], msg="The body can't be read", type="body_invalid")
        return await _refusal_of_caller(request) or problem(
            422, "The body can't be read; send valid JSON.", errors=[unreadable]
        )
    details = {404: "There is nothing at this address.", 405: "This address doesn't take that method."}
    fallback = DESCRIPTIONS.get(error.status_code, "The request was refused") + "."
    headers = dict(error.headers) if error.headers else {}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return problem(error.status_code, details.get(error.status_code, fallback), headers=headers)


def _methods(request: Request) -> list[str]:
    """Return all methods that this address takes; the framework names those of the first route it finds."""
    routes = request.app.router.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer 422 and name the fields, but never what was sent; many and long names of others are cut."""
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        FieldProblem(
            loc=[_shown(part) for part in fault["loc"]],
            msg=str(fault["msg"]).removeprefix("Value error, ")[:_FIELD_MESSAGE_LIMIT],
            type=str(fault["type"]),
        )
        for fault in error.errors()[:_MOST_FIELDS]
    ]
    # A number is a place in a list, or in a text that is no JSON; what has a name is told instead.
    names = ([part for part in fault.loc if isinstance(part, str)] for fault in errors)
    named = ", ".join(dict.fromkeys(parts[-1] for parts in names if parts))
    is_no_json = any(each.type == "json_invalid" for each in errors)
    return (is_no_json and await _refusal_of_caller(request)) or problem(
        422, f"Something in the request can't be used; look at: {named}.", errors=errors
    )


def _shown(part: str | int) -> str | int:
    if isinstance(part, int):
        return part
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in part[:_FIELD_NAME_LIMIT])


async def _refusal_of_caller(request: Request) -> JSONResponse | None:
    """Answer 401 or 403 if the call asks for a token or a role that the caller hasn't.

    The framework reads a body before it asks who sends it; only who may call learns what is wrong with it.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not _asks(route.dependant, get_claims):
        return None
    try:
        claims = await get_claims(request, await bearer(request))
        async with asynccontextmanager(get_session)(request) as session:
            user = await get_current_user(session, claims)
            if _asks(route.dependant, get_administrator):
                await get_administrator(request, session, user, await get_origin(request))
    except MusicDownloaderError as error:
        return await on_known(request, error)
    except (DBAPIError, PoolTimeoutError) as error:
        return await on_database(request, error)
    return None


def _asks(dependant: Dependant, whom: Callable[..., object]) -> bool:
    return dependant.call is whom or any(_asks(each, whom) for each in dependant.dependencies)


async def on_database(_request: Request, error: Exception) -> JSONResponse:
    """Answer 503 while the database is away or not migrated yet; anything else of it is a bug of ours."""
    missing_table = isinstance(error, ProgrammingError) and isinstance(error.orig, UndefinedTable)
    cut_off = isinstance(error, DBAPIError) and error.connection_invalidated
    if not (isinstance(error, _DATABASE_AWAY) or missing_table or cut_off):
        raise error
    log.warning("database.unavailable", error=type(error).__name__, reason=_first_line(error))
    if isinstance(error, QueryCanceled):
        return problem(503, "That takes too long; narrow it down, or try again shortly.")
    return problem(503, "The database can't be reached right now; try again shortly.")


def _first_line(error: Exception) -> str:
    """Return what the driver says; what follows its first line may be the statement."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return str(said).partition("\n")[0]


def install(app: FastAPI) -> None:
    """Register every handler."""
    app.add_exception_handler(MusicDownloaderError, on_known)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(DBAPIError, on_database)
    app.add_exception_handler(psycopg.Error, on_database)
    app.add_exception_handler(PoolTimeoutError, on_database)
