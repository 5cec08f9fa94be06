"""What one process remembers for one client: for how long, how much of it, and by a clock that may be set."""

import math

import pytest

from xwms_auth import Identity, Secret
from xwms_auth._core.base.memory.fair_limit import UNKNOWN, Decision, Source
from xwms_auth._core.base.models import AccessToken, TokenSet
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.config import state
from xwms_auth._core.config.state import (
    AGAIN_BURST,
    MAX_REVOCATIONS,
    NEW_BURST,
    PendingRevocation,
    PendingRevocations,
    ProcessState,
    RefreshedTokens,
    ValidatedTokens,
    VerifiedJWTs,
)

NOW = 1_800_000_000
ADA = Identity(issuer="i", sub="7")


def token(**changes) -> AccessToken:
    return AccessToken(**{"issuer": "i", "client_id": "c", "sub": "7", "scopes": (), "expires_at": None, **changes})


def tokens(number: int, *, refresh: str | None = "", at: str = "at", sid: str | None = None) -> TokenSet:
    """Those of a login after so many refreshes; each has a refresh token of its own."""
    name = None if refresh is None else Secret(refresh or f"refresh-{number}")
    access = Secret(f"{at}-{number}")
    return TokenSet(
        access_token=access, refresh_token=name, id_token=None, scope=(), expires_at=None, sid=sid, number=number
    )


# Rate limits.


@pytest.mark.parametrize(("limit", "allowed"), [(0, 100), (1, 1), (10, 10)])
def test_an_address_starts_as_many_logins_at_once_as_the_option_says_and_0_sets_no_limit(limit, allowed):
    starts = ProcessState(logins_per_address=limit).login_starts
    one = Source(name="203.0.113.7", network="203.0.113.0/24")
    assert [starts.take(one, NOW) for _ in range(allowed)] == [Decision.ALLOWED] * allowed
    assert (starts.take(one, NOW) is Decision.FOR_SOURCE) is (limit > 0)


@pytest.mark.parametrize(("name", "burst"), [("invalidations", 5), ("invalidations_without_store", 130)])
def test_all_clients_together_have_what_a_flood_may_cost_and_none_has_a_limit_of_its_own(name, burst):
    limit = getattr(ProcessState(logins_per_address=1), name)
    assert [limit.take(UNKNOWN, NOW) for _ in range(burst + 1)] == [Decision.ALLOWED] * burst + [Decision.FOR_ALL]
    one = Source(name="203.0.113.7", network="203.0.113.0/24")
    assert limit.take(one, NOW + 10) is limit.take(one, NOW + 20) is Decision.ALLOWED


def test_the_keys_of_the_server_are_fetched_for_five_logout_tokens_at_once():
    bucket = ProcessState().logout_tokens
    assert [bucket.take(NOW) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    "name",
    [
        *("foreign_tokens", "unspent_tokens", "same_token_seen", "address_told", "limit_warnings", "renewals"),
        *("revalidations", "outages", "clock_warnings", "revocation_warnings", "ended_logins", "given_up"),
        *("pending_revocations",),
    ],
)
def test_a_process_begins_with_nothing_seen_and_tells_no_other(name):
    one, other = ProcessState(), ProcessState()
    assert not getattr(one, name)
    assert isinstance(getattr(one, name), bool) or getattr(one, name) is not getattr(other, name)


def test_nothing_is_known_of_a_jwt_that_has_not_come():
    assert ProcessState().verified_jwts.get("a", ()) is None


def test_it_reads_a_clock_of_its_own_unless_it_is_given_another():
    known = ProcessState()
    assert math.isclose(known.clock(), state.time.time(), abs_tol=60)


# Validated access tokens.


@pytest.mark.parametrize(
    ("lives", "moment", "is_known"),
    [
        (None, 0, True),
        (None, 29, True),
        (None, 30, False),
        (None, -5, True),  # another thread read the clock a moment earlier
        (None, -6, False),  # the clock was set
        (10, 9, True),
        (10, 10, False),
        (3600, 29, True),
        (3600, 30, False),
    ],
)
def test_a_valid_token_is_known_for_half_a_minute_and_no_longer_than_it_lives(lives, moment, is_known):
    known, one = ValidatedTokens(), token(expires_at=None if lives is None else NOW + lives)
    known.learn("a", one, now=NOW)
    assert known.get("a", now=NOW + moment) is (one if is_known else None)
    assert known.get("b", now=NOW) is None
    assert not known.is_bad("a", now=NOW + moment)


@pytest.mark.parametrize(("moment", "is_bad"), [(0, True), (9, True), (10, False), (-5, True), (-6, False)])
def test_an_invalid_token_is_known_for_ten_seconds(moment, is_bad):
    known = ValidatedTokens()
    known.learn("a", None, now=NOW)
    assert known.is_bad("a", now=NOW + moment) is is_bad
    assert known.get("a", now=NOW + moment) is None


def test_the_last_answer_about_a_token_is_the_one_that_counts():
    known, one = ValidatedTokens(), token()
    known.learn("a", one, now=NOW)
    known.learn("a", None, now=NOW)
    assert (known.get("a", now=NOW), known.is_bad("a", now=NOW)) == (None, True)
    known.learn("a", one, now=NOW)
    assert (known.get("a", now=NOW), known.is_bad("a", now=NOW)) == (one, False)


def asked(known: ValidatedTokens, name: str, tries: int, *, now: int = NOW) -> int:
    return sum(known.may_ask(name, now=now) for _ in range(tries))


def test_tokens_that_were_valid_before_have_a_rate_limit_that_junk_does_not_use_up():
    known = ValidatedTokens()
    known.learn("good", token(), now=NOW)
    assert asked(known, "junk", 1000) == NEW_BURST
    assert asked(known, "good", 1000) == AGAIN_BURST
    assert asked(known, "junk", 1000, now=NOW + 1) == 20
    assert asked(known, "good", 1000, now=NOW + 1) == 200
    known.learn("good", None, now=NOW + 1)
    assert asked(known, "good", 1, now=NOW + 1) == 0


@pytest.mark.parametrize(("moment", "is_remembered"), [(3599, True), (3600, False)])
def test_for_an_hour_it_is_remembered_that_a_token_was_valid(moment, is_remembered):
    known = ValidatedTokens()
    known.learn("a", token(), now=NOW)
    known.learn("b", token(), now=NOW + moment)  # makes room by what has expired
    assert asked(known, "junk", 1000, now=NOW + moment) == NEW_BURST
    assert known.may_ask("a", now=NOW + moment) is is_remembered


def test_one_request_validates_a_token_for_all_until_it_ends_or_its_time_is_up():
    known = ValidatedTokens()
    assert [known.begin("a", until=NOW + 10, now=NOW + moment) for moment in (0, 9, 10)] == [True, False, True]
    assert known.begin("b", until=NOW + 10, now=NOW) is True
    known.end("b")
    assert known.begin("b", until=NOW + 10, now=NOW) is True


@pytest.mark.parametrize("half", [100 * (1000 + 3 * 400), 99 * (1000 + 3 * 400) + 1], ids=["all", "one more"])
@pytest.mark.parametrize(("count", "is_kept"), [(1, True), (199, True), (200, False)])
def test_the_claims_that_are_kept_of_verified_jwts_have_a_bound_in_bytes(monkeypatch, half, count, is_kept):
    """A hundred tokens of 400 characters are half of it here."""
    monkeypatch.setattr(state, "MAX_VERIFIED_BYTES", 2 * half)
    verified, keys, claims = VerifiedJWTs(), (JSONObject(kid="1"),), JSONObject(sub="17")
    for number in range(count):
        for _ in range(2):
            verified.learn(str(number), keys, claims, length=400)
    assert (verified.get("0", keys) is claims) is is_kept


# Refreshed tokens.


def test_the_newest_tokens_are_found_however_often_they_were_refreshed():
    refreshed = RefreshedTokens()
    for number in range(3):
        refreshed.put(Secret(f"refresh-{number}"), tokens(number + 1), now=NOW)
    for number in range(4):
        assert refreshed.newest(tokens(number), now=NOW) == tokens(3)
    assert refreshed.newest(tokens(0, refresh="another"), now=NOW) == tokens(0, refresh="another")
    assert refreshed.newest(tokens(0, refresh=None), now=NOW) == tokens(0, refresh=None)


@pytest.mark.parametrize(("number", "newest"), [(0, 5), (4, 5), (5, 5), (6, 6)])
def test_tokens_of_a_later_refresh_by_another_process_are_newer(number, newest):
    """A server that does not rotate: every refresh has the same refresh token."""
    refreshed = RefreshedTokens()
    refreshed.put(Secret("same"), tokens(5, refresh="same", at="ours"), now=NOW)
    found = refreshed.newest(tokens(number, refresh="same", at="theirs"), now=NOW)
    assert found.number == newest
    assert found.access_token.reveal() == ("ours-5" if number < 5 else f"theirs-{number}")


@pytest.mark.parametrize(("moment", "is_known"), [(0, True), (3599, True), (3600, False)])
def test_a_refresh_is_remembered_for_an_hour(moment, is_known):
    refreshed = RefreshedTokens()
    refreshed.put(Secret("refresh-0"), tokens(1), now=NOW)
    assert refreshed.newest(tokens(0), now=NOW + moment).number == int(is_known)


def test_of_the_validated_tokens_those_are_kept_that_were_used_last(monkeypatch):
    monkeypatch.setattr(state, "MAX_VALIDATED", 2)
    validated = ValidatedTokens()
    for name in ("used", "unused"):
        validated.learn(name, token(), now=NOW)
    assert validated.get("used", now=NOW) is not None
    validated.learn("new", token(), now=NOW)
    known = [name for name in ("used", "unused", "new") if validated.get(name, now=NOW) is not None]
    assert known == ["used", "new"]


# Tokens to revoke.


def test_tokens_that_nobody_uses_any_more_are_revoked_as_what_they_were_refreshed_to():
    known = ProcessState()
    known.refreshed_tokens.put(Secret("refresh-0"), tokens(1), now=NOW)
    assert not known.pending_revocations
    known.give_up(tokens(0), of=ADA, now=NOW)
    assert known.pending_revocations
    assert known.pending_revocations.take(now=NOW) == PendingRevocation(tokens(1), ADA, NOW, failed=False)
    assert not known.pending_revocations


def test_the_pause_after_failures_doubles_up_to_an_hour_and_an_answer_ends_it():
    pending, now, pauses = PendingRevocations(), NOW, []
    for _ in range(9):
        pending.keep(tokens(0), of=ADA, since=now, now=now)
        pause = next(second for second in (60, 120, 240, 480, 960, 1920, 3600) if pending.take(now=now + second))
        pending.keep(tokens(0), of=ADA, since=now, now=now)  # within the pause, so that it is no failure more
        assert pending.take(now=now + pause - 1) is None
        assert pending.take(now=now + pause) is not None
        pauses.append(pause)
        now += pause
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    pending.answered()
    pending.keep(tokens(0), of=ADA, since=now, now=now)
    assert pending.take(now=now + 59) is None
    assert pending.take(now=now + 60) is not None


def test_what_waits_for_its_revocation_has_a_bound_and_the_oldest_go_first():
    pending = PendingRevocations()
    for number in range(MAX_REVOCATIONS + 1):
        pending.add(tokens(number), of=ADA, now=NOW)
    taken = pending.take(now=NOW)
    assert taken is not None
    assert taken.tokens.number == 1


def test_tokens_that_are_given_up_twice_are_revoked_once():
    pending = PendingRevocations()
    for _ in range(2):
        pending.add(tokens(0), of=ADA, now=NOW)
    assert pending.take(now=NOW) == PendingRevocation(tokens(0), ADA, NOW, failed=False)
    assert pending.take(now=NOW) is None


def test_of_the_tokens_that_wait_those_of_the_same_login_at_the_server_are_spared():
    """Of the same person and `sid`: tokens without one are of the same login if the person is the same."""
    others = (Identity(issuer="i", sub="8"), Identity(issuer="j", sub="7"))
    given_up = [(ADA, "a"), (ADA, "b"), (ADA, None), (ADA, "a"), *((other, "a") for other in others)]
    for spared in ((ADA, "a"), (ADA, None), (others[0], "a"), (ADA, "unknown")):
        pending = PendingRevocations()
        for number, (person, sid) in enumerate(given_up):
            pending.add(tokens(number, sid=sid), of=person, now=NOW)
        pending.spare(*spared)
        left = []
        while (taken := pending.take(now=NOW)) is not None:
            left.append((taken.of, taken.tokens.sid))
        assert left == [one for one in given_up if one != spared]
