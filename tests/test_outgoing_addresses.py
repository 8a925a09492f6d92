"""Where requests may be sent: real cases of addresses and of how they are written."""

from ipaddress import ip_address

import pytest

from automations.outgoing.addresses import (
    METADATA,
    AddressError,
    AllowedHosts,
    check_addresses,
    check_url,
    is_metadata,
    is_public,
    parse_allowed_hosts,
)

pytestmark = pytest.mark.pure

NONE = AllowedHosts()
EVERYTHING = parse_allowed_hosts(["0.0.0.0/0", "::/0"])

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8",
    "2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2003::1",
]  # fmt: skip

NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
    "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
    "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::ffff:0:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b:1::8.8.8.8", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::1", "2620:4f:8000::1", "2a00:1450::5efe:10.0.0.1", "2a00:1450::200:5efe:8.8.8.8",
    "3fff::1", "4000::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "feff::1", "ff02::1",
    "ff0e::1",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_of_the_public_internet_is_sent_to(text):
    assert is_public(ip_address(text))
    assert NONE.allows(check_url("https://example.com", allows_http=False), ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_any_other_address_is_not(text):
    assert not is_public(ip_address(text))
    assert not NONE.allows(check_url("https://example.com", allows_http=False), ip_address(text))


METADATA_IN_DISGUISE = [
    *sorted(map(str, METADATA)),
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",  # RFC 6052 with a prefix of 48 bits, as RFC 8215 allows
    "2a00:64::169.254.169.254",  # a network's own prefix
    "2a00:1450:a9fe:a9fe::",
    "2a00:1450:a9:fea9:fe::",
    "2a00:1450:1:a9:fe:a9fe::",
    "2a00:1450:1:2:a9:fea9:fe00:0",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",
    "2a00:1450::5efe:169.254.169.254",
    "fe80::a9fe:a9fe%eth0",
]


@pytest.mark.parametrize("text", METADATA_IN_DISGUISE)
def test_no_list_opens_a_metadata_service_however_it_is_reached(text):
    address = ip_address(text)
    by_name = parse_allowed_hosts(["metadata.internal", "0.0.0.0/0", "::/0"])

    assert is_metadata(address)
    assert not is_public(address)
    assert not by_name.allows(check_url("https://metadata.internal", allows_http=False), address)


MEANT = [
    ("https://example.com", "example.com", 443, "/"),
    ("HTTPS://Example.COM./Hook?a=1&b=%20#part", "example.com", 443, "/Hook?a=1&b=%20"),
    ("https://example.com:8443?x", "example.com", 8443, "/?x"),
    ("https://bücher.example/straße?ü=ß", "xn--bcher-kva.example", 443, "/stra%C3%9Fe?%C3%BC=%C3%9F"),
    ("https://xn--bcher-kva.example", "xn--bcher-kva.example", 443, "/"),
    ("https://my_service.internal/a:b@c", "my_service.internal", 443, "/a:b@c"),
    ("https://[2001:DB8:0::1]:444/", "2001:db8::1", 444, "/"),
    ("https://[::ffff:127.0.0.1]", "::ffff:7f00:1", 443, "/"),
    ("https://127.1", "127.0.0.1", 443, "/"),
    ("https://0x7f.1", "127.0.0.1", 443, "/"),
    ("https://0X7F.0.0.1", "127.0.0.1", 443, "/"),
    ("https://2130706433", "127.0.0.1", 443, "/"),
    ("https://017700000001", "127.0.0.1", 443, "/"),
    ("https://0177.0.0.01.", "127.0.0.1", 443, "/"),
    ("https://0", "0.0.0.0", 443, "/"),
    ("https://0x", "0.0.0.0", 443, "/"),
    ("https://0xa9fea9fe", "169.254.169.254", 443, "/"),
    ("https://１２７.0.0.1", "127.0.0.1", 443, "/"),
    ("https://127。0。0。1", "127.0.0.1", 443, "/"),
    ("https://ⓔxample.com", "example.com", 443, "/"),
]


@pytest.mark.parametrize("url, host, port, path", MEANT)
def test_an_address_is_read_as_what_it_means(url, host, port, path):
    target = check_url(url, allows_http=False)

    assert (target.scheme, target.host, target.port, target.path) == ("https", host, port, path)


NOT_READ = [
    ("example.com", "https://"),
    ("//example.com", "https://"),
    ("ftp://example.com", "https://"),
    ("file:///etc/passwd", "https://"),
    ("gopher://127.0.0.1:25/_HELO", "https://"),
    ("http://example.com", "OUTGOING_ALLOW_HTTP"),
    ("https://", "no host"),
    ("https:///path", "no host"),
    ("https:example.com", "no host"),
    ("https://name:secret@example.com", "user name"),
    ("https://example.com@127.0.0.1", "user name"),
    ("https://@example.com", "user name"),
    ("https://example.com\\@127.0.0.1", "backslash"),
    ("https://example.com/a b", "%20"),
    ("https://example.com/\r\nHost: other", "control character"),
    ("https://exa\tmple.com", "control character"),
    (" https://example.com", "space"),
    ("https://example.com\u2028", "control character"),
    ("https://example.com:0", "port"),
    ("https://example.com:", "port"),
    ("https://example.com:65536", "port"),
    ("https://example.com:http", "port"),
    ("https://name:secret", "port"),
    ("https://[::1", "cannot be read"),
    ("https://[::1]x", "IPv6"),
    ("https://[fe80::1%25eth0]", "IPv6"),
    ("https://[127.0.0.1]", ""),
    ("https://[v1.x]", ""),
    ("https://1.2.3.4.5", "IPv4"),
    ("https://256.1", "IPv4"),
    ("https://127.0.0.08", "IPv4"),
    ("https://4294967296", "IPv4"),
    ("https://example.0x7f", "IPv4"),
    ("https://example..com", "name"),
    ("https://-example.com", "name"),
    ("https://exam%70le.com", "name"),
    ("https://*.example.com", "name"),
    ("https://" + "a" * 64 + ".com", "name"),
    ("https://" + "a." * 130 + "com", "name"),
    ("https://straße.example", "xn--"),
    ("https://exa\u200dmple.com", "xn--"),
    ("https://" + "ü" * 64 + ".com", "ASCII"),
]


@pytest.mark.parametrize("url, remedy", NOT_READ)
def test_what_cannot_be_meant_is_refused_with_a_remedy_and_without_secrets(url, remedy):
    with pytest.raises(AddressError) as error:
        check_url(url, allows_http=False)

    assert remedy in str(error.value)
    assert "secret" not in f"{error.value} {error.value.__cause__}"


def test_plain_http_is_read_where_it_is_allowed():
    target = check_url("http://example.com/x", allows_http=True)

    assert (target.scheme, target.port, target.authority) == ("http", 80, "example.com")


@pytest.mark.parametrize(
    "url, authority",
    [
        ("https://example.com:443", "example.com"),
        ("https://example.com:80", "example.com:80"),
        ("http://example.com:443", "example.com:443"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
def test_the_port_stays_in_the_authority_unless_it_is_the_schemes_own(url, authority):
    assert check_url(url, allows_http=True).authority == authority


def test_a_target_shows_no_path_and_no_query():
    assert "secret" not in repr(check_url("https://example.com/secret?token=secret", allows_http=False))


ALLOWED = [
    (["crm.internal"], "https://crm.internal:8443", "10.0.0.5", True),
    (["CRM.Internal."], "https://crm.internal", "10.0.0.5", True),
    (["crm.internal:8443"], "https://crm.internal:8443", "10.0.0.5", True),
    (["crm.internal:8443"], "https://crm.internal", "10.0.0.5", False),
    (["crm.internal"], "https://x.crm.internal", "10.0.0.5", False),
    (["10.0.0.0/8"], "https://any.example", "10.0.0.5", True),
    (["10.0.0.0/8"], "https://any.example", "::ffff:10.0.0.5", True),
    (["10.0.0.0/8"], "https://any.example", "11.0.0.5", True),
    (["10.0.0.0/8"], "https://any.example", "192.168.0.1", False),
    (["10.0.0.5"], "https://any.example", "10.0.0.5", True),
    (["10.0.0.5:8080"], "https://10.0.0.5:8080", "10.0.0.5", True),
    (["10.0.0.5:8080"], "https://10.0.0.5", "10.0.0.5", False),
    (["127.1"], "https://localhost", "127.0.0.1", True),
    (["::1", "[fd00::1]:444"], "https://[::1]", "::1", True),
    (["[fd00::1]:444"], "https://[fd00::1]:444", "fd00::1", True),
    (["[fd00::1]:444"], "https://[fd00::1]", "fd00::1", False),
    (["64:ff9b::/96"], "https://any.example", "64:ff9b::8.8.8.8", True),
    (["fe80::/10"], "https://any.example", "fe80::1%eth0", True),
    (["", " 10.0.0.0/8 "], "https://any.example", "10.0.0.5", True),
]


@pytest.mark.parametrize("texts, url, address, is_allowed", ALLOWED)
def test_the_list_opens_what_it_names_and_nothing_else(texts, url, address, is_allowed):
    allowed = parse_allowed_hosts(texts)

    assert allowed.allows(check_url(url, allows_http=False), ip_address(address)) is is_allowed


@pytest.mark.parametrize(
    "text",
    ["https://crm.internal", "10.0.0.1/8", "10.0.0.0/33", "crm.internal:", "crm.internal:0", "crm.internal:x", "a@b",
     "*.internal", "1.2.3.4.5", "a b", "[::1", "crm.internal/x", ":80", "a\tb", "10.0.0.0/8:80", "a?b", "a#b"],
)  # fmt: skip
def test_a_text_of_the_list_that_cannot_be_read_is_named(text):
    with pytest.raises(AddressError) as error:
        parse_allowed_hosts(["10.0.0.0/8", text])

    assert repr(text) in str(error.value)
    assert "10.0.0.0/8" in str(error.value)


def test_one_address_that_is_not_allowed_refuses_all():
    target = check_url("https://example.com", allows_http=False)
    good, bad = ip_address("8.8.8.8"), ip_address("10.0.0.5")

    check_addresses(target, [good], NONE)
    with pytest.raises(AddressError, match=r"example\.com leads to 10\.0\.0\.5.*example\.com.*OUTGOING_ALLOWED_HOSTS"):
        check_addresses(target, [good, bad], NONE)
    with pytest.raises(AddressError, match="no address"):
        check_addresses(target, [], NONE)


def test_for_a_metadata_service_no_list_is_proposed():
    target = check_url("https://169.254.169.254", allows_http=False)

    with pytest.raises(AddressError, match="never sent to") as error:
        check_addresses(target, [ip_address("169.254.169.254")], EVERYTHING)

    assert "OUTGOING_ALLOWED_HOSTS" not in str(error.value)
