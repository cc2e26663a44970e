"""Registering, logging in and out."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from music_downloader.auth import account, token
from music_downloader.auth import session as sessions
from music_downloader.auth.caller import ClaimsDep, CurrentUser
from music_downloader.dependencies import OriginDep, SessionDep, SettingsDep
from music_downloader.errors import RegistrationClosedError
from music_downloader.model import User
from music_downloader.schema.problem import responses
from music_downloader.schema.user import (
    LoginRequest,
    MessageRead,
    PasswordChange,
    RegisterRequest,
    TokenRead,
    UserRead,
)

router = APIRouter(prefix="/auth", tags=["Authentication"], responses=responses(503))

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_OAUTH2_EXTRAS = {"grant_type", "scope", "client_id", "client_secret"}
_OTHER_GRANT = {"loc": ("body", "grant_type"), "msg": "Input should be 'password'", "type": "literal_error"}


@router.post(
    "/register",
    status_code=201,
    response_model=UserRead,
    summary="Make an account",
    operation_id="register",
    responses=responses(403, 409, 422, 429),
)
async def register(
    body: RegisterRequest, session: SessionDep, settings: SettingsDep, origin: OriginDep
) -> User:
    """Register; nobody becomes an administrator this way."""
    if settings.registration == "closed":
        raise RegistrationClosedError
    return await account.create(
        session,
        username=body.username,
        email=body.email,
        password=body.password,
        limit=settings.registration_limit,
        origin=origin,
    )


async def read_login(request: Request) -> LoginRequest:
    """Read the OAuth2 password form, or the same as JSON; RequestValidationError for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in {_FORM, _MULTIPART}:
            async with request.form(max_files=0, max_fields=10) as form:
                if form.get("grant_type", "password") != "password":
                    fault = {
                        "loc": ("body", "grant_type"),
                        "msg": "Only password is known",
                        "type": "literal_error",
                    }
                    raise RequestValidationError([fault])
                data: object = {k: v for k, v in form.items() if k not in _OAUTH2_EXTRAS}
        else:
            data = await request.json()
        return LoginRequest.model_validate(data)
    except ValidationError as error:
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
        ) from error
    except (ValueError, RecursionError) as error:  # what no JSON is, and numbers of thousands of digits
        raise RequestValidationError(
            [{"loc": ("body",), "msg": "The body is neither a form nor JSON", "type": "json_invalid"}]
        ) from error


_LOGIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": "#/components/schemas/LoginRequest"}}
            for kind in (_FORM, "application/json")
        },
    }
}


@router.post(
    "/login",
    summary="Log in",
    operation_id="login",
    openapi_extra=_LOGIN_BODY,
    responses=responses(401, 403, 422, 429),
)
async def log_in(
    body: Annotated[LoginRequest, Depends(read_login)],
    request: Request,
    session: SessionDep,
    settings: SettingsDep,
    origin: OriginDep,
) -> TokenRead:
    """Exchange a username or email and the password for a bearer token."""
    now = datetime.now(UTC)
    user = await account.authenticate(
        session,
        identifier=body.username,
        password=body.password,
        limit=settings.login_limit,
        now=now,
        origin=origin,
    )
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    # `now` is from before the slow check: a change of password meanwhile ends this session as well.
    access_token = token.issue(user_id=user.id, key=request.state.signing_key, now=now, lifetime=lifetime)
    return TokenRead(access_token=access_token, expires_in=int(lifetime.total_seconds()))


@router.post(
    "/logout",
    summary="Log out",
    operation_id="logout",
    responses=responses(401),
)
async def log_out(
    session: SessionDep, user: CurrentUser, claims: ClaimsDep, origin: OriginDep
) -> MessageRead:
    """End this session: its token is dead at once, everywhere."""
    await sessions.log_out(session, user, claims, origin=origin)
    return MessageRead(message="You are logged out.")


@router.get(
    "/me", response_model=UserRead, summary="Show your account", operation_id="me", responses=responses(401)
)
async def me(user: CurrentUser) -> User:
    """Return the account that the token belongs to."""
    return user


@router.post(
    "/password",
    status_code=204,
    summary="Change your password",
    operation_id="changePassword",
    responses=responses(401, 403, 422, 429),
)
async def change_password(
    body: PasswordChange, session: SessionDep, settings: SettingsDep, user: CurrentUser, origin: OriginDep
) -> None:
    """Replace the password and end every session, this one included."""
    await account.change_password(
        session,
        user,
        current=body.current_password,
        new=body.new_password,
        limit=settings.login_limit,
        now=datetime.now(UTC),
        origin=origin,
    )
