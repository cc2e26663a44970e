"""Who is calling when reverse proxies stand in between: as far as TRUSTED_PROXIES vouch for it.

`X-Forwarded-For` grows to the right: each proxy adds the address that it was called from. So it is read from
the right, and the first address that isn't a trusted proxy's is the caller's; all further left is hearsay.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Networks = Sequence[IPv4Network | IPv6Network]
_Address = IPv4Address | IPv6Address

_MOST_HOPS = 32  # no chain of proxies is longer; what somebody wrote in front of it isn't even looked at
_LONGEST_HOP = 64  # an IPv6 address in brackets with its zone and port


class Forwarding:
    """Puts the caller's own address and scheme into the scope, whatever the server made of the headers.

    `uvicorn` started by its own command believes X-Forwarded-* from the machine itself. It is undone here:
    what counts is the socket, and then TRUSTED_PROXIES.
    """

    def __init__(self, app: ASGIApp, *, trusted: Networks = ()) -> None:
        self.app = app
        self.trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through (ASGI)."""
        if scope["type"] == "http":
            peer, scheme = _socket_of(scope, receive)
            headers = Headers(scope=scope)
            if _is_among(peer, self.trusted):
                scheme = forwarded_scheme(headers.getlist("x-forwarded-proto")) or scheme
            caller = forwarded_client(peer, headers.getlist("x-forwarded-for"), trusted=self.trusted)
            scope["scheme"] = scheme
            scope["client"] = None if caller is None else (str(caller), 0)
        await self.app(scope, receive, send)


def forwarded_client(
    peer: _Address | None, forwarded: Sequence[str], *, trusted: Networks
) -> _Address | None:
    """Return the rightmost address that no trusted proxy has; `forwarded` are the headers in their order.

    What is no address ends the search: then the proxy that passed it on is all that is known.
    """
    caller = peer
    for hop in _from_the_right(forwarded):
        if not _is_among(caller, trusted):
            break
        address = read_hop(hop)
        if address is None:
            break
        caller = address
    return caller


def forwarded_scheme(values: Sequence[str]) -> str | None:
    """Return `http` or `https` as the nearest proxy told it, None for anything else."""
    told = values[-1].rpartition(",")[2].strip().lower() if values else ""
    return told if told in {"http", "https"} else None


def read_hop(text: str) -> _Address | None:
    """Read one address: with or without a port, an IPv6 one with or without brackets."""
    text = text.strip(" \t")
    if not text or len(text) > _LONGEST_HOP or not text.isascii():
        return None
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port)) or ":" not in host:
            return None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    else:
        host = text
    return _plain(host)


def _socket_of(scope: Scope, receive: Receive) -> tuple[_Address | None, str]:
    """Return who is at the other end of the socket, and the scheme that it speaks.

    uvicorn's `receive` belongs to the connection, which knows. Other servers are believed.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        host = (transport.get_extra_info("peername") or [None])[0]
        scheme = "https" if transport.get_extra_info("sslcontext") else "http"
    else:
        host = (scope.get("client") or [None])[0]
        scheme = str(scope.get("scheme", "http"))
    return (_plain(host) if isinstance(host, str) else None), scheme


def _from_the_right(forwarded: Sequence[str]) -> Iterable[str]:
    hops = 0
    for value in reversed(forwarded):
        rest, more = value, True
        while more and hops < _MOST_HOPS:
            rest, separator, hop = rest.rpartition(",")
            more = bool(separator)
            hops += 1
            yield hop


def _is_among(address: _Address | None, networks: Networks) -> bool:
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _plain(host: str) -> _Address | None:
    """Read an address in the form that audit log and networks have: no zone, no IPv4 in IPv6's clothes."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isdecimal() and len(text) <= len(":65535")
