"""What a lookup comes to where no door gets: nobody is there, the handle is no handle, or it has ended meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import NEW, NOW, OLD, URI, Provider, World
from xwms_auth import LoginRequired, StoreUnavailable
from xwms_auth._core.base.effects import Runtime, run
from xwms_auth._core.base.models import EndReason
from xwms_auth._core.sessions import lookup, revocation
from xwms_auth._core.sessions.lookup import MAX_HANDLE, NO_SESSION
from xwms_auth._core.sessions.revalidation import refresh_profile
from xwms_auth.stores.records import ending_of, is_key, login_of

pytestmark = pytest.mark.more_packages  # Authlib


def play(world: World, steps: Any) -> Any:
    return run(steps, Runtime(world, world.store))  # type: ignore[arg-type]


def test_nobody_was_refused_because_of_a_clock_where_nobody_is():
    world = World()
    cookie = f"{world.context.names_for(URI).ahead}={world.session.id}"
    for known in (NO_SESSION, world.known(uri=None), world.known(session=None)):
        assert lookup.was_refused_as_ahead(world.context, known, cookie) is False
    assert not lookup.was_refused_as_ahead(world.context, world.known(), "")
    assert lookup.was_refused_as_ahead(world.context, world.known(), cookie)


def test_a_session_from_the_future_is_not_one_that_is_too_old():
    world = World(NEW)
    cookie = f"{world.context.names_for(URI).session}={world.handle}"
    found = play(world, lookup.look_up(world.context, cookie, URI, now=NOW - 7200))
    assert (found.session, found.aged) == (None, None)
    assert found.ahead


def test_nobody_may_end_nobodys_session_and_no_store_is_asked(monkeypatch):
    world = World(NEW)
    monkeypatch.setattr(world.store, "list", lambda *_, **__: pytest.fail("the store was asked"))
    assert play(world, revocation.revoke(world.context, world.session.id, sub=None, now=NOW)) is False


def test_a_session_that_has_ended_meanwhile_is_not_renewed():
    world = World(NEW)
    world.store.drop(world.handle, why=EndReason.REVOKED, now=NOW)
    assert play(world, lookup.renew(world.context, world.known(changed=True), now=NOW)) is None
    assert world.stored() is EndReason.REVOKED


def test_there_is_nothing_to_renew_without_a_session_a_handle_or_a_redirect_uri():
    world = World(NEW)
    for changes in ({"session": None}, {"handle": None}, {"uri": None}):
        known = world.known(changed=True, **changes)
        assert play(world, lookup.renew(world.context, known, now=NOW)) is None
    assert play(world, lookup.renew(world.context, world.known(), now=NOW)) is None, "it is not due"
    assert play(world, lookup.renew(world.context, world.known(changed=True), now=NOW)) is not None


@pytest.mark.parametrize("has_new_tokens", [True, False])
def test_a_store_that_is_down_costs_no_page_and_no_new_tokens(has_new_tokens, monkeypatch, caplog):
    caplog.set_level("INFO")
    world = World(NEW)

    def down(*args: object, **more: object) -> None:
        raise StoreUnavailable("as asked for")

    monkeypatch.setattr(world.store, "renew", down)
    known = world.known(changed=True, has_new_tokens=has_new_tokens)
    cookie = play(world, lookup.renew(world.context, known, now=NOW))
    assert (cookie is not None and world.handle in cookie) is has_new_tokens
    assert "session_not_renewed" in caplog.text


@pytest.mark.parametrize("length", [0, MAX_HANDLE, MAX_HANDLE + 1])
def test_a_handle_longer_than_any_is_not_looked_up(length):
    world = World()
    asked: list[str] = []
    world.store.load = lambda handle, *, now: asked.append(handle)  # type: ignore[method-assign,assignment,return-value]
    cookie = f"{world.context.names_for(URI).session}={'a' * length}"
    found = play(world, lookup.look_up(world.context, cookie, URI, now=NOW))
    assert (found.session, found.handle) == (None, "a" * length if asked else None)
    assert len(asked) == (length == MAX_HANDLE)
    assert play(world, lookup.look_up(world.context, cookie, None, now=NOW)).uri is None


@pytest.mark.parametrize("sent", ["its own", "none", "too long"])
def test_the_session_of_a_blocked_account_ends_here_whatever_the_browser_sends(sent, caplog):
    world = World()
    name = world.context.names_for(URI).session
    cookie = {"its own": f"{name}={world.handle}", "none": "", "too long": f"{name}={'a' * (MAX_HANDLE + 1)}"}[sent]
    found, deletes = play(world, revocation.end_here(world.context, world.known(changed=True), cookie, now=NOW))
    assert (found.session, found.handle, found.ended, found.changed) == (None, None, EndReason.REVOKED, False)
    assert deletes.startswith(f"{name}=; ")
    assert "Max-Age=0" in deletes
    assert (world.stored() is EndReason.REVOKED) is (sent == "its own")
    assert "session_ended" in caplog.text


def test_where_nobody_is_no_session_ends():
    world = World()
    for known in (NO_SESSION, world.known(uri=None), world.known(session=None)):
        assert play(world, revocation.end_here(world.context, known, "", now=NOW)) == (known, "")
    assert world.stored() == world.session


@pytest.mark.parametrize(
    ("session_id", "sub", "ended"),
    [
        ("", revocation.ANYBODY, True),
        ("", "17", True),
        ("", "18", False),
        ("", None, False),
        ("another", revocation.ANYBODY, False),
        ("another", "17", False),
        (None, revocation.ANYBODY, False),
        (7, "17", False),
    ],
)
def test_a_session_is_ended_by_its_id_and_only_that_of_the_person(session_id, sub, ended, caplog):
    caplog.set_level("INFO")
    world = World()
    asked = world.session.id if session_id == "" else session_id
    assert play(world, revocation.revoke(world.context, asked, sub=sub, now=NOW)) is ended
    assert (world.stored() is EndReason.REVOKED) is ended
    assert ("session_revoked" in caplog.text) is ended


def test_all_of_a_person_or_all_of_everybody_ends_and_is_told(caplog):
    caplog.set_level("INFO")
    for steps, end in ((revocation.revoke_all, True), (revocation.revoke_client, False)):
        world = World()
        play(world, steps(world.context, "17", now=NOW) if end else steps(world.context, now=NOW))
        assert world.stored() is EndReason.REVOKED
    world = World()
    play(world, revocation.revoke_all(world.context, "18", now=NOW))
    assert world.stored() == world.session
    assert [name in caplog.text for name in ("sessions_revoked person=", "all_sessions_revoked client=")] == [True] * 2


class Confirms(Provider):
    """Says at once that the person is who they were."""

    def revalidate(self, context: Any, session: Any, *, now: int) -> Any:
        yield from ()
        return replace(session, checked_at=now)


def test_a_profile_is_asked_for_with_a_token_that_is_good():
    world, provider = World(OLD), Confirms(NEW)
    found = play(world, refresh_profile(world.context, provider, world.known(), "", now=NOW + 5))
    assert (found.session.tokens, found.session.checked_at, found.changed) == (NEW, NOW + 5, True)
    bare = World(None)
    found = play(bare, refresh_profile(bare.context, provider, bare.known(), "", now=NOW + 5))
    assert (found.session.checked_at, found.handle) == (NOW + 5, bare.handle)
    name = bare.context.names_for(URI).session
    cached = bare.known(handle=None)
    found = play(bare, refresh_profile(bare.context, provider, cached, f"{name}={bare.handle}", now=NOW))
    assert found.handle == bare.handle
    for known in (NO_SESSION, bare.known(uri=None)):
        with pytest.raises(LoginRequired, match="no session"):
            play(bare, refresh_profile(bare.context, provider, known, "", now=NOW))


def test_an_ending_of_a_newer_version_is_an_ending_all_the_same():
    for why in EndReason:
        assert ending_of(str(why)) is why
    assert ending_of("of-a-newer-version") is EndReason.REVOKED


def test_only_what_looks_like_a_key_becomes_one_and_a_login_is_named_by_its_sid():
    assert [is_key(text) for text in ("a" * 43, "-_9Z" + "a" * 39)] == [True] * 2
    assert [
        is_key(text) for text in ("a" * 42, "a" * 44, "a" * 42 + "/", "a" * 42 + "\n", "", "a" * 42 + "\u00e9")
    ] == [False] * 6
    session = World().session
    assert login_of(session) is login_of(replace(session, tokens=None)) is None
    named = login_of(replace(session, tokens=replace(OLD, sid="s")))
    assert named
    assert "s" != named != login_of(replace(session, tokens=replace(OLD, sid="t")))
    elsewhere = replace(session.user, issuer="https://other.example")
    assert login_of(replace(session, user=elsewhere, tokens=replace(OLD, sid="s"))) != named
