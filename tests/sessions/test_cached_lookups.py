"""The lookup without I/O, by hand: what is known at once, what is noted with a handle, and how long a note holds."""

from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import NOW, URI, World, context_of
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.base.session import FUTURE_TOLERANCE, Session
from xwms_auth._core.base.store_protocols import FixedHandles, KnownHandle
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.urls import parse_redirect_uri
from xwms_auth._core.sessions.lookup import NO_SESSION, SessionLookup, cached_lookup

pytestmark = pytest.mark.more_packages  # Authlib

HANDLE = "a-handle"
IDLE, LIFETIME = 2000, 3000
DUE = IDLE // 20 + 1  # seconds after which a session is renewed


class Fixed(FixedHandles):
    """A store in which each handle is the one that a test says."""

    def __init__(self, known: KnownHandle | EndReason | None) -> None:
        self.known = known
        self.asked: list[str] = []

    def find(self, handle: str) -> KnownHandle | EndReason | None:
        self.asked.append(handle)
        return self.known


def context(**options: Any) -> Context:
    return context_of(session_idle=IDLE, session_lifetime=LIFETIME, **options)


def find(context: Context, store: Any, *, now: int = NOW, uri: Any = URI, handle: str = HANDLE) -> SessionLookup | None:
    return cached_lookup(context, store, f"{context.names_for(URI).session}={handle}", uri, now=now)


@pytest.fixture
def session():
    return replace(World(None).session, started_at=NOW, seen_at=NOW, checked_at=NOW)


@pytest.fixture
def store(session):
    return Fixed(KnownHandle(session))


def test_whoever_sends_no_cookie_or_asks_at_another_host_is_nobody_and_no_store_is_asked(store):
    assert find(context(), store, uri=None) is NO_SESSION
    assert cached_lookup(context(), store, "another=cookie", URI, now=NOW) is NO_SESSION
    assert store.asked == []


@pytest.mark.parametrize("ended", [None, EndReason.REVOKED])
def test_a_handle_of_nobody_is_known_at_once_with_why_its_session_ended(ended):
    found = find(context(), Fixed(ended))
    assert found == SessionLookup(URI, HANDLE, None, ended, at=NOW)


def test_a_session_is_noted_with_its_handle_once_that_comes_again(store, session):
    ours = context()
    first, second, third = (find(ours, store, now=NOW + later) for later in (1, 2, 3))
    assert first == SessionLookup(URI, None, session, at=NOW + 1)
    assert second == SessionLookup(URI, None, session, at=NOW + 2)
    assert third is second
    assert store.asked == [HANDLE] * 3


@pytest.mark.parametrize("recheck", [0, 50, IDLE])
def test_a_note_holds_until_there_is_something_to_do_for_the_session(store, recheck):
    ours, ends = context(recheck=recheck), NOW + (min(recheck, DUE) if recheck else DUE)
    begins = NOW - FUTURE_TOLERANCE
    for now in (begins, NOW, ends - 1, begins):
        assert find(ours, store, now=now) is not None
    noted = find(ours, store)
    assert find(ours, store, now=begins) is noted
    for now in (ends, NOW - FUTURE_TOLERANCE - 1):
        assert find(ours, store, now=now) is None, "look_up_for_page knows what to do"
    assert find(ours, store, now=ends - 1) is noted


def test_a_note_is_of_one_application_and_means_nothing_to_another(store):
    """Two applications in one process, whose sessions end at other times."""
    ours = context()
    noted = [find(ours, store) for _ in range(2)][-1]
    theirs, uri = context(recheck=30), parse_redirect_uri(URI.uri)
    name = theirs.names_for(uri).session
    assert cached_lookup(theirs, store, f"{name}={HANDLE}", uri, now=NOW + 30) is None
    found = cached_lookup(theirs, store, f"{name}={HANDLE}", uri, now=NOW + 29)
    assert found is not None
    assert found.uri is uri
    assert found is not noted


def test_a_note_is_made_so_that_no_other_thread_takes_it_for_longer_than_it_holds(session):
    """Lost update: whoever reads it meanwhile would see the times of one note, and another one."""
    seen: list[bool] = []

    class Watched(KnownHandle):
        @property
        def note(self) -> Any:
            return self.kept

        @note.setter
        def note(self, value: Any) -> None:
            seen.append(self.begin <= NOW + DUE - 1 < self.end)
            self.kept = value

    known = Watched(session)
    seen.clear()
    ours, theirs = context(), context(recheck=30)
    for one in (ours, ours, theirs):
        find(one, Fixed(known), uri=parse_redirect_uri(URI.uri))
    assert seen == [False] * 2


class Recalls:
    """A store that knows some sessions without I/O."""

    def __init__(self, session: Session | None) -> None:
        self.session = session

    def recall(self, handle: str, *, now: int) -> Session | None:
        return self.session if handle == HANDLE else None


class Slow(Recalls, Fixed):
    """One whose handles are fixed, but which has to ask somebody about them."""

    loads_at_once = False


@pytest.mark.parametrize("kind", [Recalls, Slow])
def test_of_another_store_only_a_session_that_it_recalls_and_for_which_nothing_is_due_is_known(session, kind):
    ours = context(recheck=50)
    assert find(ours, kind(session), now=NOW + 49) == SessionLookup(URI, None, session, at=NOW + 49)
    assert find(ours, kind(session), now=NOW + 50) is None, "a check is due"
    assert find(context(), kind(session), now=NOW + DUE - 1) is not None
    assert find(context(), kind(session), now=NOW + DUE) is None, "a renewal is due"
    assert find(ours, kind(session), handle="another") is None
    assert find(ours, kind(None)) is None
