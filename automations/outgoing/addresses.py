"""Where requests may be sent: what an address means, and which IP addresses are refused. Asks no name server."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

PORTS = {"https": 443, "http": 80}

# Tables of our own: which addresses the standard library calls global differs between Python's patch releases.
# https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry
NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # providers' own NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112: name servers of whoever is nearest, as 192.175.48.0/24
        "192.52.193.0/24",  # AMT, relays of multicast
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # measurements
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocols: Teredo, ORCHID and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",
    )
)
# Loopback, NAT64, site-local, unique local, link-local and multicast all lie outside.
PUBLIC_IPV6 = IPv6Network("2000::/3")

# Whoever may ask these gets the machine's own credentials.
METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure and most others
        "169.254.169.253",  # AWS: name server
        "169.254.170.2",  # AWS: containers
        "169.254.170.23",
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::253",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "fe80::a9fe:a9fe",  # OpenStack
    )
)

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# IDNA 2003, which Python has, and IDNA 2008, which browsers have, make different names of these (RFC 5894, 7.2).
_AMBIGUOUS = re.compile("[ßẞς\u200c\u200d]")


class AddressError(ValueError):
    """An address that is not sent to. Its text is for staff: what to do, without path, query or password."""


@dataclass(frozen=True)
class Target:
    """Where a request goes. `host` is lower-case ASCII: a name, or an IP address in its usual form without brackets."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)  # with the query; either may hold a secret

    @property
    def address(self) -> IPAddress | None:
        """The IP address, where `host` is one."""
        return _address(self.host)

    @property
    def authority(self) -> str:
        """What the header Host says (RFC 9110, 7.2): the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class AllowedHosts:
    """What may be sent to although it is not public: each with a port, or None for any. See `parse_allowed_hosts`."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: frozenset[tuple[IPNetwork, int | None]] = frozenset()

    def allows(self, target: Target, address: IPAddress) -> bool:
        """Whether `target`, whose host has this address, may be sent to. Metadata services never are."""
        address = plain(address)
        if is_metadata(address):
            return False
        if is_public(address) or self.hosts & {(target.host, None), (target.host, target.port)}:
            return True
        return any(address in network and port in (None, target.port) for network, port in self.networks)


def check_url(url: str, *, allows_http: bool) -> Target:
    """What an address means, read once and strictly. Raises AddressError, which says how to write it instead."""
    if _FORBIDDEN.search(url):
        raise AddressError("The address holds a space, a backslash or a control character. Write a space as %20.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text repeats what may be a password
        raise AddressError("The address cannot be read: look at its host and its port (1 to 65535).") from None
    if parts.scheme not in PORTS:
        raise AddressError("Give an address that starts with https://.")
    if parts.scheme == "http" and not allows_http:
        raise AddressError(
            "Plain http is off, because others could read what is sent. Give an address that starts with https://, "
            "or have OUTGOING_ALLOW_HTTP=yes set."
        )
    if "@" in parts.netloc:
        raise AddressError("The address holds a user name. Leave out what is before the @, and send it as a header.")
    if port == 0 or parts.netloc.endswith(":"):
        raise AddressError("The address has a colon without a port that can be meant. Give one from 1 to 65535.")
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*[]|")
    query = quote(parts.query, safe="/%:=&~+!$,;'@()*[]|?")
    host = _host_of(parts.netloc)
    return Target(parts.scheme, host, port or PORTS[parts.scheme], f"{path}?{query}" if query else path)


def check_on_saving(url: str, *, allows_http: bool, allowed: AllowedHosts) -> None:
    """What can be said of an address before it is asked: where its host is no name, whether it may be sent to.

    Raises AddressError, with the sentence that an attempt would give.
    """
    target = check_url(url, allows_http=allows_http)
    if target.address is not None:
        check_addresses(target, [target.address], allowed)


def check_addresses(target: Target, addresses: Iterable[IPAddress], allowed: AllowedHosts) -> None:
    """Raises AddressError unless every address that the target's host has may be sent to."""
    found = list(addresses)
    if not found:
        raise AddressError(f"{target.host} has no address. Look whether it is written right.")
    for address in found:
        if allowed.allows(target, address):
            continue
        where = target.host if target.address else f"{target.host} leads to {address}, which"
        if is_metadata(plain(address)):
            raise AddressError(f"{where} is a cloud's own service, which is never sent to. Give another address.")
        raise AddressError(
            f"{where} is not on the public internet. If it is meant, have {target.host} added to "
            "OUTGOING_ALLOWED_HOSTS; else give another address."
        )


def is_public(address: IPAddress) -> bool:
    """Whether an address is one of the public internet's, and of no service of the cloud that we may run in.

    An IPv4 address inside IPv6 is judged as such where it is mapped (RFC 4291, 2.5.5.2). By NAT64 (RFC 6052, 8215),
    6to4, Teredo and ISATAP it is not public, whatever it leads to.
    """
    address = plain(address)
    if is_metadata(address) or any(address in network for network in NOT_PUBLIC):
        return False
    if isinstance(address, IPv4Address):
        return True
    is_isatap = (int(address) >> 32) & 0xFDFF_FFFF == 0x5EFE  # RFC 5214, 6.1
    return address in PUBLIC_IPV6 and not is_isatap


def is_metadata(address: IPAddress) -> bool:
    """Whether an address is, or may be translated to, that of a metadata service."""
    return not METADATA.isdisjoint(_meanings(plain(address)))


def plain(address: IPAddress) -> IPAddress:
    """Without its zone (fe80::1%eth0), and as IPv4 where it is only mapped into IPv6."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def _meanings(address: IPAddress) -> Iterable[IPAddress]:
    """The address, and what it means if its network translates to IPv4. Any network may: RFC 6052 allows own ones."""
    yield address
    if isinstance(address, IPv6Address):
        bits = int(address)
        low = bits & 0xFFFF_FFFF
        yield IPv4Address(low)  # NAT64 with a prefix of 96 bits, ISATAP, IPv4-compatible
        yield IPv4Address(low ^ 0xFFFF_FFFF)  # Teredo (RFC 4380, 4)
        yield IPv4Address((bits >> 80) & 0xFFFF_FFFF)  # 6to4 (RFC 3056, 2)
        without_gap = (bits >> 64 << 56) | (bits & (1 << 56) - 1)  # bits 64 to 71 stay empty (RFC 6052, 2.2)
        for prefix in (32, 40, 48, 56, 64):
            yield IPv4Address((without_gap >> 120 - 32 - prefix) & 0xFFFF_FFFF)


def parse_allowed_hosts(texts: Iterable[str]) -> AllowedHosts:
    """Read host names, addresses (both also with `:port`) and networks such as 10.0.0.0/8.

    Raises AddressError, which names the text at fault.
    """
    hosts, networks = set(), set()
    for text in filter(None, map(str.strip, texts)):
        try:
            name, port = (text, None) if "/" in text or _address(text) else _split_port(text)
            if "/" in name or _address(name):
                networks.add((ip_network(name), port))
                continue
            host = _host_of(name)
        except ValueError as error:
            raise AddressError(
                f"{text!r} cannot be read. Give a host, host:port, an address, or a network such as 10.0.0.0/8"
            ) from error
        if (address := _address(host)) is not None:
            networks.add((ip_network(address), port))
        else:
            hosts.add((host, port))
    return AllowedHosts(frozenset(hosts), frozenset(networks))


def _split_port(text: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{text}")
    if parts.netloc != text or _FORBIDDEN.search(text) or "@" in text or parts.port == 0 or text.endswith(":"):
        raise ValueError
    return (text if parts.port is None else text.rpartition(":")[0]), parts.port


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _host_of(netloc: str) -> str:
    """The host in its one usual form, so that no two readers can take it for different ones."""
    if netloc.startswith("["):
        inside, _, rest = netloc[1:].partition("]")
        address = _address(inside)
        if not isinstance(address, IPv6Address) or address.scope_id is not None or rest[:1] not in ("", ":"):
            raise AddressError("What stands in the brackets is no IPv6 address without a zone.")
        return str(address)
    host = _ascii(netloc.partition(":")[0]).lower().removesuffix(".")
    if not host:
        raise AddressError("The address has no host. Give one such as https://example.com/hook.")
    number = _number_form(host)
    if number is not None:
        return str(number)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise AddressError("The address's host is no name that can exist. Look whether it is written right.")
    return host


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    if _AMBIGUOUS.search(host):
        raise AddressError("The host holds a letter such as ß. Give its name in ASCII, which starts with xn--.")
    try:
        return host.encode("idna").decode()
    except UnicodeError as error:
        raise AddressError("The host's name cannot be written in ASCII. Look whether it is written right.") from error


def _number_form(host: str) -> IPv4Address | None:
    """127.1, 0x7f.1, 017700000001 and 2130706433 are all 127.0.0.1 to the system (WHATWG URL, IPv4 parser)."""
    parts = host.split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    try:
        *first, last = map(_number, parts)
        if len(parts) > 4 or any(part > 255 for part in first) or last >= 256 ** (5 - len(parts)):
            raise ValueError
    except ValueError as error:
        raise AddressError("The host ends in a number but is no IPv4 address. Give one such as 192.0.2.1.") from error
    return IPv4Address(last + sum(part << 8 * (3 - place) for place, part in enumerate(first)))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
