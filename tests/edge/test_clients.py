"""Whom a request counts for: nobody chooses it who is not trusted to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.edge.clients import MAX_FORWARDED_HOPS, ClientAddresses, parse_networks

PROXY = ("10.0.0.1", 4000)
DIRECT = ClientAddresses()
BEHIND = ClientAddresses(parse_networks(["10.0.0.0/8", "2001:db8:99::/48", "loopback"]))


def forwarded(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), *((b"x-forwarded-for", value.encode("latin-1")) for value in values)]


def test_a_peer_counts_for_itself() -> None:
    assert DIRECT.of(("192.0.2.7", 1), []) == "192.0.2.7"
    assert BEHIND.of(("192.0.2.7", 1), []) == "192.0.2.7"


@pytest.mark.hostile("R05")
def test_a_peer_that_is_not_trusted_cannot_name_another() -> None:
    for headers in (forwarded("203.0.113.1"), forwarded("10.0.0.2", "203.0.113.1")):
        assert DIRECT.of(PROXY, headers) == "10.0.0.1"
        assert BEHIND.of(("192.0.2.7", 1), headers) == "192.0.2.7"


def test_behind_a_proxy_the_client_is_who_it_names() -> None:
    assert BEHIND.of(PROXY, forwarded("203.0.113.1")) == "203.0.113.1"
    assert BEHIND.of(("127.0.0.1", 1), forwarded("203.0.113.1")) == "203.0.113.1"
    assert BEHIND.of(PROXY, []) == "10.0.0.1"


@pytest.mark.hostile("R05")
def test_what_a_client_sent_itself_stands_further_left_and_is_not_looked_at() -> None:
    headers = forwarded("198.51.100.1, 198.51.100.2, 203.0.113.1")
    assert BEHIND.of(PROXY, headers) == "203.0.113.1"
    headers = forwarded("198.51.100.1, 203.0.113.1, 10.0.0.3, 10.0.0.2")
    assert BEHIND.of(PROXY, headers) == "203.0.113.1"


def test_several_lines_are_one_list() -> None:
    assert BEHIND.of(PROXY, forwarded("198.51.100.1", "203.0.113.1", "10.0.0.2")) == "203.0.113.1"


@pytest.mark.hostile("R05")
@pytest.mark.parametrize(
    "garbage",
    ["", "unknown", "_hidden", "1.2.3", "999.1.1.1", "::1::", "x, y", "\xff", "1.2.3.4/8"],
)
def test_behind_garbage_nothing_is_believed(garbage: str) -> None:
    assert BEHIND.of(PROXY, forwarded(f"203.0.113.1, {garbage}, 10.0.0.2")) == "10.0.0.2"
    assert BEHIND.of(PROXY, forwarded(f"203.0.113.1, {garbage}")) == "10.0.0.1"


def test_where_all_are_proxies_the_farthest_one_counts() -> None:
    assert BEHIND.of(PROXY, forwarded("10.0.0.3, 10.0.0.2")) == "10.0.0.3"


@pytest.mark.hostile("R05")
def test_a_chain_is_followed_so_far_and_no_further() -> None:
    within = ", ".join(["203.0.113.1", *["10.0.0.2"] * (MAX_FORWARDED_HOPS - 1)])
    assert BEHIND.of(PROXY, forwarded(within)) == "203.0.113.1"
    beyond = ", ".join(["203.0.113.1", "10.0.0.9", *["10.0.0.2"] * (MAX_FORWARDED_HOPS - 1)])
    assert BEHIND.of(PROXY, forwarded(beyond)) == "10.0.0.9"
    beyond = ", ".join(["203.0.113.1", *["10.0.0.2"] * MAX_FORWARDED_HOPS])
    assert BEHIND.of(PROXY, forwarded(beyond)) == "10.0.0.2"


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("203.0.113.1:50123", "203.0.113.1"),
        ("[2001:db8:1:2:3::4]:50123", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3::4]", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:3:0:0:4", "2001:db8:1:2::/64"),
    ],
)
def test_a_port_says_nothing_about_who_it_is(text: str, client: str) -> None:
    assert BEHIND.of(PROXY, forwarded(text)) == client


@pytest.mark.hostile("R05")
def test_an_ipv6_client_is_its_subscriber_s_network() -> None:
    one = DIRECT.of(("2001:db8:1:2:aaaa::1", 1), [])
    assert one == DIRECT.of(("2001:db8:1:2:bbbb::2", 1), []) == "2001:db8:1:2::/64"
    assert one != DIRECT.of(("2001:db8:1:3:aaaa::1", 1), [])


def test_a_mapped_address_is_the_ipv4_address_it_maps() -> None:
    assert DIRECT.of(("::ffff:192.0.2.7", 1), []) == "192.0.2.7"
    assert BEHIND.of(("::ffff:10.0.0.1", 1), forwarded("::ffff:203.0.113.1")) == "203.0.113.1"


def test_an_interface_s_name_makes_no_other_client() -> None:
    assert DIRECT.of(("fe80::1%eth0", 1), []) == DIRECT.of(("fe80::1%x", 1), []) == "fe80::/64"


def test_a_peer_without_an_address_is_one_client() -> None:
    assert DIRECT.of(None, forwarded("203.0.113.1")) == ""
    assert BEHIND.of(("", 0), forwarded("203.0.113.1")) == ""


@given(st.text(alphabet="0123456789abcdef:.,[]% \t", max_size=80))
def test_no_header_is_an_error(value: str) -> None:
    client = BEHIND.of(PROXY, forwarded(value))
    assert client
    assert DIRECT.of(PROXY, forwarded(value)) == "10.0.0.1"


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "", "1.2.3", "Loopback"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        parse_networks([text])


@pytest.mark.hostile("R05", "B12")
@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0"])
def test_nobody_can_trust_everybody(text: str) -> None:
    with pytest.raises(ValueError, match="everybody"):
        parse_networks([text])
