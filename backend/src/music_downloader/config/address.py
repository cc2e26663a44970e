"""Addresses in the configuration: a proxy, a collector, the origins of web pages, the prefix of a path.

Each check returns the address in one form, or raises ValueError in words a person can act on. What was
written is never repeated: it may hold a password.
"""

import re
from urllib.parse import SplitResult, urlsplit

_PROXIES = {"http", "socks5", "socks5h"}
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_LONGEST = 2048
_LONGEST_PREFIX = 200
_PROXY_FORM = (
    "write it as http://host:port or socks5://host:port, with user:password@ before the host if need be"
)
_COLLECTOR_FORM = (
    "write the collector's address like http://host:4318, without /v1/traces; what it asks for belongs into "
    "OTEL_EXPORTER_OTLP_HEADERS"
)
_ORIGIN_FORM = "write origins like https://music.example.org, without a path"


def check_proxy(text: str) -> str:
    """Return the address of a proxy: http, socks5 or socks5h, a host, a port, perhaps credentials."""
    parts = _split(text)
    if parts is None or parts.scheme not in _PROXIES or not parts.hostname or parts.port == 0:
        raise ValueError(_PROXY_FORM)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(_PROXY_FORM)
    return text.strip()


def check_collector(text: str | None) -> str | None:
    """Return the address below which a collector takes traces (OTLP over HTTP); None for none."""
    if text is None:
        return None
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(_COLLECTOR_FORM)
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path.rstrip("/").endswith("/v1/traces"):
        raise ValueError(_COLLECTOR_FORM)
    return text.strip()


def check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return origins as browsers send them (RFC 6454, 6.2); never all of them."""
    if "*" in origins:
        raise ValueError("name each web page that may call; with all allowed, every page in the world could")
    return tuple(_origin(each) for each in origins)


def check_root_path(text: str) -> str:
    """Return a prefix like `/music`, without the slash at its end; '' for none."""
    prefix = text.rstrip("/")
    is_climbing = {".", ".."}.intersection(prefix.split("/"))
    if not _PREFIX.fullmatch(prefix) or is_climbing or len(prefix) > _LONGEST_PREFIX:
        raise ValueError(
            "write the prefix like /music: letters, digits, dots, hyphens, and a slash before each"
        )
    return prefix


def _origin(text: str) -> str:
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError(_ORIGIN_FORM)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(_ORIGIN_FORM)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _split(text: str) -> SplitResult | None:
    """Take an address apart; None for what can't be one, ports included."""
    text = text.strip()
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # read here, since it is checked only when asked for
    except ValueError:
        return None
    return parts
