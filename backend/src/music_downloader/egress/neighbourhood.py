"""Which public addresses are this machine's own or its neighbours': they look public, but are home.

With IPv6, everything in a house has a public address, and whoever sends music sees the machine's own. From
within, such addresses are behind every firewall. Linux tells them in /proc/net; elsewhere none are known.
"""

import sys
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Final

# A wider route straight to a device is a tunnel to everywhere, and no neighbourhood.
_WIDEST: Final = {4: 8, 6: 32}
_KEPT_SECONDS: Final = 1.0
_GATEWAY: Final = 0x2  # RTF_GATEWAY, see route(8)

_Network = IPv4Network | IPv6Network


class Neighbourhood:
    """The networks that this machine is part of, read anew when they are asked for and a second old."""

    def __init__(self, proc: Path = Path("/proc/net")) -> None:
        self._proc = proc
        self._networks: frozenset[_Network] = frozenset()
        self._read_at: float | None = None

    def holds(self, address: str) -> bool:
        """Tell whether this address is the machine's own, or on a network that it is attached to."""
        now = time.monotonic()
        if self._read_at is None or now - self._read_at > _KEPT_SECONDS:
            self._networks, self._read_at = frozenset(self._read()), now
        judged = ip_address(address)
        if isinstance(judged, IPv6Address) and judged.ipv4_mapped is not None:
            judged = judged.ipv4_mapped
        return any(judged.version == network.version and judged in network for network in self._networks)

    def _read(self) -> set[_Network]:
        found: set[_Network] = set()
        # What one file holds otherwise than expected takes nothing from the others.
        for read in (self._own_ipv6, self._own_ipv4, self._attached_ipv4):
            with suppress(OSError, ValueError, IndexError):
                read(found)
        return {network for network in found if network.prefixlen >= _WIDEST[network.version]}

    def _own_ipv6(self, found: set[_Network]) -> None:
        for line in self._lines("if_inet6"):
            digits, _, length, *_ = line.split()
            own = int(digits, 16)
            found.add(IPv6Network(own))
            found.add(IPv6Network((own, int(length, 16)), strict=False))

    def _own_ipv4(self, found: set[_Network]) -> None:
        last = ""
        for line in self._lines("fib_trie"):
            words = line.split()
            if words[:1] == ["|--"]:
                last = words[1]
            elif words == ["/32", "host", "LOCAL"]:
                found.add(IPv4Network(last))

    def _attached_ipv4(self, found: set[_Network]) -> None:
        for line in self._lines("route")[1:]:
            _, network, _, flags, _, _, _, mask, *_ = line.split()
            if not int(flags, 16) & _GATEWAY:
                found.add(IPv4Network((_ipv4(network), str(_ipv4(mask)))))

    def _lines(self, name: str) -> list[str]:
        return (self._proc / name).read_text(encoding="ascii").splitlines()


def _ipv4(digits: str) -> IPv4Address:
    """Read an address as the kernel's tables have it: eight digits, the machine's own order of bytes."""
    return IPv4Address(int(digits, 16).to_bytes(4, sys.byteorder))
