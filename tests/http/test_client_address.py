"""Whose request it is: one name for one client however its address is written, and never an error for what is none."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xwms_auth._core.base.memory.fair_limit import UNKNOWN, Source
from xwms_auth._core.http.client_address import MAX_ADDRESS, source_of

V4 = Source(name="203.0.113.7", network="203.0.113.0/24")
V6 = Source(name="2001:db8:1:2::/64", network="2001:db8:1::/48")


@pytest.mark.parametrize(
    "address",
    [
        "203.0.113.7",
        "203.0.113.7:443",
        "203.0.113.7:",
        "[203.0.113.7]:443",
        "::ffff:203.0.113.7",
        "[::ffff:203.0.113.7]",
        "::ffff:203.0.113.7%eth0",
        "64:ff9b::203.0.113.7",
        "2002:cb00:7107::1",
        "2002:cb00:7107:ffff:ffff:ffff:ffff:ffff",
    ],
)
def test_an_ipv4_address_is_one_client_in_the_network_of_its_first_three_numbers(address):
    assert source_of(address) == V4


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8:1:2::",
        "2001:db8:1:2:ffff:ffff:ffff:ffff",
        "[2001:db8:1:2::1]:443",
        "[2001:db8:1:2::1]",
        "[2001:db8:1:2::1",
        "2001:db8:1:2::1%eth0",
        "2001:db8:1:2::1%25eth0",
        "[2001:db8:1:2::1%25eth0]:443",
    ],
)
def test_an_ipv6_client_is_its_64_bits_in_the_network_of_48(address):
    assert source_of(address) == V6


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("203.0.113.7", "203.0.113.8", "network"),
        ("203.0.113.7", "203.0.112.7", ""),
        ("64:ff9b::203.0.113.7", "64:ff9b::203.0.113.8", "network"),
        ("64:ff9b::203.0.113.7", "64:ff9b:0:1::203.0.113.7", ""),
        ("64:ff9b::203.0.113.7", "64:ff9b::1:203.0.113.7", ""),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", "network"),
        ("2001:db8:1:2::1", "2001:db8:2:2::1", ""),
        ("2001:db8:1:2::1", "2001:db8:1:2:8000::1", "name network"),
    ],
)
def test_clients_are_told_apart_by_name_and_by_network(one, other, alike):
    first, second = source_of(one), source_of(other)
    same = [field for field in ("name", "network") if getattr(first, field) == getattr(second, field)]
    assert " ".join(same) == alike


NOTHING = [
    None, 7, b"203.0.113.7", ("203.0.113.7", 1), "", " ", "unknown", "unix:", "a:1", ":", "[", "]", "[]", "%",
    "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4/8", "1.2.3.4, 5.6.7.8", "::1::", "1.2.3.4\n",
    "x203.0.113.7",
]  # fmt: skip


@pytest.mark.parametrize("address", NOTHING)
def test_what_is_no_address_is_everybodys(address):
    assert source_of(address) == UNKNOWN


def test_an_address_has_a_greatest_length():
    """Denial of service: nothing of any length is read."""
    longest = "2001:db8:1:2::1%" + "x" * (MAX_ADDRESS - 16)
    assert len(longest) == MAX_ADDRESS
    assert source_of(longest) == V6
    assert source_of(longest + "x") == UNKNOWN


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("127.0.0.0", "127.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("::1", "::1"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_an_inner_network_may_be_everybodys_from_its_first_address_to_its_last(first, last):
    begin, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    assert source_of(first).may_be_many
    assert source_of(last).may_be_many
    assert begin.version == 4 or source_of(f"{last}%eth0").may_be_many
    assert not source_of(str(begin - 1)).may_be_many
    assert not source_of(str(end + 1)).may_be_many
    if begin.version == 4:
        assert source_of(f"::ffff:{first}") == source_of(first)


@given(st.text(max_size=80) | st.ip_addresses().map(str) | st.none() | st.integers() | st.binary())
def test_anything_at_all_has_a_source(address):
    found = source_of(address)
    assert isinstance(found, Source)
    assert found == UNKNOWN or "/" in found.network
