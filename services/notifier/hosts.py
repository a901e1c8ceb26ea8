"""Hosts of webhook addresses: their names, and whether an address is public."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def host_of(url: str) -> str:
    """Return the host of a URL, or the URL itself where it names none."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def is_public(address: str) -> bool:
    """Return whether an IP address is reachable on the internet; embedded IPv4 addresses count."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast
