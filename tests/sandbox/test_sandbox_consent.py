"""Consent: what people are asked at a login, when they are asked again, and that a form cannot answer more."""

import html
import re

import pytest

from tests.sandbox.local_xwms import REDIRECT, LocalXWMS

BOTH = ("userinfo", "useraddresses")


@pytest.fixture
def xwms(make_xwms) -> LocalXWMS:
    return make_xwms(scopes=BOTH)


def asked(answer) -> list[str]:
    """The scopes that a page asks for; none where it is not the page that asks."""
    return re.findall(r'<input type="hidden" name="scope" value="([a-z]+)">', answer.text)


def at_login(xwms: LocalXWMS, sub: str = "1001") -> list[str]:
    """What a person is asked after choosing who to be; agrees to it, and completes the login."""
    token = xwms.sign_token()["token"]
    answer = xwms.choose(token, person=sub)
    scopes = asked(answer)
    if scopes:
        assert answer.status_code == 200
        answer = xwms.choose(token, person=sub, scope=scopes)
    assert answer.headers["Location"] == f"{REDIRECT}?token={token}"
    assert xwms.verify(token).json["data"]["sub"] == sub
    return scopes


def may(xwms: LocalXWMS, sub: str = "1001") -> tuple[bool, bool]:
    """Whether the app learns a person's birth date, and their addresses."""
    told = xwms.call("get/user/info", {"sub": sub}).json["data"].get("user", {})
    listed = xwms.call("get/user/address", {"sub": sub})
    return told.get("birth_date") is not None, listed.status_code == 200


def test_people_are_asked_at_their_first_login_and_not_again(xwms):
    assert at_login(xwms) == list(BOTH)
    assert may(xwms) == (True, True)
    assert at_login(xwms) == []
    assert may(xwms) == (True, True)


def test_whoever_is_not_that_person_chooses_another_one_in_the_same_login(xwms):
    token = xwms.sign_token()["token"]
    asking = xwms.choose(token, person="1001")
    again = re.search(r'<a href="([^"]+)">Not you', asking.text)
    assert again
    assert "Sign in to" in xwms.http.get(again[1]).text
    assert xwms.choose(token, person="1003", scope=asked(asking)).status_code == 303
    assert xwms.verify(token).json["data"]["sub"] == "1003"
    assert at_login(xwms, "1001") == list(BOTH)  # Anna has agreed to nothing


def test_each_person_is_asked_for_themself(xwms):
    assert at_login(xwms, "1001") == list(BOTH)
    assert at_login(xwms, "1003") == list(BOTH)


def test_a_client_without_scopes_asks_nothing(make_xwms):
    assert at_login(make_xwms()) == []


def test_the_page_says_who_asks_whom_for_what(xwms):
    with xwms.client() as client:
        client.name = "Shop & <Co>"
    answer = xwms.choose(xwms.sign_token()["token"], person="1001")
    text = " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
    said = html.unescape(text)
    assert "Allow Shop & <Co> ?" in said
    assert "signing in to localhost and will return to localhost:5000" in said
    assert "AV Anna de Vries anna@example.com Not you? Choose another person" in said
    assert "Birth date, gender" in said
    assert "Postal addresses" in said
    assert answer.headers["Content-Security-Policy"].endswith("form-action 'self' http://localhost:5000")
    assert not re.search(r"<script|<style|style=| on\w+=", answer.text)


def test_nothing_is_approved_before_the_person_agrees(xwms):
    token = xwms.sign_token()["token"]
    assert asked(xwms.choose(token, person="1001")) == list(BOTH)
    assert xwms.verify(token).status_code == 401
    assert xwms.call("get/user/info", {"sub": "1001"}).status_code == 403
    assert at_login(xwms) == list(BOTH)


def test_after_a_revocation_people_are_asked_again(xwms):
    at_login(xwms)
    xwms.revoke("1001")
    assert xwms.call("get/user/info", {"sub": "1001"}).json["message"] == "The user has not approved this client."
    assert at_login(xwms) == list(BOTH)
    assert may(xwms) == (True, True)


def test_a_revocation_ends_what_was_agreed_to_also_where_the_scope_was_taken_away_meanwhile(xwms):
    at_login(xwms)
    xwms.enable_scopes("userinfo")
    xwms.revoke("1001")
    assert at_login(xwms) == ["userinfo"]
    xwms.enable_scopes(*BOTH)
    assert may(xwms) == (True, False)
    assert at_login(xwms) == ["useraddresses"]


def test_a_revocation_ends_the_token_that_waits_and_leaves_other_people_s(xwms):
    tokens = {sub: xwms.sign_token()["token"] for sub in ("1001", "1003")}
    for sub, token in tokens.items():
        xwms.choose(token, person=sub, scope=list(BOTH))
    xwms.revoke("1001")
    assert xwms.verify(tokens["1001"]).status_code == 401
    assert xwms.verify(tokens["1003"]).status_code == 200


def test_only_a_scope_that_is_new_is_asked_for(make_xwms):
    xwms = make_xwms(scopes=("userinfo",))
    assert at_login(xwms) == ["userinfo"]
    xwms.enable_scopes(*BOTH)
    assert may(xwms) == (True, False)
    assert at_login(xwms) == ["useraddresses"]
    assert may(xwms) == (True, True)


def test_a_form_without_every_scope_that_was_asked_for_agrees_to_none(xwms, subtests):
    for scope in (
        [],
        ["userinfo"],
        ["useraddresses"],
        ["everything"],
        ["userinfo useraddresses"],
        ["userinfo,useraddresses"],
        [""],
    ):
        with subtests.test(scope=scope):
            token = xwms.sign_token()["token"]
            answer = xwms.choose(token, person="1001", scope=scope)
            assert (answer.status_code, asked(answer)) == (200, list(BOTH))
            assert xwms.verify(token).status_code == 401
            assert xwms.call("get/user/info", {"sub": "1001"}).status_code == 403


def test_a_form_cannot_agree_to_a_scope_that_was_not_on_its_page(make_xwms):
    xwms = make_xwms(scopes=("userinfo",))
    token = xwms.sign_token()["token"]
    on_page = asked(xwms.choose(token, person="1001"))
    xwms.enable_scopes(*BOTH)
    again = xwms.choose(token, person="1001", scope=on_page)
    assert (again.status_code, asked(again)) == (200, list(BOTH))
    assert xwms.verify(token).status_code == 401


def test_a_form_cannot_agree_to_a_scope_that_the_client_may_not_ask_for(make_xwms):
    xwms = make_xwms(scopes=("userinfo",))
    token = xwms.sign_token()["token"]
    assert xwms.choose(token, person="1001", scope=[*BOTH, "everything"]).status_code == 303
    xwms.enable_scopes(*BOTH)
    assert may(xwms) == (True, False)
    assert at_login(xwms) == ["useraddresses"]


def test_a_scope_that_is_taken_away_while_the_page_is_open_is_not_agreed_to(xwms):
    token = xwms.sign_token()["token"]
    on_page = asked(xwms.choose(token, person="1001"))
    xwms.enable_scopes("userinfo")
    assert xwms.choose(token, person="1001", scope=on_page).status_code == 303
    xwms.enable_scopes(*BOTH)
    assert may(xwms) == (True, False)


def test_somebody_who_was_typed_in_is_asked_too(xwms):
    token = xwms.sign_token()["token"]
    answer = xwms.choose(token, sub="somebody new", name="Jo")
    assert asked(answer) == list(BOTH)
    assert '<input type="hidden" name="sub" value="somebody new">' in answer.text
    assert xwms.choose(token, sub="somebody new", name="Jo", scope=list(BOTH)).status_code == 303
    assert xwms.verify(token).json["data"]["name"] == "Jo"


def test_whoever_cancels_has_changed_nobody(xwms):
    xwms.choose(xwms.sign_token()["token"], sub="1001", name="Eve", email="eve@evil.example", email_verified="1")
    assert xwms.log_in("1001", *BOTH)["name"] == "Anna de Vries"


def test_a_token_is_worth_nothing_once_its_address_or_domain_is_switched_off(xwms):
    for part in ("redirect_uris", "domains"):
        token = xwms.sign_token()["token"]
        assert xwms.choose(token, person="1001", scope=list(BOTH)).status_code == 303
        with xwms.client() as client:
            getattr(client, part)[0].active = False
        assert xwms.verify(token).status_code in (401, 403)
        with xwms.client() as client:
            getattr(client, part)[0].active = True
        assert xwms.verify(token).status_code == 200


def test_another_site_cannot_agree(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token, person="1001")
    form = {"person": "1001", "scope": list(BOTH)}
    answer = xwms.http.post(f"/sign-in/{token}", data=form, headers={"Sec-Fetch-Site": "same-site"})
    assert answer.status_code == 403
    assert xwms.verify(token).status_code == 401


def test_a_page_that_was_open_for_too_long_agrees_to_nothing(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token, person="1001")
    xwms.clock.now += 600
    assert xwms.choose(token, person="1001", scope=list(BOTH)).status_code == 410
    assert xwms.call("get/user/info", {"sub": "1001"}).status_code == 403


def test_where_a_login_may_end_is_checked_again_after_consent(xwms):
    token = xwms.sign_token()["token"]
    assert asked(xwms.choose(token, person="1001"))
    with xwms.client() as client:
        client.redirect_uris[0].active = False
    assert xwms.choose(token, person="1001", scope=list(BOTH)).status_code == 403
    assert xwms.call("get/user/info", {"sub": "1001"}).status_code == 403


@pytest.mark.parametrize("sub", ["1001", "somebody-new"])
def test_automatic_login_agrees_at_once(make_xwms, sub):
    xwms = make_xwms(scopes=BOTH, auto_login=sub)
    token = xwms.sign_token()["token"]
    assert xwms.http.get(f"/sign-in/{token}").status_code == 303
    assert xwms.verify(token).status_code == 200
    assert may(xwms, sub) == (sub == "1001", True)  # of somebody new no birth date is known


@pytest.mark.parametrize(
    ("fallback", "cancel"),
    [
        (None, "http://localhost:5000/"),
        ("https://app.example/sorry?a=1&b=%22", "https://app.example/sorry?a=1&b=%22"),
    ],
)
def test_cancel_leads_to_the_fallback_uri_or_else_to_the_app(xwms, fallback, cancel):
    with xwms.client() as client:
        client.domains[0].fallback_uri = fallback
    token = xwms.sign_token()["token"]
    link = f'<a href="{html.escape(cancel)}">Cancel</a>'
    assert link in xwms.http.get(f"/sign-in/{token}").text
    assert link in xwms.choose(token, person="1001").text
