"""The parameters of every list in pages."""

from typing import Annotated

from pydantic import ConfigDict, Field

from music_downloader.schema.base import Incoming


class PageQuery(Incoming):
    """Which page of a list to show."""

    model_config = ConfigDict(extra="ignore")

    page: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = 10
