"""The modules of the OpenID Foundation's conformance suite for relying parties, as rows, and those that are left out.

Names, plans and demands are those of the suite's Java sources (package net.openid.conformance.openid.client, below it
`config` and `logout`, one class for each module), read in a public copy of its repository:
  basic        OIDCCClientBasicTestPlan                    rp-initiated    OIDCCClientRPInitiatedLogoutRPBasicTestPlan
  config       OIDCCClientConfigTestPlan                   back-channel    OIDCCClientBackChannelLogoutRPBasicTestPlan
  dynamic      OIDCCClientDynamicTestPlan                  third-party     OIDCCClient3rdPartyInitiatedLoginTestPlan
  refresh      OIDCCClientRefreshTokenProfileTestPlan      client          OIDCCClientTestPlan
`client` and `refresh` are, by their own titles, not part of the certification programme, and two classes of refresh
tokens are in no plan. All are read as for response type `code`, response mode `default` and a client that is
registered by hand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.oauth2.conformance import plays
from tests.oauth2.conformance.stage import LOGGED_IN, Stage

PREFIX = "oidcc-client-test"
REJECTED = "refused: token_rejected"
WITHDRAWN = "refused: access_withdrawn"
IGNORED = "400, still logged in"


@dataclass(frozen=True, slots=True)
class Row:
    """`does` is what the provider does, `demands` what the module passes, `here` what this package answers with.

    `differs` says why the package does not get there today, and by which item of which issue that changes.
    """

    name: str
    plans: str
    does: str
    play: Callable[[Stage], str]
    here: str = LOGGED_IN
    demands: str = "accepts it"
    differs: str = ""

    @property
    def title(self) -> str:
        return PREFIX + self.name


_BASIC, _CONFIG = "basic, client", "config, dynamic"
_EVIL = "https://evil.example"
_EITHER = "accepts or rejects it"
_REJECTS = "rejects the ID token"
_ENDS, _IGNORES = "ends the session", "answers 400, ends nothing"
_STATE = "comes back; skipped without `state`"
_NO_STATE = "skipped: no `state` is sent"
_LEFT = "logged out, and back"


def _id_token(name: str, plans: str, does: str, **changes: object) -> Row:
    return Row(name, plans, does, lambda stage: stage.with_claims(**changes), REJECTED, _REJECTS)


def _refreshed(name: str, plans: str, does: str, **changes: object) -> Row:
    return Row(name, plans, does, lambda stage: stage.refresh(**changes), WITHDRAWN, _REJECTS)


def _logout_token(name: str, does: str, **changes: object) -> Row:
    play = partial(Stage.back_channel, **changes)
    return Row(f"-rp-backchannel-rpinitlogout-{name}", "back-channel", does, play, IGNORED, _IGNORES)


ROWS = (
    Row("", _BASIC, "does everything right", plays.nothing_wrong, demands="logs in"),
    _id_token("-invalid-iss", _BASIC, "signs another `iss`", iss=_EVIL),
    _id_token("-missing-sub", _BASIC, "leaves out `sub`", sub=None),
    _id_token("-invalid-aud", _BASIC, "signs another `aud`", aud="another"),
    _id_token("-missing-iat", _BASIC, "leaves out `iat`", iat=None),
    Row("-kid-absent-single-jwks", _BASIC, "has one key, without `kid`", plays.kid_absent_single_jwks),
    Row("-kid-absent-multiple-jwks", _BASIC, "has two keys that may fit, without `kid`",
        plays.kid_absent_multiple_jwks, demands=_EITHER),
    Row("-idtoken-sig-rs256", _BASIC, "signs with RS256", plays.idtoken_sig_rs256),
    Row("-idtoken-sig-none", "basic, config, dynamic, client", "does not sign the ID token",
        plays.idtoken_sig_none, REJECTED, _EITHER),
    Row("-invalid-sig-rs256", _BASIC, "breaks an RS256 signature", plays.invalid_sig_rs256, REJECTED, _REJECTS),
    Row("-userinfo-invalid-sub", _BASIC, "answers for somebody else at userinfo",
        plays.userinfo_invalid_sub, REJECTED, "rejects the answer"),
    _id_token("-nonce-invalid", _BASIC, "signs another `nonce`", nonce="invalid"),
    Row("-scope-userinfo-claims", _BASIC, "gives the claims of scopes at userinfo",
        plays.scope_userinfo_claims, demands="asks for claims by scope"),
    Row("-client-secret-basic", _BASIC, "takes the secret in `Authorization`",
        plays.client_secret_basic, demands="sends it there"),
    Row("-discovery-openid-config", _CONFIG, "has a discovery document",
        plays.discovery_openid_config, demands="uses it"),
    Row("-discovery-jwks-uri-keys", _CONFIG, "has its keys at a new address",
        plays.discovery_jwks_uri_keys, demands="asks there"),
    Row("-discovery-issuer-mismatch", _CONFIG, "is named otherwise in its discovery document",
        plays.discovery_issuer_mismatch, "refused: xwms_bad_answer", "stops before the login"),
    Row("-signing-key-rotation-just-before-signing", _CONFIG, "changes its keys just before it signs",
        plays.rotation_just_before_signing, demands="fetches the new keys"),
    Row("-signing-key-rotation", _CONFIG, "changes its keys between two logins",
        plays.rotation_between_two_logins, demands="fetches the new keys"),
    Row("-userinfo-signed", "dynamic", "signs its answer at userinfo",
        plays.userinfo_signed, demands="verifies and reads it"),
    _id_token("-missing-aud", "client", "leaves out `aud`", aud=None),
    Row("-userinfo-bearer-header", "client", "takes the access token in `Authorization`",
        Stage.log_in, demands="sends it there"),
    Row("-invalid-sig-hs256", "client", "breaks an HS256 signature", plays.invalid_sig_hs256, REJECTED, _REJECTS),
    Row("-invalid-sig-es256", "client", "breaks an ES256 signature", plays.invalid_sig_es256, REJECTED, _REJECTS),
    Row("-aggregated-claims", "client", "gives aggregated claims at userinfo", plays.aggregated_claims),
    Row("-ignores-unparseable-key-in-jwks", "none", "publishes keys of unknown kinds too",
        plays.ignores_unparseable_key_in_jwks, demands="ignores those keys"),
    Row("-refresh-token", "refresh", "gives a refresh token", Stage.refresh, "refreshed", "uses it"),
    _refreshed("-refresh-token-invalid-issuer", "refresh", "refreshes with another `iss`", iss=_EVIL),
    _refreshed("-refresh-token-invalid-sub", "refresh", "refreshes with another `sub`", sub="another"),
    _refreshed("-refresh-token-invalid-aud", "none", "refreshes with another `aud`", aud="another"),
    _refreshed("-refresh-token-invalid-azp", "none", "refreshes with an `azp`", azp="another"),
    Row("-3rd-party-init-login", "third-party", "sends people to where the login starts",
        plays.initiated_by_a_third_party, demands="begins the login"),
    Row("-rp-init-logout", "rp-initiated", "sends people back after the logout",
        plays.rp_init_logout, _LEFT, "sends `id_token_hint`, comes back"),
    Row("-rp-init-logout-other-state", "rp-initiated", "sends people back with another `state`",
        plays.logout_state, _NO_STATE, _STATE),
    Row("-rp-init-logout-no-state", "rp-initiated", "sends people back without `state`",
        plays.logout_state, _NO_STATE, _STATE),
    Row("-rp-backchannel-rpinitlogout", "back-channel", "tells of the logout",
        Stage.back_channel, "200, logged out", _ENDS),
    Row("-rp-backchannel-rpinitlogout-alg-none", "back-channel", "does not sign the logout token",
        plays.logout_token_unsigned, IGNORED, _IGNORES),
    _logout_token("no-event", "leaves out `events`", events=None),
    _logout_token("with-nonce", "puts in a `nonce`", nonce="a-nonce"),
    Row("-rp-backchannel-rpinitlogout-wrong-alg", "back-channel", "signs the logout token with HS256",
        plays.logout_token_wrong_alg, IGNORED, _IGNORES),
    _logout_token("wrong-aud", "signs another `aud`", aud="another"),
    _logout_token("wrong-event", "signs another event", events={"https://evil.example/event": {}}),
    _logout_token("wrong-iss", "signs another `iss`", iss=_EVIL),
)  # fmt: skip

_FRONT = "ID tokens in the callback (implicit and hybrid flow): never asked for, never read"
_REGISTERED = "the client is registered by hand"

LEFT_OUT = {
    "-userinfo-bearer-body": "the alternative to `-userinfo-bearer-header`; RFC 6750 2.2 advises against it",
    "-nonce-unless-code-flow": f"{_FRONT}; a `nonce` is sent all the same",
    "-missing-chash": _FRONT,
    "-invalid-chash": _FRONT,
    "-missing-athash": f"{_FRONT}; `at_hash` is optional in the code flow",
    "-invalid-athash": f"{_FRONT}; a wrong `at_hash` is refused in the code flow too",
    "-form-post-error": "response mode `form_post`: the callback answers `GET` only",
    "-distributed-claims": "claims from a third server are not fetched",
    "-mtls-endpoint-aliases": "client authentication by TLS certificate",
    "-discovery-webfinger-acct": "the issuer is configured, not guessed from what people type (WebFinger)",
    "-discovery-webfinger-url": "the issuer is configured, not guessed from what people type (WebFinger)",
    "-dynamic-registration": _REGISTERED,
    "-request-uri-signed-rs256": "request objects are not sent",
    "-request-uri-signed-none": "request objects are not sent",
    "-rp-frontchannel-opinitlogout": "front-channel logout: browsers that block third-party cookies break it",
    "-rp-frontchannel-rpinitlogout": "front-channel logout: browsers that block third-party cookies break it",
    "-session-management": "session management by iframes: browsers that block third-party cookies break it",
}
"""The other modules of these plans, and why they are not replayed."""
