"""The OpenAPI document: what FastAPI can't know by itself."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from music_downloader.schema.problem import Problem, responses
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

# What is answered around the calls, whatever they are; a body may come with any.
_ANYWHERE = responses(408, 413, 500)


def describe_openapi(app: FastAPI) -> None:
    """Add the description, the tags, the models that are only referred to, and the faults of any call."""
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
        for operation in _operations(document):
            for status, fault in _ANYWHERE.items():
                operation["responses"].setdefault(str(status), fault)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                yield operation
