"""What all messages share: unknown fields are refused, NUL and lone surrogates are no text, times are UTC.

A time is written with a `Z`, since every connection to the database speaks UTC.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


def storable(value: str) -> str:
    """Return the text; ValueError where it holds what PostgreSQL can't."""
    if "\x00" in value:
        raise ValueError("a NUL character can't be part of a text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("the text isn't valid Unicode")
    return value


def example(message: dict[str, Any]) -> ConfigDict:
    """Return what has the documentation show such a message."""
    return ConfigDict(json_schema_extra={"examples": [message]})


Text = Annotated[str, AfterValidator(storable)]


class Incoming(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, str_strip_whitespace=False)


class Outgoing(BaseModel):
    """An answer's body, read from a row."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
