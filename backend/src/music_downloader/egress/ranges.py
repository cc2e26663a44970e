"""Which addresses are the public internet, as a list that can be read.

`ipaddress.is_global` is not the rule, since it passes NAT64, multicast and addresses that clouds keep for
their own services. The refused ranges are written out instead: the IANA special-purpose registries
(RFC 6890), and what platforms put beside them.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_REFUSED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); 100.100.100.200 is Alibaba's metadata
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # Azure's wire server (its documentation)
        "169.254.0.0/16",  # link-local (RFC 3927); 169.254.169.254 is everybody's metadata
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890); 192.0.0.192 is Oracle's metadata
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays, retired (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), broadcast (RFC 919)
    )
)
_REFUSED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "::/96",  # unspecified, loopback, IPv4-compatible (RFC 4291)
        "::ffff:0:0/96",  # IPv4-mapped (RFC 4291)
        "::ffff:0:0:0/96",  # IPv4-translated, SIIT (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64, local (RFC 8215)
        "100::/64",  # discard (RFC 6666)
        "100:0:0:1::/64",  # dummy prefix (RFC 9780)
        "2001::/23",  # protocol assignments: Teredo (RFC 4380), ORCHID (RFC 7343), benchmarking (RFC 5180)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "fc00::/7",  # unique local (RFC 4193); fd00:ec2::254 is Amazon's metadata
        "fe80::/10",  # link-local (RFC 4291)
        "fec0::/10",  # site-local, retired (RFC 3879)
        "ff00::/8",  # multicast (RFC 4291)
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # all that has ever been given out (RFC 3587)
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})  # what stands before the IPv4 half (RFC 5214, 6.1)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether `address` is in nobody's private, special or reserved range."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    # An IPv4 address within is never right by itself; the ranges refuse it with all its neighbours.
    if address not in _GLOBAL_UNICAST or any(address in network for network in _REFUSED_V6):
        return False
    number = int(address)
    is_isatap = number >> 32 & 0xFFFF_FFFF in _ISATAP
    return not is_isatap or is_public(IPv4Address(number & 0xFFFF_FFFF))
