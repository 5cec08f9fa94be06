"""Consent: asked once, asked again when it was taken back or when a scope came along, and never given by accident."""

import html

import pytest
from local_xwms import REDIRECT

from xwms_auth.sandbox import approvals, clients, directory

ANNA = "1001"


@pytest.fixture
def xwms(make_xwms):
    return make_xwms(scopes=("userinfo",))


def choose(xwms, **form: object):
    token = xwms.sign_token()["token"]
    return xwms.http.post(f"/sign-in/{token}", data={"person": ANNA, **form})


def is_asked(answer) -> bool:
    return answer.status_code == 200 and "Allow" in answer.text and 'name="scope"' in answer.text


def test_it_is_asked_at_the_first_login_and_not_at_the_second(xwms):
    first = choose(xwms)
    assert is_asked(first)
    text = html.unescape(first.text)
    assert "Anna de Vries" in text
    assert approvals.SCOPES["userinfo"] in text
    assert choose(xwms, scope="userinfo").status_code == 303
    assert choose(xwms).status_code == 303


def test_nobody_is_signed_in_before_they_agree(xwms):
    token = xwms.sign_token()["token"]
    assert is_asked(xwms.choose(token, person=ANNA))
    assert xwms.verify(token).status_code == 401
    assert xwms.choose(token, person=ANNA, scope="userinfo").status_code == 303
    assert xwms.verify(token).status_code == 200


def test_a_client_without_scopes_asks_nothing(make_xwms):
    assert choose(make_xwms()).status_code == 303


def test_a_new_scope_is_asked_for_and_one_that_was_not_on_the_page_is_not_agreed_to(xwms):
    assert choose(xwms, scope="userinfo").status_code == 303
    token = xwms.sign_token()["token"]
    with xwms.client() as client:
        approvals.enable_scopes(client, ["userinfo", "useraddresses"])
    asked = xwms.choose(token, person=ANNA, scope="userinfo")  # a page from before
    assert is_asked(asked)
    assert 'value="userinfo"' not in asked.text  # agreed to already
    assert xwms.choose(token, person=ANNA, scope="useraddresses").status_code == 303
    assert xwms.call("user/address", {"sub": ANNA, "action": "list"}).status_code == 200


def test_a_scope_that_is_not_enabled_cannot_be_slipped_in(xwms):
    answer = choose(xwms, scope=["userinfo", "useraddresses"])
    assert answer.status_code == 303
    with xwms.client() as client:
        approvals.enable_scopes(client, ["userinfo", "useraddresses"])
    assert is_asked(choose(xwms))


def test_what_was_taken_back_is_asked_again_and_its_tokens_are_worth_nothing(xwms):
    token = xwms.sign_token()["token"]
    assert xwms.choose(token, person=ANNA, scope="userinfo").status_code == 303
    with xwms.app.extensions["xwms_sandbox"].database.work() as session:
        client, person = clients.find(session, "sandbox-client"), directory.find(session, ANNA)
        approvals.revoke(session, approvals.approval_of(session, client, person), now=xwms.clock.now)
    assert xwms.verify(token).status_code == 401
    assert xwms.call("get/user/info", {"sub": ANNA}).status_code == 403
    assert is_asked(choose(xwms))
    assert choose(xwms, scope="userinfo").status_code == 303
    assert xwms.call("get/user/info", {"sub": ANNA}).status_code == 200


def test_automatic_login_agrees_by_itself(make_xwms):
    xwms = make_xwms(scopes=("userinfo", "useraddresses"), auto_login="someone-new")
    answer = xwms.http.get(xwms.sign_token()["url"])
    assert answer.status_code == 303
    assert xwms.call("user/address", {"sub": "someone-new", "action": "list"}).status_code == 200


def test_cancelling_leads_to_the_fallback_uri_else_to_the_front_page(xwms):
    assert '<a href="http://localhost:5000/">Cancel</a>' in choose(xwms).text
    with xwms.client() as client:
        client.domains[0].fallback_uri = "https://app.example/sorry?a=1&b=2"
    page = choose(xwms).text
    assert '<a href="https://app.example/sorry?a=1&amp;b=2">Cancel</a>' in page


def test_the_address_is_still_checked_after_consent(xwms):
    token = xwms.sign_token(REDIRECT)["token"]
    assert is_asked(xwms.choose(token, person=ANNA))
    with xwms.client() as client:
        client.redirect_uris[0].active = False
    assert xwms.choose(token, person=ANNA, scope="userinfo").status_code == 403
