"""CK-01 to CK-10, CK-15, CK-17, CK-18 over HTTP: our two cookies, as they leave and as they come back.

What a browser itself does with them (the halves of CK-02 and CK-17) is in the browser suite.
Forged and mutilated ones: test_forged_cookies.py. Keys and contents: test_cookie_keys.py.
"""

import re
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.attacks.real_servers import listening
from tests.tools.site import (
    CALLBACK,
    FROM_HERE,
    LOGIN,
    LOGOUT,
    ME,
    PROGRAM,
    Browser,
    Site,
)
from xwms_auth import ConfigError, XWMSConfig

DAY = 86_400
KEYS = tuple(f"{number}-K3y-for-tests-0123456789-abcdefghij" for number in "abc")


def who(site: Site, *headers: str | tuple[str, str], path: str = "/who") -> int:
    """The status that a program with these Cookie headers gets: 200 for somebody, 401 for nobody."""
    cookies = [("Cookie", header) if isinstance(header, str) else header for header in headers]
    return site.raw(path, headers=[*PROGRAM.items(), *cookies]).status_code


def session_of(site: Site, **claims: object) -> str:
    browser = site.browser()
    browser.log_in(**claims)
    return browser.cookies()[site.session_cookie]


def callback_code(site: Site, token: str, *headers: str) -> str:
    """How a callback with these Cookie headers ends: the code of the problem, or "in"."""
    cookies = [("Cookie", header) for header in headers]
    answer = site.raw(CALLBACK, query=f"token={token}", headers=[*PROGRAM.items(), *cookies])
    return "in" if answer.status_code == 303 else str(answer.json()["code"])


# --- attributes ------------------------------------------------------------------------------------------------------


def whole_story(site: Site) -> Iterator[httpx2.Response]:
    """Every kind of answer of ours that may set a cookie."""
    browser = site.browser()
    yield browser.get(LOGIN)
    yield (started := browser.get(LOGIN))
    token = site.fx.approve(started.headers["location"].rpartition("/")[2])
    yield browser.come_back(token)
    yield browser.come_back(token)
    site.clock.advance(601)
    yield browser.get("/hello")
    yield browser.log_out()
    browser.start()
    yield browser.come_back("a-token-that-nobody-was-given")
    browser.start()
    site.clock.advance(601)
    yield browser.come_back("a-token-that-nobody-was-given")
    yield browser.post(LOGOUT, {**FROM_HERE, "Sec-Fetch-Site": "cross-site"})


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_ck_01_every_set_cookie_has_exactly_the_attributes_it_must_have(make_site, store):
    """CK-01, CK-03, CK-17: set and deleted alike, so that a deletion hits what was set."""
    site = make_site(session_store=store)
    lines = [line for answer in whole_story(site) for line in answer.headers.get_list("set-cookie")]
    seen = set()
    for line in lines:
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        seen.add((re.sub("(login_[a-z0-9]+_)[A-Za-z0-9_-]{8}$", r"\1ID", name), value == ""))
        assert re.fullmatch(r"[A-Za-z0-9._-]*", value)
        assert (
            attributes.pop(1) in ("Max-Age=0",) if value == "" else re.fullmatch(r"Max-Age=[1-9]\d*", attributes.pop(1))
        )
        assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]
        assert len(line.encode()) <= 4096
    assert seen == {(name, gone) for name in (site.session_cookie, f"{site.login_prefix}ID") for gone in (True, False)}
    assert site.session_cookie.startswith("__Host-xwms_session_")
    assert site.login_prefix.startswith("__Host-xwms_login_")


def test_ck_02_no_option_makes_the_pending_login_strict_or_none():
    """CK-02, CK-03: there is nothing to set wrong."""
    found = [name for name in XWMSConfig.__dataclass_fields__ if "same" in name or "cookie" in name]
    assert found == ["cookie_tag"]  # a part of their names


def test_ck_17_a_logout_deletes_both_cookies_with_the_attributes_they_were_set_with(site, browser):
    waiting = browser.start()
    browser.log_in()
    (login_cookie,) = browser.logins()
    set_lines = site.browser().get(LOGIN).headers.get_list("set-cookie")
    gone = browser.log_out().headers.get_list("set-cookie")
    assert {line.partition("=")[0] for line in gone} == {site.session_cookie, login_cookie}
    shape = re.compile(r"=[^;]*; Path=/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure")
    assert all(shape.fullmatch(line[len(line.partition("=")[0]) :]) for line in (*set_lines, *gone))
    assert browser.cookies() == {}
    assert browser.come_back(site.fx.approve(waiting)).status_code == 400


def test_ck_18_plain_http_and_https_never_read_each_others_cookies(make_site):
    """CK-18: with one key for both, as a developer's copy of production has."""
    secure = make_site()
    plain = secure.restarted(redirect_uris="http://localhost:5000/xwms/validateToken")
    good = session_of(secure)
    name = secure.session_cookie
    assert plain.session_cookie == name.removeprefix("__Host-")
    assert who(secure, f"{name}={good}") == 200
    assert who(secure, f"{plain.session_cookie}={good}") == 401
    assert who(plain, f"{name}={good}") == 401
    browser = secure.browser()
    token = secure.fx.approve(browser.start())
    pending = browser.pending()
    assert callback_code(secure, token, pending.removeprefix("__Host-")) == "login_not_started"


def test_ck_18_the_flag_for_plain_http_stops_the_start_in_production(make_site):
    with pytest.raises(ConfigError, match="insecure_allow_http"):
        make_site(insecure_allow_http=True)


# --- reading ---------------------------------------------------------------------------------------------------------

# NAME and GOOD stand for our cookie. "in": it counts; "out": nobody is there.
HEADERS = {
    "alone": ("NAME=GOOD", "in"),
    "among others": ("a=b; NAME=GOOD; c=d", "in"),
    "with a tab and spaces around": ("a=b; \t NAME=GOOD \t ;c=d", "in"),
    "with empty pieces around": (";; ;NAME=GOOD;;", "in"),
    "CK-04 a byte A0 before another": ("NAME=GOOD; \xa0NAME=evil", "in"),
    "CK-04 a byte A0 before the first": ("\xa0NAME=evil; NAME=GOOD", "in"),
    "CK-04 a byte 85 before another": ("NAME=GOOD; \x85NAME=evil", "in"),
    "CK-04 a byte 85 before the first": ("\x85NAME=evil; NAME=GOOD", "in"),
    "CK-04 a UTF-8 space before another": ("NAME=GOOD; \xe2\x80\x80NAME=evil", "in"),
    "CK-04 a UTF-8 space before the first": ("\xe2\x80\x80NAME=evil; NAME=GOOD", "in"),
    "CK-04 a control before another": ("NAME=GOOD; \x1cNAME=evil; \x0bNAME=evil; \x0cNAME=evil", "in"),
    "CK-04 only with a byte A0 before it": ("\xa0NAME=GOOD", "out"),
    "CK-04 only with a byte 85 before it": ("\x85NAME=GOOD", "out"),
    "CK-04 only with a byte A0 behind its name": ("NAME\xa0=GOOD", "out"),
    "CK-04 only with a vertical tab before it": ("\x0bNAME=GOOD", "out"),
    "CK-05 nameless beside ours": ("=NAME=evil; NAME=GOOD", "in"),
    "CK-05 nameless alone": ("=NAME=GOOD", "out"),
    "CK-05 nameless with spaces": (" = NAME=GOOD", "out"),
    "CK-05 a name alone": ("NAME", "out"),
    "CK-05 a name alone beside ours": ("NAME; NAME=GOOD", "in"),
    "CK-05 an empty value": ("NAME=", "out"),
    "CK-06 twice the same": ("NAME=GOOD; NAME=GOOD", "out"),
    "CK-06 another first": ("NAME=evil; NAME=GOOD", "out"),
    "CK-06 another last": ("NAME=GOOD; NAME=evil", "out"),
    "CK-06 an empty one first": ("NAME=; NAME=GOOD", "out"),
    "CK-06 an empty one last": ("NAME=GOOD; NAME=", "out"),
    "CK-06 far apart": ("NAME=GOOD; " + "a=b; " * 50 + "NAME=GOOD", "out"),
    "CK-07 percent-encoded": ("__%48ost-KIND=GOOD", "out"),
    "CK-07 percent-encoded beside ours": ("__%48ost-KIND=evil; NAME=GOOD", "in"),
    "CK-07 lower case": ("__host-KIND=GOOD", "out"),
    "CK-07 upper case": ("__HOST-KIND=GOOD; __HOST-KIND=GOOD", "out"),
    "CK-07 other case beside ours": ("__HOST-KIND=evil; NAME=GOOD; __host-KIND=evil", "in"),
    "CK-07 without its prefix": ("KIND=GOOD", "out"),
    "CK-07 with the weaker prefix": ("__Secure-KIND=GOOD", "out"),
    "CK-07 with a suffix": ("NAME.0=GOOD; NAME_=GOOD; NAME[]=GOOD", "out"),
    "CK-08 inside quotes": ('a="x; NAME=GOOD; b=y"', "in"),
    "CK-08 quoted itself": ('NAME="GOOD"', "out"),
    "CK-08 an open quote before": ('a="x; NAME=GOOD', "in"),
    "CK-08 an escaped quote": ('a="\\"; NAME=GOOD; b="\\""', "in"),
    "CK-08 octal escapes": ("NAME=\\107GOOD", "out"),
    "CK-08 the old attributes": ("$Version=1; NAME=GOOD; $Path=/", "in"),
    "a comma instead of a semicolon": ("a=b, NAME=GOOD", "out"),
    "a comma behind": ("NAME=GOOD, NAME=evil", "out"),
    "a space before the equals sign": ("NAME =GOOD", "out"),
    "a space behind the equals sign": ("NAME= GOOD", "out"),
    "an equals sign behind": ("NAME=GOOD=", "out"),
    "two equals signs": ("NAME==GOOD", "out"),
    "a NUL inside": ("NAME=GO\x00OD; NAME=GOOD\x00", "out"),
    "a line break": ("a=b\r\n NAME=GOOD", "out"),
    "percent-encoded value": ("NAME=%GOOD", "out"),
}


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_ck_04_to_ck_08_the_cookie_header_is_read_strictly(make_site, subtests, store):
    """CK-04, CK-05, CK-06, CK-07, CK-08: the same for the session and for the pending login."""
    site = make_site(session_store=store)
    session = session_of(site)

    def filled(header: str, name: str, good: str) -> str:
        kind = name.removeprefix("__Host-")
        return header.replace("NAME", name).replace("KIND", kind).replace("GOOD", good)

    for case, (header, expected) in HEADERS.items():
        with subtests.test(case):
            site.clock.advance(1)
            read = who(site, filled(header, site.session_cookie, session))
            assert read == (200 if expected == "in" else 401)
            browser = site.browser()
            token = site.fx.approve(browser.start())
            ((name, value),) = browser.logins().items()
            code = callback_code(site, token, filled(header, name, value))
            assert code == ("in" if expected == "in" else "login_not_started")


def test_ck_06_a_cookie_header_in_pieces_is_one_header(site):
    """CK-06: HTTP/2 may split it (RFC 9113 8.2.3); two copies are still two."""
    good = f"{site.session_cookie}={session_of(site)}"
    assert who(site, "a=b", good, "c=d") == 200
    assert who(site, good, good) == 401
    assert who(site, good, f"{site.session_cookie}=evil") == 401
    assert who(site, f"{site.session_cookie}=evil", "a=b", good) == 401


def test_ck_06_over_a_real_server_two_cookie_headers_never_make_somebody_of_two_copies(edge, make_fx):
    """CK-06: servers join them in ways of their own."""
    site = Site(edge, make_fx())
    good, other = (f"{site.session_cookie}={session_of(site, sub=sub)}" for sub in ("1", "2"))
    with listening(site) as line:
        assert line.request(b"/who", b"Cookie: " + good.encode()).body == b"1"
        for pair in ((good, good), (good, other), (other, good), (f"{site.session_cookie}=evil", good)):
            answer = line.request(b"/who", *(b"Cookie: " + cookie.encode() for cookie in pair))
            assert answer.status == 401


def test_ck_06_two_sessions_are_nobody_everywhere_and_neither_is_ended(site):
    """CK-06, LO-10: what a sibling subdomain planted goes away with the jar, the session stays."""
    one, two = (session_of(site, sub=sub) for sub in ("1", "2"))
    both = f"{site.session_cookie}={one}; {site.session_cookie}={two}"
    for path in ("/who", "/hello", ME, LOGIN, "/"):
        answer = site.raw(path, headers=[*PROGRAM.items(), ("Cookie", both)])
        assert "Ada" not in answer.text, path
        site.raw(LOGOUT, method="POST", headers=[*FROM_HERE.items(), ("Cookie", both)])
        assert who(site, f"{site.session_cookie}={one}") == 200, path


# --- size and time ---------------------------------------------------------------------------------------------------


def pendings(browser: Browser) -> int:
    return len(browser.logins())


def test_ck_10_thirty_starts_keep_the_cookie_small_and_the_newest_logins(site):
    """CK-10"""
    for length in (5, 100, 500, 1_000, 2_048):
        site.clock.advance(1)
        browser = site.browser()
        tokens = []
        for _ in range(30):
            answer = browser.get(LOGIN, params={"next": "/wait".ljust(length, "a")})
            tokens.append(answer.headers["location"].rpartition("/")[2])
            assert all(len(line.encode()) <= 4_096 for line in answer.headers.get_list("set-cookie")), length
            assert 1 <= pendings(browser) <= 10, length
            assert len(browser.pending()) < 3_000, length
        assert pendings(browser) == 10 or length > 20
        assert browser.come_back(site.fx.approve(tokens[-1])).status_code == 303, length


def test_ck_10_the_oldest_login_makes_room(make_site):
    """CK-10: where the token tells which login it is."""
    site = make_site(callback_token="same")
    browser = site.browser()
    tokens = [browser.start("/hello") for _ in range(11)]
    assert browser.come_back(site.fx.approve(tokens[1])).status_code == 303
    another = site.browser()
    tokens = [another.start("/hello") for _ in range(11)]
    assert another.come_back(site.fx.approve(tokens[0])).status_code == 401


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_ck_10_both_cookies_at_their_largest_stay_below_what_servers_take(make_site, store):
    """CK-10: each at most 4096 bytes, together 6 KiB, with other logins still open and every claim at its longest."""
    site = make_site(session_store=store)
    browser = site.browser()
    tokens = [browser.start("/wait".ljust(600, "a")) for _ in range(5)]
    long = {"name": "\u00e9" * 250, "given_name": "\u00e9" * 250, "family_name": "\u00e9" * 250}
    long |= {"email": "a" * 240 + "@example.org", "picture": "https://xwms.example/" + "a" * 1_900}
    answer = browser.come_back(site.fx.approve(tokens[-1], **long))
    assert answer.status_code == 303
    assert all(len(line.encode()) <= 4_096 for line in answer.headers.get_list("set-cookie"))
    assert browser.who() == "xwms-user-1234"
    assert sum(len(name) + len(value) + 3 for name, value in browser.cookies().items()) <= 6 * 1_024


ODD = {
    "stray bytes": "\xff\xfe\x80; \xc3=\x28",
    "two hundred cookies": "; ".join(f"cookie{number}=value{number}" for number in range(200)),
    "two hundred of ours": "; ".join(["NAME=evil"] * 200),
    "100 kB of one value": "NAME=" + "a" * 100_000,
    "100 kB of another": "other=" + "a" * 100_000 + "; NAME=evil",
    "100 kB of semicolons": ";" * 100_000,
    "100 kB of equals signs": "=" * 100_000,
    "100 kB of spaces": " " * 100_000 + "NAME=evil",
    "100 kB of tabs and semicolons": "\t;" * 50_000,
    "100 kB of our name": "NAME" * 6_000,
    "100 kB of our name and an equals sign": "NAME=" * 5_000,
    "a run of backslash and quote": 'a="' + '\\"' * 50_000,
    "a run of backslashes": 'a="' + "\\" * 100_000 + '"',
    "a run of octal escapes": 'a="' + "\\101" * 25_000 + '"',
    "100 kB of dots in our value": "NAME=" + "." * 100_000,
    "8 kB that could be a value": "NAME=" + "a" * 4_000 + "." + "a" * 43,
    "nothing": "",
    "a NUL": "NAME=\x00",
}


@pytest.mark.parametrize("kind", ["session", "login"])
def test_ck_15_an_absurd_cookie_header_costs_little_and_breaks_nothing(site, subtests, kind):
    """CK-15: the bound is ten times the row's, in CPU time, for four requests; quadratic reading would need minutes."""
    name = site.session_cookie if kind == "session" else f"{site.login_prefix}AAAAAAAA"
    site.raw("/who", headers=list(PROGRAM.items()))
    for number, (case, header) in enumerate(ODD.items()):
        with subtests.test(case):
            site.clock.advance(1)
            cookie = ("Cookie", header.replace("NAME", name))
            began = time.process_time()
            answers = [site.raw(path, headers=[*PROGRAM.items(), cookie]) for path in ("/who", ME, LOGIN)]
            answers.append(site.raw(CALLBACK, query=f"token=0123456789abcdef{number}", headers=[cookie]))
            assert time.process_time() - began < 2
            assert [answer.status_code for answer in answers] == [401, 200, 302, 400]
