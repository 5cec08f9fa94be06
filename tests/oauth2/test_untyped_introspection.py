"""Servers that leave `token_type` out of an introspection (RFC 7662 2.2), or name a person without a `sub`."""

import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.steps import code_of
from tests.oauth2.test_bearer_jwts import NO_TEXTS
from xwms_auth import ConfigError, XWMSConfig

NO = (401, "invalid_token")


@pytest.fixture
def untyped(edge, server):
    return APISite(edge, server, introspection_token_type="optional")


def test_without_a_token_type_nobody_is_let_in_and_the_log_names_the_setting(edge, server, caplog):
    caplog.set_level("INFO")
    answer = APISite(edge, server).call(server.give(token_type=None))
    assert code_of(answer) == NO
    assert "XWMS_INTROSPECTION_TOKEN_TYPE=optional" in caplog.text
    assert "token_type" not in answer.text


def test_a_developer_is_told_which_setting_lets_an_untyped_token_in(edge, server):
    answer = APISite(edge, server, debug=True).call(server.give(token_type=None))
    assert "XWMS_INTROSPECTION_TOKEN_TYPE=optional" in " ".join(answer.json()["developer"])


def test_where_the_server_calls_access_tokens_alone_active_they_are_let_in(untyped, server):
    for changes in ({}, {"typ": "Bearer"}, {"typ": "at+jwt"}):
        answer = untyped.call(server.give(token_type=None, **changes))
        assert (answer.status_code, answer.json().get("sub")) == (200, "xwms-user-1234"), changes


OTHER_TOKENS = {
    "a refresh token by its type": {"token_type": "refresh_token"},
    "a refresh token without words": {"token_type": ""},
    "a type that is no text": {"token_type": 1},
    "a refresh token as Keycloak tells": {"token_type": None, "typ": "Refresh"},
    "an offline token as Keycloak tells": {"token_type": None, "typ": "Offline"},
    "an ID token as Keycloak tells": {"token_type": None, "typ": "ID"},
    "a typ that is no text": {"token_type": None, "typ": None, "nonce": "n"},
    "an ID token by its nonce": {"token_type": None, "nonce": "n"},
    "an ID token by its at_hash": {"token_type": None, "at_hash": "x"},
    "an ID token by its c_hash": {"token_type": None, "c_hash": "x"},
    "one that is bound to a key": {"token_type": None, "cnf": {"jkt": "x"}},
    "one of another API": {"token_type": None, "aud": "https://other.example"},
    "one that is not active": {"token_type": None, "active": False},
}


@pytest.mark.parametrize("changes", OTHER_TOKENS.values(), ids=OTHER_TOKENS)
def test_what_tells_that_it_is_another_token_is_refused_there_too(untyped, server, changes):
    assert code_of(untyped.call(server.give(**changes))) == NO


def test_a_person_without_a_sub_is_no_program_that_acts_for_itself(edge, server):
    api = APISite(edge, server)
    known = api.call(server.give(username="ada")).json()
    assert (known["sub"], known["username"], known["acts_for_itself"]) == ("xwms-user-1234", "ada", False)
    unknown = api.call(server.give(sub=None, username="ada")).json()
    assert (unknown["sub"], unknown["identity"], unknown["username"]) == (None, None, "ada")
    assert unknown["acts_for_itself"] is False
    program = api.call(server.give(sub=None)).json()
    assert (program["sub"], program["username"], program["acts_for_itself"]) == (None, None, True)


@pytest.mark.parametrize("username", [*NO_TEXTS.values(), 5, ["ada"], ""])
def test_a_malformed_username_makes_no_program_of_a_person(edge, server, username):
    api = APISite(edge, server)
    assert code_of(api.call(server.give(sub=None, username=username))) == (502, "xwms_bad_answer")
    # Beside a sub it is left out, as other claims are.
    assert api.call(server.give(username=username)).json()["username"] is None


def test_the_setting_has_two_values():
    client = {"client_id": "id", "client_secret": "s", "redirect_uris": "https://app.example/cb"}
    secret = "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"
    with pytest.raises(ConfigError, match="XWMS_INTROSPECTION_TOKEN_TYPE"):
        XWMSConfig(**client, session_secret=secret, introspection_token_type="never")
