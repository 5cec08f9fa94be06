"""OR-09 to OR-12 over HTTP: nothing that XWMS says sends a browser to a place that is not XWMS's login page.

Judged is the Location that leaves; the same judgement without HTTP: tests/api/test_login_calls.py.
"""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.corpus.answers import BAD_URLS, GOOD_URLS
from tests.tools.faults import Behaviour, Exchange, Reply
from tests.tools.site import FROM_HERE, LOGIN, ME, PROGRAM, Site


def location(answer: httpx2.Response) -> str:
    """The one Location of the redirect to XWMS."""
    assert (answer.status_code, answer.content) == (302, b"")
    (value,) = answer.headers.get_list("location")
    return value


def ticket(url: object) -> Behaviour:
    """sign-token as usual, with another address."""

    def answer(at: Exchange) -> Reply:
        body = json.loads(at.fx.usual(at).body)
        body["data"]["url"] = url
        return Reply(body=json.dumps(body).encode())

    return answer


def assert_refused(site: Site, urls: Iterator[object]) -> None:
    browser = site.browser()
    for url in urls:
        site.clock.advance(1)
        site.fx.answer("sign-token", ticket(url))
        for reader in (FROM_HERE, PROGRAM):
            answer = browser.get(LOGIN, reader)
            assert (answer.status_code, "location" in answer.headers) == (502, False), url
            assert "set-cookie" not in answer.headers
            assert "evil.example" not in answer.text


def test_or_09_xwms_cannot_send_a_browser_anywhere_but_to_a_login_page(make_site):
    """OR-09, OR-12: with the origin written out."""
    assert_refused(make_site(login_origins="https://xwms.nl"), iter(BAD_URLS))


def test_or_09_xwms_on_loopback_cannot_send_a_browser_off_this_machine(make_site):
    """OR-09: as a developer has it."""
    site = make_site()
    host = site.fx.host
    more = [
        *(url for url in BAD_URLS if not url.startswith("http://127.0.0.1/")),
        f"http://{host}@evil.example/",
        f"http://evil.example@{host}/",
        "http://127.0.0.1.evil.example/",
        "http://evil127.0.0.1/",
        "http://0177.0.0.1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        f"HTTP://{host}/",
        f"javascript://{host}/%0aalert(1)",
        f"//{host}/",
        None,
        7,
        ["https://xwms.nl/"],
        {"href": "https://xwms.nl/"},
        True,
    ]
    assert_refused(site, iter(more))


def test_or_09_a_login_page_of_xwms_is_passed_on_byte_for_byte(make_site):
    site = make_site(login_origins=("https://xwms.nl", "https://login.xwms.nl", "https://a.b.xwms.nl"))
    for url in GOOD_URLS:
        site.fx.answer("sign-token", ticket(url))
        assert location(site.browser().get(LOGIN)) == url


PICTURES = (
    "javascript:alert(1)",
    "/etc/passwd",
    "//evil.example/a.png",
    "http://169.254.169.254/latest",
    'https://evil.example/"><script>alert(1)</script>',
    "data:text/html,<script>alert(1)</script>",
    "\r\nSet-Cookie: a=b",
)


def test_or_10_a_picture_is_data_and_no_place_to_go(site, subtests):
    """OR-10: it is in the person's data as it came, or not at all; in no header, on no page, on no route."""
    for picture in PICTURES:
        with subtests.test(picture):
            browser = site.browser()
            answers = [browser.log_in(picture=picture), browser.get("/hello")]
            answers += [browser.get(LOGIN), browser.get("/private")]
            for path in ("/xwms/avatar", "/xwms/picture", "/xwms/me/picture", "/avatar"):
                missing = browser.get(path)
                assert missing.status_code == 404
                answers.append(missing)
            for answer in answers:
                assert picture not in answer.text
                assert picture not in str(answer.headers.raw)
            assert browser.get(ME, PROGRAM).json()["user"]["picture"] in (picture, None)
    assert site.fx.sink.connections == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_or_11_no_parameter_of_ours_reaches_xwms_or_its_address(site, method):
    """OR-11"""
    extra = "redirect_uri=https://evil.example&redirect_url=https://evil.example&client_id=evil&prompt=none"
    query = f"next=/hello&{extra}&login_hint=evil&state=evil&api=https://evil.example&url=https://evil.example"
    browser = site.browser()
    sent_to = location(browser.client.request(method, f"{LOGIN}?{query}", headers=FROM_HERE))
    (call,) = site.fx.requests
    assert sent_to == f"{site.fx.url}/sign-in/{sent_to.rpartition('/')[2]}"
    assert b"evil" not in call.raw_head + call.body
    assert urlsplit(sent_to).query == ""


ALLOWED = ("https://login.example", "https://ports.example:8443")
NOT_ALLOWED = (
    "https://login.example@evil.example/",
    "https://login.example:443@evil.example/",
    "https://user@login.example/",
    "https://login.example.evil.example/",
    "https://evil-login.example/",
    "https://sub.login.example/",
    "https://login.example./",
    "https://LOGIN.example.evil.example/",
    "https://LOGIN.EXAMPLE/",
    "https://login.example:444/",
    "https://login.example:443/",
    "https://login.example:80/",
    "https://login.example:0443/",
    "https://login.example:/",
    "http://login.example/",
    "http://login.example:443/",
    "https://login.example\\.evil.example/",
    "https://login.example%2f.evil.example/",
    "https://login.example%00.evil.example/",
    "https://evil.example/https://login.example/",
    "https://evil.example?https://login.example",
    "https://evil.example#@login.example",
    "https://ports.example/",
    "https://ports.example:9443/",
    "https://ports.example:84433/",
    "//login.example/",
    "http://127.0.0.1/",
    "https://xn--login-example/",
    "https://log\u0131n.example/",
)


def test_or_12_an_allow_list_of_origins_is_exact(make_site):
    """OR-12"""
    assert_refused(make_site(login_origins=ALLOWED), iter(NOT_ALLOWED))


def test_or_12_what_is_on_the_list_is_let_through(make_site):
    """OR-12: the table above refuses for the right reason."""
    site = make_site(login_origins=ALLOWED)
    pages = ("https://login.example", "https://login.example/a?b=//evil.example", "https://ports.example:8443/#a")
    for url in pages:
        site.fx.answer("sign-token", ticket(url))
        assert location(site.browser().get(LOGIN)) == url
