"""ID tokens that come with a refresh (OpenID Connect Core 12.2): about the same person, or of no use."""

import time

import pytest

from tests.oauth2.jwts import at_hash, make_key, signed
from tests.tools.fake_xwms import CLIENT_ID
from xwms_auth import Secret, TokenRejected
from xwms_auth._core.oauth2.id_token import check_refreshed_id_token
from xwms_auth._core.oauth2.jwt import parse_signed_jwt, verified_claims

ISSUER, SUB, ACCESS = "https://id.example", "xwms-user-1234", "the-new-access-token"
NOW = int(time.time())
KEY = make_key()


def check(changes: dict[str, object], **header: object) -> None:
    good: dict[str, object] = {"iss": ISSUER, "sub": SUB, "aud": CLIENT_ID, "iat": NOW, "exp": NOW + 300}
    claims = {name: value for name, value in (good | changes).items() if value is not None}
    token = parse_signed_jwt(signed(KEY, claims, **header))
    check_refreshed_id_token(
        verified_claims(token, [KEY.jwk]),
        algorithm=token.algorithm,
        issuer=ISSUER,
        client_id=CLIENT_ID,
        sub=SUB,
        access_token=Secret(ACCESS),
        now=NOW,
    )


GOOD: dict[str, dict[str, object]] = {
    "no nonce": {},
    "the nonce of the login, which nobody has any more": {"nonce": "n"},
    "a list with one audience": {"aud": [CLIENT_ID]},
    "the hash of the new access token": {"at_hash": at_hash(ACCESS, KEY.algorithm)},
}


def test_one_about_the_person_of_the_session_is_no_fault(subtests):
    for case, changes in GOOD.items():
        with subtests.test(case):
            check(changes)


WRONG: dict[str, dict[str, object]] = {
    "another person": {"sub": "somebody-else"},
    "another person, nearly": {"sub": f"{SUB} "},
    "nobody": {"sub": None},
    "a sub that is a list": {"sub": [SUB]},
    "another issuer": {"iss": "https://evil.example"},
    "another client": {"aud": "another"},
    "several clients": {"aud": [CLIENT_ID, "another"]},
    "another azp": {"azp": "another"},
    "expired": {"exp": NOW - 3600},
    "no exp": {"exp": None},
    "from the future": {"iat": NOW + 3600},
    "another access token": {"at_hash": at_hash("the-old-access-token", KEY.algorithm)},
}


def test_one_that_is_not_for_this_session_is_refused(subtests):
    for case, changes in WRONG.items():
        with subtests.test(case):
            with pytest.raises(TokenRejected) as raised:
                check(changes)
            assert "somebody" not in str(raised.value)


def test_a_token_of_another_kind_is_none():
    with pytest.raises(TokenRejected):
        check({}, typ="logout+jwt")
