"""Who is signed in, nobody, and whom a token acts for: what each says of itself."""

import copy
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from xwms_auth import Secret, User
from xwms_auth._core.base.models import AccessToken, EndReason, Identity, TokenSet, anonymous, ever_smaller, newer
from xwms_auth._core.base.session import FUTURE_TOLERANCE, Lifetimes, Session, SessionInfo, device_name, latest

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


def test_a_secret_is_shown_to_nobody_and_equals_its_like():
    one, same, other = Secret("s-1"), Secret(Secret("s-1")), Secret("s-2")
    assert repr(one) == str(one) == f"{one}" == "Secret('**********')"
    assert (one == same, one == other, one == "s-1", hash(one) == hash(same)) == (True, False, False, True)
    assert one.__eq__("s-1") is NotImplemented
    assert one() is copy.copy(one) is copy.deepcopy(one) is one
    assert (bool(one), bool(Secret(""))) == (True, False)


@pytest.mark.parametrize(
    ("claims", "read"),
    [
        ({}, {}),
        ({"email": "e@x", "email_verified": True}, {"email": "e@x", "email_verified": True}),
        ({"email": "e@x", "email_verified": False}, {"email": "e@x"}),
        *[
            ({"email": "e@x", "email_verified": value}, {"email": "e@x"})
            for value in ("true", 1, None, "false", [True])
        ],
        ({"email_verified": True}, {}),
        ({"email": 5, "email_verified": True}, {}),
        ({"picture": "https://xwms.nl/p.png"}, {"picture": "https://xwms.nl/p.png"}),
        *[({"picture": value}, {}) for value in ("javascript:alert(1)", "/p.png", 5, "data:image/png,x")],
        ({"name": "Erik", "given_name": 5, "family_name": "a\x00b", "role": "admin"}, {"name": "Erik"}),
    ],
)
def test_a_person_is_read_claim_by_claim_and_what_is_not_right_is_left_out(claims, read):
    assert User.parse({"sub": "17", **claims}, issuer=ISSUER) == replace(ERIK, **read)


@pytest.mark.parametrize("data", [{}, {"sub": ""}, {"sub": None}, {"sub": ["17"]}, {"sub": " "}])
def test_nobody_is_read_without_a_sub(data):
    with pytest.raises(ValueError, match="sub"):
        User.parse(data, issuer=ISSUER)


WHOLE = User(
    issuer=ISSUER,
    sub="17",
    name="Erik B",
    given_name="Erik",
    family_name="B",
    email="e@x",
    email_verified=True,
    picture="https://xwms.nl/p",
)


def test_where_there_is_no_room_a_person_loses_the_picture_first_and_the_address_with_its_proof_last():
    steps = list(ever_smaller(WHOLE))
    assert steps[0] == WHOLE
    assert steps[-1] == ERIK
    order = ("picture", "family_name", "given_name", "name", "email")
    for before, after, lost in zip(steps[:-1], steps[1:], order, strict=True):
        gone = {"email": None, "email_verified": False} if lost == "email" else {lost: None}
        assert after == replace(before, **gone)


def test_what_is_told_later_replaces_what_was_known_and_what_is_not_told_stays():
    assert newer(WHOLE, ERIK) == WHOLE
    assert newer(ERIK, WHOLE) == WHOLE
    changed = replace(ERIK, name="Erik C", email="other@x")
    assert newer(WHOLE, changed) == replace(WHOLE, name="Erik C", email="other@x", email_verified=False)
    assert newer(replace(WHOLE, email_verified=False), replace(ERIK, email="e@x", email_verified=True)) == WHOLE
    assert newer(WHOLE, replace(ERIK, sub="18", issuer="https://other.example")) == WHOLE


def test_the_claims_of_a_person_are_a_dictionary_and_no_other_name_is_known():
    assert WHOLE.claims() == {field.name: getattr(WHOLE, field.name) for field in fields(User)}
    for someone in (WHOLE, anonymous(None)):
        with pytest.raises(AttributeError, match="is_admin"):
            _ = someone.is_admin


def test_why_a_session_ended_is_a_sentence_in_the_language_of_the_person():
    for why in EndReason:
        assert why.detail.startswith("You ")
        assert why.detail_in("en") == why.detail_in("xx") == why.detail_in("") == why.detail
        assert why.detail_in("nl") == why.detail_in("nl-BE") != why.detail


# --- how long a session lives ---

IDLE, ABSOLUTE = 2000, 10_000
LIMITS = Lifetimes(idle=IDLE, absolute=ABSOLUTE)


def seen(at: int = NOW, *, started_at: int = NOW) -> Session:
    return Session(id="s", user=ERIK, started_at=started_at, seen_at=at)


def test_a_session_is_renewed_at_a_twentieth_of_its_idle_time_and_every_ten_minutes_at_least():
    assert LIMITS.renewal_interval == 100
    assert Lifetimes(idle=12_000, absolute=1).renewal_interval == 600
    assert Lifetimes(idle=12_020, absolute=1).renewal_interval == 600
    assert [LIMITS.due(seen(), NOW + seconds) for seconds in (0, 100, 101)] == [False, False, True]
    assert LIMITS.renewed(seen(), NOW + 9).seen_at == NOW + 9
    assert LIMITS.renewed(seen(), NOW - 9).seen_at == NOW


@pytest.mark.parametrize(
    ("session", "now", "alive", "ending", "ahead"),
    [
        (seen(), NOW, True, None, 0),
        (seen(), NOW + IDLE - 1, True, None, 0),
        (seen(), NOW + IDLE, False, EndReason.IDLE, 0),
        (seen(NOW + 9000), NOW + ABSOLUTE - 1, True, None, 0),
        (seen(NOW + 9000), NOW + ABSOLUTE, False, EndReason.LIFETIME, 0),
        (seen(NOW + 9000), NOW + 9000 + IDLE, False, EndReason.LIFETIME, 0),
        (seen(), NOW - FUTURE_TOLERANCE, True, None, 0),
        (seen(), NOW - FUTURE_TOLERANCE - 1, False, None, FUTURE_TOLERANCE + 1),
        (seen(NOW - 1), NOW, False, None, 0),
    ],
)
def test_a_session_ends_to_the_second(session, now, alive, ending, ahead):
    assert LIMITS.alive(session, now) is alive
    assert LIMITS.ahead(session, now) == ahead
    if not alive:
        assert LIMITS.ending(session, now) is ending
    settled = alive and not LIMITS.due(session, now)
    assert LIMITS.is_settled(session, now) is settled


def test_a_session_is_settled_between_two_seconds_and_kept_a_while_after_its_end():
    assert LIMITS.settled_between(seen()) == (NOW - FUTURE_TOLERANCE, NOW + 101)
    assert LIMITS.settled_between(seen(NOW + 9950)) == (NOW + 9950 - FUTURE_TOLERANCE, NOW + ABSOLUTE)
    assert LIMITS.settled_between(seen(NOW - 1)) == (0, 0)
    assert LIMITS.keep_until(seen()) - NOW - IDLE == LIMITS.longest(seen()) - NOW - ABSOLUTE == 86_400
    assert LIMITS.keep_until(seen(NOW + 9000)) == LIMITS.longest(seen(NOW + 9000)) == LIMITS.longest(seen())


def test_what_an_application_shows_of_a_session_is_its_times_and_its_device():
    info = SessionInfo.of(replace(seen(NOW + 5), device="Firefox on Linux"), is_current=True)
    assert (info.id, info.device, info.is_current) == ("s", "Firefox on Linux", True)
    assert (info.started_at.timestamp(), info.seen_at.timestamp()) == (NOW, NOW + 5)
    assert info.started_at.utcoffset() == info.seen_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Firefox/140.0", "Firefox"),
        ("(Windows NT 10.0)", "Windows"),
        ("curl/8.0", None),
        ("", None),
    ],
)
def test_a_device_is_named_as_far_as_it_says(header, name):
    assert device_name(header) == name
