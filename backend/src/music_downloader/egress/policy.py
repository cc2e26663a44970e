"""Which addresses a source may live at, and which URLs are worth a try.

Nothing here touches the network: a name is judged again when it is dialled, by the address it resolves to.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

from music_downloader.egress import ranges
from music_downloader.errors import UrlRefusedError

MAX_URL_LENGTH: Final = 2048
_UNPRIVILEGED: Final = 1024
_WEB_PORTS: Final = frozenset({80, 443})
_MAX_HOST_LENGTH: Final = 253

_LOOPBACK_NAMES: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)

_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\ufffc-\uffff]|[^\S ]")
_SCHEME = re.compile(r"(?i)https?://(?=[^/?#])")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# What inet_aton would read as an address: one to four decimal, octal or hexadecimal numbers.
_INET_ATON = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}")
_NUMERIC_TAIL = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressPolicy:
    """The public internet, and what `allowed` adds to it."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    def permits(self, address: str | IPv4Address | IPv6Address) -> bool:
        """Tell whether `address` may be dialled; anything that isn't a plain address may not."""
        if isinstance(address, str):
            try:
                address = ip_address(address)
            except ValueError:
                return False
        if isinstance(address, IPv4Address):
            return self._allows(address) or ranges.is_public(address)
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return self.permits(address.ipv4_mapped)
        return self._allows(address) or ranges.is_public(address)

    def allows(self, address: str) -> bool:
        """Tell whether `allowed` names this address, which is a plain one."""
        read = ip_address(address)
        mapped = read.ipv4_mapped if isinstance(read, IPv6Address) else None
        return self._allows(mapped or read)

    def check_target(self, host: str, port: int) -> str:
        """Return the name or the address to dial for a host as it stands in a request, brackets or not.

        A name still has to be judged by the addresses it resolves to. Raises UrlRefusedError.
        """
        if not permits_port(port):
            raise UrlRefusedError("Ports below 1024 other than 80 and 443 aren't downloaded from.")
        if ":" in host:
            return str(self._checked_address(_literal(host.removeprefix("[").removesuffix("]"))))
        return self._checked_host(host, bracketed=False)

    def check_url(self, url: str) -> str:
        """Return `url` ready to be fetched: trimmed, its host in lower case and in ASCII (IDNA).

        Raises UrlRefusedError, in words that never repeat the input.
        """
        url = url.strip(" \t\r\n")
        if len(url) > MAX_URL_LENGTH:
            raise UrlRefusedError(f"This URL is longer than {MAX_URL_LENGTH} characters.")
        if _CONTROL_OR_SPACE.search(url) or "\\" in url:
            raise UrlRefusedError("A URL can't hold spaces, control characters or backslashes.")
        if not url.isprintable():
            raise UrlRefusedError("A URL can't hold invisible characters.")
        if not _SCHEME.match(url):
            raise UrlRefusedError(
                "Only URLs that start with http:// or https:// and a host can be downloaded."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UrlRefusedError("This URL's host or port is malformed.") from error
        if "@" in parts.netloc:
            raise UrlRefusedError("A URL with a user name or password in it can't be downloaded.")
        _check_port(parts.netloc, port)
        host = self._checked_host(parts.hostname or "", bracketed="[" in parts.netloc)
        netloc = host if port is None else f"{host}:{port}"
        ready = parts._replace(scheme=parts.scheme.lower(), netloc=netloc).geturl()
        if len(ready) > MAX_URL_LENGTH:  # a host is longer in ASCII than it was in its own script
            raise UrlRefusedError(f"This URL is longer than {MAX_URL_LENGTH} characters.")
        return ready

    def _allows(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.allowed)

    def _checked_host(self, host: str, *, bracketed: bool) -> str:
        if bracketed:
            return f"[{self._checked_address(_literal(host))}]"
        name = host_name(host)
        if _NUMERIC_TAIL.fullmatch(name):
            return str(self._checked_address(_legacy_ipv4(name)))
        if name in _METADATA_NAMES:
            raise UrlRefusedError("This URL leads to an address that downloads may not reach.")
        if name == "localhost" or name.endswith(".localhost"):
            for address in _LOOPBACK_NAMES:
                if self.permits(address):
                    return name
            raise UrlRefusedError("This URL leads to an address that downloads may not reach.")
        return name

    def _checked_address(self, address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
        if not self.permits(address):
            raise UrlRefusedError("This URL leads to an address that downloads may not reach.")
        return address


def networks(values: tuple[str, ...] | list[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read CIDR strings; host bits may be set, as people write them."""
    return tuple(ip_network(value, strict=False) for value in values)


def permits_port(port: int) -> bool:
    """Tell whether a source may listen there: the web's own ports, and those that need no privilege."""
    return port in _WEB_PORTS or port >= _UNPRIVILEGED


def _check_port(netloc: str, port: int | None) -> None:
    if port is None:
        if netloc.endswith(":"):
            raise UrlRefusedError("This URL's host or port is malformed.")
        return
    digits = netloc.rpartition(":")[2]
    if port == 0 or not (digits.isascii() and digits.isdigit()):
        raise UrlRefusedError("This URL's host or port is malformed.")
    if not permits_port(port):
        raise UrlRefusedError("Ports below 1024 other than 80 and 443 aren't downloaded from.")


def _literal(host: str) -> IPv6Address:
    try:
        return IPv6Address(host)
    except ValueError as error:
        raise UrlRefusedError("This URL's host or port is malformed.") from error


def _legacy_ipv4(name: str) -> IPv4Address:
    """Read a numeric host as the C library would: `0x7f.1`, `2130706433` and `0177.0.0.1` are 127.0.0.1."""
    if not _INET_ATON.fullmatch(name):
        raise UrlRefusedError("This URL's host or port is malformed.")
    try:
        return IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError) as error:
        raise UrlRefusedError("This URL's host or port is malformed.") from error


def host_of(url: str) -> str:
    """Return the host that a URL names, as politeness counts it."""
    try:
        return (urlsplit(url).hostname or "")[:255]
    except ValueError:
        return ""


def host_name(host: str) -> str:
    """Return the host as DNS knows it: decoded, IDNA-encoded, lower case, without the root's dot.

    Raises UrlRefusedError for what can't be a name; an IPv4 address is one here.
    """
    if "%" in host:
        host = unquote(host)
    try:
        name = host.lower() if host.isascii() else host.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise UrlRefusedError("This URL's host isn't a valid name.") from error
    name = name.removesuffix(".")
    if not 0 < len(name) <= _MAX_HOST_LENGTH or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise UrlRefusedError("This URL's host isn't a valid name.")
    return name
