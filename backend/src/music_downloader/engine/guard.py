"""The dial-time check inside a fetching process: no socket leaves the egress policy."""

import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from music_downloader.egress.policy import EgressPolicy, permits_port

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080
_STARTS_A_PROGRAM = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
)


class AddressRefusedError(ConnectionError):
    """This address may not be dialled."""


class ConnectGuard:
    """Judges every address that a Python socket of this process is about to connect to.

    With a proxy, the proxy is the only address that may be dialled: what lies behind it is its own to judge.
    `refused` becomes true at the first refusal, since libraries wrap or swallow the error.
    """

    def __init__(self, policy: EgressPolicy, proxy: str | None) -> None:
        self.refused = False
        self._policy = policy
        self._proxy = _endpoints(proxy) if proxy else None

    def install(self) -> None:
        """Put the guard before `socket.socket.connect`; there is no way back, so only a child calls this."""
        guard = self
        connect = socket.socket.connect
        connect_ex = socket.socket.connect_ex

        def guarded_connect(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - as the original
            guard.check(self, address)
            connect(self, address)

        def guarded_connect_ex(self: socket.socket, address: Any) -> int:  # noqa: ANN401 - as the original
            guard.check(self, address)
            return connect_ex(self, address)

        # The replacements are what this class is for.
        socket.socket.connect = guarded_connect  # type: ignore[method-assign, assignment]
        socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign, assignment]

    def check(self, sock: socket.socket, address: Any) -> None:  # noqa: ANN401 - whatever connect() takes
        """Raise AddressRefusedError unless `address` is a numeric one that may be dialled."""
        if self._may_dial(sock, address):
            return
        self.refused = True
        raise AddressRefusedError("This address may not be dialled.")

    def _may_dial(self, sock: socket.socket, address: Any) -> bool:  # noqa: ANN401 - whatever connect() takes
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return False
        host, port = address[:2]
        try:
            literal = ip_address(host)
        except ValueError:
            return False  # a name: it could resolve to anything between this check and the dialling
        if self._proxy is not None:
            return (str(literal), port) in self._proxy
        return permits_port(port) and self._policy.permits(literal)


def forbid_programs(*, except_for: frozenset[str]) -> None:
    """Let this process start only the programs of these names, since others would dial unguarded."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _STARTS_A_PROGRAM:
            return
        if event == "subprocess.Popen" and Path(os.fsdecode(arguments[0])).name in except_for:
            return
        raise PermissionError("This process may not start other programs.")

    sys.addaudithook(hook)


def _endpoints(proxy: str) -> frozenset[tuple[str, int]]:
    parts = urlsplit(proxy)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, _SOCKS_PORT)
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    return frozenset((str(address[0]), int(address[1])) for *_, address in found)
