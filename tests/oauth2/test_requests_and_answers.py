"""What is sent to an authorization server, member by member, and what each of its answers means, status by status."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tests.oauth2.test_refresh_by_hand import ISSUER, OLD, context_of
from xwms_auth._core.base.effects import OAuthCall, UpstreamResponse
from xwms_auth._core.base.errors import (
    APIError,
    BadAnswer,
    ClientDisabled,
    CredentialsRejected,
    NotApproved,
    RedirectNotRegistered,
    RequestRejected,
    TokenMissing,
    TokenRejected,
    Unreachable,
)
from xwms_auth._core.base.models import Secret, TokenSet
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.config.server.metadata import Metadata
from xwms_auth._core.http.login_params import NO_PARAMS, LoginParams
from xwms_auth._core.oauth2 import endpoints as wire

NOW = 1_800_000_000
SEED = "a-seed-of-this-login"
URI = "https://app.example/xwms/validateToken"
METADATA = Metadata(
    issuer=ISSUER, authorization_endpoint=f"{ISSUER}/authorize?tenant=1", token_endpoint=f"{ISSUER}/token"
)


def asked(
    *, scopes: str = "openid", max_age: int | None = None, params: LoginParams = NO_PARAMS, seed: str = SEED
) -> dict[str, str]:
    """The query of an authorization request, without the part that is the server's own."""
    named = {"userinfo_endpoint": f"{ISSUER}/userinfo"} if "openid" not in scopes else {}
    config = context_of(scopes=scopes, **named).config
    url = wire.authorization_url(config, METADATA, URI, seed=seed, max_age=max_age, params=params)
    assert url.startswith(f"{ISSUER}/authorize?tenant=1&")
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)[1:]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


# --- what is sent ---


def test_an_authorization_request_has_what_this_login_needs_and_nothing_else():
    usual = {
        "response_type": "code",
        "client_id": "id",
        "redirect_uri": URI,
        "state": wire.state_of(SEED),
        "code_challenge_method": "S256",
    }
    sent = asked(scopes="openid email")
    verifier = parse_qs(str(wire.exchange_code(METADATA, "c", URI, seed=SEED).form))["code_verifier"][0]
    assert sent.pop("code_challenge") == create_s256_code_challenge(verifier)
    assert sent == {**usual, "scope": "openid email", "nonce": wire.nonce_of(SEED)}
    sent = asked(scopes="profile")
    del sent["code_challenge"]
    assert sent == {**usual, "scope": "profile"}
    assert asked(scopes="").keys() == {*usual, "code_challenge"}


def made_of(seed: str) -> list[str]:
    form = parse_qs(str(wire.exchange_code(METADATA, "c", URI, seed=seed).form))
    return [wire.state_of(seed), wire.nonce_of(seed), *form["code_verifier"]]


def test_state_nonce_and_verifier_are_long_and_tell_nothing_of_each_other():
    made = made_of(SEED) + made_of("another-seed")
    assert len(set(made)) == 6
    assert {len(value) for value in made} == {43}


def test_a_login_that_an_older_version_has_begun_ends_at_this_one():
    assert made_of(SEED) == [
        "G7UjMYkV4E7bje3VN537_IKB35u4oM3Gx3KDc-sBWVQ",
        "FVgc4FGfmDGGeydB_fiUyDP291R0cKRiKFOLeyL2ChM",
        "UKxPTUsJPKeh27waqLbndyzdg3iU22L2jbtGH4soIX8",
    ]


@pytest.mark.parametrize(
    ("scopes", "prompt", "sent"),
    [
        ("openid offline_access", "", "consent"),
        ("openid offline_access", "login", "login consent"),
        ("openid offline_access", "consent", "consent"),
        ("openid offline_access", "login consent", "login consent"),
        ("openid offline_access", "none", "none"),
        ("openid", "", None),
        ("openid", "login", "login"),
        ("offline_access", "", None),
    ],
)
def test_consent_is_asked_for_where_offline_access_needs_it(scopes, prompt, sent):
    """OpenID Connect Core 11."""
    assert asked(scopes=scopes, params=LoginParams(prompt=prompt)).get("prompt") == sent


@pytest.mark.parametrize("name", ["ui_locales", "login_hint", "acr_values"])
def test_a_parameter_that_is_set_is_sent_and_no_other(name):
    assert asked(params=LoginParams(**{name: "x y"})) == {**asked(), name: "x y"}


@pytest.mark.parametrize(
    ("scopes", "max_age", "sent"),
    [("openid", 60, "60"), ("openid", 0, "0"), ("openid", None, None), ("profile", 60, None), ("profile", None, None)],
)
def test_how_old_a_login_may_be_is_said_with_openid(scopes, max_age, sent):
    assert asked(scopes=scopes, max_age=max_age).get("max_age") == sent


def form_of(call: OAuthCall) -> dict[str, list[str]]:
    assert (call.bearer, call.secret) == (None, None)
    return parse_qs(str(call.form), keep_blank_values=True, strict_parsing=True)


def test_a_code_goes_to_the_token_endpoint_with_its_redirect_uri_and_verifier():
    call = wire.exchange_code(METADATA, "the-code", URI, seed=SEED)
    form = form_of(call)
    assert len(form.pop("code_verifier")[0]) == 43
    assert form == {"grant_type": ["authorization_code"], "code": ["the-code"], "redirect_uri": [URI]}
    assert (call.url, call.must_finish) == (METADATA.token_endpoint, False)


def test_a_refresh_is_not_given_up_because_it_is_slow():
    call = wire.refresh(METADATA, Secret("rt"))
    assert form_of(call) == {"grant_type": ["refresh_token"], "refresh_token": ["rt"]}
    assert (call.url, call.must_finish) == (METADATA.token_endpoint, True)


@pytest.mark.parametrize(
    ("tokens", "token", "hint"),
    [(OLD, "refresh-me", "refresh_token"), (replace(OLD, refresh_token=None), "old", "access_token")],
)
def test_the_token_that_ends_the_others_is_the_one_that_is_revoked(tokens, token, hint):
    call = wire.revoke(f"{ISSUER}/revoke", tokens)
    assert form_of(call) == {"token": [token], "token_type_hint": [hint]}
    assert (call.url, call.must_finish) == (f"{ISSUER}/revoke", False)


def test_keys_and_userinfo_are_asked_for_without_the_clients_secret():
    for call, bearer in (
        (wire.ask_for_keys("https://x/k"), None),
        (wire.ask_for_person("https://x/k", Secret("t")), "t"),
    ):
        assert (call.url, call.form, call.secret) == ("https://x/k", None, None)
        assert (None if call.bearer is None else call.bearer.reveal()) == bearer


@pytest.mark.parametrize("room", [0, -1])
def test_an_id_token_goes_along_to_the_logout_as_long_as_it_fits(room, caplog):
    config = context_of().config
    end = f"{ISSUER}/end?tenant=1"
    without = wire.logout_url(end, config, back_to="https://app.example/", id_token=None)
    assert without == f"{end}&client_id=id&post_logout_redirect_uri=https%3A%2F%2Fapp.example%2F"
    token = "t" * (wire.MAX_LOGOUT_URL - len(without) - len("&id_token_hint=") - room)
    url = wire.logout_url(end, config, back_to="https://app.example/", id_token=Secret(token))
    if room == 0:
        assert dict(parse_qsl(urlsplit(url).query))["id_token_hint"] == token
        assert url == without.replace("&client_id", f"&id_token_hint={token}&client_id")
        assert "id_token_hint" not in caplog.text
    else:
        assert url == without
        assert "id_token_hint_too_long" in caplog.text


# --- what comes back ---


def answer(status: int = 200, body: object = None, **more: Any) -> UpstreamResponse:
    text = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return UpstreamResponse(**{"status": status, "content_type": "application/json", "body": text, **more})


def tokens(**changes: object) -> TokenSet:
    return wire.read_tokens(answer(body={"access_token": "a", **changes}), asked=("openid", "email"), now=NOW)


def revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


@pytest.mark.parametrize(
    ("says", "ends"),
    [
        ({}, None),
        ({"expires_in": None}, None),
        ({"expires_in": 300}, NOW + 300),
        ({"expires_in": 300.9}, NOW + 300),
        ({"expires_in": "300"}, NOW + 300),
        ({"expires_in": "+300.5"}, NOW + 300),
        ({"expires_in": 1}, NOW + 1),
        ({"expires_in": 0}, NOW),
        ({"expires_in": -5}, NOW),
        ({"expires_in": "-5"}, NOW),
        ({"expires_in": wire.MAX_EXPIRES_IN}, NOW + wire.MAX_EXPIRES_IN),
        ({"expires_in": wire.MAX_EXPIRES_IN + 1}, None),
    ],
)
def test_an_access_token_ends_when_its_lifetime_is_over(says, ends):
    assert tokens(**says).expires_at == ends


@pytest.mark.parametrize("value", ["", "soon", "1e3", " 300", "300\n", "\u0663", True, False, [300], {}])
def test_a_lifetime_that_is_no_number_is_not_one_without_an_end(value):
    with pytest.raises(BadAnswer, match="expires_in is not a number"):
        tokens(expires_in=value)


def test_the_members_of_a_token_answer_are_read_as_they_are():
    read = tokens(refresh_token="r", id_token="i", scope="email openid", token_type="BEARER")
    assert [revealed(one) for one in (read.access_token, read.refresh_token, read.id_token)] == ["a", "r", "i"]
    assert read.scope == ("email", "openid")
    read = tokens(refresh_token="", token_type=None, scope=None, id_token=None)
    assert (read.refresh_token, read.id_token, read.scope) == (None, None, ("openid", "email"))
    assert tokens(scope="").scope == ()


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "id_token"])
def test_a_token_is_visible_ascii_of_so_many_characters_at_most(name):
    longest = "!~" * (wire.MAX_OAUTH_TOKEN // 2)
    assert revealed(getattr(tokens(**{name: longest}), name)) == longest
    for value in (longest + "x", "a b", "a\x7f", "a\nb", "caf\u00e9", 5, True, ["a"], {}):
        with pytest.raises(BadAnswer, match=f"the token endpoint's {name} is malformed"):
            tokens(**{name: value})
    if name != "refresh_token":
        with pytest.raises(BadAnswer, match=f"the token endpoint's {name} is malformed"):
            tokens(**{name: ""})


def test_a_token_answer_needs_an_access_token_of_the_type_that_is_used():
    with pytest.raises(BadAnswer, match="access_token is missing"):
        tokens(access_token=None)
    for kind in ("", "mac", "DPoP", 5, ["Bearer"], False):
        with pytest.raises(BadAnswer, match="token_type is not Bearer"):
            tokens(token_type=kind)
    with pytest.raises(BadAnswer, match="the token endpoint's scope is neither"):
        tokens(scope=5)


def read_all(response: UpstreamResponse, where: str) -> object:
    if where == "the token endpoint":
        return wire.read_tokens(response, asked=(), now=NOW)
    return wire.read_person(response) if where == "userinfo" else wire.read_revoked(response)


TOKEN, USERINFO, REVOCATION = EVERY = ("the token endpoint", "userinfo", "the revocation endpoint")


def failure(response: UpstreamResponse, where: str) -> APIError:
    with pytest.raises(APIError) as raised:
        read_all(response, where)
    assert where in raised.value.cause
    assert raised.value.upstream_status == response.status
    return raised.value


@pytest.mark.parametrize(
    ("where", "status"),
    [*((where, status) for where in EVERY for status in (502, 503, 504)), (TOKEN, 429), (USERINFO, 429)],
)
def test_a_server_that_is_busy_or_down_says_when_to_come_back(where, status):
    error = failure(answer(status, {"error": "invalid_grant"}, retry_after=77), where)
    assert (type(error), error.retry_after) == (Unreachable, 77)
    assert f"answered {status}" in error.cause


@pytest.mark.parametrize("where", [TOKEN, USERINFO])
@pytest.mark.parametrize("status", [100, 199, 201, 204, 302, 307, 399, 500, 501, 505, 599])
def test_a_status_that_no_rfc_names_is_a_bad_answer(where, status):
    error = failure(answer(status, {"access_token": "a", "sub": "17", "error": "invalid_grant"}), where)
    assert (type(error), error.cause) == (BadAnswer, f"{where} answered {status}")


@pytest.mark.parametrize("status", [100, 201, 204, 302, 399, 500, 503])
def test_what_does_not_say_that_a_token_is_revoked_says_that_it_still_exists(status):
    assert type(failure(answer(status, {"error": "invalid_client"}), REVOCATION)) is Unreachable


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}"])
def test_a_200_says_that_a_token_is_revoked(body):
    wire.read_revoked(answer(body=body))


ERRORS = {
    "invalid_client": CredentialsRejected,
    "unauthorized_client": ClientDisabled,
    "invalid_grant": TokenRejected,
    "redirect_uri_mismatch": RedirectNotRegistered,
    "invalid_redirect_uri": RedirectNotRegistered,
    "invalid_scope": RequestRejected,
    "invalid_request": RequestRejected,
    "unsupported_grant_type": RequestRejected,
    "temporarily_unavailable": Unreachable,
}


@pytest.mark.parametrize("where", EVERY)
@pytest.mark.parametrize(("code", "expected"), ERRORS.items())
def test_an_error_that_the_rfcs_name_is_that_error_whatever_the_status(where, code, expected):
    for status in (400, 401, 403, 404, 499):
        error = failure(answer(status, {"error": code}), where)
        assert (type(error), error.cause) == (expected, f"{where} answered {status}: {code}")


@pytest.mark.parametrize(
    ("where", "status", "expected"),
    [
        *((where, 401, CredentialsRejected) for where in (TOKEN, REVOCATION)),
        *((where, status, BadAnswer) for where in EVERY for status in (400, 404, 499)),
        *((where, 403, BadAnswer) for where in (TOKEN, REVOCATION)),
        (USERINFO, 401, TokenRejected),
        (USERINFO, 403, NotApproved),
    ],
)
def test_any_other_refusal_is_told_by_its_status_and_not_quoted(where, status, expected):
    bodies = [{}, {"error": None}, {"error": 5}, {"error": ["invalid_grant"]}, {"error": "<svg>"}, b"<html>"]
    for body in bodies:
        error = failure(answer(status, body), where)
        assert (type(error), error.cause) == (expected, f"{where} answered {status}: no known error code")


@pytest.mark.parametrize("where", [TOKEN, USERINFO])
def test_a_200_is_a_json_object_without_an_error(where):
    good = {"access_token": "a", "sub": "17"}
    for nothing in ({}, {"error": None}, {"error": ""}):
        read_all(answer(body={**good, **nothing}), where)
    for error in ("invalid_grant", "x", 0, False, {}, []):
        with pytest.raises(BadAnswer, match=f"{where} answered 200 with an error"):
            read_all(answer(body={**good, "error": error}), where)
    assert "not a JSON object" in failure(answer(body=[good]), where).cause
    assert "text/html" in failure(answer(body=good, content_type="text/html"), where).cause


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("access_denied", TokenMissing),
        ("login_required", TokenMissing),
        ("unmet_authentication_requirements", TokenMissing),
        ("unauthorized_client", ClientDisabled),
        ("invalid_scope", RequestRejected),
        ("server_error", BadAnswer),
        ("temporarily_unavailable", Unreachable),
        ("", TokenMissing),
        ("<svg>", TokenMissing),
    ],
)
def test_an_error_in_a_callback_is_named_if_it_is_known(code, expected):
    error = wire.error_in_callback(code)
    assert type(error) is expected
    assert error.cause.endswith(": an unknown error" if code in ("", "<svg>") else f": {code}")


# --- whose claims ---


@pytest.mark.parametrize(
    ("id_claims", "userinfo", "read"),
    [
        ({"name": "Old"}, {}, {"name": "Old"}),
        ({"name": "Old"}, {"name": "New"}, {"name": "New"}),
        ({"email": "a@x.example", "email_verified": True}, {}, {"email": "a@x.example", "email_verified": True}),
        ({}, {"email": "a@x.example", "email_verified": True}, {"email": "a@x.example", "email_verified": True}),
        ({"email": "a@x.example", "email_verified": True}, {"email": "b@x.example"}, {"email": "b@x.example"}),
        ({"email": "a@x.example"}, {"email_verified": True}, {"email": "a@x.example"}),
        (
            {"email": "a@x.example", "email_verified": True},
            {"email_verified": False},
            {"email": "a@x.example", "email_verified": True},
        ),
        ({"email": "a@x.example", "email_verified": True}, {"email": None}, {}),
    ],
)
def test_newer_claims_win_and_an_address_is_verified_by_its_own_source_alone(id_claims, userinfo, read):
    user = wire.user_of(JSONObject(sub="17", **id_claims), JSONObject(sub="17", **userinfo), issuer=ISSUER)
    expected = {"name": None, "email": None, "email_verified": False, **read}
    assert {name: getattr(user, name) for name in expected} == expected
    assert (user.issuer, user.sub) == (ISSUER, "17")


def test_claims_without_a_person_are_a_bad_answer():
    with pytest.raises(BadAnswer, match="the user: sub"):
        wire.user_of(JSONObject(), JSONObject(), issuer=ISSUER)
