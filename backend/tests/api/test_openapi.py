"""The OpenAPI document: complete, and true to what clients were generated from."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.problems import PROBLEM
from tests.conftest import Service

from music_downloader import version
from music_downloader.app import create_app
from music_downloader.config.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
CONTROLS = (
    "POST /api/downloads/{download_id}/cancel",
    "POST /api/downloads/{download_id}/retry",
    "DELETE /api/downloads/{download_id}",
)


@pytest.fixture
def document(make_settings: Callable[..., Settings]) -> dict[str, Any]:
    return create_app(make_settings()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


async def test_the_document_is_served(service: Service) -> None:
    answer = await service.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["info"]["version"] == version()


def test_every_operation_has_a_tag_a_summary_and_a_name_of_its_own(document: dict[str, Any]) -> None:
    known = {tag["name"] for tag in document["tags"]}
    names = []
    for place, operation in operations(document):
        assert operation["tags"], place
        assert set(operation["tags"]) <= known, place
        assert operation["summary"], place
        names.append(operation["operationId"])
    assert len(names) == len(set(names))
    assert all(name.isalnum() and name[0].islower() for name in names), names


def test_the_names_that_clients_were_generated_from_stay(document: dict[str, Any]) -> None:
    names = {place: operation["operationId"] for place, operation in operations(document)}
    known = {
        "POST /auth/register": "register",
        "POST /auth/login": "login",
        "POST /auth/logout": "logout",
        "GET /auth/me": "me",
        "POST /auth/password": "changePassword",
        "POST /api/download": "submitDownload",
        "GET /api/downloads": "listDownloads",
        "GET /api/downloads/{download_id}": "getDownload",
        "POST /api/downloads/{download_id}/cancel": "cancelDownload",
        "POST /api/downloads/{download_id}/retry": "retryDownload",
        "DELETE /api/downloads/{download_id}": "deleteDownload",
        "GET /api/downloads/{download_id}/file": "getDownloadFile",
        "GET /api/downloads/{download_id}/cover": "getDownloadCover",
        "GET /api/events": "followDownloads",
        "GET /api/cookies": "listCookies",
        "PUT /api/cookies/{site}": "storeCookies",
        "DELETE /api/cookies/{site}": "deleteCookies",
        "GET /api/admin/users": "listUsers",
        "PATCH /api/admin/users/{user_id}": "changeUser",
        "GET /api/admin/downloads": "listEverybodysDownloads",
        "GET /api/admin/audit-logs": "listAuditLogs",
        "GET /": "getService",
        "GET /health": "getHealth",
        "GET /health/live": "getLiveness",
        "GET /metrics": "getMetrics",
    }
    assert {place: names.get(place) for place in known} == known


def test_each_message_is_shown_by_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    sent, answered = (
        ("DownloadCreate", "LoginRequest"),
        ("DownloadRead", "HealthRead", "TokenRead", "UserRead"),
    )
    for name in (*sent, *answered, "Problem"):
        (example,) = schemas[name]["examples"]
        assert set(example) <= set(schemas[name]["properties"]), name


def test_every_fault_is_documented_as_the_problem_that_it_is(document: dict[str, Any]) -> None:
    for place, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400" and place != "GET /health":
                assert list(response["content"]) == [PROBLEM], f"{place} {status}"
                schema = response["content"][PROBLEM]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, f"{place} {status}"
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_each_operation_names_the_faults_that_it_can_answer_with(document: dict[str, Any]) -> None:
    for place, operation in operations(document):
        documented = set(operation["responses"])
        if "security" in operation:
            assert "401" in documented, place
        if "System" not in operation["tags"]:
            assert "503" in documented, place
            if operation.get("parameters") or "requestBody" in operation:
                assert "422" in documented, place
        assert {"408", "413", "500"} <= documented, place
        if "{" in place:
            assert "404" in documented, place
    faults = dict(operations(document))
    for place in ("POST /auth/register", "PATCH /api/admin/users/{user_id}", *CONTROLS):
        assert "409" in faults[place]["responses"], place
    assert "416" in faults["GET /api/downloads/{download_id}/file"]["responses"]
    assert "429" in faults["GET /api/events"]["responses"]
    for place in ("POST /auth/register", "POST /auth/login", "POST /auth/password"):
        assert "429" in faults[place]["responses"], place
    assert "security" not in faults["POST /auth/login"]
    assert faults["GET /api/downloads"]["security"]


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def references(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for each in part.values():
                yield from references(each)
        elif isinstance(part, list):
            for each in part:
                yield from references(each)

    found = set(references(document))
    assert found
    assert not {each for each in found if each.removeprefix("#/components/schemas/") not in schemas}


def test_the_pages_client_is_made_from_this_very_document(document: dict[str, Any]) -> None:
    kept = json.loads((ROOT / "frontend" / "openapi.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(document)) == kept, "run: make client"
