"""Who is signed in, nobody, and whom a token acts for: what each says of itself."""

from dataclasses import replace

import pytest

from xwms_auth import Secret, User
from xwms_auth._core.base.models import AccessToken, EndReason, Identity, TokenSet, anonymous
from xwms_auth._core.base.session import Session, latest

ISSUER = "https://as.example"
ERIK = User(issuer=ISSUER, sub="17")
NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, "17"),
        ({"email": "e@x"}, "e@x"),
        ({"email": "e@x", "family_name": "B"}, "B"),
        ({"given_name": "E", "family_name": "B"}, "E B"),
        ({"given_name": "E", "family_name": ""}, "E"),
        ({"name": "Erik", "given_name": "E", "email": "e@x"}, "Erik"),
    ],
)
def test_a_person_has_a_name_to_be_greeted_with(claims, name):
    assert replace(ERIK, **claims).display_name == name


def test_a_person_is_the_pair_of_issuer_and_sub():
    assert ERIK.identity == Identity(ISSUER, "17")
    assert ERIK.get_id() == f"{ISSUER} 17"
    assert replace(ERIK, email="e@x").verified_email is None
    assert replace(ERIK, email="e@x", email_verified=True).verified_email == "e@x"
    assert (ERIK.is_authenticated, ERIK.is_anonymous, ERIK.is_active, ERIK.signed_out) == (True, False, True, None)


@pytest.mark.parametrize("changes", [{"issuer": None}, {"sub": None}, {"sub": 17}, {"issuer": b"x"}])
def test_nobody_is_made_of_what_is_no_text(changes):
    with pytest.raises(TypeError, match="must be a string"):
        User(**{"issuer": ISSUER, "sub": "17", **changes})
    if "sub" not in changes:
        with pytest.raises(TypeError, match="issuer must be a string"):
            access_token(**changes)


@pytest.mark.parametrize("why", [None, *EndReason])
def test_nobody_is_falsy_and_says_why_somebody_is_gone(why):
    nobody = anonymous(why)
    assert not nobody
    assert nobody.signed_out is why
    assert (nobody.is_authenticated, nobody.is_anonymous, nobody.is_active) == (False, True, False)
    assert (nobody.get_id(), nobody.identity, nobody.verified_email, nobody.display_name) == (None, None, None, "")


def access_token(**changes: object) -> AccessToken:
    good = {"issuer": ISSUER, "client_id": "c", "sub": "17", "scopes": (), "expires_at": None}
    return AccessToken(**{**good, **changes})  # type: ignore[arg-type]


def test_a_token_acts_for_a_person_known_or_unknown_or_for_the_client():
    assert (access_token().identity, access_token().acts_for_itself) == (Identity(ISSUER, "17"), False)
    named = access_token(sub=None, username="erik")
    assert (named.identity, named.acts_for_itself) == (None, False)
    assert access_token(sub=None).acts_for_itself
    with pytest.raises(TypeError, match="client_id must be a string"):
        access_token(client_id=None)


def tokens(number: int) -> TokenSet:
    secret = Secret(f"token-{number}")
    return TokenSet(access_token=secret, refresh_token=None, id_token=None, scope=(), expires_at=None, number=number)


def test_a_session_is_checked_and_counts_from_its_login_at_the_earliest():
    session = Session(id="s", user=ERIK, started_at=NOW, seen_at=NOW)
    assert (session.checked_at, session.counts_from) == (NOW, NOW)
    earlier = replace(session, checked_at=NOW - 1, counts_from=NOW - 1)
    assert (earlier.checked_at, earlier.counts_from) == (NOW, NOW)
    later = replace(session, checked_at=NOW + 1, counts_from=NOW + 2)
    assert (later.checked_at, later.counts_from) == (NOW + 1, NOW + 2)


def test_of_two_versions_of_a_session_the_newer_part_of_each_is_kept():
    named = replace(ERIK, name="Erik")
    kept = Session(id="s", user=ERIK, started_at=NOW, seen_at=NOW + 5, tokens=tokens(1))
    changed = replace(kept, seen_at=NOW + 3, tokens=tokens(2), device="Firefox")
    merged = latest(kept, changed)
    assert (merged.seen_at, merged.tokens, merged.device) == (NOW + 5, tokens(2), "Firefox")
    assert latest(changed, kept).tokens == tokens(2)
    assert latest(kept, replace(changed, seen_at=NOW + 9)).seen_at == NOW + 9
    for one, other, name in (
        (replace(kept, user=named, checked_at=NOW + 2), replace(changed, checked_at=NOW + 1), "Erik"),
        (replace(kept, checked_at=NOW + 1), replace(changed, user=named, checked_at=NOW + 2), "Erik"),
        (replace(kept, checked_at=NOW + 2), replace(changed, user=named, checked_at=NOW + 2), "Erik"),
    ):
        assert (latest(one, other).user.name, latest(one, other).checked_at) == (name, NOW + 2)
    assert latest(replace(kept, tokens=None), replace(changed, tokens=None)).tokens is None
    assert latest(kept, replace(changed, tokens=None)).tokens == tokens(1)
    assert latest(replace(kept, tokens=None), changed).tokens == tokens(2)
