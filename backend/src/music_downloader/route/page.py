"""The page for people: files that `make setup` builds out of `frontend/`, served as they are.

Only `index.html` is touched: it learns the prefix that the service is served at, whether people may register,
and a nonce for the style sheets that the page adds as it goes. So its Content-Security-Policy can forbid
every script and style that stands in the page itself. A browser that has the page already hears 304, with the
policy for the nonce in its copy: the ETag brings that nonce back.
"""

import asyncio
import hashlib
import re
import secrets
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import Headers

from music_downloader.dependencies import SettingsDep
from music_downloader.errors import NotFoundError
from music_downloader.route.conditional import Version, is_known

router = APIRouter(include_in_schema=False)

# Where the build leaves its files; they are part of the package, so an image carries them along.
FOLDER = Path(str(files("music_downloader"))) / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_ENCODINGS = {"br": ".br", "gzip": ".gz"}  # the best one first
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
# The names of what lies in `assets` hold a digest of it, so that a new version is another address.
_FOREVER = "public, max-age=31536000, immutable"
_FOR_AN_HOUR = "public, max-age=3600"
# Kept, but asked about each time; and by nobody in between, who would hand one nonce to many.
_ASKED_ABOUT = "private, no-cache"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' blob:; "
    "font-src 'self'; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NAS Music Downloader</title>
</head>
<body>
<p>The page isn't built yet: run <code>make setup</code> in the project's folder and load this again;
until then there is <a href="{prefix}/docs">the interactive documentation</a>.</p>
</body>
</html>
"""


@router.head("/ui")
@router.get("/ui")
async def get_page_without_slash(request: Request) -> RedirectResponse:
    """Send on to where the page lies; what was handed over in the query goes along."""
    query = request.url.query
    return RedirectResponse(f"{_prefix(request)}/ui/{f'?{query}' if query else ''}", status_code=307)


@router.head("/ui/assets/{name}")
@router.get("/ui/assets/{name}")
async def get_asset(name: str, request: Request) -> Response:
    """Return a script, a style sheet or a picture that keeps for ever under its name."""
    return await asyncio.to_thread(_file, Path("assets"), name, Headers(scope=request.scope), keeps=_FOREVER)


@router.head("/ui/{path:path}")
@router.get("/ui/{path:path}")
async def get_page(path: str, request: Request, settings: SettingsDep) -> Response:
    """Return the page itself, which knows its own addresses; or a file that lies beside it."""
    name = path.rpartition("/")[2]
    if path == name and "." in name:
        return await asyncio.to_thread(_file, Path(), name, Headers(scope=request.scope), keeps=_FOR_AN_HOUR)
    if "." in name:
        raise NotFoundError
    return await asyncio.to_thread(
        _page, _prefix(request), Headers(scope=request.scope), registration=settings.registration
    )


def _prefix(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _page(prefix: str, asked: Headers, *, registration: str) -> Response:
    shown_prefix = escape(prefix, quote=True)
    try:
        page = (FOLDER / "index.html").read_text(encoding="utf-8")
    except FileNotFoundError:
        return HTMLResponse(_NOT_BUILT.format(prefix=shown_prefix), headers={"Cache-Control": "no-cache"})
    page = page.replace("__PREFIX__", shown_prefix).replace('="./', f'="{shown_prefix}/ui/')
    page = page.replace("__REGISTRATION__", registration)
    digest = _digest(f"{_POLICY}{page}".encode())
    kept = re.search(rf'"{digest}\.([A-Za-z0-9_-]{{22}})"', asked.get("if-none-match", ""))
    nonce = kept[1] if kept else secrets.token_urlsafe(16)
    headers = {"Cache-Control": _ASKED_ABOUT, "ETag": f'"{digest}.{nonce}"'}
    headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
    if kept:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(page.replace("__NONCE__", nonce), headers=headers)


def _file(folder: Path, name: str, asked: Headers, *, keeps: str) -> Response:
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or not _NAME.fullmatch(name):
        raise NotFoundError
    path = FOLDER / folder / name
    accepted = {
        each.partition(";")[0].strip()
        for each in asked.get("accept-encoding", "").lower().split(",")
        if not re.search(r";\s*q=0(\.0*)?\s*$", each)
    }
    headers = {"Cache-Control": keeps, "Content-Type": kind, "Vary": "Accept-Encoding"}
    for encoding, suffix in _ENCODINGS.items():
        packed = path.with_name(path.name + suffix)
        if encoding in accepted and packed.is_file():
            path, headers["Content-Encoding"] = packed, encoding
            break
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError from None
    version = Version(etag=f'"{_digest(content)}"')
    headers |= version.headers
    if is_known(asked, version):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
