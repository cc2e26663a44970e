"""Cookies on the wire: how many there are for which site, and never what they hold."""

from datetime import datetime

from pydantic import Field

from music_downloader.schema.base import Outgoing


class CookiesRead(Outgoing):
    """The cookies that are kept for one site."""

    site: str
    count: int
    earliest_expiry: datetime | None = Field(description="When the first of them expires, if any does")
    updated_at: datetime


class CookiesStored(CookiesRead):
    """The cookies that are kept now, and how many of the file were left out."""

    expired: int = Field(description="Left out, since they have expired")
    foreign: int = Field(description="Left out, since they are for other sites")


class CookieSites(Outgoing):
    """All sites that you have handed over cookies for, by name."""

    sites: list[CookiesRead]
