"""The one form that every error of the API has."""

from http import HTTPStatus
from typing import Any

import httpx

PROBLEM = "application/problem+json"


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Assert that the answer is an error in the one form that every error has; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["x-request-id"]
    body: dict[str, Any] = answer.json()
    fields = {"errors"} if status == 422 else set()
    assert set(body) == {"type", "title", "status", "detail"} | fields
    assert (body["status"], body["title"]) == (status, HTTPStatus(status).phrase)
    assert body["detail"].endswith(".")
    return body
