"""The tokens of a session by authorization code, step by step, without a server: its answers are played."""

from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.jwts import make_key, signed
from tests.oauth2.test_code_flow_by_hand import KEY, KEYS, honest, id_token, redeem, sent, tokens_with
from tests.oauth2.test_flow_by_hand import DISCOVERED, SESSION, Server, answer
from tests.oauth2.test_refresh_by_hand import ISSUER, NEW, NOW, OLD, URI, context_of
from xwms_auth import Secret
from xwms_auth._core.base.errors import TokenRejected, TooManyLogins, Unreachable
from xwms_auth._core.base.models import TokenSet
from xwms_auth._core.config.state import LOGOUT_TOKEN_BURST, LOGOUT_TOKEN_RATE
from xwms_auth._core.oauth2.code_flow import OAuth2Provider
from xwms_auth._core.oauth2.logout_token import EVENT

ANNA = SESSION.user.identity

# --- the tokens of a session ---


def refresh(server: Server, tokens: TokenSet = OLD, sub: str = "17") -> TokenSet:
    new: TokenSet = server.play(OAuth2Provider().tokens.refresh(server.context, tokens, sub=sub, now=NOW))
    return new


def revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


@pytest.mark.parametrize("rotated", [None, "", "rotated"])
def test_a_refresh_keeps_what_the_server_does_not_send_anew(rotated):
    before = replace(OLD, id_token=Secret("the.first.one"), sid="s-1", number=4, scope=("email",))
    server = honest(token=tokens_with(refresh_token=rotated, expires_in=60))
    new = refresh(server, before)
    assert [revealed(one) for one in (new.access_token, new.refresh_token, new.id_token)] == [
        "a",
        rotated or "refresh-me",
        "the.first.one",
    ]
    assert (new.sid, new.number, new.scope, new.expires_at) == ("s-1", 5, ("email",), NOW + 60)
    assert server.asked == ["token"]


def test_the_id_token_of_a_refresh_is_of_the_same_person_and_is_not_kept():
    server = honest(token=tokens_with(id_token=id_token(nonce=None, sid="s-9")))
    new = refresh(server)
    assert (new.id_token, new.sid) == (None, None)
    assert server.asked == ["token", "keys"]
    for wrong in (
        {"sub": "18"},
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": NOW - 60},
        {"at_hash": "x"},
    ):
        with pytest.raises(TokenRejected, match="the ID token"):
            refresh(honest(token=tokens_with(id_token=id_token(nonce=None, **wrong))))


def test_without_openid_no_id_token_is_looked_at(caplog):
    server = honest(options={"scopes": "profile"}, token=tokens_with(id_token="not.looked.at"))
    assert refresh(server).number == 1
    assert server.asked == ["token"]
    assert "id_token" not in caplog.text


@pytest.mark.parametrize("keys", [answer(503), answer(keys=[]), answer(keys=[make_key(another=1).jwk])])
def test_without_the_key_of_a_refreshed_id_token_its_tokens_are_used_and_the_log_says_so(keys, caplog):
    server = honest(token=tokens_with(id_token=id_token(nonce=None, sub="18")), keys=keys)
    assert refresh(server).access_token.reveal() == "a"
    assert "id_token_not_verified cause=" in caplog.text


def test_metadata_is_fetched_before_a_refresh_so_that_this_is_one_call():
    says = answer(**DISCOVERED)
    server = Server(context_of(scopes="openid"), openid_configuration=says, token=tokens_with())
    server.play(OAuth2Provider().tokens.prepare_refresh(server.context, now=NOW))
    assert server.asked == ["openid_configuration"]
    refresh(server)
    assert server.asked == ["openid_configuration", "token"]


def test_tokens_are_revoked_at_once_or_after_an_answer():
    server = honest(revoke=answer())
    server.play(OAuth2Provider().tokens.revoke_tokens(server.context, OLD, of=ANNA, now=NOW))
    assert server.asked == ["revoke"]
    for number in range(4):
        server.context.state.give_up(
            replace(OLD, access_token=Secret(str(number)), refresh_token=None), of=ANNA, now=NOW
        )
    server.play(OAuth2Provider().tokens.revoke_pending(server.context, now=NOW))
    assert server.asked == ["revoke"] * 3


# --- the logout ---


def end(server: Server, tokens: TokenSet | None = OLD) -> str:
    session = replace(SESSION, tokens=tokens)
    return str(server.play(OAuth2Provider().tokens.end_session(server.context, session, URI, "/bye", now=NOW)))


@pytest.mark.parametrize(
    ("options", "tokens", "query"),
    [
        ({}, OLD, {}),
        ({"after_logout": "/out?a=1"}, OLD, {"post_logout_redirect_uri": f"{URI.origin}/out?a=1"}),
        ({}, replace(OLD, id_token=Secret("a.b.c")), {}),
        ({"id_token_hint": True}, replace(OLD, id_token=Secret("a.b.c")), {"id_token_hint": "a.b.c"}),
        ({"id_token_hint": True}, OLD, {}),
        ({"id_token_hint": True}, None, {}),
    ],
)
def test_a_logout_goes_on_to_the_server_and_comes_back_to_a_registered_address(options, tokens, query):
    server = honest(options={"end_session_endpoint": f"{ISSUER}/end", **options}, revoke=answer())
    url = end(server, tokens)
    assert url.startswith(f"{ISSUER}/end?")
    assert sent(url) == {"client_id": "id", "post_logout_redirect_uri": f"{URI.origin}/", **query}
    assert server.asked == ([] if tokens is None else ["revoke"])


@pytest.mark.parametrize("options", [{}, {"end_session_endpoint": f"{ISSUER}/end", "provider_logout": False}])
def test_a_logout_stays_here_where_the_server_has_none_or_is_not_to_hear_of_it(options):
    assert end(honest(options=options, revoke=answer())) == "/bye"


def test_a_logout_revokes_the_newest_tokens_of_the_session():
    server = honest(revoke=answer())
    server.context.state.refreshed_tokens.put(OLD.refresh_token or Secret(""), NEW, now=NOW)
    server.answers["revoke"] = answer(503)
    end(server)
    kept = server.context.state.pending_revocations.take(now=NOW + 60)
    assert kept is not None
    assert kept.tokens is NEW


def logout_token(*, key: Any = KEY, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": "id", "sub": "17", "iat": NOW, "exp": NOW + 60, "jti": "j", "events": {EVENT: {}}}
    return signed(key, claims | changes)


def verify(server: Server, token: str, *, now: int = NOW) -> Any:
    return server.play(OAuth2Provider().tokens.verify_logout_token(server.context, token, now=now))


def test_a_logout_token_of_the_server_says_who_has_logged_out():
    server = honest()
    claims = verify(server, logout_token(sid="s-1"))
    assert (claims.sub, claims.sid, claims.token_id) == ("17", "s-1", "j")
    for wrong in ({"iss": "https://evil.example"}, {"aud": "another"}, {"iat": NOW - 400}, {"exp": NOW - 60}):
        with pytest.raises(TokenRejected, match="the logout token"):
            verify(server, logout_token(**wrong))
    with pytest.raises(TokenRejected, match="its signature"):
        verify(server, logout_token(key=make_key(another=1)))
    assert server.asked == ["keys"]


def test_logout_tokens_ask_a_server_that_is_not_known_yet_only_so_often():
    server = honest(keys=answer(503))
    with pytest.raises(TokenRejected):
        verify(server, "a.b.c")
    for _ in range(LOGOUT_TOKEN_BURST):
        with pytest.raises(Unreachable):
            verify(server, logout_token())
    with pytest.raises(TooManyLogins):
        verify(server, logout_token())
    assert server.asked == ["keys"] * LOGOUT_TOKEN_BURST
    server.answers["keys"] = KEYS
    assert verify(server, logout_token(iat=NOW + 1), now=NOW + 1).sub == "17"
    for _ in range(LOGOUT_TOKEN_BURST + LOGOUT_TOKEN_RATE):
        assert verify(server, logout_token(iat=NOW + 1), now=NOW + 1).sub == "17"


def test_a_flood_of_unknown_keys_does_not_keep_the_new_key_from_a_login():
    server = honest()
    verify(server, logout_token())
    invented = logout_token(key=make_key(kid="invented"))
    for _ in range(2):
        with pytest.raises(TokenRejected, match="none of the server's keys"):
            verify(server, invented)
    assert server.asked == ["keys"] * 2
    new = make_key(kid="key-2")
    server.answers |= {"keys": answer(keys=[new.jwk]), "token": tokens_with(id_token=id_token(key=new))}
    assert redeem(server).user.sub == "17"
    assert server.asked == ["keys", "keys", "token", "keys", "userinfo"]
