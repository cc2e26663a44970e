"""The OpenAPI document: what FastAPI can't know by itself."""

from typing import Any

from fastapi import FastAPI

from music_downloader.schema.problem import Problem
from music_downloader.schema.user import LoginRequest

_TEMPLATE = "#/components/schemas/{model}"
_TAGS = [
    {"name": "Authentication", "description": "Accounts and sessions"},
    {"name": "Downloads", "description": "Submitting URLs, following them, and fetching what came of them"},
    {"name": "Cookies", "description": "Being somebody at a site: cookies for your own downloads from there"},
    {"name": "Administration", "description": "Accounts, everybody's downloads, and the audit log"},
    {"name": "System", "description": "The service itself"},
]
_DESCRIPTION = (
    "Hand it a URL, find a tagged file in your music library. "
    "Every error is application/problem+json (RFC 9457); every answer carries X-Request-ID."
)


def describe_openapi(app: FastAPI) -> None:
    """Add the description, the tags and the models that are only referred to."""
    app.description = _DESCRIPTION
    app.openapi_tags = _TAGS
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, LoginRequest):
            if model.__name__ not in schemas:
                schema = model.model_json_schema(ref_template=_TEMPLATE)
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]
