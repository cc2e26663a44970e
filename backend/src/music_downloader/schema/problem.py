"""Errors on the wire: application/problem+json (RFC 9457)."""

from typing import Any

from pydantic import Field

from music_downloader.schema.base import Outgoing, example

MEDIA_TYPE = "application/problem+json"


class FieldProblem(Outgoing):
    """What is wrong with one field, without the value that was sent."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(Outgoing):
    """One fault: `title` is the status in words, `detail` says in a sentence what happened here."""

    model_config = example(
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "No such download among yours.",
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = Field(default=None, description="Only with status 422")


# What each kind of fault comes to.
DESCRIPTIONS = {
    400: "Not understood",
    401: "Not logged in",
    403: "Not allowed",
    404: "No such thing",
    405: "Method not allowed",
    408: "Too slow a request",
    409: "Clashes with what is there",
    413: "Too large a body",
    414: "Too long an address",
    416: "No such part",
    422: "The input can't be used",
    429: "Too many at once",
    431: "Too large headers",
    500: "A fault of the service",
    503: "The service can't answer right now",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI entries for the faults that a call can answer with."""
    return {
        status: {
            "description": DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
