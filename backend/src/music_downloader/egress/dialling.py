"""Connecting to what the policy permits: resolve, judge every address, dial the one that was judged."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from itertools import islice
from typing import Any, Final

from music_downloader.egress.neighbourhood import Neighbourhood
from music_downloader.egress.policy import EgressPolicy
from music_downloader.egress.relay import Link
from music_downloader.egress.verdict import NotConnectedError, Verdict
from music_downloader.errors import UrlRefusedError

_MOST_ADDRESSES: Final = 8
_LOOKUPS_AT_ONCE: Final = 16
_CONNECT_SECONDS: Final = 10.0
_BEFORE_THE_NEXT: Final = 4.0

# A family and an address as connect(2) takes it, as getaddrinfo gives them.
Address = tuple[socket.AddressFamily, tuple[Any, ...]]
Resolve = Callable[[str, int], Sequence[Address]]


def look_up(host: str, port: int) -> list[Address]:
    """Ask the system's resolver; blocks. Raises OSError (gaierror) for a name without an address."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


class Dialler:
    """Opens connections; names are looked up in a few threads, since the system's resolver blocks."""

    def __init__(self, resolve: Resolve = look_up, neighbourhood: Neighbourhood | None = None) -> None:
        self._resolve = resolve
        self._neighbourhood = neighbourhood or Neighbourhood()
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="lookup")

    def close(self) -> None:
        """Let go of the threads; lookups under way are left to end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def dial(self, host: str, port: int, policy: EgressPolicy | None, turns: asyncio.Semaphore) -> Link:
        """Connect to one of the permitted addresses of `host`; without a policy, to any.

        Whoever asks has so many `turns` at looking up names, since the threads are few and shared. Raises
        NotConnectedError.
        """
        if policy is not None:
            host = checked(policy, host, port)
        try:
            addresses = _literal(host, port) or await self._addresses(host, port, turns)
        except (OSError, UnicodeError) as error:
            raise NotConnectedError(Verdict.UNRESOLVED) from error
        if policy is not None:
            permitted = (address for address in addresses if self._permits(policy, str(address[1][0])))
            addresses = list(islice(permitted, _MOST_ADDRESSES))
            if not addresses:
                raise NotConnectedError(Verdict.BLOCKED)
        return await _first_of(addresses[:_MOST_ADDRESSES])

    def _permits(self, policy: EgressPolicy, address: str) -> bool:
        if not policy.permits(address):
            return False
        return policy.allows(address) or not self._neighbourhood.holds(address)

    async def _addresses(self, host: str, port: int, turns: asyncio.Semaphore) -> Sequence[Address]:
        await turns.acquire()
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host, port)
        # A thread can't be called off: the turn lasts as long as it does, whoever has given up waiting.
        lookup.add_done_callback(lambda _: turns.release())
        return await asyncio.shield(lookup)


def checked(policy: EgressPolicy, host: str, port: int) -> str:
    """Return the host as it is to be resolved or dialled; raises NotConnectedError for a hostile one."""
    try:
        return policy.check_target(host, port)
    except UrlRefusedError as error:
        raise NotConnectedError(Verdict.BLOCKED) from error


def _literal(host: str, port: int) -> list[Address]:
    with suppress(ValueError):
        literal = ip_address(host)
        if literal.version == 4:  # noqa: PLR2004 - IPv4
            return [(socket.AF_INET, (str(literal), port))]
        return [(socket.AF_INET6, (str(literal), port, 0, 0))]
    return []


async def _first_of(addresses: Sequence[Address]) -> Link:
    """Try one after the other; what went wrong with the first is what went wrong."""
    first: NotConnectedError | None = None
    for number, address in enumerate(addresses, 1):
        patience = _CONNECT_SECONDS if number == len(addresses) else _BEFORE_THE_NEXT
        try:
            return await _connect(address, patience)
        except TimeoutError:
            verdict = Verdict.TIMEOUT
        except ConnectionRefusedError:
            verdict = Verdict.REFUSED
        except OSError:
            verdict = Verdict.UNREACHABLE
        first = first or NotConnectedError(verdict)
    raise first or NotConnectedError(Verdict.UNRESOLVED)


async def _connect(address: Address, patience: float) -> Link:
    loop = asyncio.get_running_loop()
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        async with asyncio.timeout(patience):
            await loop.sock_connect(sock, where)
        _, link = await loop.create_connection(Link, sock=sock)
    except BaseException:
        sock.close()
        raise
    return link
