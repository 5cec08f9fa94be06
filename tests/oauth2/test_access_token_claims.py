"""What makes a token that an API is shown one that counts: its claims, and what introspection says of it."""

import pytest

from tests.oauth2.test_claims_at_their_limits import CLIENT, GONE, SUB, access_jwt, introspected
from xwms_auth import Secret
from xwms_auth._core.base.bearer_errors import InvalidToken
from xwms_auth._core.base.errors import BadAnswer, CredentialsRejected, Unreachable
from xwms_auth._core.oauth2.token_validation import introspect


@pytest.mark.parametrize(("read", "error"), [(access_jwt, InvalidToken), (introspected, BadAnswer)])
def test_a_scope_or_a_subject_that_is_malformed_makes_no_token(read, error):
    assert read(scope=GONE).scopes == ()
    assert read(scope="a b").scopes == read(scope=["a", "b"]).scopes == ("a", "b")
    for changes in ({"scope": 5}, {"scope": ["a b"]}, {"sub": ""}, {"sub": []}, {"client_id": GONE}, {"client_id": ""}):
        with pytest.raises(error):
            read(**changes)


@pytest.mark.parametrize("read", [access_jwt, introspected])
def test_a_token_of_an_api_is_for_this_api_and_for_whoever_bears_it(read):
    for audience in ("api", ["api"], ["b", "api"]):
        assert read(aud=audience).sub == SUB
    for audience in ("b", ["b"], [], None, "", GONE, {"api": 1}):
        with pytest.raises(InvalidToken, match="not for this API"):
            read(aud=audience)
    for proof in ({}, {"jkt": "x"}, None):
        with pytest.raises(InvalidToken, match="bound to a key"):
            read(cnf=proof)


def test_a_client_that_acts_for_itself_is_no_user():
    assert access_jwt(sub=CLIENT).sub is None
    assert introspected(sub="another-client").sub is None
    assert introspected(sub=GONE).sub is None
    assert introspected(sub=None).sub is None
    for sub in (None, GONE):
        with pytest.raises(InvalidToken, match="no sub"):
            access_jwt(sub=sub)


def test_only_the_clients_own_tokens_need_no_audience_and_only_if_the_api_has_no_name():
    assert introspected(audience="", aud=GONE, client_id=CLIENT).client_id == CLIENT
    assert introspected(audience="", aud=CLIENT).sub == SUB
    for changes in (
        {"audience": "", "aud": GONE},
        {"audience": "", "aud": "b", "client_id": CLIENT},
        {"audience": "api", "aud": GONE, "client_id": CLIENT},
    ):
        with pytest.raises(InvalidToken, match="not for this API"):
            introspected(**changes)


def test_a_username_stands_for_nobody_if_it_is_malformed():
    assert introspected(username="erik").username == "erik"
    assert introspected(username=GONE).username is None
    assert introspected(username=None, sub=GONE).username is None
    for name in (5, "", ["erik"]):
        assert introspected(username=name).username is None
        for sub in (GONE, None):
            with pytest.raises(BadAnswer, match="username"):
                introspected(username=name, sub=sub)


def test_active_is_true_and_nothing_like_it():
    with pytest.raises(InvalidToken, match="not active"):
        introspected(active=False)
    for value in ("true", 1, None, [], GONE, 0):
        with pytest.raises(BadAnswer, match="active"):
            introspected(active=value)


def test_what_introspection_is_about_is_an_access_token():
    for kind in ("Bearer", "bearer", "BEARER"):
        introspected(token_type=kind)
        introspected(token_type=kind, nonce="n", typ="Refresh")
    for kind in ("refresh_token", "", "DPoP", 5, ["Bearer"]):
        for needs_type in (True, False):
            with pytest.raises(InvalidToken, match="not Bearer"):
                introspected(token_type=kind, needs_type=needs_type)
    for kind in (None, GONE):
        with pytest.raises(InvalidToken, match="sends no token_type"):
            introspected(token_type=kind)
        assert introspected(token_type=kind, needs_type=False).sub == SUB
    for claim in ("at_hash", "c_hash"):
        for value in ("x", None):
            with pytest.raises(InvalidToken, match="only ID tokens"):
                introspected(**{claim: value})


def test_where_no_type_is_needed_typ_and_a_nonce_tell_what_it_is():
    for typ in ("Bearer", "at+jwt", "AT+JWT", "JWT", GONE):
        assert introspected(token_type=GONE, needs_type=False, typ=typ).sub == SUB
    for changes in ({"typ": "Refresh"}, {"typ": "ID"}, {"typ": None}, {"typ": ""}, {"nonce": "n"}, {"nonce": None}):
        with pytest.raises(InvalidToken, match="another type of token"):
            introspected(token_type=GONE, needs_type=False, **changes)


@pytest.mark.parametrize(
    ("status", "changes", "error"),
    [
        (429, {}, Unreachable),
        (500, {}, Unreachable),
        (599, {}, Unreachable),
        (401, {}, CredentialsRejected),
        (403, {}, CredentialsRejected),
        (400, {"error": "unsupported_token_type"}, InvalidToken),
        (400, {"error": "invalid_request"}, BadAnswer),
        (200, {"error": "unsupported_token_type"}, BadAnswer),
        (200, {"error": "any"}, BadAnswer),
        (200, {"error": 0}, BadAnswer),
        (201, {}, BadAnswer),
        (404, {}, BadAnswer),
    ],
)
def test_only_a_clear_answer_of_the_endpoint_says_that_a_token_is_valid(status, changes, error):
    with pytest.raises(error):
        introspected(status=status, **changes)


def test_an_empty_error_beside_a_clear_answer_is_none():
    assert introspected(error="").sub == introspected(error=None).sub == SUB


def test_the_endpoint_is_asked_about_an_access_token():
    call = introspect("https://as.example/introspect", Secret("a b&c"))
    assert call.url == "https://as.example/introspect"
    assert call.form == "token=a+b%26c&token_type_hint=access_token"
