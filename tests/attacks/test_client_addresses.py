"""DS-01, DS-02: what one client uses up is its own, and whose request it is only the server can tell."""

import logging
import re
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM, Site

ATTACKER, PERSON = "203.0.113.7", "198.51.100.20"
FLOWS: dict[str, dict[str, Any]] = {
    "sign-token": {},
    "oauth2": {
        "flow": "oauth2",
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "userinfo_endpoint": "https://id.example/userinfo",
        "jwks_uri": "https://id.example/jwks",
    },
}
NO_CALLS = FLOWS["oauth2"]  # a start is no call there
both_flows = pytest.mark.parametrize("flow", FLOWS)
FORWARDING = [
    "X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP", "Fly-Client-IP",
    "X-Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "Remote-Addr", "Remote_Addr", "X-Remote-Addr",
]  # fmt: skip


def starts(site: Site, address: str, number: int, **headers: str) -> list[int]:
    """The statuses of so many starts, each by a browser of its own at this address."""
    return [site.browser(address=address).get(LOGIN, {**FROM_HERE, **headers}).status_code for _ in range(number)]


def start_of(site: Site, peer: object, *headers: tuple[str, str]) -> Any:
    """A start for which the server tells exactly this of the client."""
    peer = (peer, 50000) if isinstance(peer, str) and site.edge == "asgi" else peer
    return site.raw(LOGIN, headers=[*FROM_HERE.items(), *headers], peer=peer)


@both_flows
def test_ds_01_whoever_starts_all_that_there_is_leaves_others_enough(make_site, flow):
    """DS-01"""
    site = make_site(**FLOWS[flow])
    assert starts(site, ATTACKER, 130).count(302) < 110
    assert starts(site, PERSON, 3) == [302] * 3
    assert starts(site, "192.0.2.1", 3) == [302] * 3
    assert starts(site, ATTACKER, 1) == [429]


@pytest.mark.parametrize("peer", [ATTACKER, "127.0.0.1", "fd00::1", None, "unix:"])
def test_ds_01_one_address_alone_starts_as_many_as_without_others(make_site, peer):
    """DS-01: behind a NAT, or a proxy that passes nothing on, it is everybody's."""
    site = make_site(**NO_CALLS)
    answers = [start_of(site, peer) for _ in range(132)]
    assert [answer.status_code for answer in answers[:100]] == [302] * 100
    assert answers[-1].status_code == 429
    assert "too_many_logins" in answers[-1].text
    assert "from_address" not in answers[-1].text


@both_flows
@pytest.mark.parametrize("address", [ATTACKER, "8.8.8.8", "2001:db8::1", "::ffff:203.0.113.7"])
def test_ds_01_one_address_has_a_limit_of_its_own_and_the_answer_says_so(make_site, flow, address):
    """DS-01"""
    site = make_site(logins_per_address=10, **FLOWS[flow])
    assert starts(site, address, 12) == [302] * 10 + [429] * 2
    page = site.browser(address=address).get(LOGIN)
    assert "Too many logins from your network" in page.text
    problem = site.browser(address=address).get(LOGIN, PROGRAM)
    assert problem.json()["code"] == "too_many_logins_from_address"
    assert problem.headers["cache-control"] == "no-store"
    assert starts(site, PERSON, 2) == [302] * 2
    site.clock.advance(int(page.headers["retry-after"]))
    assert starts(site, address, 1) == [302]
    site.clock.advance(60)
    assert starts(site, address, 5) == [302] * 5


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.9.8.7",
        "172.17.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "100.64.0.9",
        "::1",
        "fd12::1",
        "fe80::1%eth0",
    ],
)
def test_an_address_inside_may_be_everybodys_and_has_no_limit_of_its_own(make_site, address):
    site = make_site(logins_per_address=10)
    assert starts(site, address, 30) == [302] * 30


def test_no_address_has_a_limit_of_its_own_where_that_is_set(make_site):
    site = make_site(logins_per_address=0, **NO_CALLS)
    assert starts(site, ATTACKER, 100) == [302] * 100


@pytest.mark.parametrize("name", FORWARDING)
def test_no_header_that_a_client_sends_makes_it_another_one(make_site, name):
    """Spoofing: whoever counts by such a header counts nothing."""
    site = make_site(logins_per_address=10, **NO_CALLS)
    values = [f"198.51.100.{number}" for number in range(20)]
    sent = [start_of(site, ATTACKER, (name, f"for={value}" if name == "Forwarded" else value)) for value in values]
    assert [answer.status_code for answer in sent] == [302] * 10 + [429] * 10
    # And nobody makes another one's limit his own.
    spoofed = [start_of(site, PERSON, (name, ATTACKER)) for _ in range(3)]
    assert [answer.status_code for answer in spoofed] == [302] * 3


SAME = {
    "IPv4": [
        "203.0.113.7",
        "::ffff:203.0.113.7",
        "::FFFF:CB00:7107",
        "203.0.113.7:443",
        "[::ffff:203.0.113.7]:443",
        "64:ff9b::cb00:7107",
        "2002:cb00:7107::1",
    ],
    "IPv6": [
        "2001:db8:1:2::1",
        "2001:0DB8:0001:0002:ffff::9",
        "[2001:db8:1:2::1]:443",
        "2001:db8:1:2::1%eth0",
        "2001:db8:1:2:ffff:ffff:ffff:ffff",
        "[2001:db8:1:2::7%25eth0]",
    ],
}


@pytest.mark.parametrize("notations", SAME.values(), ids=SAME)
def test_one_client_is_one_however_its_address_is_written(make_site, notations):
    site = make_site(logins_per_address=10, **NO_CALLS)
    sent = [start_of(site, notations[number % len(notations)]).status_code for number in range(15)]
    assert sent == [302] * 10 + [429] * 5


@pytest.mark.parametrize(
    "other",
    ["203.0.113.8", "::ffff:203.0.113.8", "64:ff9b::cb00:7108", "2001:db8:1:3::1", "::203.0.113.7", "cb00:7107::"],
)
@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8:1:2::1"])
def test_two_clients_are_two(make_site, address, other):
    site = make_site(logins_per_address=10)
    assert [start_of(site, address).status_code for _ in range(11)][-1] == 429
    assert start_of(site, other).status_code == 302


NO_ADDRESS: list[Any] = [
    "", " ", "unknown", "localhost", "unix:", "@", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "0x7f.1",
    "2130706433", "1.2.3.4, 5.6.7.8", "1.2.3.4\r\nX: y", "\x00", "::1::", "[", "]", "[]", "[::1", ":", "::%", "%",
    "1.2.3.4/8", "\u00e9", "\udcff", "\u0661.\u0662.\u0663.\u0664", "9" * 1_000_000, ":" * 1_000_000, "[" * 1_000_000,
    "1.2.3.4" + " " * 100_000,
]  # fmt: skip
NO_CLIENT: list[Any] = [
    None,
    (),
    [],
    ("", 0),
    (None, None),
    [None],
    (b"203.0.113.7", 1),
    (1, 2),
    ((), 1),
    ({}, 1),
    "",
    7,
    b"",
    {},
    {"a": 1},
]


@pytest.mark.parametrize("kind", ["addresses", "clients"])
def test_what_is_no_address_is_everybodys_and_never_an_error(make_site, kind):
    site = make_site(logins_per_address=10, **NO_CALLS)
    peers = NO_ADDRESS if kind == "addresses" else NO_CLIENT if site.edge == "asgi" else [None, b"203.0.113.7", 7, ()]
    for peer in peers:
        assert start_of(site, peer).status_code == 302, repr(peer)[:50]
    # A name that changes all the time is no way around what holds for all.
    assert [start_of(site, f"name-{number}").status_code for number in range(131)].count(429) > 0


@pytest.mark.parametrize("believed", [True, False])
def test_behind_a_proxy_that_is_named_to_the_server_its_visitors_are_told_apart(make_site, believed):
    """ProxyFix and uvicorn tell the address where the operator says so: nothing here has to."""
    site = make_site(logins_per_address=10)
    if site.edge == "flask":
        site.app.wsgi_app = ProxyFix(site.app.wsgi_app, x_for=1 if believed else 0)
    else:
        site.app = ProxyHeadersMiddleware(site.app, trusted_hosts="10.0.0.9" if believed else "10.0.0.1")

    def start(visitor: str) -> int:
        status: int = start_of(site, "10.0.0.9", ("X-Forwarded-For", visitor)).status_code
        return status

    # What the visitor sends stands first, what the proxy saw last.
    sent = [start(f"198.51.100.{number}, {ATTACKER}") for number in range(15)]
    assert sent == ([302] * 10 + [429] * 5 if believed else [302] * 15)
    assert start(PERSON) == 302


def junk(site: Site, address: str, token: str) -> None:
    answer = site.browser(address=address).get(CALLBACK, FROM_ELSEWHERE, params={"token": token})
    assert answer.status_code == 400


@pytest.mark.parametrize("attackers", [1, 3])
def test_ds_02_whoever_spends_all_that_there_is_leaves_others_their_token(site, attackers):
    """DS-02: the victim's token, which another process has issued, is spent although somebody sends junk."""
    for second in range(10):
        for number in range(6):
            junk(site, f"203.0.{number % attackers}.7", f"junk-token-{second:03}-{number:03}")
        site.clock.advance(1)
    asked = site.fx.calls("sign-token-verify")
    assert asked <= 5 + 10 * 2
    junk(site, PERSON, "the-token-of-a-victim")
    assert site.fx.calls("sign-token-verify") == asked + 1


def test_ds_02_no_more_than_seven_are_spent_in_a_second(site):
    """DS-02: from however many addresses they come."""
    for number in range(60):
        junk(site, f"203.0.{number}.7", f"junk-token-of-many-{number:03}")
    assert site.fx.calls("sign-token-verify") == 5
    site.clock.advance(1)
    for number in range(60):
        junk(site, f"203.0.{number}.8", f"junk-token-of-more-{number:03}")
    assert site.fx.calls("sign-token-verify") <= 7


def test_the_log_names_networks_and_no_address_and_warns_once_a_minute(make_site, caplog):
    site = make_site(logins_per_address=10)
    with caplog.at_level(logging.DEBUG):
        for address in (ATTACKER, "2001:db8:aaaa:bbbb:cccc::1"):
            starts(site, address, 20)
    assert len(re.findall("address_limited", caplog.text)) == 1
    assert "203.0.113.0/24" in caplog.text
    assert "2001:db8:aaaa::/48" in caplog.text
    assert ATTACKER not in caplog.text
    assert "bbbb" not in caplog.text
    site.clock.advance(61)
    with caplog.at_level(logging.DEBUG):
        starts(site, ATTACKER, 30)
    assert len(re.findall("address_limited", caplog.text)) == 2


@pytest.mark.parametrize(
    ("peer", "headers", "event"),
    [
        (None, {}, "address_unknown"),
        ("unix:", {}, "address_unknown"),
        ("127.0.0.1", {"X-Forwarded-For": PERSON}, "address_of_a_proxy"),
        ("::ffff:10.0.0.9", {"Forwarded": f"for={PERSON}"}, "address_of_a_proxy"),
        ("10.0.0.9", {"X-Forwarded-For": "10.0.0.9"}, None),
        ("10.0.0.9", {}, None),
        (PERSON, {"X-Forwarded-For": ATTACKER}, None),
    ],
)
def test_the_log_says_once_that_addresses_do_not_arrive(site, caplog, peer, headers, event):
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            start_of(site, peer, *headers.items())
    assert re.findall(r"address_unknown|address_of_a_proxy", caplog.text) == ([event] if event else [])
    assert PERSON not in caplog.text


def test_a_session_and_a_page_for_nobody_take_nothing_of_it(make_site):
    site = make_site(logins_per_address=10)
    browser = site.browser(address=ATTACKER)
    browser.log_in()
    assert starts(site, ATTACKER, 10).count(429) == 1
    assert browser.who() == "xwms-user-1234"
    assert browser.get(LOGIN).status_code == 303
    assert site.browser(address=ATTACKER).get("/").text == "home"
