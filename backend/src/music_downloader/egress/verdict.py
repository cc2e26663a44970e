"""How the egress proxy says that it didn't connect, and why: in the status line and in a header of its own.

A client that asked for a tunnel often sees no more than the status line, so the reason phrase says it too.
"""

import re
from enum import StrEnum
from typing import Final

HEADER: Final = "X-Egress"
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: \d{3} egress ([a-z]+)\b")


class Verdict(StrEnum):
    """Why nothing was connected to, or nothing of use came back."""

    BLOCKED = "blocked"  # the policy refuses the address, the port or the scheme
    UNRESOLVED = "unresolved"  # the name has no address
    REFUSED = "refused"  # nobody listens there
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BROKEN = "broken"  # it hung up before it had answered
    GARBLED = "garbled"  # its answer isn't HTTP
    UPSTREAM = "upstream"  # the operator's proxy could not be used
    BUSY = "busy"  # too many connections at once
    CREDENTIAL = "credential"  # the caller hasn't been admitted
    MALFORMED = "malformed"  # the request isn't one for a proxy


_STATUS: Final = {
    Verdict.BLOCKED: 403,
    Verdict.TIMEOUT: 504,
    Verdict.BUSY: 503,
    Verdict.CREDENTIAL: 407,
    Verdict.MALFORMED: 400,
}
_BAD_GATEWAY: Final = 502


class NotConnectedError(Exception):
    """There is no connection, for this reason."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.value)
        self.verdict = verdict


def answer(verdict: Verdict) -> bytes:
    """Return the whole answer that says so."""
    lines = [f"HTTP/1.1 {_STATUS.get(verdict, _BAD_GATEWAY)} egress {verdict}", f"{HEADER}: {verdict}"]
    if verdict is Verdict.CREDENTIAL:
        lines.append('Proxy-Authenticate: Basic realm="egress"')  # RFC 9110, 11.7.1
    lines += ["Content-Length: 0", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("ascii")


def read(value: str | None) -> Verdict | None:
    """Read the header; None where there is none, or nothing known in it."""
    try:
        return Verdict(value or "")
    except ValueError:
        return None


def read_tunnel_failure(words: str) -> Verdict | None:
    """Read what `http.client` says when a tunnel was refused."""
    found = _TUNNEL_FAILED.search(words)
    return read(found[1]) if found else None
