"""The heads of HTTP messages as a proxy reads and rewrites them (RFC 9110, RFC 9112); nothing here waits."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from music_downloader.egress.verdict import HEADER

MAX_HEAD: Final = 64 * 1024
_HTTP_PORT: Final = 80
_MAX_PORT: Final = 65535

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,32768}) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00\r\n]*)")  # one way to match, however many spaces
_ABSOLUTE = re.compile(rb"(?i)http://([^/?#@]+)([/?][^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.%]+\]|[^\[\]@/?#]+?)(?::(\d{1,5}))?")
_LENGTH = re.compile(rb"\d{1,12}")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)(?: [^\x00\r\n]*)?")
# What belongs to one connection and not to the message (RFC 9110, 7.6.1). Transfer-Encoding is kept, since
# the body is handed on exactly as it comes.
_OF_THE_CONNECTION: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"upgrade"}
    | {b"proxy-authorization", b"proxy-authenticate", b"proxy-authentication-info"}
)
_FORGED: Final = HEADER.lower().encode()


class MalformedError(ValueError):
    """This isn't the head of an HTTP message that a proxy could hand on."""


class ForeignSchemeError(ValueError):
    """The request is for something other than http."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a client asks the proxy for; `credential` is what it showed, undecoded ("" for none).

    `host` is as the client wrote it, without a port. `body` is how many bytes follow the head. For a tunnel,
    `origin_form` is empty, and what follows is nobody's to count.
    """

    method: bytes
    host: str
    port: int
    origin_form: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    credential: str
    body: int

    @property
    def is_tunnel(self) -> bool:
        """Whether a tunnel is asked for (CONNECT)."""
        return self.method == b"CONNECT"

    @property
    def authority(self) -> bytes:
        """Host and port as a Host field has them; port 80 goes without saying."""
        return authority(self.host, self.port, default=None if self.is_tunnel else _HTTP_PORT)

    def for_origin(self) -> bytes:
        """Return the head to send to the source itself."""
        return self._head(self.origin_form, ())

    def for_proxy(self, credential: str | None) -> bytes:
        """Return the head to send to another proxy, with what that one wants to be shown."""
        shown = ((b"Proxy-Authorization", credential.encode("ascii")),) if credential else ()
        return self._head(b"http://" + self.authority + self.origin_form, shown)

    def _head(self, target: bytes, more: tuple[tuple[bytes, bytes], ...]) -> bytes:
        dropped = _OF_THE_CONNECTION | _named(self.fields) | {b"host"}
        kept = ((name, value) for name, value in self.fields if name.lower() not in dropped)
        fields = ((b"Host", self.authority), *kept, *more, (b"Connection", b"close"))
        lines = (name + b": " + value for name, value in fields)
        return b"\r\n".join((self.method + b" " + target + b" HTTP/1.1", *lines, b"", b""))


def authority(host: str, port: int, *, default: int | None = None) -> bytes:
    """Write a host and its port as URLs have them (RFC 3986, 3.2)."""
    written = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return (written if port == default else f"{written}:{port}").encode("ascii")


def basic(user: str, password: str) -> str:
    """Return a credential as Basic authentication has it (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def read_request(head: bytes) -> Request:
    """Read a request up to and with its empty line.

    Raises MalformedError, or ForeignSchemeError for an absolute URL of any scheme but http.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    fields = tuple(_field(line) for line in lines)
    if request_line is None:
        raise MalformedError
    method, target = request_line.groups()
    origin_form = b""
    if method == b"CONNECT":
        host, port = _host_and_port(target, default=None)
    else:
        if not target.lower().startswith(b"http://"):
            raise ForeignSchemeError if b"://" in target[:40] else MalformedError
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise MalformedError
        host, port = _host_and_port(absolute[1], default=_HTTP_PORT)
        path = absolute[2] or b"/"
        origin_form = path if path.startswith(b"/") else b"/" + path
    shown = [value for name, value in fields if name.lower() == b"proxy-authorization"]
    return Request(
        method=method,
        host=host,
        port=port,
        origin_form=origin_form,
        fields=fields,
        credential=_credential(shown[0]) if len(shown) == 1 else "",
        body=_body(fields),
    )


def rewrite_answer(head: bytes) -> tuple[int, bytes]:
    """Return the status of an answer, and its head for the client; raises MalformedError.

    An interim answer (1xx) stays open; after any other, the connection ends with the answer.
    """
    first, *lines = head.replace(b"\r\n", b"\n").removesuffix(b"\n\n").split(b"\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if status_line is None or b"\r" in head.replace(b"\r\n", b""):
        raise MalformedError
    status = int(status_line[1])
    dropped = _OF_THE_CONNECTION | {_FORGED} | _named([_loose_field(line) for line in lines])
    kept: list[bytes] = [first]
    keeping = True
    for line in lines:
        if not line.startswith((b" ", b"\t")):  # else it continues the one before (RFC 9112, 5.2)
            keeping = _loose_field(line)[0].lower() not in dropped
        if keeping:
            kept.append(line)
    if status >= 200:  # noqa: PLR2004 - the first that is final
        kept.append(b"Connection: close")
    return status, b"\r\n".join((*kept, b"", b""))


def _named(fields: "list[tuple[bytes, bytes]] | tuple[tuple[bytes, bytes], ...]") -> frozenset[bytes]:
    """Return the fields that Connection says belong to the connection; the framing never does."""
    values = [value for name, value in fields if name.lower() == b"connection"]
    named = {part.strip().lower() for value in values for part in value.split(b",")}
    return frozenset(named - {b"transfer-encoding", b"content-length", b"host", b""})


def _field(line: bytes) -> tuple[bytes, bytes]:
    field = _FIELD.fullmatch(line)
    if field is None:
        raise MalformedError
    return field[1], field[2].strip(b" \t")


def _loose_field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip(), value.strip()


def _host_and_port(text: bytes, *, default: int | None) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(text)
    port = default if found is None or found[2] is None else int(found[2])
    if found is None or port is None or not 0 < port <= _MAX_PORT:
        raise MalformedError
    return found[1].decode("ascii"), port


def _body(fields: tuple[tuple[bytes, bytes], ...]) -> int:
    """Return the length of a request's body (RFC 9112, 6.3), which has to be said in the one plain way.

    A body whose end could be seen in two ways would hide another request from us (RFC 9112, 11.2).
    """
    if any(name.lower() == b"transfer-encoding" for name, _ in fields):
        raise MalformedError
    said = [value for name, value in fields if name.lower() == b"content-length"]
    if not said:
        return 0
    if len(said) > 1 or not _LENGTH.fullmatch(said[0]):
        raise MalformedError
    return int(said[0])


def _credential(value: bytes) -> str:
    scheme, _, encoded = value.partition(b" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded if scheme.lower() == b"basic" else ""
