"""userinfo as a signed JWT (OpenID Connect Core 5.3.2): verified as an ID token is, or nobody is logged in."""

import time

import pytest

from tests.oauth2.fake_as import JWKS, USERINFO, document
from tests.oauth2.jwts import encode, hs256, make_key, signed
from tests.oauth2.steps import code_of, log_in
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.faults import Reply

SUB = "xwms-user-1234"
STRANGE = (502, "xwms_bad_answer")


def as_jwt(text, media_type="application/jwt"):
    return Reply(body=text.encode(), headers={"Content-Type": media_type})


def claims_of(server, **changes):
    good = {"sub": SUB, "name": "Ada", "iss": server.issuer, "aud": CLIENT_ID, **changes}
    return {name: value for name, value in good.items() if value is not None}


GOOD = {
    "all claims": {},
    "no iss and no aud, which are not required": {"iss": None, "aud": None},
    "several audiences": {"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID},
    "an end to come": {"exp": 4_000_000_000},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("kind", [None, "JWT"])
def test_signed_claims_are_those_of_the_person(browser, server, changes, kind):
    server.answer(USERINFO, as_jwt(signed(server.key, claims_of(server, **changes), typ=kind)))
    assert log_in(browser, server).status_code == 303
    assert browser.get("/xwms/me").json()["user"]["name"] == "Ada"
    assert server.calls(JWKS) == 1


def test_the_type_may_have_parameters_and_the_text_a_line_break(browser, server):
    text = signed(server.key, claims_of(server)) + "\n"
    server.answer(USERINFO, as_jwt(text, "Application/JWT; charset=utf-8"))
    assert log_in(browser, server).status_code == 303


def test_plain_oauth_reads_it_too_where_the_keys_are_known(make_site, server):
    server.answer(USERINFO, as_jwt(signed(server.key, claims_of(server))))
    browser = make_site(scopes="profile").browser()
    assert log_in(browser, server).status_code == 303
    assert browser.who() == SUB


def forged(server, how):
    claims = claims_of(server)
    key = server.key
    return {
        "another key": lambda: signed(make_key(another=1), claims),
        "none": lambda: encode({"alg": "none"}, claims, lambda data: b""),
        "HS256 with the secret": lambda: encode({"alg": "HS256"}, claims, hs256(CANARY.encode())),
        "another issuer": lambda: signed(key, claims | {"iss": "https://evil.example"}),
        "another client": lambda: signed(key, claims | {"aud": "another-app"}),
        "several audiences and no azp": lambda: signed(key, claims | {"aud": [CLIENT_ID, "other"]}),
        "expired": lambda: signed(key, claims | {"exp": int(time.time()) - 3600}),
        "an end that is no time": lambda: signed(key, claims | {"exp": "soon"}),
        "an access token": lambda: signed(key, claims, typ="at+jwt"),
        "a logout token": lambda: signed(key, claims, typ="logout+jwt"),
        "no JWT": lambda: "{}",
        "empty": lambda: "",
        "no text": lambda: "\u00e9.\u00e9.\u00e9",
    }[how]()


HOW = ["another key", "none", "HS256 with the secret", "another issuer", "another client"]
HOW += ["several audiences and no azp", "expired", "an end that is no time", "an access token", "a logout token"]
HOW += ["no JWT", "empty", "no text"]


@pytest.mark.parametrize("how", HOW)
def test_one_that_the_server_did_not_sign_for_this_client_logs_nobody_in(browser, server, caplog, how):
    server.answer(USERINFO, as_jwt(forged(server, how)))
    assert code_of(log_in(browser, server)) == STRANGE
    assert browser.who() is None
    assert "cause='userinfo: " in caplog.text or 'cause="userinfo: ' in caplog.text
    assert "userinfo_signed_response_alg" in caplog.text


def test_an_encrypted_one_is_refused_with_the_setting(browser, server, caplog):
    server.answer(USERINFO, as_jwt("a.b.c.d.e"))
    assert code_of(log_in(browser, server)) == STRANGE
    assert "userinfo_encrypted_response_alg" in caplog.text


@pytest.mark.parametrize("sub", ["another", None, 1234])
def test_oc_13_signed_userinfo_of_another_person_logs_nobody_in(browser, server, sub):
    """OC-13"""
    server.answer(USERINFO, as_jwt(signed(server.key, claims_of(server, sub=sub))))
    assert code_of(log_in(browser, server)) == (401, "token_rejected")
    assert browser.who() is None


@pytest.mark.parametrize(
    ("media_type", "shown"),
    [("text/html", "text/html"), ("application/xml", "application/xml"), (None, "no known type")],
)
def test_another_type_is_refused_with_the_endpoint_and_the_type(browser, server, caplog, media_type, shown):
    server.answer(USERINFO, document({"sub": SUB}, Content_Type=media_type))
    assert code_of(log_in(browser, server)) == STRANGE
    assert "userinfo: the response is" in caplog.text
    assert shown in caplog.text


def test_a_signed_one_is_read_at_a_recheck_and_a_broken_one_ends_no_session(make_site, server):
    server.answer(USERINFO, as_jwt(signed(server.key, claims_of(server))))
    site = make_site(session_store="memory://", recheck=60)
    browser = site.browser()
    log_in(browser, server)
    site.clock.advance(61)
    server.answer(USERINFO, as_jwt(signed(server.key, claims_of(server, name="Anna"))))
    assert browser.who() == SUB
    assert browser.get("/xwms/me").json()["user"]["name"] == "Anna"
    site.clock.advance(61)
    server.answer(USERINFO, as_jwt("a.b.c"))
    assert browser.who() == SUB
