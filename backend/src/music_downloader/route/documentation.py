"""The interactive documentation: Swagger UI, served by us and with nothing from elsewhere.

Neither script nor style stands in the page itself, so that its Content-Security-Policy can forbid both.
"""

import asyncio
import hashlib
from functools import cache
from html import escape
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import Headers

from music_downloader import version
from music_downloader.errors import NotFoundError
from music_downloader.route.conditional import Version, is_known

router = APIRouter(include_in_schema=False)

_PACKAGE = "fastapi_standalone_docs"  # only its files are used
_STATIC = ("static", "swagger")
_START = "start.js"
_TYPES = {
    _START: "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "LICENSE": "text/plain; charset=utf-8",
}
# The token stays in the page's memory, and no validator elsewhere is asked about the document.
_SCRIPT = """\
const root = document.getElementById("swagger-ui");
SwaggerUIBundle({
  url: root.dataset.openapi,
  domNode: root,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  deepLinking: true,
  docExpansion: "list",
  persistAuthorization: false,
  queryConfigEnabled: false,
  showCommonExtensions: true,
  showExtensions: true,
  validatorUrl: null,
});
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NAS Music Downloader: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{prefix}/docs/swagger-ui.css?{version}">
</head>
<body>
<div id="swagger-ui" data-openapi="{prefix}/openapi.json"></div>
<noscript>Without JavaScript, all there is to read is <a href="{prefix}/openapi.json">this</a>.</noscript>
<script src="{prefix}/docs/swagger-ui-bundle.js?{version}"></script>
<script src="{prefix}/docs/start.js?{version}"></script>
</body>
</html>
"""


@router.head("/docs")
@router.get("/docs")
async def get_docs(request: Request) -> HTMLResponse:
    """Return the page; all its addresses lie below the prefix that the service is served at."""
    prefix = request.scope.get("root_path", "")
    page = _PAGE.format(prefix=escape(prefix, quote=True), version=escape(version(), quote=True))
    return HTMLResponse(page, headers={"Cache-Control": "no-cache"})


@router.head("/docs/{name}")
@router.get("/docs/{name}")
async def get_docs_file(name: str, request: Request) -> Response:
    """Return one of the files that the page consists of."""
    if name not in _TYPES:
        raise NotFoundError
    content, known = await asyncio.to_thread(_file, name)
    headers = {**known.headers, "Cache-Control": "public, max-age=86400", "Content-Type": _TYPES[name]}
    if is_known(Headers(scope=request.scope), known):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


@cache
def _file(name: str) -> tuple[bytes, Version]:
    content = _SCRIPT.encode() if name == _START else files(_PACKAGE).joinpath(*_STATIC, name).read_bytes()
    return content, Version(etag=f'"{hashlib.sha256(content).hexdigest()}"')
