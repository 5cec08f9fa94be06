"""Each step of a login by authorization code, without a server and without a door: its answers are played."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.oauth2.jwts import make_key, signed
from tests.oauth2.test_flow_by_hand import DISCOVERED, NAMED, SESSION, Server, answer
from tests.oauth2.test_refresh_by_hand import ISSUER, NOW, OLD, URI, context_of
from xwms_auth._core.base.errors import (
    BadAnswer,
    LoginNotStarted,
    TokenMalformed,
    TokenMissing,
    TokenRejected,
    Unreachable,
)
from xwms_auth._core.http.login_params import NO_PARAMS, LoginParams
from xwms_auth._core.http.messages import MAX_LOCATION, Request
from xwms_auth._core.oauth2 import endpoints as wire
from xwms_auth._core.oauth2.code_flow import MAX_CODE, OAuth2Provider
from xwms_auth._core.providers.pending_login import PendingLogin
from xwms_auth._core.providers.protocol import CallbackParams, CheckedCallback, MatchingLogins

OPENID = {**NAMED, "scopes": "openid email", "jwks_uri": f"{ISSUER}/keys"}
KEY = make_key("ES256")
KEYS = answer(keys=[KEY.jwk])
ANNA = answer(sub="17", name="Anna")
provider = OAuth2Provider()


def login_of(proof: str, **changes: Any) -> PendingLogin:
    login = PendingLogin(
        id=proof, proof=proof, next="/", uri_digest="", started_at=NOW, expires_at=NOW + 600, began_here=True
    )
    return replace(login, **changes)


ONE, TWO = login_of("1" * 43), login_of("2" * 43)


def id_token(*, nonce: str | None = wire.nonce_of(ONE.proof), key: Any = KEY, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": "id", "sub": "17", "iat": NOW, "exp": NOW + 60, "nonce": nonce, **changes}
    return signed(key, {name: value for name, value in claims.items() if value is not None})


def tokens_with(**changes: object) -> Any:
    return answer(access_token="a", token_type="Bearer", **changes)


# --- the start ---


def start(server: Server, *, params: LoginParams = NO_PARAMS, fresh: int | None = None) -> Any:
    return server.play(provider.start(server.context, URI, fresh=fresh, params=params, now=NOW))


def sent(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_a_login_starts_with_a_proof_of_its_own():
    server = Server(context_of(**OPENID))
    one, two = (start(server, fresh=fresh) for fresh in (60, None))
    for started in (one, two):
        query = sent(started.url)
        assert query["state"] == wire.state_of(started.proof)
        assert query["redirect_uri"] == URI.uri
        assert started.expires_at is None
    assert one.proof != two.proof
    assert (sent(one.url)["max_age"], sent(two.url).get("max_age")) == ("60", None)
    assert server.asked == []


def test_a_server_that_demands_what_is_not_spoken_starts_no_login_and_is_told_nothing_else():
    says = answer(**DISCOVERED, userinfo_endpoint=f"{ISSUER}/userinfo", require_pushed_authorization_requests=True)
    server = Server(context_of(scopes="openid"), openid_configuration=says)
    server.context.state.give_up(OLD, of=SESSION.user.identity, now=NOW)
    with pytest.raises(BadAnswer, match="require_pushed_authorization_requests"):
        start(server)
    assert server.asked == ["openid_configuration"]


def test_a_start_revokes_what_waits_for_it():
    server = Server(context_of(**OPENID), revoke=answer())
    server.context.state.give_up(OLD, of=SESSION.user.identity, now=NOW)
    start(server)
    start(server)
    assert server.asked == ["revoke"]


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_hints_that_make_the_address_too_long_are_left_out_but_not_the_prompt(more, kept):
    server = Server(context_of(**OPENID))
    params = LoginParams(prompt="login", ui_locales="nl")
    room = MAX_LOCATION - len(start(server, params=params).url) - len("&acr_values=")
    params = replace(params, acr_values="x" * (room + more))
    url = start(server, params=params).url
    query = sent(url)
    assert query["prompt"] == "login"
    assert ("ui_locales" in query, "acr_values" in query) == (kept, kept)
    assert (len(url) == MAX_LOCATION) is kept


def test_nobody_has_to_confirm_a_login_whose_state_is_this_browsers():
    server = Server(context_of(**OPENID))
    params, none = CallbackParams(credential="c"), MatchingLogins()
    steps = {
        "origins": provider.confirmation_origins(server.context, now=NOW),
        "invalidate": provider.invalidate(server.context, URI, params, address=None, now=NOW),
        "is_invalidated": provider.is_invalidated(server.context, params, now=NOW),
        "needs_confirmation": provider.needs_confirmation(server.context, none, now=NOW),
    }
    provider.check_sender(server.context, Request(method="GET", path="/"), URI)  # from any host: it does not raise
    told = {name: server.play(one) for name, one in steps.items()}
    assert told == {"origins": None, "invalidate": False, "is_invalidated": False, "needs_confirmation": False}
    assert server.asked == []


# --- the callback ---


def parsed(query: str) -> CallbackParams:
    return provider.parse_callback(Request(method="GET", path="/", query=query))


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("code=c&state=s", ("c", "s", None, None)),
        ("code=c&state=s&iss=i", ("c", "s", "i", None)),
        ("code=c&state=", ("c", "", None, None)),
        ("error=e", ("", "", None, "e")),
        ("error=e&state=s&iss=i&access_token=t", ("", "s", "i", "e")),
        ("error=", ("", "", None, "")),
        ("code=%20~&state=s", (" ~", "s", None, None)),
        (f"code={'x' * MAX_CODE}&state=s", ("x" * MAX_CODE, "s", None, None)),
    ],
)
def test_a_callback_has_a_code_and_a_state_or_an_error(query, read):
    params = parsed(query)
    assert (params.credential, params.state, params.issuer, params.error) == read


@pytest.mark.parametrize(
    ("query", "error", "reason"),
    [
        ("", TokenMissing, "neither code nor error"),
        ("state=s&iss=i&access_token=t", TokenMissing, "neither code nor error"),
        ("code=c&state=s&error=e", TokenMalformed, "both code and error"),
        ("code=c&error=", TokenMalformed, "both code and error"),
        ("code=c", TokenMalformed, "has no state"),
        ("code=&iss=i", TokenMalformed, "has no state"),
        ("code=&state=s", TokenMalformed, "the code is malformed"),
        ("code=a%0Ab&state=s", TokenMalformed, "the code is malformed"),
        ("code=%7F&state=s", TokenMalformed, "the code is malformed"),
        ("code=%C3%A9&state=s", TokenMalformed, "the code is malformed"),
        ("code=%FF&state=s", TokenMalformed, "the code is malformed"),
        (f"code={'x' * (MAX_CODE + 1)}&state=s", TokenMalformed, "the code is malformed"),
        *(
            (f"code=c&state=s&iss=i&{one}=x&{one}=x", TokenMalformed, "repeats")
            for one in ("code", "state", "iss", "error")
        ),
    ],
)
def test_a_callback_that_has_neither_says_why(query, error, reason):
    with pytest.raises(error, match=reason):
        parsed(query)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (wire.state_of(ONE.proof), (ONE,)),
        (wire.state_of(TWO.proof), (TWO,)),
        (wire.state_of("3" * 43), ()),
        (wire.nonce_of(ONE.proof), ()),
        (ONE.proof, ()),
        ("", ()),
        ("\u00e9", ()),
        ("\udcff", ()),
    ],
)
def test_a_callback_belongs_to_the_login_with_its_state_or_to_none(state, found):
    server = Server(context_of(**OPENID))
    params = CallbackParams(credential="c", state=state)
    matching = server.play(provider.matching_logins(server.context, params, (ONE, TWO), now=NOW))
    assert matching == MatchingLogins(logins=found, exact=True, own_copies=True, otherwise=None)


@pytest.mark.parametrize(
    ("promised", "issuer", "error", "reason"),
    [
        (False, None, None, None),
        (False, ISSUER, None, None),
        (True, ISSUER, None, None),
        (True, None, None, "has no iss, although"),
        (True, None, "access_denied", "has no iss, although"),
        *((promised, other, None, "is not the configured issuer") for promised in (True, False)
          for other in ("", ISSUER + "/", "https://evil.example")),
        (True, "https://evil.example", "access_denied", "is not the configured issuer"),
        (False, ISSUER, "access_denied", "ended the login: access_denied"),
        (False, None, "", "ended the login: an unknown error"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("logins", [(ONE,), ()])
def test_a_callback_of_a_pending_login_comes_from_the_server_that_it_was_sent_to(
    promised, issuer, error, reason, logins
):
    says = answer(**DISCOVERED, authorization_response_iss_parameter_supported=promised)
    server = Server(context_of(scopes="openid"), openid_configuration=says)
    params = CallbackParams(credential="c", state="s", issuer=issuer, error=error)
    found = server.play(provider.check_callback(server.context, params, MatchingLogins(logins=logins), now=NOW))
    assert server.asked == ["openid_configuration"] * len(logins)
    if reason is None or not logins:
        assert found is None
    else:
        assert type(found) is (TokenMissing if "ended the login" in reason else TokenRejected)
        assert reason in found.cause


@pytest.mark.parametrize(
    ("error", "kind"), [("access_denied", TokenMissing), ("", TokenMissing), (None, LoginNotStarted)]
)
def test_a_callback_of_no_login_of_this_browser_is_told_so(error, kind):
    told = provider.mismatch_error(CallbackParams(credential="", error=error))
    assert (type(told), "no pending login of this browser" in told.cause) == (kind, True)


# --- the code ---


def redeem(server: Server, login: PendingLogin = ONE) -> Any:
    callback = CheckedCallback(credential="the-code", uri=URI, login=login)
    return server.play(provider.redeem(server.context, callback, now=NOW))


def honest(*, options: dict[str, Any] | None = None, **answers: Any) -> Server:
    usual = {"token": tokens_with(id_token=id_token(sid="s-1", auth_time=NOW - 9)), "keys": KEYS, "userinfo": ANNA}
    return Server(context_of(**(OPENID | (options or {}))), **(usual | answers))


@pytest.mark.parametrize("hint", [True, False])
def test_a_code_becomes_a_person_with_tokens(hint):
    result = redeem(server := honest(options={"id_token_hint": hint}))
    assert (result.user.sub, result.user.issuer, result.user.name) == ("17", ISSUER, "Anna")
    assert (result.tokens.access_token.reveal(), result.tokens.sid, result.tokens.number) == ("a", "s-1", 0)
    assert (result.tokens.id_token is not None) is hint
    assert result.tokens.scope == ("openid", "email")
    assert (result.proved_at, result.tokens.expires_at) == (NOW - 9, None)
    assert server.asked == ["token", "keys", "userinfo"]


def test_without_openid_userinfo_alone_says_who_it_is():
    server = honest(options={"scopes": "profile"}, token=tokens_with(id_token="not.looked.at", expires_in=60))
    result = redeem(server)
    assert (result.user.sub, result.tokens.sid, result.proved_at) == ("17", None, None)
    assert (result.tokens.id_token, result.tokens.expires_at) == (None, NOW + 60)
    assert server.asked == ["token", "userinfo"]


def test_with_openid_the_id_token_does_without_userinfo():
    server = honest(options={"userinfo_endpoint": ""}, token=tokens_with(id_token=id_token(name="Ada")))
    result = redeem(server)
    assert (result.user.sub, result.user.name, result.tokens.sid, result.proved_at) == ("17", "Ada", None, 0)
    assert server.asked == ["token", "keys"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no ID token": ({"token": tokens_with()}, "there is no ID token"),
    "another login's": ({"token": tokens_with(id_token=id_token(nonce=wire.nonce_of(TWO.proof)))}, "nonce"),
    "another person's userinfo": ({"userinfo": answer(sub="18")}, "sub of userinfo is not that of the ID token"),
    "nobody's userinfo": ({"userinfo": answer(name="Anna")}, "sub of userinfo is not that of the ID token"),
    "another audience": ({"token": tokens_with(id_token=id_token(aud="another"))}, "aud"),
    "another issuer": ({"token": tokens_with(id_token=id_token(iss="https://evil.example"))}, "iss"),
    "another access token": ({"token": tokens_with(id_token=id_token(at_hash="x"))}, "at_hash"),
    "another key": ({"token": tokens_with(id_token=id_token(key=make_key(another=1)))}, "its signature"),
    "expired": ({"token": tokens_with(id_token=id_token(exp=NOW - 60))}, "expired"),
    "refused by the server": ({"token": answer(400, error="invalid_grant")}, "invalid_grant"),
    "refused by userinfo": ({"userinfo": answer(401)}, "userinfo answered 401"),
}


@pytest.mark.parametrize(("answers", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_of_this_login_makes_nobody_signed_in_and_the_code_has_been_sent(answers, reason):
    with pytest.raises(TokenRejected, match=reason) as error:
        redeem(honest(**answers))
    assert error.value.sent


def test_a_login_is_as_young_as_it_was_asked_to_be():
    assert redeem(honest(), replace(ONE, fresh=9)).user.sub == "17"
    with pytest.raises(TokenRejected, match="auth_time"):
        redeem(honest(token=tokens_with(id_token=id_token(auth_time=NOW - 100))), replace(ONE, fresh=9))
    with pytest.raises(TokenRejected, match="auth_time"):
        redeem(honest(token=tokens_with(id_token=id_token())), replace(ONE, fresh=9))


@pytest.mark.parametrize(("sid", "is_over"), [("s-1", True), ("s-2", False), (None, False)])
def test_a_login_that_has_ended_at_the_server_meanwhile_is_over_here(sid, is_over):
    server = honest(token=tokens_with(id_token=id_token(sid=sid)))
    server.context.state.ended_logins.add("s-1", until=NOW + 60, now=NOW)
    if is_over:
        with pytest.raises(TokenRejected, match="logged out at the server") as error:
            redeem(server)
        assert error.value.sent
    else:
        assert redeem(server).user.sub == "17"


class Away(Server):
    """One of its endpoints cannot be connected to."""

    away = ""

    def send(self, call: Any) -> Any:
        if call.url.endswith(f"/{self.away}"):
            raise Unreachable("nobody there", sent=False)
        return super().send(call)


@pytest.mark.parametrize(("away", "is_sent"), [("token", False), ("keys", True), ("userinfo", True)])
def test_a_code_counts_as_sent_only_once_it_has_left(away, is_sent):
    server = Away(context_of(**OPENID), token=tokens_with(id_token=id_token()), keys=KEYS, userinfo=ANNA)
    server.away = away
    with pytest.raises(Unreachable) as error:
        redeem(server)
    assert error.value.sent is is_sent
