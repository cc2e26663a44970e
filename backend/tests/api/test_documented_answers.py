"""Every call of the OpenAPI document, from whom it is for and from nobody, with fitting and unfit input.

What comes back is no fault of the service, and has a status, a content type and a shape that the document
tells of.
"""

import asyncio
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Serve

from music_downloader.model import User

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
FITTING, UNFIT = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
NO_TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.x"
ENDLESS = "followDownloads"  # with a token that holds, its answer doesn't end
TRUTHFUL = "getHealth"  # no worker runs here, so 503 is the right answer
SECRET = "correct horse battery"


async def test_no_call_answers_with_a_fault_or_with_what_is_not_documented(
    serve: Serve, sessions: async_sessionmaker[AsyncSession]
) -> None:
    service = await serve(login_limit="off", registration_limit="off", allowed_networks="")
    for name in ("root", "alice"):
        client = await service.sign_in(name)
        await client.post("/api/download", json={"url": "https://artist.example/song.mp3"})
    async with sessions.begin() as session:
        await session.execute(update(User).where(User.username == "root").values(is_admin=True))
    called = await asyncio.to_thread(_call_everything, str(service.http.base_url))
    assert {"register", "login", "changeUser", "listAuditLogs", "getDownloadFile", ENDLESS} <= called


def _call_everything(address: str) -> set[str]:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    called = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        name = _name(operation)
        _call(operation, FITTING, token=NO_TOKEN)
        if name != ENDLESS:
            token = _token(address, operation.path)
            for mode in (FITTING, UNFIT):
                _call(operation, mode, token=token)
        called.add(name)
    return called


def _token(address: str, path: str) -> str:
    """Return a token of whom the call is for, a new one each time: a call may end its session."""
    name = "root" if path.startswith("/api/admin") else "alice"
    for who in (name, "root"):  # Alice may have been deactivated on the way
        answer = httpx.post(f"{address}/auth/login", json={"username": who, "password": SECRET}, timeout=30)
        if answer.status_code == 200:
            break
    token: str = answer.raise_for_status().json()["access_token"]
    return token


def _name(operation: Any) -> str:
    name: str = operation.definition.raw["operationId"]
    return name


def _call(operation: Any, mode: Any, *, token: str) -> None:
    checks = CHECKS if _name(operation) == TRUTHFUL else [*CHECKS, not_a_server_error]

    # The search for a smaller example is left out: the first one says enough, and it takes long.
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=6,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def call(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=30)
        case.validate_response(answer, checks=checks)

    try:
        call()
    except Unsatisfiable:  # a call without parameters takes nothing that could be wrong
        assert mode is UNFIT
