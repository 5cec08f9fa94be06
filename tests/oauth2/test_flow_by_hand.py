"""Decisions of the OAuth flow that no honest server brings about, without one: its answers are played, call by call."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import ISSUER, NEW, NOW, OLD, URI, World, context_of
from xwms_auth import Identity, Secret, User
from xwms_auth._core.base.bearer_errors import InvalidToken
from xwms_auth._core.base.effects import CallXWMS, Runtime, UpstreamResponse, run
from xwms_auth._core.base.errors import BadAnswer, TokenRejected, Unreachable
from xwms_auth._core.base.session import Session
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.config.context import Context
from xwms_auth._core.config.state import MAX_SEEN_ONCE, PendingRevocation, PendingRevocations, VerifiedJWTs
from xwms_auth._core.oauth2.code_flow import OAuth2Provider, OAuth2Tokens
from xwms_auth._core.oauth2.token_validation import validate
from xwms_auth._core.providers.pending_login import PendingLogin
from xwms_auth._core.providers.protocol import CheckedCallback

NAMED = {
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "introspection_endpoint": f"{ISSUER}/introspect",
    "scopes": "profile",
    "introspection_token_type": "optional",
}
DISCOVERED = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "response_types_supported": ["code"],
    "code_challenge_methods_supported": ["S256"],
}
PERSON = Identity(ISSUER, "17")
SESSION = Session(id="", user=User(issuer=ISSUER, sub="17"), started_at=NOW, seen_at=NOW, tokens=OLD)


def answer(status: int = 200, **data: object) -> UpstreamResponse:
    return UpstreamResponse(status=status, content_type="application/json", body=json.dumps(data).encode())


class Server(World):
    """Answers calls by the last part of their address, and keeps which were made."""

    def __init__(self, context: Context, **answers: UpstreamResponse) -> None:
        super().__init__(context=context)
        self.answers, self.asked = answers, list[str]()

    def send(self, call: Any) -> UpstreamResponse:
        name = call.url.rpartition("/")[2].replace("-", "_")
        self.asked.append(name)
        return self.answers[name]

    def play(self, steps: Any) -> Any:
        return run(steps, Runtime(self, self.store))  # type: ignore[arg-type]


def test_a_person_is_confirmed_by_their_own_token_alone():
    server = Server(context_of(**NAMED), userinfo=answer(sub="17", name="Erik"))
    confirmed = server.play(OAuth2Provider().revalidate(server.context, SESSION, now=NOW + 9))
    assert (confirmed.user.name, confirmed.checked_at, confirmed.tokens) == ("Erik", NOW + 9, OLD)
    with pytest.raises(BadAnswer, match="needs an access token"):
        server.play(OAuth2Provider().revalidate(server.context, replace(SESSION, tokens=None), now=NOW))
    server.answers = {"userinfo": answer(sub="18")}
    with pytest.raises(BadAnswer, match="not that of the session"):
        server.play(OAuth2Provider().revalidate(server.context, SESSION, now=NOW))
    assert server.asked == ["userinfo"] * 2


@pytest.mark.parametrize("scopes", ["openid", "profile"])
def test_without_a_userinfo_endpoint_nobody_can_be_confirmed_and_without_openid_nobody_logs_in(scopes):
    token = answer(access_token="a", token_type="Bearer")
    server = Server(context_of(scopes=scopes), openid_configuration=answer(**DISCOVERED), token=token)
    server.answers["oauth_authorization_server"] = answer(**DISCOVERED)
    with pytest.raises(BadAnswer, match="userinfo endpoint"):
        server.play(OAuth2Provider().revalidate(server.context, SESSION, now=NOW))
    login = PendingLogin(
        id="1", proof="p" * 43, next="/", uri_digest="", started_at=NOW, expires_at=NOW + 600, began_here=True
    )
    callback = CheckedCallback(credential="code", uri=URI, login=login)
    with pytest.raises((BadAnswer, TokenRejected)) as error:
        server.play(OAuth2Provider().redeem(server.context, callback, now=NOW))
    expected = (
        (TokenRejected, "there is no ID token") if scopes == "openid" else (BadAnswer, "without openid a userinfo")
    )
    assert error.type is expected[0]
    assert expected[1] in error.value.cause
    assert error.value.sent


def test_what_has_no_refresh_token_is_not_refreshed():
    server = Server(context_of(**NAMED))
    with pytest.raises(TokenRejected, match="no refresh token"):
        server.play(OAuth2Tokens().refresh(server.context, replace(OLD, refresh_token=None), sub="17", now=NOW))
    assert server.asked == []


@pytest.mark.parametrize("tokens", [OLD, None])
def test_a_logout_revokes_the_tokens_that_there_are(tokens):
    server = Server(context_of(**NAMED), revoke=answer())
    session = replace(SESSION, tokens=tokens)
    assert server.play(OAuth2Tokens().end_session(server.context, session, URI, "/bye", now=NOW)) == "/bye"
    assert server.asked == ([] if tokens is None else ["revoke"])


@pytest.mark.parametrize("tokens", [OLD, None])
def test_a_logout_while_the_server_is_away_keeps_the_tokens_that_there_are(tokens, caplog):
    server = Server(context_of(), openid_configuration=answer(503), oauth_authorization_server=answer(503))
    session = replace(SESSION, tokens=tokens)
    assert server.play(OAuth2Tokens().end_session(server.context, session, URI, "/bye", now=NOW)) == "/bye"
    assert "not_logged_out_at_the_server" in caplog.text
    kept = server.context.state.pending_revocations.take(now=NOW + 60)
    assert kept == (None if tokens is None else failed(tokens, NOW))


def failed(tokens, since):
    return PendingRevocation(tokens, PERSON, since, failed=True)


# --- tokens that an API is shown ---

ACTIVE = answer(active=True, sub="17", client_id="another", aud="id", scope="")


def begun(context: Context) -> Any:
    """A validation that has asked the server and has no answer yet."""
    steps = validate(context, Secret("t"), now=NOW)
    effect = next(steps)
    assert isinstance(effect, CallXWMS)
    return steps


@pytest.mark.parametrize("valid", [True, False])
def test_whoever_brings_a_token_that_is_being_asked_about_gets_the_same_answer(valid):
    server = Server(context_of(**NAMED))
    first = begun(server.context)

    def answered() -> None:
        if len(server.paused) == 3:
            with pytest.raises(StopIteration if valid else InvalidToken):
                first.send(ACTIVE if valid else answer(active=False))

    server.meanwhile = answered
    if valid:
        assert server.play(validate(server.context, Secret("t"), now=NOW)).sub == "17"
    else:
        with pytest.raises(InvalidToken, match="a moment ago"):
            server.play(validate(server.context, Secret("t"), now=NOW))
        with pytest.raises(InvalidToken, match="a moment ago"):
            server.play(validate(server.context, Secret("t"), now=NOW))
    assert (server.asked, len(server.paused)) == ([], 3)


@pytest.mark.parametrize(("pauses", "asks"), [(9, True), (12, False)])
def test_whoever_waited_for_a_call_that_failed_makes_one_unless_it_took_long(quick, pauses, asks):
    server = Server(context_of(**NAMED), introspect=ACTIVE)
    first = begun(server.context)
    server.meanwhile = lambda: first.close() if len(server.paused) == pauses else None
    if asks:
        assert server.play(validate(server.context, Secret("t"), now=NOW)).sub == "17"
    else:
        with pytest.raises(Unreachable, match="has failed"):
            server.play(validate(server.context, Secret("t"), now=NOW))
    assert (server.asked, len(server.paused)) == (["introspect"] if asks else [], pauses)
    server.answers = {"introspect": ACTIVE}
    assert server.play(validate(server.context, Secret("t"), now=NOW)).sub == "17"


def test_a_token_longer_than_any_jwt_is_not_read():
    context = context_of(token_validation="jwt", audience="api")
    for length, reason in ((16 * 1024, "compact form|jwt|JWT"), (16 * 1024 + 1, "too long")):
        with pytest.raises(InvalidToken, match=reason):
            Server(context).play(validate(context, Secret("a" * length), now=NOW))


# --- what a process remembers ---


def test_the_claims_of_a_token_are_kept_when_it_comes_twice_and_only_for_these_keys():
    verified, keys, claims = VerifiedJWTs(), (JSONObject(kid="1"),), JSONObject(sub="17")
    verified.learn("a", keys, claims, length=9)
    assert verified.get("a", keys) is None
    verified.learn("a", keys, claims, length=9)
    assert verified.get("a", keys) is claims
    assert verified.get("a", (JSONObject(kid="1"),)) is verified.get("a", None) is verified.get("b", keys) is None


def test_the_names_of_tokens_that_came_once_are_bounded():
    verified, keys, claims = VerifiedJWTs(), (JSONObject(kid="1"),), JSONObject(sub="17")
    for number in range(MAX_SEEN_ONCE):
        verified.learn(str(number), keys, claims, length=9)
    verified.learn("0", keys, claims, length=9)
    assert verified.get("0", keys) is claims
    verified.learn("one more", keys, claims, length=9)
    verified.learn("1", keys, claims, length=9)
    assert verified.get("1", keys) is None, "it has been forgotten that this came before"
    verified.learn("one more", keys, claims, length=9)
    assert verified.get("one more", keys) is claims


def test_a_server_that_does_not_revoke_is_asked_after_one_two_and_four_minutes():
    pending = PendingRevocations()
    assert pending.take(now=NOW) is None
    pending.keep(OLD, of=PERSON, since=NOW, now=NOW)
    pending.keep(NEW, of=PERSON, since=NOW + 1, now=NOW + 1)  # within the pause, which it does not lengthen
    assert pending.take(now=NOW + 59) is None
    assert pending.take(now=NOW + 60) == failed(OLD, NOW)
    pending.keep(OLD, of=PERSON, since=NOW, now=NOW + 60)
    assert pending.take(now=NOW + 179) is None
    assert pending.take(now=NOW + 180) == failed(NEW, NOW + 1)
    pending.keep(NEW, of=PERSON, since=NOW + 1, now=NOW + 180)
    assert pending.take(now=NOW + 419) is None
    pending.answered()
    assert pending.take(now=NOW + 181) == failed(OLD, NOW)
    pending.keep(OLD, of=PERSON, since=NOW, now=NOW + 181)
    assert pending.take(now=NOW + 241) == failed(NEW, NOW + 1)


def test_what_could_not_be_revoked_for_a_day_is_left_to_its_end_and_a_clock_set_back_makes_no_pause():
    pending = PendingRevocations()
    pending.keep(OLD, of=PERSON, since=NOW, now=NOW)
    assert pending.take(now=NOW + 60 - 3600) is None
    assert pending.take(now=NOW + 59 - 3600) == failed(OLD, NOW)
    pending.keep(OLD, of=PERSON, since=NOW, now=NOW)
    assert pending.take(now=NOW + 24 * 3600 - 1) == failed(OLD, NOW)
    pending.keep(OLD, of=PERSON, since=NOW, now=NOW)
    assert pending.take(now=NOW + 24 * 3600) is None
