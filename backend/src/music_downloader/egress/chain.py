"""The operator's own proxy, when there is one: it resolves and dials, and may live anywhere.

What is asked of it is still judged as far as it can be: a literal address or a port that the policy refuses
never reaches it.
"""

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from music_downloader.egress import head
from music_downloader.egress.dialling import Dialler
from music_downloader.egress.relay import Link, TooLongError
from music_downloader.egress.verdict import NotConnectedError, Verdict

_DEFAULT_PORTS: Final = {"http": 80, "socks5": 1080, "socks5h": 1080}
_GOOD: Final = range(200, 300)
_SOCKS5: Final = 5
_NO_AUTHENTICATION: Final = 0
_BY_PASSWORD: Final = 2
_CONNECT: Final = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_MAX_TEXT: Final = 255
# What a SOCKS5 server's reply means (RFC 1928, 6).
_SOCKS_REPLIES: Final = {
    3: Verdict.UNREACHABLE,
    4: Verdict.UNREACHABLE,
    5: Verdict.REFUSED,
    6: Verdict.TIMEOUT,
}
_HTTP_REPLIES: Final = {502: Verdict.UNREACHABLE, 503: Verdict.UNREACHABLE, 504: Verdict.TIMEOUT}


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """A proxy by its URL: `http`, `socks5` or `socks5h`, with or without user and password."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str

    @classmethod
    def read(cls, url: str) -> Self:
        """Read a URL; raises ValueError for one that names no proxy of these kinds."""
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError("write a proxy as http://host:port or socks5://host:port")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORTS[parts.scheme],
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
        )

    @property
    def speaks_http(self) -> bool:
        """Whether plain HTTP is handed to it as it is, and not through a tunnel."""
        return self.scheme == "http"

    @property
    def credential(self) -> str | None:
        """What an HTTP proxy wants to be shown."""
        return None if self.user is None else head.basic(self.user, self.password)

    async def dial(self, dialler: Dialler, turns: asyncio.Semaphore) -> Link:
        """Connect to the proxy itself; raises NotConnectedError (upstream)."""
        try:
            return await dialler.dial(self.host, self.port, None, turns)
        except NotConnectedError as error:
            raise NotConnectedError(Verdict.UPSTREAM) from error

    async def tunnel(self, dialler: Dialler, turns: asyncio.Semaphore, host: str, port: int) -> Link:
        """Connect to `host`, which the proxy resolves; raises NotConnectedError."""
        link = await self.dial(dialler, turns)
        try:
            if self.speaks_http:
                await self._ask_http(link, host, port)
            else:
                await self._ask_socks(link, host, port)
        except BaseException:
            link.abort()
            raise
        return link

    async def _ask_http(self, link: Link, host: str, port: int) -> None:
        where = head.authority(host, port)
        shown = f"Proxy-Authorization: {self.credential}\r\n".encode("ascii") if self.credential else b""
        link.send(b"CONNECT " + where + b" HTTP/1.1\r\nHost: " + where + b"\r\n" + shown + b"\r\n")
        try:
            answered = await link.until((b"\r\n\r\n", b"\n\n"), most=head.MAX_HEAD)
            status, _ = head.rewrite_answer(answered)
        except (NotConnectedError, TooLongError, head.MalformedError) as error:
            raise NotConnectedError(Verdict.UPSTREAM) from error
        if status not in _GOOD:
            raise NotConnectedError(_HTTP_REPLIES.get(status, Verdict.UPSTREAM))

    async def _ask_socks(self, link: Link, host: str, port: int) -> None:
        try:
            await self._greet(link)
            link.send(bytes((_SOCKS5, _CONNECT, 0)) + _socks_address(host) + port.to_bytes(2))
            version, reply, _, kind = await link.exactly(4)
            size = {_IPV4: 4, _IPV6: 16}.get(kind) or (await link.exactly(1))[0]
            if version == _SOCKS5 and reply == 0:
                await link.exactly(size + 2)
                return
        except NotConnectedError as error:
            raise NotConnectedError(Verdict.UPSTREAM) from error
        raise NotConnectedError(_SOCKS_REPLIES.get(reply, Verdict.UPSTREAM))

    async def _greet(self, link: Link) -> None:
        """Agree on who we are (RFC 1928, 3; RFC 1929)."""
        method = _NO_AUTHENTICATION if self.user is None else _BY_PASSWORD
        link.send(bytes((_SOCKS5, 1, method)))
        if await link.exactly(2) != bytes((_SOCKS5, method)):
            raise NotConnectedError(Verdict.UPSTREAM)
        if self.user is None:
            return
        link.send(b"\x01" + _short(self.user.encode()) + _short(self.password.encode()))
        if (await link.exactly(2))[1] != 0:
            raise NotConnectedError(Verdict.UPSTREAM)


def _socks_address(host: str) -> bytes:
    try:
        literal = ip_address(host)
    except ValueError:
        return bytes((_NAME,)) + _short(host.encode("ascii"))
    return bytes((_IPV4 if literal.version == 4 else _IPV6,)) + literal.packed  # noqa: PLR2004 - IPv4


def _short(text: bytes) -> bytes:
    if len(text) > _MAX_TEXT:
        raise NotConnectedError(Verdict.UPSTREAM)
    return bytes((len(text),)) + text
