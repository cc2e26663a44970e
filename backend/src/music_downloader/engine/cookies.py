"""Cookies that a person hands over for one site: read out of a cookies.txt, given to a fetch and nobody else.

The format is Netscape's: a cookie a line, of seven fields with tabs between (domain, whether subdomains get
it, path, whether only HTTPS does, the time it expires, name, value). Comments begin with `#`, except for the
mark `#HttpOnly_`, which stands before a domain.
"""

import json
import re
from dataclasses import astuple, dataclass, field
from typing import Final

from music_downloader.egress.policy import host_name
from music_downloader.errors import CookiesRefusedError, UrlRefusedError

_FIELDS: Final = 7
_HTTP_ONLY: Final = "#HttpOnly_"
_FLAGS: Final = {"TRUE": True, "FALSE": False}
_LONGEST: Final = 4096  # characters of name and value; browsers keep no longer ones (RFC 6265, 6.1)
_LONGEST_DOMAIN: Final = 254
_LATEST: Final = 253_402_300_799  # the end of the year 9999
_MOMENT = re.compile(r"-?\d{1,20}(?:\.\d{0,20})?", re.ASCII)
_NAME = re.compile(r"[!-:<>-~]*")
_VALUE = re.compile(r"[ -:<-~]*")
_PATH = re.compile(r"/[!-:<-~]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cookie:
    """One cookie. `subdomains` of `domain` get it too; `expires` is a Unix time, None at a session's end.

    A cookie without a name has a value only.
    """

    domain: str
    subdomains: bool
    path: str
    secure: bool
    expires: int | None
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CookieFile:
    """What of a file is of use, and how many were left out: `expired`, or `foreign`, those of other sites."""

    cookies: tuple[Cookie, ...] = field(repr=False)
    expired: int
    foreign: int

    @property
    def earliest_expiry(self) -> int | None:
        """When the first of them expires; None where all last as long as a session."""
        return min((each.expires for each in self.cookies if each.expires is not None), default=None)


def dump(cookies: tuple[Cookie, ...]) -> bytes:
    """Return cookies as bytes that `load` reads."""
    return json.dumps([astuple(each) for each in cookies], separators=(",", ":")).encode()


def load(dumped: bytes) -> tuple[Cookie, ...]:
    """Read what `dump` wrote."""
    names = Cookie.__slots__
    return tuple(Cookie(**dict(zip(names, each, strict=True))) for each in json.loads(dumped))


def read_cookies(content: bytes, *, site: str, now: float) -> CookieFile:
    """Read a cookies.txt and keep what belongs to `site` or a subdomain of it, and is good at `now`.

    Raises CookiesRefusedError, which names a line by its number and never by what stands in it.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CookiesRefusedError(
            "This is no text; export the cookies as a cookies.txt, in Netscape's format."
        ) from error
    if text.lstrip()[:1] in {"[", "{"}:
        raise CookiesRefusedError("This is JSON; export the cookies as a cookies.txt, in Netscape's format.")
    kept: dict[tuple[str, str, str], Cookie] = {}
    expired = foreign = 0
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        fields = _fields(number, line)
        if fields is None:
            continue
        domain = _belonging(fields[0], site)
        if domain is None:
            foreign += 1
            continue
        cookie = _cookie(number, domain, fields)
        if cookie.expires is not None and cookie.expires <= now:
            expired += 1
            continue
        kept[cookie.domain, cookie.path, cookie.name] = cookie  # the last one counts, as in a browser
    if not kept:
        raise CookiesRefusedError(_nothing_left(site, expired=expired, foreign=foreign))
    return CookieFile(cookies=tuple(kept.values()), expired=expired, foreign=foreign)


def _nothing_left(site: str, *, expired: int, foreign: int) -> str:
    if expired:
        return f"All cookies for {site} in this file have expired; log in there again and export new ones."
    if foreign:
        return f"No cookie in this file is for {site} or a subdomain of it; name the site that they are for."
    return "There is no cookie in this file; log in at the site and export its cookies as a cookies.txt."


def _fields(number: int, line: str) -> list[str] | None:
    """Take a line apart; None for a comment or an empty one."""
    line = line.removeprefix(_HTTP_ONLY)
    if line.startswith("#") or not line.strip():
        return None
    fields = line.split("\t")
    if len(fields) == _FIELDS - 1:
        fields.append("")  # an empty value whose tab an editor took off
    if len(fields) != _FIELDS:
        raise _broken(number, f"a cookie has seven fields with tabs between, and here are {len(fields)}")
    return fields


def _belonging(domain: str, site: str) -> str | None:
    """Return the domain in its normal form; None where it is no part of the site."""
    if len(domain) > _LONGEST_DOMAIN:
        return None
    try:
        name = host_name(domain.removeprefix("."))
    except UrlRefusedError:
        return None
    return name if name == site or name.endswith(f".{site}") else None


def _cookie(number: int, domain: str, fields: list[str]) -> Cookie:
    written, subdomains, path, secure, expires, name, value = fields
    if subdomains.upper() not in _FLAGS:
        raise _broken(number, "the second field isn't TRUE or FALSE")
    if not _PATH.fullmatch(path):
        raise _broken(number, "the third field is no path")
    if secure.upper() not in _FLAGS:
        raise _broken(number, "the fourth field isn't TRUE or FALSE")
    if expires and not _MOMENT.fullmatch(expires):
        raise _broken(number, "the fifth field, when it expires, is no number of seconds")
    if not _NAME.fullmatch(name):
        raise _broken(number, "the sixth field holds characters that no cookie's name has")
    if not _VALUE.fullmatch(value) or not name + value:
        raise _broken(number, "the seventh field is no cookie's value")
    if len(name) + len(value) > _LONGEST:
        raise _broken(number, f"name and value are longer than {_LONGEST:,} characters")
    moment = int(expires.partition(".")[0]) if expires else 0
    return Cookie(
        domain=domain,
        subdomains=written.startswith(".") or _FLAGS[subdomains.upper()],
        path=path,
        secure=_FLAGS[secure.upper()],
        expires=min(moment, _LATEST) if moment > 0 else None,
        name=name,
        value=value,
    )


def _broken(number: int, what: str) -> CookiesRefusedError:
    return CookiesRefusedError(f"Line {number} of the file can't be used: {what}.")
