"""The one way in which we configure uvicorn."""

from typing import Any

import uvicorn

from music_downloader.serving.protocol import LimitedProtocol

# Longer than reverse proxies keep connections to us (nginx 60 s), so that none sends into a closing one.
_KEEP_ALIVE_SECONDS = 65


def configuration(
    app: Any,  # noqa: ANN401 - whatever uvicorn takes as an application
    *,
    host: str,
    port: int,
    graceful_seconds: int = 10,
    protocol: type[LimitedProtocol] = LimitedProtocol,
) -> uvicorn.Config:
    """Serve `app` with our limits; addresses of proxies are judged by the application alone."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=graceful_seconds,
    )
