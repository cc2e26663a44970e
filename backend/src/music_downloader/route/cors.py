"""Pages of other origins that may call: those that CORS_ORIGINS names, and what they may send and read."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from music_downloader.route.problem import problem

_SENT = ("Authorization", "Content-Type", "If-Range", "Range", "X-Request-ID")
_READ = ("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Link", "Location", "X-Request-ID")


class CrossOrigin(CORSMiddleware):
    """Answers the browsers' questions whether a page may call."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=["*"], allow_headers=_SENT, expose_headers=_READ
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer such a question; a refusal is a problem like all others."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        return problem(
            400, "A page of this origin may not make this call; see CORS_ORIGINS.", headers={"Vary": "Origin"}
        )
