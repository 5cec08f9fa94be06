"""Asking XWMS again, by hand: when, how often, what each answer means, and what an inner application needs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import NEW, NOW, OLD, URI, Provider, Store, World, context_of
from tests.sessions.test_lookup_by_hand import play
from xwms_auth import LoginRequired, StoreUnavailable
from xwms_auth._core.base.effects import Runtime, Shielded
from xwms_auth._core.base.errors import (
    BadAnswer,
    ClientDisabled,
    ClientUnknown,
    ConfigError,
    CredentialsRejected,
    NotApproved,
    NotFound,
    Timeout,
    TokenRejected,
    Unreachable,
)
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.sessions.revalidation import (
    REVALIDATION_BACKOFF,
    look_up_for_page,
    look_up_nested,
    refresh_profile,
)

pytestmark = pytest.mark.more_packages  # Authlib

EVERY = 200
DUE = NOW + EVERY
IDLE, INTERVAL = 40_000, 600


class Asked(Provider):
    """What each question about a person is answered with: an error, or yes."""

    def __init__(self, *answers: Exception | None, refreshed: Any = NEW) -> None:
        super().__init__(*[refreshed] * 3)
        self.answers = list(answers)
        self.asked: list[str] = []

    def revalidate(self, context: Any, session: Any, *, now: int) -> Any:
        yield from ()
        self.asked.append(session.id)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return replace(session, checked_at=now, user=replace(session.user, name="Ada"))


@pytest.fixture
def make() -> Callable[..., World]:
    def made(tokens: Any = None, **options: Any) -> World:
        context = context_of(**{"recheck": EVERY, "session_idle": IDLE, "session_lifetime": 90_000, **options})
        return World(tokens, context=context, store=Store())

    return made


def look(world: World, provider: Any, *, now: int = DUE, handle: str = "") -> Any:
    name = world.context.names_for(URI).session
    cookie = f"{name}={handle or world.handle}"
    return play(world, look_up_for_page(world.context, provider, cookie, URI, now=now))


def test_a_session_is_asked_about_when_that_is_due_and_has_what_xwms_says_then(make):
    world, provider = make(), Asked()
    early = look(world, provider, now=DUE - 1)
    assert (early.session, early.handle, early.changed, provider.asked) == (world.session, None, False, [])
    found = look(world, provider)
    assert (found.session.user.name, found.session.checked_at) == ("Ada", DUE)
    assert (found.handle, found.changed, provider.asked) == (world.handle, True, [world.session.id])
    for later in (0, EVERY - 1):
        assert look(world, provider, now=DUE + later).changed is False, "the response has set no cookie"
    assert len(provider.asked) == 1
    assert look(world, provider, now=DUE + EVERY).changed
    assert len(provider.asked) == 2


def test_nobody_is_asked_about_where_nobody_is_or_nobody_asks_to(make):
    provider = Asked()
    assert look(make(), provider, handle="another").session is None
    world = make(recheck=0)
    found = look(world, provider, now=NOW + 599)
    assert (found.session, found.handle) == (world.session, None)
    assert look(world, provider, now=NOW + INTERVAL).handle is None
    assert look(world, provider, now=NOW + INTERVAL + 1).handle == world.handle, "a renewal is due"
    assert provider.asked == []


DOUBTS = [BadAnswer("x"), CredentialsRejected("x"), LoginRequired("x"), ConfigError(["x"])]
OUTAGES = [Timeout("x"), Unreachable("x")]


@pytest.mark.parametrize("doubt", [*DOUBTS, *OUTAGES], ids=lambda one: type(one).__name__)
def test_whoever_cannot_be_asked_about_stays_and_is_asked_about_again_after_a_minute(make, doubt, caplog):
    world, provider = make(), Asked(doubt)
    found = look(world, provider)
    assert (found.session, found.handle, found.changed) == (world.session, world.handle, False)
    assert "session_not_checked" in caplog.text
    assert world.stored() == world.session
    assert look(world, provider, now=DUE + REVALIDATION_BACKOFF - 1).session == world.session
    assert len(provider.asked) == 1
    assert look(world, provider, now=DUE + REVALIDATION_BACKOFF).changed
    assert len(provider.asked) == 2


@pytest.mark.parametrize("doubt", [*DOUBTS, *OUTAGES], ids=lambda one: type(one).__name__)
def test_during_an_outage_one_person_is_asked_about_for_all_and_the_first_answer_ends_it(make, doubt):
    world, is_outage = make(), doubt in OUTAGES
    provider = Asked(doubt, doubt if is_outage else None)
    others = [world.store.create(world.session, until=NOW + 3600, now=NOW) for _ in range(3)]
    look(world, provider)
    assert look(world, provider, handle=others[0]).session is not None
    assert len(provider.asked) == (1 if is_outage else 2)
    if is_outage:
        assert look(world, provider, now=DUE + REVALIDATION_BACKOFF - 1, handle=others[1]).session is not None
        assert len(provider.asked) == 1
        later = DUE + REVALIDATION_BACKOFF
        look(world, provider, now=later, handle=others[2])
        assert len(provider.asked) == 2, "one tries again"
        assert not look(world, provider, now=later).changed
        assert len(provider.asked) == 2
        later += REVALIDATION_BACKOFF
        for handle in (world.handle, others[2]):
            assert look(world, provider, now=later, handle=handle).changed
        assert len(provider.asked) == 4


def test_while_one_tries_whether_an_outage_is_over_nobody_else_does(make):
    world, provider = make(), Asked(Timeout("x"))
    other = world.store.create(world.session, until=NOW + 3600, now=NOW)
    look(world, provider)
    later, runtime = DUE + REVALIDATION_BACKOFF, Runtime(world, world.store)  # type: ignore[arg-type]
    cookie = f"{world.context.names_for(URI).session}={world.handle}"
    steps = look_up_for_page(world.context, provider, cookie, URI, now=later)
    effect = next(steps)
    while not isinstance(effect, Shielded):
        effect = steps.send(effect.perform(runtime))
    assert not look(world, provider, now=later, handle=other).changed
    assert len(provider.asked) == 1
    with pytest.raises(StopIteration) as ended:
        steps.send(effect.perform(runtime))
    assert ended.value.value.changed
    assert look(world, provider, now=later + REVALIDATION_BACKOFF, handle=other).changed, "it is over"


NOES = [NotApproved("x"), NotFound("x"), ClientDisabled("x"), ClientUnknown("x"), TokenRejected("x")]


@pytest.mark.parametrize("no", NOES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("policy", ["end", "keep"])
def test_a_clear_no_ends_the_session_unless_the_policy_keeps_it(make, no, policy, caplog):
    world, provider = make(recheck_policy=policy), Asked(no)
    found = look(world, provider)
    if policy == "end":
        assert (found.session, found.ended, found.changed) == (None, EndReason.WITHDRAWN, False)
        assert world.stored() is EndReason.WITHDRAWN
        assert "session_ended person=" in caplog.text
        assert f"cause={no.code}" in caplog.text
    else:
        assert (found.session, found.ended) == (replace(world.session, checked_at=DUE), None)
        assert found.changed
        assert world.stored() == world.session
        assert "session_kept person=" in caplog.text


def test_a_no_that_could_not_be_stored_is_asked_for_again_at_once(make):
    class Down(Store):
        def drop(self, handle: str, *, why: Any, now: int) -> None:
            raise StoreUnavailable("as asked for")

    world, provider = make(), Asked(NotApproved("x"), NotApproved("x"))
    world.store.__class__ = Down
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            look(world, provider)
    assert len(provider.asked) == 2


@pytest.mark.parametrize("refreshed", [NEW, TokenRejected("x")], ids=["yes", "no"])
def test_a_token_that_is_due_is_refreshed_before_the_question_and_a_refusal_of_that_is_the_answer(make, refreshed):
    world, provider = make(OLD), Asked(refreshed=refreshed)
    found = look(world, provider)
    if refreshed is NEW:
        assert (found.session.tokens, found.session.user.name, len(provider.asked)) == (NEW, "Ada", 1)
    else:
        assert (found.session, found.ended, provider.asked) == (None, EndReason.WITHDRAWN, [])
    assert len(provider.refreshed) == 1


# --- an inner application ---


def nested(world: World, inner: Any, provider: Any, *, now: int, **changes: Any) -> Any:
    name = inner.names_for(URI).session
    known = world.known(**{"handle": None, "at": now, **changes})
    steps = look_up_nested(inner, provider, known, f"{name}={world.handle}", now=now)
    return play(world, steps), known


def test_the_limits_of_an_inner_application_end_a_session_too(make):
    world, provider = make(recheck=0), Asked()
    inner = make(recheck=0, session_idle=1000).context
    found, known = nested(world, inner, provider, now=NOW + 999, handle="the outer one's")
    assert found == known._replace(renewed_by=inner)
    found, known = nested(world, inner, provider, now=NOW + 1000)
    assert found == known._replace(session=None, ended=EndReason.IDLE)
    found, known = nested(world, make(recheck=EVERY, session_idle=1000).context, provider, now=NOW + 1000)
    assert found == known._replace(session=None, ended=EndReason.IDLE)
    assert provider.asked == [], "what has ended is asked about no more"


def test_a_renewal_that_is_due_further_in_has_its_handle_from_the_cookie(make):
    world, provider = make(recheck=0), Asked()
    inner = make(recheck=0, session_idle=1000).context
    found, known = nested(world, inner, provider, now=NOW + 50)
    assert found == known
    found, known = nested(world, inner, provider, now=NOW + 51)
    assert found == known._replace(handle=world.handle, renewed_by=inner)


def test_a_check_that_is_due_further_in_is_made(make):
    world, provider = make(recheck=0), Asked()
    inner = make(recheck=EVERY).context
    found, known = nested(world, inner, provider, now=DUE - 1)
    assert (found, provider.asked) == (known, [])
    found, _ = nested(world, inner, provider, now=DUE)
    assert (found.session.user.name, found.changed, provider.asked) == ("Ada", True, [world.session.id])
    inner = make(recheck=EVERY).context
    found, _ = nested(world, inner, Asked(NotApproved("x")), now=DUE)
    assert (found.session, found.ended) == (None, EndReason.WITHDRAWN)


def test_nobody_is_nobody_further_in_too(make):
    world, provider = make(), Asked()
    for changes in ({"session": None}, {"uri": None}):
        found, known = nested(world, make(recheck=0).context, provider, now=NOW + INTERVAL + 1, **changes)
        assert found == known
    assert provider.asked == []


def test_a_profile_is_not_asked_for_once_the_server_has_ended_the_login(make):
    world, provider = make(OLD), Asked(refreshed=TokenRejected("x"))
    with pytest.raises(LoginRequired, match="no session"):
        play(world, refresh_profile(world.context, provider, world.known(), "", now=NOW))
    assert provider.asked == []
