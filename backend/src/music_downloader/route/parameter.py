"""What stands in the path of several calls."""

from typing import Annotated

from fastapi import Path

DownloadId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The download's id", examples=[1])]
Site = Annotated[
    str,
    Path(min_length=1, max_length=253, description="The site's host, such as youtube.com"),
]
UserId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The account's id", examples=[1])]
