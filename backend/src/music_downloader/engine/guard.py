"""The dial-time check inside a fetching process: no socket leads anywhere but to the egress proxy.

The kernel holds the same where it can (see `sandbox` and `seccomp`); this one says what was tried.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TYPE_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_STARTS_A_PROGRAM = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
)


class AddressRefusedError(ConnectionError):
    """This address may not be dialled."""


class ConnectGuard:
    """Lets every Python socket of this process connect to the egress proxy, and to nobody else.

    `refused` becomes true at the first refusal, since libraries wrap or swallow the error.
    """

    def __init__(self, proxy: str) -> None:
        """`proxy` is the proxy's URL, its host an address."""
        self.refused = False
        parts = urlsplit(proxy)
        self._proxy = (parts.hostname, parts.port)

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
        """Raise AddressRefusedError unless `address` is the proxy's."""
        if self._may_dial(sock, address):
            return
        self.refused = True
        raise AddressRefusedError("This address may not be dialled.")

    def _may_dial(self, sock: socket.socket, address: Any) -> bool:  # noqa: ANN401 - whatever connect() takes
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return False
        return sock.type & ~_TYPE_FLAGS == socket.SOCK_STREAM and address[:2] == self._proxy


def forbid_programs(*, except_for: frozenset[str]) -> None:
    """Let this process start only the programs of these names, since others would dial unguarded."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _STARTS_A_PROGRAM:
            return
        if event == "subprocess.Popen" and Path(os.fsdecode(arguments[0])).name in except_for:
            return
        raise PermissionError("This process may not start other programs.")

    sys.addaudithook(hook)
