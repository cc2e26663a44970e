"""Accounts on the wire."""

from typing import Annotated, Literal

from pydantic import ConfigDict, EmailStr, Field, StringConstraints, ValidationError

from music_downloader.errors import InvalidInputError
from music_downloader.schema.base import Incoming, Outgoing, Text, Time

Username = Annotated[str, StringConstraints(min_length=3, max_length=50, pattern=r"^[A-Za-z0-9._-]+$")]
Password = Annotated[Text, Field(min_length=8, max_length=128, json_schema_extra={"format": "password"})]
# At a login nothing is said about what a name or a password may look like.
Identifier = Annotated[Text, Field(min_length=1, max_length=254)]
GivenPassword = Annotated[Text, Field(min_length=1, max_length=128)]


class RegisterRequest(Incoming):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}
            ]
        }
    )

    username: Username
    email: Annotated[EmailStr, Field(max_length=254)]
    password: Password


def registration(*, username: str, email: str, password: str) -> RegisterRequest:
    """Return what was typed on a command line or into the settings; InvalidInputError as at the API."""
    try:
        return RegisterRequest(username=username, email=email, password=password)
    except ValidationError as error:
        faults = (f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors(include_input=False))
        raise InvalidInputError("; ".join(faults) + ".") from error


class LoginRequest(Incoming):
    """A username or an email address, and the password."""

    username: Identifier
    password: GivenPassword


class PasswordChange(Incoming):
    """The password of now and the one to come."""

    current_password: GivenPassword
    new_password: Password


class TokenRead(Outgoing):
    """A bearer token; `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int


class MessageRead(Outgoing):
    """One sentence."""

    message: str


class UserRead(Outgoing):
    """An account as its owner sees it."""

    id: int
    username: str
    email: str
    is_active: bool
    is_admin: bool
    created_at: Time
    last_login: Time | None
