"""A listener that must see nobody, and a resolver that lies."""

import json
import socket
import threading
from pathlib import Path
from typing import Self

RESOLVER = Path(__file__).with_name("lying_resolver.py")


class Canary:
    """Listens on every address of this machine, or on one; counts who connects and hangs up on them."""

    def __init__(self, host: str = "", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if host:
            self._listening = socket.create_server((host, port), family=family)
        elif socket.has_dualstack_ipv6():
            self._listening = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            self._listening = socket.create_server(("0.0.0.0", port))  # noqa: S104 - it must see whoever comes
        self.visits = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _watch(self) -> None:
        while True:
            try:
                visitor, _ = self._listening.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()


def lying(answers: dict[str, list[list[str]]]) -> list[str]:
    """Return what makes a `Gate` run the proxy with these answers for each name: the last one for ever."""
    return ["-I", str(RESOLVER), json.dumps(answers)]
