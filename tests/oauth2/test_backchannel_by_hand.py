"""What a logout token does to the store, step by step: what is claimed, for how long, and which sessions end."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import ISSUER, NOW, OLD, Store, context_of
from xwms_auth import Identity, StoreUnavailable, User
from xwms_auth._core.base.crypto.digests import digest, login_digest
from xwms_auth._core.base.effects import Runtime, run
from xwms_auth._core.base.errors import ConfigError, TokenRejected
from xwms_auth._core.base.models import EndReason, TokenSet
from xwms_auth._core.base.session import Session
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request, Response
from xwms_auth._core.login.backchannel_logout import log_out, require_login_goes_on
from xwms_auth._core.providers.protocol import LogoutTokenClaims

TOKEN = f"logout/{digest('token-1')}"
LOGIN = f"ended/{login_digest(ISSUER, 's-1')}"


class World:
    """A store with sessions, and an authorization server whose logout token says what a test wants."""

    def __init__(self, store: Any = None, *, context: Context | None = None) -> None:
        self.store = store or Store()
        self.context = context or context_of()
        self.claims = LogoutTokenClaims(sub="17", sid=None, token_id="token-1")
        self.tokens: Any = self
        self.posted: list[str] = []

    def verify_logout_token(self, context: Context, logout_token: str, *, now: int) -> Any:
        yield from ()
        self.posted.append(logout_token)
        return self.claims

    def shielded(self, steps: Any, runtime: Runtime) -> Any:
        return run(steps, runtime)

    def play(self, steps: Any) -> Any:
        return run(steps, Runtime(self, self.store))  # type: ignore[arg-type]

    def post(self, *, sub: str | None = "17", sid: str | None = None, now: int = NOW) -> Response:
        self.claims = LogoutTokenClaims(sub=sub, sid=sid, token_id="token-1")
        request = Request(method="POST", path="/logout-token", form={"logout_token": "a.b.c"})
        response: Response = self.play(log_out(self.context, self, request, now=now))  # type: ignore[arg-type]
        return response

    def session(self, *, sub: str = "17", tokens: TokenSet | None = OLD) -> str:
        session = Session(id="", user=User(issuer=ISSUER, sub=sub), started_at=NOW, seen_at=NOW, tokens=tokens)
        return str(self.store.create(session, until=NOW + 9000, now=NOW))

    def has_ended(self, handle: str) -> bool:
        return self.store.load(handle, now=NOW) is EndReason.REVOKED


def of_login(sid: str | None) -> TokenSet:
    return replace(OLD, sid=sid)


def told(response: Response) -> tuple[int, str]:
    return response.status, response.body


DONE, REFUSED = (200, "{}"), (400, '{"error": "invalid_request"}')


def test_a_logout_token_is_used_up_for_a_moment_and_once_its_sessions_have_ended_for_longer(caplog):
    world = World()
    handle = world.session()
    assert told(world.post()) == DONE
    assert world.posted == ["a.b.c"]
    assert world.store.claims == [(TOKEN, NOW + 30), (TOKEN, NOW + 600)]
    assert world.store.released == [TOKEN]
    assert world.has_ended(handle)
    assert told(world.post(now=NOW + 599)) == REFUSED
    assert "refused code=token_rejected path='/logout-token'" in caplog.text
    assert told(world.post(now=NOW + 600)) == DONE


def test_where_a_login_is_named_its_callbacks_hear_of_it_in_every_process():
    world = World()
    assert told(world.post(sid="s-1")) == DONE
    assert world.store.claims == [(TOKEN, NOW + 30), (LOGIN, NOW + 600), (TOKEN, NOW + 600)]
    assert "s-1" in world.context.state.ended_logins
    for now, ended in ((NOW + 599, True), (NOW + 600, False)):
        assert world.context.state.ended_logins.holds("s-1", now=now) is ended


def test_what_a_logout_token_without_a_form_field_says_is_nothing():
    world = World()
    request = Request(method="POST", path="/logout-token")
    world.play(log_out(world.context, world, request, now=NOW))  # type: ignore[arg-type]
    assert world.posted == [""]


@pytest.mark.parametrize(
    ("sub", "sid", "ended"),
    [
        ("17", None, {"s-1", "s-2", "nameless", "no tokens"}),
        ("17", "s-1", {"s-1", "nameless", "no tokens"}),
        ("17", "s-9", {"nameless", "no tokens"}),
        (None, "s-1", {"s-1", "another's s-1"}),
        (None, "s-9", set()),
        ("99", None, set()),
    ],
)
def test_the_sessions_that_a_logout_may_mean_end_and_no_others(sub, sid, ended, caplog):
    caplog.set_level("INFO")
    world = World()
    handles = {
        "s-1": world.session(tokens=of_login("s-1")),
        "s-2": world.session(tokens=of_login("s-2")),
        "nameless": world.session(tokens=of_login(None)),
        "no tokens": world.session(tokens=None),
        "another's": world.session(sub="18", tokens=of_login("s-2")),
        "another's s-1": world.session(sub="18", tokens=of_login("s-1")),
    }
    assert told(world.post(sub=sub, sid=sid)) == DONE
    assert {name for name, handle in handles.items() if world.has_ended(handle)} == ended
    logged = [
        line.partition("person=")[2].strip("'") for line in caplog.messages if line.startswith("logged_out_at_xwms")
    ]
    people = [sub] if sub is not None else ["18" if "another" in name else "17" for name in ended]
    assert sorted(logged) == sorted(world.context.log_name(Identity(ISSUER, one)) for one in people)


class NoList(Store):
    """Cannot list sessions, as the cookie store cannot."""

    def list(self, identity: Identity, *, now: int) -> Sequence[Session]:
        raise ConfigError(["this store cannot list"])

    def revoke_all(self, identity: Identity, *, now: int) -> None:
        for session in super().list(identity, now=now):
            self.revoke(session.id, now=now)


def test_a_store_that_cannot_list_ends_all_sessions_of_the_person():
    world = World(NoList())
    handles = [world.session(tokens=of_login(sid)) for sid in ("s-1", "s-2")]
    other = world.session(sub="18")
    assert told(world.post(sid="s-1")) == DONE
    assert [world.has_ended(handle) for handle in (*handles, other)] == [True, True, False]


class NoLogins:
    """Has the methods of every store, and none of `FindsLogins` and `KnowsClaims`."""

    def __init__(self) -> None:
        self.claimed_names: set[str] = set()

    def claim(self, name: str, *, until: int, now: int) -> bool:
        is_new = name not in self.claimed_names
        self.claimed_names.add(name)
        return is_new

    def release(self, name: str) -> None:
        self.claimed_names.discard(name)


def test_a_store_that_cannot_find_logins_refuses_the_token_and_it_may_come_again(caplog):
    world = World(NoLogins())
    for _ in range(2):
        assert told(world.post(sub=None, sid="s-1")) == REFUSED
        assert TOKEN not in world.store.claimed_names
        assert "cannot find sessions by sid" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(("kind", "seconds"), [(StoreUnavailable, 0), (RuntimeError, 30)])
def test_a_token_whose_sessions_were_not_ended_may_come_again(kind, seconds):
    class Fails(Store):
        errors = [kind("as asked for")]

        def revoke_all(self, identity: Identity, *, now: int) -> None:
            if self.errors:
                raise self.errors.pop()
            super().revoke_all(identity, now=now)

    world = World(Fails())
    handle = world.session()
    with pytest.raises(kind):
        world.post()
    if seconds:
        assert told(world.post(now=NOW + seconds - 1)) == REFUSED
    assert not world.has_ended(handle)
    assert told(world.post(now=NOW + seconds)) == DONE
    assert world.has_ended(handle)


@pytest.mark.parametrize(
    ("ended", "tokens", "goes_on"),
    [
        ("s-1", of_login("s-1"), False),
        ("s-1", of_login("s-2"), True),
        ("s-1", of_login(None), True),
        ("None", of_login(None), True),
        ("s-1", None, True),
        (None, of_login("s-1"), True),
    ],
)
def test_a_session_of_a_login_that_has_ended_meanwhile_is_taken_back(ended, tokens, goes_on):
    world = World()
    handle = world.session(tokens=tokens)
    if ended is not None:
        world.post(sub="99", sid=ended)
    steps = require_login_goes_on(world.context, tokens, handle, now=NOW)
    if goes_on:
        world.play(steps)
        assert isinstance(world.store.load(handle, now=NOW), Session)
    else:
        with pytest.raises(TokenRejected, match="logged out at the server"):
            world.play(steps)
        assert world.store.load(handle, now=NOW) is None


def test_a_store_that_does_not_tell_what_is_claimed_keeps_the_session():
    world = World(NoLogins())
    world.play(require_login_goes_on(world.context, of_login("s-1"), "a-handle", now=NOW))
