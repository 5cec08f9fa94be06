"""When a session is renewed and which cookie says so, by hand: in a store of a server, and in the cookie itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import NEW, NOW, OLD, URI, Store, World, context_of
from tests.sessions.test_lookup_by_hand import play
from xwms_auth import StoreUnavailable
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.base.session import FUTURE_TOLERANCE, KEPT_AFTER_END, Session
from xwms_auth._core.sessions.lookup import (
    CLOCK_LOG_INTERVAL,
    MAX_RENEWAL_DELAY,
    REFUSAL_NOTED,
    look_up,
    renew,
)

pytestmark = pytest.mark.more_packages  # Authlib

IDLE, LIFETIME = 2000, 3000
INTERVAL = IDLE // 20
DUE = NOW + INTERVAL + 1


class InCookie(Store):
    """The handle changes with what the session is, as where the cookie has the session itself."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed: list[tuple[Session, int]] = []

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None:
        self.renewed.append((session, until))
        return f"handle-{len(self.renewed)}"


@pytest.fixture
def make() -> Callable[..., World]:
    def made(store: Store | None = None, tokens: Any = None, **options: Any) -> World:
        context = context_of(**{"session_idle": IDLE, "session_lifetime": LIFETIME, **options})
        return World(tokens, context=context, store=store or InCookie())

    return made


def renewed(world: World, *, now: int = DUE, how: Any = (), **changes: Any) -> str | None:
    known = world.known(**{"at": now, **changes})
    return play(world, renew(world.context, known, now=now, **dict(how)))


def test_a_renewal_is_due_after_its_interval_and_one_request_makes_it(make):
    world = make()
    assert renewed(world, now=DUE - 1) is None
    cookie = renewed(world)
    assert cookie.startswith(f"{world.context.names_for(URI).session}=handle-1; ")
    assert f"Max-Age={NOW + LIFETIME + KEPT_AFTER_END - DUE};" in f"{cookie};"
    [(session, until)] = world.store.renewed
    assert (session.seen_at, until) == (DUE, DUE + IDLE + KEPT_AFTER_END)
    for later in (0, INTERVAL - 1):
        assert renewed(world, now=DUE + later) is None, "another request of the same moment"
    assert renewed(world, now=DUE + INTERVAL) is not None


def test_a_session_that_lives_for_seconds_is_renewed_once_a_second(make):
    world = make(session_idle=10)
    assert [renewed(world, now=NOW + later) is not None for later in (0, 1, 1, 2)] == [False, True, False, True]


def test_each_session_is_renewed_by_itself(make):
    world = make()
    renewed(world)
    world.session = replace(world.session, id="another")
    assert renewed(world) is not None


@pytest.mark.parametrize("passive", [True, False])
def test_nobody_who_only_looks_renews_a_session_but_what_has_changed_is_saved(make, passive):
    world, how = make(), {"is_passive": passive}
    assert (renewed(world, how=how) is None) is passive
    world = make()
    assert renewed(world, how=how, changed=True) is not None
    [(session, _)] = world.store.renewed
    assert session.seen_at == (NOW if passive else DUE)


def test_what_has_changed_is_saved_at_once_and_as_often_as_it_changes(make):
    world = make()
    assert [renewed(world, now=NOW, changed=True) for _ in range(2)] != [None] * 2
    assert len(world.store.renewed) == 2


def test_the_newest_tokens_are_saved_whichever_this_request_has(make):
    world = make(tokens=OLD)
    world.context.state.refreshed_tokens.put(OLD.refresh_token, NEW, now=NOW)
    renewed(world)
    assert world.store.renewed[0][0].tokens == NEW


@pytest.mark.parametrize("late", [MAX_RENEWAL_DELAY, MAX_RENEWAL_DELAY + 1])
@pytest.mark.parametrize("has_new_tokens", [True, False])
def test_a_late_answer_sets_no_session_unless_its_tokens_would_be_lost(make, late, has_new_tokens):
    """Meanwhile the person may have logged out, at another process."""
    world = make()
    is_set = has_new_tokens or late == MAX_RENEWAL_DELAY
    cookie = renewed(world, at=DUE - late, has_new_tokens=has_new_tokens)
    assert (cookie is not None) is is_set
    assert (renewed(world) is None) is is_set, "the next answer may renew it at once"


@pytest.mark.parametrize("changed", [True, False])
def test_an_answer_for_everybody_brings_no_cookie_unless_a_change_would_be_lost(make, changed):
    world = make()
    assert (renewed(world, how={"is_shared": True}, changed=changed) is not None) is changed
    assert renewed(world) is not None, "the next answer may renew it at once"


@pytest.mark.parametrize("changed", [True, False])
def test_a_store_of_a_server_has_the_renewal_already_and_a_cookie_only_lives_longer(make, changed):
    world = make(Store())
    assert renewed(world, how={"is_shared": True}, changed=changed) is None
    assert world.stored().seen_at == DUE
    assert renewed(make(Store()), changed=changed) is not None


def test_a_renewal_that_is_due_by_the_limits_of_a_nested_application_is_made_by_those(make):
    world, inner = make(), make(session_idle=200).context
    assert renewed(world, now=NOW + 11) is None
    assert renewed(world, now=NOW + 11, renewed_by=inner) is not None
    assert renewed(world, now=NOW + 20, renewed_by=inner) is None
    assert renewed(world, now=NOW + 21, renewed_by=inner, at=NOW) is None, "late"
    assert renewed(world, now=NOW + 21, renewed_by=inner) is not None
    assert not world.context.state.renewals


def test_a_session_that_could_not_be_saved_is_told_and_its_new_tokens_reach_the_browser(make, caplog):
    class Down(InCookie):
        def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None:
            raise StoreUnavailable("as asked for")

    caplog.set_level("INFO")
    world = make(Down())
    assert renewed(world) is None
    assert "session_not_renewed cause='as asked for'" in caplog.text
    assert world.handle in renewed(world, changed=True, has_new_tokens=True)


def test_a_session_that_was_ended_meanwhile_is_not_brought_back(make):
    world = make(Store())
    world.store.drop(world.handle, why=EndReason.REVOKED, now=NOW)
    assert renewed(world) is None
    assert renewed(world, has_new_tokens=True, changed=True) is None


# --- the lookup of a cookie ---


def found(world: World, *, now: int, cookie: str = "") -> Any:
    name = world.context.names_for(URI).session
    return play(world, look_up(world.context, f"{name}={world.handle}; {cookie}", URI, now=now))


@pytest.mark.parametrize("limits", [{}, {"session_idle": LIFETIME}])
def test_a_session_that_is_too_old_says_why_for_a_day_and_what_it_was(make, limits):
    """Its tokens are for the next login to give up: elsewhere it may go on, with longer limits."""
    world = make(Store(), tokens=NEW, **limits)
    ends, why = (LIFETIME, EndReason.LIFETIME) if limits else (IDLE, EndReason.IDLE)
    assert found(world, now=NOW + ends - 1) == world.known(at=NOW + ends - 1)
    for now in (NOW + ends, NOW + ends + 1):
        assert found(world, now=now) == world.known(session=None, ended=why, at=now, aged=world.session)
    assert not world.context.state.pending_revocations


def test_the_tokens_of_a_session_that_an_administrator_has_ended_are_given_up_once(make):
    world = make(Store(), tokens=NEW)
    world.context = replace(world.context, lifetimes=replace(world.context.lifetimes, valid_after=NOW + 1))
    for _ in range(2):
        assert found(world, now=NOW + 2) == world.known(session=None, ended=EndReason.REVOKED, at=NOW + 2)
    kept = world.context.state.pending_revocations
    assert kept.take(now=NOW + 2).tokens == NEW
    assert not kept


def test_a_session_that_a_store_has_kept_for_longer_says_nothing(make):
    class Keeps(Store):
        def load(self, handle: str, *, now: int) -> Any:
            return super().load(handle, now=NOW)

    world, ends = make(Keeps()), NOW + IDLE + KEPT_AFTER_END
    assert found(world, now=ends - 1).ended is EndReason.LIFETIME
    assert found(world, now=ends) == world.known(session=None, at=ends, aged=world.session)


def test_a_handle_of_nobody_and_one_whose_session_was_ended_are_told_apart(make):
    world = make(Store())
    world.store.drop(world.handle, why=EndReason.REVOKED, now=NOW)
    assert found(world, now=NOW) == world.known(session=None, ended=EndReason.REVOKED)
    world.handle = "another"
    assert found(world, now=NOW) == world.known(session=None)


def test_a_session_from_the_future_is_noted_in_the_browser_and_logged_once_a_minute(make, caplog):
    """The clock of this machine is behind that of another one."""
    world = make(Store(), tokens=NEW)
    behind = NOW - FUTURE_TOLERANCE
    assert found(world, now=behind).session is not None
    names = world.context.names_for(URI)
    for now in (behind - 1, behind - 1 + CLOCK_LOG_INTERVAL - 1, behind - 1):
        refused = found(world, now=now)
        if now < behind:
            assert (refused.session, refused.ended, refused.handle) == (None, None, world.handle)
    ahead = found(world, now=behind - 1).ahead
    assert ahead.seconds == FUTURE_TOLERANCE + 1
    assert ahead.note.startswith(f"{names.ahead}={world.session.id}; ")
    assert f"Max-Age={REFUSAL_NOTED};" in f"{ahead.note};"
    assert "Secure" in ahead.note
    assert caplog.text.count("session_from_the_future") == 1
    assert f"seconds={FUTURE_TOLERANCE + 1}" in caplog.text.replace("'", "")
    assert not world.context.state.pending_revocations, "its tokens are in use"
    for noted, is_second in (("", False), (world.session.id, False), ("another", True)):
        cookie = f"{names.ahead}={noted}" if noted else ""
        assert found(world, now=behind - 1, cookie=cookie).ahead.is_second is is_second
    behind -= CLOCK_LOG_INTERVAL
    found(world, now=behind)
    assert caplog.text.count("session_from_the_future") == 1, "a clock that goes back forgets nothing"


def test_the_same_is_logged_again_after_a_minute(make, caplog):
    world = make(Store())
    start = NOW - 10 * FUTURE_TOLERANCE
    for later, lines in ((0, 1), (CLOCK_LOG_INTERVAL - 1, 1), (CLOCK_LOG_INTERVAL, 2)):
        assert found(world, now=start + later).ahead.seconds == 10 * FUTURE_TOLERANCE - later
        assert caplog.text.count("session_from_the_future") == lines


def test_a_session_from_the_future_that_is_over_anyway_is_over(make):
    """The administrator has ended all sessions of before, and this machine's clock is behind."""
    before = NOW - 10_000_000
    world = make(Store(), sessions_valid_after=before + 1, session_lifetime=20_000_000)
    world.handle = world.store.create(replace(world.session, started_at=before), until=NOW, now=before)
    refused = found(world, now=NOW - 10 * FUTURE_TOLERANCE)
    assert (refused.ended, refused.ahead) == (EndReason.REVOKED, None)
