"""What the provider of each module does wrong, as a function that gives what the application did.

The names are those of the modules, without `oidcc-client-test-`.
"""

import secrets

from tests.oauth2.conformance.stage import LOGGED_IN, SUB, Stage, as_jwt, unsigned, userinfo
from tests.oauth2.fake_as import DISCOVERY, JWKS, TOKEN, document
from tests.oauth2.jwts import encode, hs256, make_key, signed
from tests.oauth2.steps import asked, begin, code_of, come_back
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, ME, PROGRAM

# --- login ---------------------------------------------------------------------------------------------------------


def nothing_wrong(stage: Stage) -> str:
    browser = stage.site.browser()
    query = asked(begin(browser))
    assert (query["response_type"], query["client_id"]) == ("code", CLIENT_ID)
    assert query["redirect_uri"] == HTTPS_URI
    assert "openid" in query["scope"].split()
    assert 0 < len(query["nonce"]) < 256
    assert query["nonce"].isascii()
    return stage.log_in()


def scope_userinfo_claims(stage: Stage) -> str:
    stage.options["scopes"] = "openid profile email"
    browser = stage.site.browser()
    assert asked(begin(browser))["scope"].split() == ["openid", "profile", "email"]
    said = stage.log_in(browser, name="Ada Lovelace", email="ada@example.org")
    user = browser.get(ME, PROGRAM).json()["user"]
    assert (user["name"], user["email"]) == ("Ada Lovelace", "ada@example.org")
    return said


def client_secret_basic(stage: Stage) -> str:
    said = stage.log_in()
    [request] = stage.server.to(TOKEN)
    assert request.all("Authorization")[0].startswith("Basic ")
    assert "client_secret" not in stage.server.forms()[0]
    return said


def initiated_by_a_third_party(stage: Stage) -> str:
    browser = stage.site.browser()
    answer = browser.get(LOGIN, FROM_ELSEWHERE, params={"iss": stage.server.issuer})
    assert answer.status_code == 302
    back = come_back(browser, stage.server.consent(answer.headers["location"], sub=SUB))
    assert back.status_code == 303
    return LOGGED_IN if browser.who() == SUB else "refused"


# --- signatures and keys -------------------------------------------------------------------------------------------


def idtoken_sig_none(stage: Stage) -> str:
    stage.server.forge = unsigned
    return stage.before_userinfo()


def idtoken_sig_rs256(stage: Stage) -> str:
    stage.server.metadata["id_token_signing_alg_values_supported"] = ["RS256"]
    stage.server.rotate(make_key("RS256"))
    return stage.log_in()


def invalid_sig_rs256(stage: Stage) -> str:
    stage.server.rotate(make_key("RS256"))
    return stage.with_broken_signature({"alg": "RS256", "kid": "key-1"})


def invalid_sig_es256(stage: Stage) -> str:
    return stage.with_broken_signature({"alg": "ES256", "kid": "key-1"})


def invalid_sig_hs256(stage: Stage) -> str:
    stage.server.metadata["id_token_signing_alg_values_supported"] = ["HS256"]
    return stage.with_broken_signature({"alg": "HS256"})


def kid_absent_single_jwks(stage: Stage) -> str:
    stage.server.rotate(make_key("RS256", kid=None))
    return stage.log_in()


def kid_absent_multiple_jwks(stage: Stage) -> str:
    stage.server.rotate(make_key("RS256", kid=None))
    stage.server.keys.insert(0, make_key("RS256", kid=None, another=1).jwk)
    return stage.log_in()


def ignores_unparseable_key_in_jwks(stage: Stage) -> str:
    stage.server.keys[:0] = [
        {"kty": "AKP", "alg": "ML-DSA-1234", "kid": "akp", "use": "sig", "pub": "AAAA"},
        {"kty": "made-up", "kid": "made-up", "use": "sig", "value": "AAAA"},
    ]
    return stage.log_in()


def rotation_just_before_signing(stage: Stage) -> str:
    def forge(claims: dict[str, object]) -> object:
        stage.server.rotate(make_key("ES256", kid="key-2"))
        return signed(stage.server.key, claims)

    stage.server.forge = forge
    return stage.log_in()


def rotation_between_two_logins(stage: Stage) -> str:
    stage.server.rotate(make_key("RS256"))
    assert stage.log_in() == LOGGED_IN
    stage.server.rotate(make_key("RS256", kid="key-2", another=1))
    said = stage.log_in()
    assert stage.server.calls(JWKS) == (2 if said == LOGGED_IN else 1)
    return said


# --- discovery -----------------------------------------------------------------------------------------------------


def discovery_openid_config(stage: Stage) -> str:
    said = stage.log_in()
    assert stage.server.calls(DISCOVERY) == 1
    return said


def discovery_jwks_uri_keys(stage: Stage) -> str:
    path = f"{JWKS}{secrets.token_hex(5)}"
    stage.server.metadata["jwks_uri"] = stage.server.url + path
    stage.server.answer(path, document({"keys": stage.server.keys}))
    said = stage.log_in()
    assert (stage.server.calls(path), stage.server.calls(JWKS)) == (1, 0)
    return said


def discovery_issuer_mismatch(stage: Stage) -> str:
    stage.server.metadata["issuer"] = f"{stage.server.issuer}/other"
    answer = stage.site.browser().get(LOGIN, FROM_HERE)
    assert "location" not in answer.headers
    return f"refused: {code_of(answer)[1]}"


# --- userinfo ------------------------------------------------------------------------------------------------------


def userinfo_invalid_sub(stage: Stage) -> str:
    return stage.with_userinfo(userinfo(sub="invalid-sub"))


def userinfo_signed(stage: Stage) -> str:
    stage.server.rotate(make_key("RS256"))
    claims = {"sub": SUB, "iss": stage.server.issuer, "aud": CLIENT_ID, "name": "Ada Lovelace"}
    return stage.with_userinfo(as_jwt(signed(stage.server.key, claims)))


def aggregated_claims(stage: Stage) -> str:
    sources = {"_claim_names": {"address": "src1"}, "_claim_sources": {"src1": {"JWT": unsigned({"address": {}})}}}
    return stage.with_userinfo(userinfo(**sources))


# --- logout --------------------------------------------------------------------------------------------------------


def rp_init_logout(stage: Stage) -> str:
    stage.options["id_token_hint"] = True
    query = stage.come_back_from_logout()
    return "logged out, and back" if "id_token_hint" in query else "logged out, and back, without id_token_hint"


def logout_state(stage: Stage) -> str:
    query = stage.come_back_from_logout(state=secrets.token_hex(5))
    return "logged out, and back" if "state" in query else "skipped: no `state` is sent"


def logout_token_unsigned(stage: Stage) -> str:
    return stage.back_channel(unsigned(stage.logout_claims()))


def logout_token_wrong_alg(stage: Stage) -> str:
    header = {"alg": "HS256", "typ": "logout+jwt"}
    return stage.back_channel(encode(header, stage.logout_claims(), hs256(CANARY.encode())))
