"""What the answers of our routes tell browsers to keep to themselves, and what the log tells an operator."""

import re

import pytest

from tests.oauth2.fake_as import FakeAS
from tests.oauth2.steps import begin, come_back
from tests.tools.faults import refusal
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME, PROGRAM, Site

SUB = "person-with-a-name-4711"


@pytest.fixture(params=["sign-token", "oauth2"])
def story(request, edge, make_fx):
    """A site, and how somebody logs in there: `(site, log_in)`."""
    if request.param == "sign-token":
        yield (site := Site(edge, make_fx())), lambda browser, **claims: browser.log_in(SUB, **claims)
        return
    with FakeAS() as server:
        site = Site(edge, server)
        yield site, lambda browser, **claims: come_back(browser, server.consent(begin(browser), sub=SUB, **claims))


def test_lp_06_every_answer_of_our_routes_is_for_one_person_and_for_no_frame(story):
    """LP-06: pages, documents, redirects and refusals alike."""
    site, log_in = story
    browser = site.browser()
    answers = [
        browser.get(LOGIN),
        browser.get(LOGIN, FROM_ELSEWHERE),
        browser.get(LOGIN, {**FROM_HERE, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}),
        browser.get(CALLBACK, FROM_ELSEWHERE),
        browser.get(CALLBACK, PROGRAM),
        log_in(browser),
        browser.get(ME, PROGRAM),
        browser.get(LOGIN),
        browser.client.request("DELETE", LOGIN),
        browser.client.request("HEAD", LOGIN),
        browser.get(LOGOUT),
        browser.post(LOGOUT, {**FROM_ELSEWHERE, "Origin": "https://evil.example"}),
        browser.post(LOGOUT),
    ]
    assert {answer.status_code for answer in answers} >= {302, 303, 200, 400, 403, 405}
    for answer in answers:
        headers = answer.headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "xwms_auth"]


def test_lp_09_the_log_tells_who_came_and_went_without_naming_them(story, caplog):
    """LP-09: one line for each event, the same short hash for the same person."""
    caplog.set_level("INFO")
    site, log_in = story
    browser = site.browser()
    log_in(browser)
    browser.log_out()
    told = [line.partition(" ")[0] for line in lines(caplog)]
    assert [event for event in told if event in ("login_started", "login_finished", "logged_out")] == [
        "login_started",
        "login_finished",
        "logged_out",
    ]
    people = re.findall(r"person=([\w-]+)", "\n".join(lines(caplog)))
    assert (len(people), len(set(people))) == (2, 1)
    assert SUB not in caplog.text


def test_lp_09_what_was_refused_is_in_the_log_with_its_code_and_cause(story, caplog):
    """LP-09"""
    caplog.set_level("INFO")
    site, _ = story
    browser = site.browser()
    browser.get(CALLBACK, FROM_ELSEWHERE)
    browser.post(LOGOUT, {**FROM_ELSEWHERE, "Origin": "https://evil.example"})
    refused = [line for line in lines(caplog) if line.startswith("refused ")]
    assert [re.findall(r"code=(\w+) path='([^']+)'", line)[0] for line in refused] == [
        ("token_missing", CALLBACK),
        ("cross_site", LOGOUT),
    ]
    assert all("cause='" in line for line in refused)


def test_lp_09_a_token_that_was_spent_for_nobody_is_in_the_log(site, caplog):
    """LP-09: somebody brought an attacker's token into a browser that began no login."""
    caplog.set_level("INFO")
    token = site.fx.approve(site.browser().start())
    answer = site.browser().come_back(token)
    assert answer.status_code == 400
    assert "token_spent" in lines(caplog)
    assert token not in "".join(lines(caplog))


def test_lp_09_what_xwms_refuses_is_in_the_log(site, caplog):
    """LP-09"""
    site.fx.answer("sign-token", refusal(401, "The client secret is not valid."))
    assert site.browser().get(LOGIN).status_code == 500
    assert any(line.startswith("refused code=credentials_rejected") for line in lines(caplog))


INBOUND = {
    "X-Client-Id": "evil",
    "X_Client_Id": "evil",
    "X-Client-Secret": "evil",
    "X-Client-Domain": "evil.example",
    "X_Client_Domain": "evil.example",
    "Authorization": "Basic ZXZpbDpldmls",
}


def test_se_12_headers_of_a_visitor_go_no_further(story):
    """SE-12: what tells XWMS who we are comes from the settings alone."""
    site, log_in = story
    browser = site.browser()
    browser.client.headers.update(INBOUND)
    assert log_in(browser).status_code == 303
    sent = [value for request in site.fx.requests for name in INBOUND for value in request.all(name)]
    assert sent, "our own are there"
    assert [value for value in sent if "evil" in value or value == INBOUND["Authorization"]] == []


NO_PICTURES = ["javascript:alert(1)", "//evil.example/a", "data:text/html,<script>", "/a.png", " https://a.example/", 7]


def test_or_10_a_picture_is_an_address_of_the_web_or_none(story):
    """OR-10: so that a page which links to it runs nothing of the person's."""
    site, log_in = story
    addresses = ("https://xwms.nl/a.png?b=1", "http://a.example/", "HTTPS://a.example/")
    for picture, kept in (*((picture, None) for picture in NO_PICTURES), *zip(addresses, addresses, strict=True)):
        browser = site.browser()
        assert log_in(browser, picture=picture).status_code == 303, picture
        assert browser.get(ME, PROGRAM).json()["user"]["picture"] == kept


MOST = 600
"""Characters of any line below."""


def test_lp_09_no_line_of_the_log_is_as_long_as_somebody_likes(make_site, caplog):
    """LP-09"""
    caplog.set_level("DEBUG", logger="xwms_auth")
    site = make_site(protect="all", redirect_uris=["https://app.example/cb", "https://other.example/cb"])
    for longest in ("a", "é", "\N{GRINNING FACE}", "%0a", "\\", "'"):
        caplog.clear()
        site.raw("/" + longest * 20_000, headers=list(PROGRAM.items()))
        site.raw(LOGIN, headers=list(FROM_HERE.items()), host="h" * 20_000)
        site.fx.answer("sign-token", refusal(422, longest * 4_000))
        site.browser().get(LOGIN)
        written = lines(caplog)
        assert len(written) >= 3, longest
        assert max(map(len, written)) < MOST, longest
        assert any("..." in line for line in written), longest
