"""What answers here, and how it is."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from music_downloader import NAME, version
from music_downloader.dependencies import SettingsDep
from music_downloader.schema.system import CheckRead, HealthRead, LiveRead, ServiceRead
from music_downloader.service import health

router = APIRouter(tags=["System"])


@router.head("/", response_model=ServiceRead, include_in_schema=False)
@router.get("/", response_model=ServiceRead, summary="Say what answers here", operation_id="getService")
async def get_service(request: Request) -> ServiceRead | Response:
    """Introduce the service; a browser is sent on to its page."""
    prefix = request.scope.get("root_path", "")
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"{prefix}/ui/", status_code=307)
    return ServiceRead(
        name=NAME, version=version(), status="running", docs=f"{prefix}/docs", health=f"{prefix}/health"
    )


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="Check database, queue, storage, ffmpeg and yt-dlp",
    operation_id="getHealth",
    responses={503: {"description": "Something that is needed doesn't work", "model": HealthRead}},
)
async def get_health(request: Request, response: Response, settings: SettingsDep) -> HealthRead:
    """Look at the real things: 200 when all that is needed works, 503 otherwise."""
    checks = await health.examine(
        request.state.sessionmaker,
        library=settings.output_directory,
        min_free_space=settings.min_free_space,
        data_directory=settings.data_directory,
        engine_updates=settings.engine_updates,
    )
    status = health.worst(checks)
    if status is health.Condition.UNHEALTHY:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return HealthRead(
        status=status,
        service=NAME,
        version=version(),
        checks={name: CheckRead.model_validate(check) for name, check in checks.items()},
    )


@router.head("/health/live", include_in_schema=False)
@router.get(
    "/health/live",
    summary="Tell that the process answers",
    operation_id="getLiveness",
)
async def get_liveness() -> LiveRead:
    """Answer, whatever else is wrong."""
    return LiveRead()
