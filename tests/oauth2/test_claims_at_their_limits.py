"""Claims of ID, logout and access tokens whose signature is good, to the second and value by value.

What a door makes of a refusal is tested elsewhere; no door has a part in these decisions.
"""

import json
from typing import Any

import pytest

from tests.oauth2.jwts import at_hash
from xwms_auth import TokenRejected
from xwms_auth._core.base.bearer_errors import InvalidToken
from xwms_auth._core.base.effects import UpstreamResponse
from xwms_auth._core.base.errors import BadAnswer
from xwms_auth._core.base.models import Secret
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.oauth2.id_token import check_id_token, check_refreshed_id_token, proved_at
from xwms_auth._core.oauth2.jwt import VerifiedClaims
from xwms_auth._core.oauth2.logout_token import EVENT, read_logout_token
from xwms_auth._core.oauth2.token_validation import read_introspection, read_jwt

NOW = 1_800_000_000
ISSUER, CLIENT, SUB, NONCE, TOKEN = "https://as.example", "this-client", "17", "n-0S6", "an-access-token"
GONE: Any = object()
"""Instead of a value: the claim is left out."""

# Seconds from now; the clocks may be a minute apart.
MOMENTS = {
    "iat": ([-299, 0, 60], [61, 3600]),
    "exp": ([-59, 1, 3600], [-60, -3600]),
    "nbf": ([-3600, 60], [61, 3600]),
}
NOT_MOMENTS = ["soon", "1800000000", None, True, [1], {}, float("inf"), -1e300]


def with_changes(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (good | changes).items() if value is not GONE}


def id_token(
    *,
    algorithm: str = "ES256",
    max_age: int | None = None,
    type: str | None = None,
    token: str = TOKEN,
    **changes: Any,
) -> None:
    good = {"iss": ISSUER, "aud": CLIENT, "sub": SUB, "iat": NOW, "exp": NOW + 60, "nonce": NONCE}
    check_id_token(
        VerifiedClaims(JSONObject(with_changes(good, changes)), type=type),
        algorithm=algorithm,
        issuer=ISSUER,
        client_id=CLIENT,
        nonce=NONCE,
        access_token=Secret(token),
        now=NOW,
        max_age=max_age,
    )


def refreshed(**changes: Any) -> None:
    good = {"iss": ISSUER, "aud": CLIENT, "sub": SUB, "iat": NOW, "exp": NOW + 60}
    check_refreshed_id_token(
        VerifiedClaims(JSONObject(with_changes(good, changes)), type=None),
        algorithm="ES256",
        issuer=ISSUER,
        client_id=CLIENT,
        sub=SUB,
        access_token=Secret(TOKEN),
        now=NOW,
    )


def logout_token(*, type: str | None = None, **changes: Any) -> Any:
    good = {"iss": ISSUER, "aud": CLIENT, "sub": SUB, "iat": NOW, "exp": NOW + 60, "jti": "1", "events": {EVENT: {}}}
    claims = VerifiedClaims(JSONObject(with_changes(good, changes)), type=type)
    return read_logout_token(claims, issuer=ISSUER, client_id=CLIENT, now=NOW)


def access_jwt(**changes: Any) -> Any:
    good = {"iss": ISSUER, "aud": "api", "sub": SUB, "client_id": CLIENT, "iat": NOW, "exp": NOW + 60, "scope": "a b"}
    return read_jwt(JSONObject(with_changes(good, changes)), issuer=ISSUER, audience="api", now=NOW)


def introspected(*, status: int = 200, audience: str = "api", needs_type: bool = True, **changes: Any) -> Any:
    good = {
        "active": True,
        "token_type": "Bearer",
        "iss": ISSUER,
        "aud": "api",
        "sub": SUB,
        "client_id": "another-client",
        "exp": NOW + 60,
    }
    body = json.dumps(with_changes(good, changes)).encode()
    return read_introspection(
        UpstreamResponse(status=status, content_type="application/json", body=body),
        issuer=ISSUER,
        client_id=CLIENT,
        audience=audience,
        needs_type=needs_type,
        now=NOW,
    )


READERS = {
    "ID token": (id_token, TokenRejected),
    "refreshed ID token": (refreshed, TokenRejected),
    "logout token": (logout_token, TokenRejected),
    "access token": (access_jwt, InvalidToken),
    "introspection": (introspected, (InvalidToken, BadAnswer)),
}


@pytest.mark.parametrize(
    ("of", "claim"),
    # A logout token has no nbf (Back-Channel Logout 2.4).
    [(of, claim) for of in ("ID token", "refreshed ID token") for claim in MOMENTS]
    + [("logout token", "iat"), ("logout token", "exp")],
)
def test_a_time_counts_to_the_second_with_a_minute_between_the_clocks(of, claim):
    read, error = READERS[of]
    accepted, refused = MOMENTS[claim]
    for seconds in accepted:
        read(**{claim: NOW + seconds})
    for seconds in refused:
        with pytest.raises(error, match=r"exp|iat|expired|not valid yet"):
            read(**{claim: NOW + seconds})


@pytest.mark.parametrize("of", READERS)
def test_what_is_no_time_is_refused(of):
    read, error = READERS[of]
    claims = {"logout token": ("iat",), "introspection": ("nbf",), "access token": ("iat", "exp")}.get(
        of, ("iat", "exp", "nbf")
    )
    for claim in claims:
        for value in NOT_MOMENTS:
            if value is not None or claim in {"iat", "exp"}:
                with pytest.raises(error):
                    read(**{claim: value})


def test_the_token_of_an_api_ends_to_the_second_and_may_begin_a_minute_late():
    for read in (access_jwt, introspected):
        assert read(exp=NOW + 1).expires_at == NOW + 1
        assert read(exp=NOW + 1.5).expires_at == NOW + 1
        for seconds in (0, -1, -59):
            with pytest.raises(InvalidToken, match="expired"):
                read(exp=NOW + seconds)
        read(nbf=NOW + 60)
        with pytest.raises(InvalidToken, match="not valid yet"):
            read(nbf=NOW + 61)
    access_jwt(iat=NOW + 60)
    with pytest.raises(InvalidToken, match="iat"):
        access_jwt(iat=NOW + 61)
    with pytest.raises(InvalidToken, match="no exp"):
        access_jwt(exp=GONE)
    assert introspected(exp=GONE).expires_at is None
    for value in ("soon", True, -1e300):
        with pytest.raises(BadAnswer, match="exp"):
            introspected(exp=value)


def test_a_logout_token_is_six_minutes_old_at_most_and_needs_no_end():
    logout_token(iat=NOW - 360)
    with pytest.raises(TokenRejected, match="iat"):
        logout_token(iat=NOW - 361)
    logout_token(exp=GONE)
    for value in ("soon", True):
        with pytest.raises(TokenRejected, match="expired"):
            logout_token(exp=value)


@pytest.mark.parametrize("of", ["ID token", "refreshed ID token", "logout token"])
def test_a_token_is_for_this_client_alone_or_names_it_as_the_one_that_asked(of):
    read, error = READERS[of]
    for changes in ({"aud": [CLIENT]}, {"azp": CLIENT}, {"aud": [CLIENT, "b"], "azp": CLIENT}):
        read(**changes)
    for changes in (
        {"aud": "b"},
        {"aud": []},
        {"aud": GONE},
        {"aud": None},
        {"aud": {CLIENT: 1}},
        {"aud": ["b"], "azp": CLIENT},
        {"aud": [CLIENT, "b"]},
        {"aud": [CLIENT, "b"], "azp": "b"},
        {"aud": [CLIENT, 5], "azp": CLIENT},
        {"azp": "b"},
        {"azp": None},
    ):
        with pytest.raises(error, match=rf"the {of.removeprefix('refreshed ')}: (its aud|its azp|it has several)"):
            read(**changes)


@pytest.mark.parametrize("of", ["ID token", "refreshed ID token", "logout token", "access token"])
def test_a_token_is_of_the_configured_issuer(of):
    read, error = READERS[of]
    for issuer in (ISSUER + "/", "https://evil.example", "", None, 5, GONE):
        with pytest.raises(error, match="iss"):
            read(iss=issuer)


def test_what_introspection_says_is_of_the_configured_issuer_if_it_says_so():
    introspected(iss=None)
    introspected(iss=GONE)
    for issuer in (ISSUER + "/", "https://evil.example", "", 5):
        with pytest.raises(InvalidToken, match="iss"):
            introspected(iss=issuer)


@pytest.mark.parametrize("of", ["ID token", "refreshed ID token"])
def test_an_id_token_names_somebody(of):
    read, error = READERS[of]
    for sub in ("", None, 17, [], GONE):
        with pytest.raises(error, match="sub"):
            read(sub=sub)


def test_a_refreshed_id_token_is_of_the_same_person_and_needs_no_nonce():
    refreshed(nonce="any")
    with pytest.raises(TokenRejected, match="session's"):
        refreshed(sub="18")


def test_an_id_token_has_the_nonce_of_this_login():
    for nonce in ("", NONCE + "x", "\ud800", 5, None, GONE):
        with pytest.raises(TokenRejected, match="nonce"):
            id_token(nonce=nonce)


@pytest.mark.parametrize("algorithm", ["ES256", "RS384", "PS512", "EdDSA", "Ed25519"])
def test_an_at_hash_is_that_of_the_access_token_where_there_is_one(algorithm):
    # With SHA-384 the hash of this one ends in a letter, which is no padding.
    id_token(algorithm=algorithm, token="138", at_hash=at_hash("138", algorithm))
    right = at_hash(TOKEN, algorithm)
    id_token(algorithm=algorithm, at_hash=right)
    for value in (right[:-1], right + "=", at_hash("another", algorithm), "", None, 5):
        with pytest.raises(TokenRejected, match="at_hash"):
            id_token(algorithm=algorithm, at_hash=value)


def test_a_login_is_no_older_than_was_asked_for():
    for seconds in (-100, -160, 0, 60):
        id_token(max_age=100, auth_time=NOW + seconds)
    id_token(max_age=0, auth_time=NOW - 60)
    id_token(auth_time="whenever")
    for seconds in (-161, 61):
        with pytest.raises(TokenRejected, match="auth_time is too old or in the future"):
            id_token(max_age=100, auth_time=NOW + seconds)
    with pytest.raises(TokenRejected, match="auth_time is too old"):
        id_token(max_age=0, auth_time=NOW - 61)
    for value in (*NOT_MOMENTS, GONE):
        with pytest.raises(TokenRejected, match="auth_time is missing or not a time"):
            id_token(max_age=100, auth_time=value)


@pytest.mark.parametrize(
    ("issued", "auth_time", "proved"),
    [
        (NOW, NOW, NOW),
        (NOW, NOW - 40, NOW - 40),
        (NOW + 30, NOW - 10, NOW - 40),
        (NOW, NOW + 40, NOW),
        (NOW, 1, 1),
        (NOW, 0, 0),
        (NOW, -5, 0),
        (NOW - 10, 0, 0),
        (NOW - 10, -5, 0),
        (2 * NOW, 5, 0),
        (NOW, None, 0),
        (None, NOW, 0),
        ("now", NOW, 0),
        (NOW, "now", 0),
        (NOW + 0.5, NOW - 40.2, NOW - 40),
    ],
)
def test_when_somebody_proved_who_they_are_is_measured_by_the_servers_clock(issued, auth_time, proved):
    assert proved_at(JSONObject(iat=issued, auth_time=auth_time), now=NOW) == proved


@pytest.mark.parametrize(
    ("read", "what", "good", "bad"),
    [
        (id_token, "the ID token", (None, "jwt"), ("", "at+jwt", "logout+jwt", "JWT")),
        (logout_token, "the logout token", (None, "jwt", "logout+jwt"), ("", "at+jwt", "dpop+jwt")),
    ],
)
def test_a_token_that_says_what_it_is_is_that(read, what, good, bad):
    for kind in good:
        read(type=kind)
    for kind in bad:
        with pytest.raises(TokenRejected, match=f"{what}: its typ"):
            read(type=kind)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *[({"events": value}, "events") for value in (GONE, None, EVENT, [EVENT], {}, {"other": {}}, {EVENT: "yes"})],
        *[({"nonce": value}, "nonce") for value in (NONCE, "", None)],
        *[({"jti": value}, "jti") for value in (GONE, None, "", 7)],
        *[({"sub": value, "sid": "s"}, "sub") for value in ("", 7, [])],
        *[({"sub": None, "sid": value}, "neither") for value in (GONE, None, "", 7, "x" * 256, "a\nb")],
    ],
)
def test_a_logout_token_that_is_not_one_is_refused_with_its_reason(changes, reason):
    with pytest.raises(TokenRejected, match=reason):
        logout_token(**changes)


def test_a_logout_token_says_whose_logout_it_is():
    for changes, told in (
        ({}, (SUB, None)),
        ({"sid": "s"}, (SUB, "s")),
        ({"sid": "s", "sub": None}, (None, "s")),
        ({"sid": "x" * 255, "sub": GONE}, (None, "x" * 255)),
        ({"sid": "x" * 256}, (SUB, None)),
        ({"sid": "a\nb"}, (SUB, None)),
    ):
        read = logout_token(**changes)
        assert (read.sub, read.sid, read.token_id) == (*told, "1")
