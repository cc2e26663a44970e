"""The egress proxy's refusals, turned back into the errors that connecting without it would have raised.

So whoever judges an error, in yt-dlp or here, needn't know that there is a proxy.
"""

import errno
import http.client
import os
import socket
from typing import Final

from yt_dlp.networking.exceptions import HTTPError, TransportError

from music_downloader.egress import verdict
from music_downloader.egress.verdict import Verdict
from music_downloader.engine import faults
from music_downloader.engine.guard import AddressRefusedError

_NUMBERS: Final = {
    Verdict.REFUSED: errno.ECONNREFUSED,
    Verdict.UNREACHABLE: errno.EHOSTUNREACH,
    Verdict.TIMEOUT: errno.ETIMEDOUT,
    Verdict.BROKEN: errno.ECONNRESET,
}


def verdict_of(error: TransportError | HTTPError) -> Verdict | None:
    """Return what the proxy said about a request that failed; None when the failure is the source's own."""
    if isinstance(error, HTTPError):
        return verdict.read(error.response.get_header(verdict.HEADER))
    return verdict.read_tunnel_failure(str(error))


def as_error(said: Verdict) -> TransportError:
    """Return the error that stands for this verdict."""
    return TransportError(cause=_cause(said))


def _cause(said: Verdict) -> Exception:
    if said in _NUMBERS:
        return OSError(_NUMBERS[said], os.strerror(_NUMBERS[said]))
    match said:
        case Verdict.BLOCKED:
            return AddressRefusedError("This address may not be dialled.")
        case Verdict.UNRESOLVED:
            return socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        case Verdict.UPSTREAM:
            return faults.PROXY.error()
        case Verdict.GARBLED | Verdict.MALFORMED:
            return http.client.HTTPException("The answer isn't HTTP.")
        case _:
            return faults.WAY_OUT.error()
