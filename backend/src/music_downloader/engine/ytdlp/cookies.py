"""A person's cookies in yt-dlp's jar, which sends each only where it belongs, redirects included."""

from collections.abc import Iterable
from http import cookiejar

from music_downloader.engine.cookies import Cookie


def take(jar: cookiejar.CookieJar, cookies: Iterable[Cookie]) -> None:
    """Put cookies into the jar, in memory only."""
    for each in cookies:
        jar.set_cookie(
            cookiejar.Cookie(
                version=0,
                name=each.name or each.value,
                value=each.value if each.name else None,
                port=None,
                port_specified=False,
                domain=f".{each.domain}" if each.subdomains else each.domain,
                domain_specified=each.subdomains,
                domain_initial_dot=each.subdomains,
                path=each.path,
                path_specified=True,
                secure=each.secure,
                expires=each.expires,
                discard=each.expires is None,
                comment=None,
                comment_url=None,
                rest={},
            )
        )
