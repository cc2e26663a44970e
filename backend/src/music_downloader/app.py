"""The web application: builds everything once, and takes it down again."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader import NAME, version
from music_downloader.auth import password
from music_downloader.auth import route as auth_route
from music_downloader.auth.account import ensure_first_admin
from music_downloader.config.logging import configure_logging
from music_downloader.config.safety import check_folders
from music_downloader.config.secret import fingerprint, signing_key
from music_downloader.config.settings import Settings, load_settings
from music_downloader.config.tracing import Tracing, start_tracing
from music_downloader.errors import ConfigurationError, InvalidInputError, ServiceUnavailableError
from music_downloader.metrics import Requests
from music_downloader.migration import upgrade_when_reachable
from music_downloader.model import Download
from music_downloader.model.database import connect, is_away
from music_downloader.model.reading import Reading
from music_downloader.route import (
    admin,
    cookies,
    documentation,
    download,
    event,
    file,
    metrics,
    page,
    problem,
    system,
)
from music_downloader.route.cors import CrossOrigin
from music_downloader.route.forwarding import Forwarding
from music_downloader.route.middleware import BodyLimit, RequestContext
from music_downloader.route.openapi import describe_openapi
from music_downloader.route.protection import Protection
from music_downloader.schema.download import DownloadRead
from music_downloader.schema.user import RegisterRequest, registration
from music_downloader.service import siblings
from music_downloader.service.feed import Feed
from music_downloader.stopping import stopping
from music_downloader.worker import run_worker

log = structlog.stdlib.get_logger(__name__)

_FIRST_WAIT_SECONDS = 5
_HANDING_BACK_SECONDS = 5
_AGAIN_SECONDS = 2
# Asked by machines; files, and a shared link in the query; and what goes on until somebody closes the page.
_UNTRACED = ("/health", "/metrics", "/ui", "/api/events")


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; ConfigurationError with a sentence where the settings can't be used."""
    settings = settings or load_settings()
    configure_logging(level=settings.least_level, log_format=settings.log_format)
    check_folders(settings)
    first_admin = _first_admin(settings)
    requests = Requests()
    tracing = start_tracing(settings.otel_exporter_otlp_endpoint)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        key = await asyncio.to_thread(signing_key, settings)
        await asyncio.to_thread(password.hash_of_nobody)
        database = connect(settings.sqlalchemy_url, application_name="nas-music web")
        sessionmaker = async_sessionmaker(database, expire_on_commit=False)
        reading = await Reading(settings.conninfo, application_name="nas-music reading").open()
        ready = asyncio.Event()
        stop = asyncio.Event()
        backstage = asyncio.create_task(
            _backstage(settings, sessionmaker, ready, stop, key, admin=first_admin, tracing=tracing),
            name="backstage",
        )
        own_name = siblings.connection_name(fingerprint(key))
        feed = Feed(settings.conninfo, sessionmaker, render=_as_json, name=own_name)
        listening = asyncio.create_task(feed.run(), name="feed")
        tell_all = partial(_tell_all, stop, feed)
        for task in (backstage, listening):
            task.add_done_callback(_tell_if_it_failed)
        try:
            try:
                await _first_wait(ready, backstage)
            except ConfigurationError as error:
                app.state.refused = error  # the server only writes down how it came to this
                raise
            gc.collect()
            gc.freeze()  # what was loaded for good is not looked through again: that would cost tens of ms
            with stopping(tell_all, hand_on=True):
                yield {
                    "settings": settings,
                    "database": database,
                    "sessionmaker": sessionmaker,
                    "reading": reading,
                    "signing_key": key,
                    "feed": feed,
                    "requests": requests,
                }
        finally:
            tell_all()
            if ready.is_set():
                await asyncio.wait({backstage}, timeout=settings.shutdown_grace + _HANDING_BACK_SECONDS)
            backstage.cancel()
            listening.cancel()
            await asyncio.wait({backstage, listening})
            await reading.close()
            await database.dispose()
            await asyncio.to_thread(tracing.end)

    app = FastAPI(
        title="NAS Music Downloader",
        version=version(),
        lifespan=lifespan,
        debug=False,
        docs_url=None,  # ours needs nothing from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # the address it would send to is made from the Host header
        telemetry=_telemetry(tracing, settings.root_path),
    )
    problem.install(app)
    for room in (auth_route, download, file, event, cookies, admin, system, metrics, documentation, page):
        app.include_router(room.router)
    describe_openapi(app)
    _wrap(app, settings, requests)
    return app


def _wrap(app: FastAPI, settings: Settings, requests: Requests) -> None:
    """Put around the application what every request goes through, the innermost first."""
    app.add_middleware(BodyLimit)
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, origins=settings.cors_origins)
    app.add_middleware(RequestContext, requests=requests, root_path=settings.root_path)
    app.add_middleware(Protection, root_path=settings.root_path)
    app.add_middleware(Forwarding, trusted=settings.trusted_proxies)


def _telemetry(tracing: Tracing, root_path: str) -> TelemetryConfig:
    """Return which requests have spans, if there are any."""
    if not tracing.is_on:
        return {"tracing": False, "metrics": False, "logs": False}  # nobody needs to look for a provider
    return {
        "tracer_provider": tracing.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: scope["path"].removeprefix(root_path).startswith(_UNTRACED),
    }


def _first_admin(settings: Settings) -> RegisterRequest | None:
    """Return the administrator that the settings name; ConfigurationError where that can't be an account."""
    given = (settings.admin_username, settings.admin_email, settings.admin_password)
    if not any(given):
        return None
    username, email, password_given = given
    if username is None or email is None or password_given is None:
        raise ConfigurationError("Set ADMIN_USERNAME, ADMIN_EMAIL and ADMIN_PASSWORD, or none of them.")
    try:
        return registration(username=username, email=email, password=password_given.get_secret_value())
    except InvalidInputError as error:
        raise ConfigurationError(f"The first administrator can't be made: {error.detail}") from error


async def _backstage(
    settings: Settings,
    sessionmaker: async_sessionmaker[AsyncSession],
    ready: asyncio.Event,
    stop: asyncio.Event,
    key: str,
    *,
    admin: RegisterRequest | None,
    tracing: Tracing,
) -> None:
    """Bring the database up to date as soon as it can be reached, then run the embedded worker.

    The web answers meanwhile, with 503 where it needs the database.
    """
    migrated = await upgrade_when_reachable(settings.sqlalchemy_url)
    if admin is not None:
        await _make_first_admin(sessionmaker, admin)
    ready.set()
    await _compare_keys(sessionmaker, key)
    log.info("service.ready", name=NAME, version=version(), migrated=migrated)
    if settings.embedded_worker:
        await run_worker(settings, stop=stop, tracing=tracing)


async def _make_first_admin(sessionmaker: async_sessionmaker[AsyncSession], admin: RegisterRequest) -> None:
    """Make the account unless it is there; a database that is away once more is waited for once more."""
    while True:
        try:
            async with sessionmaker.begin() as session:
                await ensure_first_admin(
                    session, username=admin.username, email=admin.email, password=admin.password
                )
        except ServiceUnavailableError:
            pass
        except (SQLAlchemyError, OSError) as error:
            if not is_away(error):
                raise
        else:
            return
        log.warning("service.first_admin_waits")
        await asyncio.sleep(_AGAIN_SECONDS)


async def _compare_keys(sessionmaker: async_sessionmaker[AsyncSession], key: str) -> None:
    """Say so where other web processes sign with another key: each refuses the other's tokens then."""
    with suppress(SQLAlchemyError, OSError):
        async with sessionmaker() as session:
            if await siblings.with_other_keys(session, fingerprint=fingerprint(key)):
                sentence = "Another web process has another SECRET_KEY, so logins of one fail at the other."
                log.error("service.keys_differ", remedy=f"{sentence} Give all of them the same one.")


def _tell_all(stop: asyncio.Event, feed: Feed) -> None:
    """Begin to end: streams never would by themselves, and the worker needn't wait for the last answer."""
    stop.set()
    feed.close()


def _tell_if_it_failed(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, ConfigurationError):
        log.error("service.task_failed", task=task.get_name(), reason=error.detail)
    elif error is not None:
        log.error("service.task_failed", task=task.get_name(), exc_info=error)


def _as_json(download: Download) -> str:
    return DownloadRead.model_validate(download).model_dump_json()


async def _first_wait(ready: asyncio.Event, backstage: asyncio.Task[None]) -> None:
    """Give the database a moment before the first request; what waiting can't mend stops the start."""
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait(
            {waiting, backstage}, timeout=_FIRST_WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        waiting.cancel()
    if backstage.done():
        await backstage


def __getattr__(name: str) -> FastAPI:
    """Build `app` when a server first asks for it, so that importing this module reads no settings."""
    if name != "app":
        raise AttributeError(name)
    application = globals()["app"] = create_app()
    return application
