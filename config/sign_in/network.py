"""The network that an address counts as, where addresses are counted. Pure."""

from ipaddress import IPv6Address, ip_address, ip_network

# What one household or server gets: whoever has one address of it has 2^64.
IPV6_PREFIX = 64


def network_of(address: str) -> str:
    """An IPv4 address itself; of an IPv6 one its network; any other text cut."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), IPV6_PREFIX), strict=False))
