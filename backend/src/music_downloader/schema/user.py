"""Accounts on the wire."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Literal

import email_validator
from pydantic import (
    AfterValidator,
    EmailStr,
    Field,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from music_downloader.auth.strength import weakness
from music_downloader.errors import InvalidInputError
from music_downloader.schema.base import Incoming, Outgoing, example, storable

Username = Annotated[str, StringConstraints(min_length=3, max_length=50, pattern=r"^[A-Za-z0-9._-]+$")]
Password = Annotated[  # the length first: it is then told in characters
    str,
    Field(min_length=8, max_length=128, json_schema_extra={"format": "password"}),
    AfterValidator(storable),
]
_PASSWORD: TypeAdapter[str] = TypeAdapter(Password)
# At a login nothing is said about what a name or a password may look like.
Identifier = Annotated[str, Field(min_length=1, max_length=254), AfterValidator(storable)]
GivenPassword = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(storable)]


# A household's own network is as good as any: nothing is ever sent there. The library's own way to say so.
for _domain in ("arpa", "local", "localhost", "test"):
    with suppress(ValueError):  # it has been said already
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_domain)


def _address(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """Read an email address; the library's own words repeat parts of what was sent."""
    if isinstance(value, str) and "<" in value:  # pydantic would take the address out of `Alice <alice@…>`
        raise ValueError("write the address alone, like alice@example.org")
    try:
        return read(value)
    except ValidationError:
        raise ValueError("this is no email address; write one like alice@example.org") from None


class RegisterRequest(Incoming):
    """A new account."""

    model_config = example(
        {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}
    )

    username: Username
    email: Annotated[EmailStr, Field(max_length=254), WrapValidator(_address)]
    password: Password

    @field_validator("password")
    @classmethod
    def _not_easy_to_guess(cls, value: str, told: ValidationInfo) -> str:
        username, email = (str(told.data.get(name, "")) for name in ("username", "email"))
        if reason := weakness(value, username=username, email=email):
            raise ValueError(reason)
        return value


def registration(*, username: str, email: str, password: str) -> RegisterRequest:
    """Return what was typed on a command line or into the settings; InvalidInputError as at the API."""
    try:
        return RegisterRequest(username=username, email=email, password=password)
    except ValidationError as error:
        raise _told(error) from error


def new_password(text: str) -> str:
    """Return a password that was typed on a command line; InvalidInputError as at the API."""
    try:
        return _PASSWORD.validate_python(text)
    except ValidationError as error:
        raise _told(error) from error


def _told(error: ValidationError) -> InvalidInputError:
    faults = (
        f"{fault['loc'][-1] if fault['loc'] else 'password'}: "
        f"{fault['msg'].removeprefix('Value error, ').rstrip('.')}"
        for fault in error.errors(include_input=False)
    )
    return InvalidInputError("; ".join(faults) + ".")


class LoginRequest(Incoming):
    """A username or an email address, and the password."""

    model_config = example({"username": "alice", "password": "correct horse battery"})

    username: Identifier
    password: GivenPassword


class PasswordChange(Incoming):
    """The password of now and the one to come."""

    model_config = example(
        {"current_password": "correct horse battery", "new_password": "another horse entirely"}
    )

    current_password: GivenPassword
    new_password: Password


class TokenRead(Outgoing):
    """A bearer token; `expires_in` is in seconds."""

    model_config = example(
        {"access_token": "eyJhbGciOiJIUzI1NiJ9.e30.x", "token_type": "bearer", "expires_in": 86400}
    )

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int


class MessageRead(Outgoing):
    """One sentence."""

    model_config = example({"message": "You are logged out."})

    message: str


class UserRead(Outgoing):
    """An account as its owner sees it."""

    model_config = example(
        {
            "id": 1,
            "username": "alice",
            "email": "alice@example.org",
            "is_active": True,
            "is_admin": False,
            "created_at": "2026-01-01T10:00:00Z",
            "last_login": "2026-01-02T18:30:00Z",
        }
    )

    id: int
    username: str
    email: str
    is_active: bool
    is_admin: bool
    created_at: datetime
    last_login: datetime | None


class UserPage(Outgoing):
    """One page of all accounts, newest first."""

    users: list[UserRead]
    total: int
    page: int
    per_page: int
    pages: int


class UserChange(Incoming):
    """What an administrator changes about an account; what is left out stays."""

    model_config = example({"is_active": False})

    is_active: StrictBool | None = Field(default=None, description="False ends every session at once")
    is_admin: StrictBool | None = None
