"""Registering, logging in and out, changing the password."""

import asyncio
import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import jwt
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.api.problems import assert_problem
from tests.conftest import SECRET_KEY, Service
from tests.following import PATIENCE

from music_downloader.auth import password
from music_downloader.auth.token import AUDIENCE, ISSUER
from music_downloader.model import AuditLog, Outcome, User

Sessions = async_sessionmaker[AsyncSession]
ALICE = {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}


async def test_a_registered_user_is_returned_without_any_secret(service: Service) -> None:
    answer = await service.http.post("/auth/register", json=ALICE)
    assert answer.status_code == 201
    user = answer.json()
    assert set(user) == {"id", "username", "email", "is_active", "is_admin", "created_at", "last_login"}
    assert (user["username"], user["email"]) == ("alice", "alice@example.org")
    assert user["is_active"] is True
    assert user["is_admin"] is False
    assert user["last_login"] is None
    assert user["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ALICE"),
        ("username", "Alice"),
        ("email", "ALICE@example.org"),
        ("email", "alice@EXAMPLE.org"),
    ],
)
async def test_names_and_addresses_are_taken_whatever_their_case(
    service: Service, field: str, value: str
) -> None:
    await service.sign_in("alice")
    other = {"username": "bob", "email": "bob@example.org", "password": "correct horse battery", field: value}
    answer = await service.http.post("/auth/register", json=other)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_address_of_the_households_own_network_is_taken(service: Service) -> None:
    for number, domain in enumerate(("nas.local", "home.arpa", "music.test", "nas.internal")):
        body = {**ALICE, "username": f"alice{number}", "email": f"alice@{domain}"}
        answer = await service.http.post("/auth/register", json=body)
        assert (answer.status_code, answer.json().get("email")) == (201, body["email"])


async def test_twelve_registrations_of_one_name_at_once_make_one_account(service: Service) -> None:
    bodies = [{**ALICE, "email": f"alice{n}@example.org"} for n in range(12)]
    answers = await asyncio.gather(*(service.http.post("/auth/register", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11


@pytest.mark.parametrize(
    "change",
    [
        {"username": "al"},
        {"username": "a" * 51},
        {"username": "al ice"},
        {"username": "alice\n"},
        {"username": "älice"},
        {"username": "alice\x00"},
        {"username": ""},
        {"username": 12345},
        {"username": None},
        {"email": "nowhere"},
        {"email": "a@b"},
        {"email": "a@" + "b" * 300 + ".org"},
        {"email": "a b@example.org"},
        {"email": "alice@example.org\x00"},
        {"email": "alice(at)example.org"},
        {"email": "((((((((((@example.org"},
        {"email": "Alice <alice@example.org>"},
        {"password": "short"},
        {"password": "x" * 129},
        {"password": "nul\x00inside it"},
        {"password": ["correct horse battery"]},
        {"is_admin": True},
        {"role": "admin"},
    ],
)
async def test_a_malformed_registration_is_refused_without_an_echo(
    service: Service, change: dict[str, Any]
) -> None:
    answer = await service.http.post("/auth/register", json={**ALICE, **change})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["errors"]
    assert all(set(error) == {"loc", "msg", "type"} for error in problem["errors"])
    for value in change.values():
        if isinstance(value, str) and len(value) > 9:
            assert value not in answer.text
    assert "'" not in "".join(error["msg"] for error in problem["errors"] if "email" in error["loc"])


async def test_a_closed_registration_is_refused_in_words(serve: Any) -> None:
    service = await serve(registration="closed")
    answer = await service.http.post("/auth/register", json=ALICE)
    assert answer.status_code == 403
    assert "closed" in answer.json()["detail"]


async def test_login_takes_a_form_or_json_and_a_name_or_an_address(service: Service) -> None:
    await service.http.post("/auth/register", json=ALICE)
    for name in ("alice", "ALICE", "alice@example.org", "Alice@Example.org"):
        for sent in ("data", "json"):
            body: dict[str, Any] = {sent: {"username": name, "password": ALICE["password"]}}
            answer = await service.http.post("/auth/login", **body)
            assert answer.status_code == 200, (name, sent, answer.text)
            token = answer.json()
            assert token["token_type"] == "bearer"
            assert token["expires_in"] == 30 * 60
    form = {"username": "alice", "password": ALICE["password"], "grant_type": "password", "scope": ""}
    assert (await service.http.post("/auth/login", data=form)).status_code == 200
    other = await service.http.post("/auth/login", data={**form, "grant_type": "refresh_token"})
    assert assert_problem(other, 422)["errors"][0]["loc"] == ["body", "grant_type"]


async def test_what_is_too_long_is_told_in_characters(service: Service) -> None:
    alice = await service.sign_in()
    answers = [
        await alice.post("/auth/login", json={"username": "alice", "password": "x" * 129}),
        await alice.post("/auth/login", json={"username": "x" * 255, "password": "correct horse"}),
        await alice.post("/api/download", json={"url": "http://a.example/" + "x" * 2048}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["msg"].startswith("String should have at most")
        assert error["msg"].endswith("characters")


async def test_a_login_is_noted_on_the_account(service: Service) -> None:
    alice = await service.sign_in()
    assert (await alice.get("/auth/me")).json()["last_login"] is not None


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(service: Service) -> None:
    await service.http.post("/auth/register", json=ALICE)
    wrong = await service.http.post("/auth/login", data={"username": "alice", "password": "wrong horse"})
    unknown = await service.http.post("/auth/login", data={"username": "nobody", "password": "wrong horse"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert wrong.headers["www-authenticate"] == unknown.headers["www-authenticate"] == "Bearer"


async def test_an_unknown_user_costs_as_much_time_as_a_wrong_password(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password, "COST", 5)
    password.hash_of_nobody.cache_clear()
    password.hash_of_nobody()  # as a start does
    await service.http.post("/auth/register", json=ALICE)
    work: list[tuple[str, bytes]] = []

    def counted(name: str) -> None:
        real = getattr(bcrypt, name)

        def count(given: bytes, salt: bytes) -> Any:
            work.append((name, salt[:7]))  # what a check costs is written at the beginning of its hash
            return real(given, salt)

        monkeypatch.setattr(bcrypt, name, count)

    counted("checkpw")
    counted("hashpw")
    done = {}
    for name in ("alice", "nobody"):
        await service.http.post("/auth/login", data={"username": name, "password": "wrong horse"})
        done[name] = work.copy()
        work.clear()
    assert done["alice"] == done["nobody"] == [("checkpw", b"$2b$05$")]


async def test_an_inactive_user_is_told_only_after_the_right_password(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    async with sessions.begin() as session:
        await session.execute(update(User).values(is_active=False))
    wrong = await service.http.post("/auth/login", json={"username": "alice", "password": "wrong horse"})
    right = await service.http.post("/auth/login", json={k: ALICE[k] for k in ("username", "password")})
    assert (wrong.status_code, right.status_code) == (401, 403)
    assert (await alice.get("/auth/me")).status_code == 401


async def test_a_logged_out_token_is_dead_in_every_process_and_stays_dead(serve: Any) -> None:
    first, second = await serve(), await serve()
    alice = await first.sign_in()
    headers = {"Authorization": alice.headers["authorization"]}
    other = await first.log_in("alice")
    assert (await second.http.get("/auth/me", headers=headers)).status_code == 200
    answer = await alice.post("/auth/logout")
    assert answer.status_code == 200
    assert set(answer.json()) == {"message"}
    for service in (first, second):
        refused = await service.http.get("/auth/me", headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert (await alice.post("/auth/logout")).status_code == 401
    assert (await other.get("/auth/me")).status_code == 200


async def test_a_new_password_ends_every_earlier_session(service: Service) -> None:
    first, second = await service.sign_in(), await service.log_in("alice")
    body = {"current_password": ALICE["password"], "new_password": "another horse entirely"}
    assert (await first.post("/auth/password", json=body)).status_code == 204
    assert (await first.get("/auth/me")).status_code == 401
    assert (await second.get("/auth/me")).status_code == 401
    old = await service.http.post("/auth/login", json={k: ALICE[k] for k in ("username", "password")})
    assert old.status_code == 401
    again = await service.log_in("alice", secret="another horse entirely")
    assert (await again.get("/auth/me")).status_code == 200


async def test_a_new_password_needs_the_current_one(service: Service) -> None:
    alice = await service.sign_in()
    body = {"current_password": "a wrong one", "new_password": "another horse entirely"}
    assert (await alice.post("/auth/password", json=body)).status_code == 403
    assert (await alice.get("/auth/me")).status_code == 200


async def test_every_character_of_a_long_password_counts(service: Service) -> None:
    long = "ü" * 127
    await service.http.post("/auth/register", json={**ALICE, "password": long + "a"})
    wrong = await service.http.post("/auth/login", json={"username": "alice", "password": long + "b"})
    right = await service.http.post("/auth/login", json={"username": "alice", "password": long + "a"})
    assert (wrong.status_code, right.status_code) == (401, 200)


async def test_a_password_typed_on_another_keyboard_is_the_same(service: Service) -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    await service.http.post("/auth/register", json={**ALICE, "password": composed})
    answer = await service.http.post("/auth/login", json={"username": "alice", "password": decomposed})
    assert answer.status_code == 200


async def test_passwords_are_stored_as_bcrypt_at_cost_twelve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    stored = await password.hash_password("correct horse battery")
    assert stored.startswith("$2b$12$")
    assert not bcrypt.checkpw(b"correct horse battery", stored.encode())
    assert await password.verify_password("correct horse battery", stored)


def _claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    claims = {
        "sub": "1",
        "jti": "a-token-of-a-test",
        "iat": now.timestamp(),
        "nbf": int(now.timestamp()),
        "exp": int((now + timedelta(minutes=5)).timestamp()),
        "iss": ISSUER,
        "aud": AUDIENCE,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


async def test_a_token_with_every_claim_is_accepted(service: Service) -> None:
    await service.http.post("/auth/register", json=ALICE)
    token = jwt.encode(_claims(), SECRET_KEY, algorithm="HS256")
    answer = await service.http.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


PAST = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
FUTURE = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in ("sub", "jti", "iat", "nbf", "exp", "iss", "aud")),
        {"exp": PAST},
        {"nbf": FUTURE},
        {"iat": FUTURE},
        {"iss": "somebody-else"},
        {"aud": "something-else"},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": "999999"},
        {"sub": "1.0"},
        {"sub": "alice"},
        {"sub": "9" * 40},
        {"jti": "x" * 65},
        {"jti": "nul\x00"},
        {"exp": "soon"},
        {"exp": 10**30},
    ],
    ids=str,
)
async def test_a_token_with_a_missing_or_wrong_claim_is_refused(
    service: Service, change: dict[str, Any]
) -> None:
    await service.http.post("/auth/register", json=ALICE)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    payload = base64.urlsafe_b64encode(json.dumps(_claims(**change)).encode()).rstrip(b"=")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        header + b"." + payload, SECRET_KEY.encode()
    )
    token = b".".join([header, payload, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
    answer = await service.http.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_only_our_algorithm_and_our_key_sign(service: Service) -> None:
    await service.http.post("/auth/register", json=ALICE)
    tokens = [
        jwt.encode(_claims(), "", algorithm="none"),
        jwt.encode(_claims(), SECRET_KEY * 2, algorithm="HS512"),
        jwt.encode(_claims(), "another key that is long enough for this", algorithm="HS256"),
        jwt.encode(_claims(), "your-secret-key-change-in-production", algorithm="HS256"),
        "x",
        "a.b.c",
        "." * 5000,
    ]
    for token in tokens:
        answer = await service.http.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"] == "Bearer"
    for header in ("Bearer", "Basic YWxpY2U6eA==", "bearer"):
        answer = await service.http.get("/auth/me", headers={"Authorization": header})
        assert answer.status_code == 401, header


async def test_the_placeholder_key_never_signs(serve: Any) -> None:
    service = await serve(secret_key="your-secret-key-change-in-production")
    alice = await service.sign_in()
    token = alice.headers["authorization"].removeprefix("Bearer ")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(
            token,
            "your-secret-key-change-in-production",
            algorithms=["HS256"],
            audience=AUDIENCE,
            issuer=ISSUER,
        )
    kept = service.settings.data_directory / "secret.key"
    assert kept.stat().st_mode & 0o777 == 0o600
    again = await serve(secret_key="your-secret-key-change-in-production")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await again.http.get("/auth/me", headers=headers)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 40_000, b"\xff\xfe", b"\x00"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
async def test_a_body_that_is_no_message_is_refused(
    service: Service, path: str, kind: str, body: bytes
) -> None:
    answer = await service.http.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_each_action_on_an_account_is_audited(service: Service, sessions: Sessions) -> None:
    agent = {"User-Agent": "x" * 501, "X-Request-ID": "from-a-test"}
    await service.http.post("/auth/register", json=ALICE, headers=agent)
    await service.http.post("/auth/login", json={"username": "alice", "password": "wrong horse"})
    await service.http.post("/auth/login", json={"username": "nobody", "password": "wrong horse"})
    alice = await service.log_in("alice")
    body = {"current_password": "a wrong one", "new_password": "another horse entirely"}
    await alice.post("/auth/password", json=body)
    await alice.post("/auth/password", json={**body, "current_password": ALICE["password"]})
    again = await service.log_in("alice", secret="another horse entirely")
    await again.post("/auth/logout")
    async with sessions() as session:
        rows = (await session.scalars(select(AuditLog).order_by(AuditLog.id))).all()
    assert [(row.action, row.outcome) for row in rows] == [
        ("auth.register", Outcome.SUCCESS),
        ("auth.login", Outcome.REFUSED),
        ("auth.login", Outcome.REFUSED),
        ("auth.login", Outcome.SUCCESS),
        ("auth.password", Outcome.REFUSED),
        ("auth.password", Outcome.SUCCESS),
        ("auth.login", Outcome.SUCCESS),
        ("auth.logout", Outcome.SUCCESS),
    ]
    first = rows[0]
    assert first.user_agent == "x" * 500
    assert first.ip_address == "127.0.0.1"
    assert first.details["request_id"] == "from-a-test"
    assert rows[2].user_id is None
    assert "horse" not in json.dumps([row.details for row in rows])


async def test_a_registration_that_fails_leaves_no_audit_entry(service: Service, sessions: Sessions) -> None:
    await service.http.post("/auth/register", json=ALICE)
    await service.http.post("/auth/register", json=ALICE)
    async with sessions() as session:
        assert len((await session.scalars(select(AuditLog))).all()) == 1


async def test_a_flood_of_logins_leaves_room_for_everybody_else(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await serve(login_limit="off")  # as if each came from another address
    alice = await service.sign_in()
    under_way, go_on = threading.Semaphore(0), threading.Event()

    def check(*_: bytes) -> bool:
        under_way.release()
        go_on.wait(PATIENCE)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", check)
    stranger = {"username": "nobody", "password": "wrong horse"}
    flood = [asyncio.create_task(service.http.post("/auth/login", json=stranger)) for _ in range(30)]
    try:
        for _ in range(2):
            assert await asyncio.to_thread(under_way.acquire, timeout=PATIENCE)
        assert (await alice.get("/auth/me")).status_code == 200
        assert not under_way.acquire(blocking=False)
    finally:
        go_on.set()
    assert {(await task).status_code for task in flood} <= {401, 503}


async def test_a_login_with_an_endless_number_is_refused(service: Service) -> None:
    answer = await service.http.post("/auth/login", content=b'{"username": ' + b"1" * 5000 + b"}")
    assert answer.status_code == 422


async def test_json_that_breaks_off_is_told_as_the_body(service: Service) -> None:
    answer = await service.http.post("/auth/register", content=b"{")
    assert answer.json()["detail"].endswith("look at: body.")
