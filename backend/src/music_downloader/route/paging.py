"""What every list in pages shares: the Link header to its other pages."""

from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response

from music_downloader.service.page import Page


def link_pages(request: Request, response: Response, page: Page[Any]) -> None:
    """Set the Link header (RFC 8288) to the first, previous, next and last page of this very list."""
    last = max(page.count, 1)
    targets = {
        "first": 1,
        "prev": min(page.number - 1, last) if page.number > 1 else None,
        "next": page.number + 1 if page.number < last else None,
        "last": last,
    }
    kept = [
        (key, value) for key, value in request.query_params.multi_items() if key not in {"page", "per_page"}
    ]
    base = f"{request.scope.get('root_path', '')}{request.scope['route'].path}"
    response.headers["Link"] = ", ".join(
        f'<{base}?{urlencode([("page", number), ("per_page", page.size), *kept])}>; rel="{name}"'
        for name, number in targets.items()
        if number is not None
    )
