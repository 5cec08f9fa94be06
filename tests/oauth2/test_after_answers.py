"""What is done once a route has been answered, by hand: after the body, once, and without a word if it fails."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.oauth2.test_refresh_by_hand import ISSUER, NEW, NOW, Provider, World
from xwms_auth import Identity
from xwms_auth._core.adapters.after_answer import afollow, follow
from xwms_auth._core.base.effects import Runtime
from xwms_auth._core.base.errors import Unreachable
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Response

pytestmark = pytest.mark.more_packages  # Authlib

PERSON = Identity(ISSUER, "17")
LOGIN, CALLBACK = "/xwms/auth", "/xwms/validateToken"
BODY = [b"the ", b"page"]


class Revokes(Provider):
    """Notes when it is told to take tokens back, and fails as a test says."""

    def __init__(self, error: Exception | None = None, *, has_tokens: bool = True) -> None:
        super().__init__()
        self.error, self.told = error, list[int]()
        if not has_tokens:
            self.tokens = None

    def revoke_pending(self, context: Context, *, now: int) -> Any:
        yield from ()
        self.told.append(now)
        if self.error is not None:
            raise self.error


@dataclass
class Served:
    context: Context
    provider: Revokes

    def now(self) -> int:
        return NOW + 7


def answered(provider: Revokes, path: str = CALLBACK, *, waits: bool = True, is_async: bool, **more: Any) -> Any:
    """What the server gets, and what the provider was told before the body and after it."""
    world = World()
    if waits:
        world.context.state.give_up(NEW, of=PERSON, now=NOW)
    served: Any = Served(world.context, provider)
    response, runtime = Response(status=200, **more), Runtime(world, world.store)  # type: ignore[arg-type]
    if is_async:
        asyncio.run(afollow(served, path, response, runtime))
        return BODY, [], provider.told
    body = follow(served, BODY, path, response, runtime)
    before = list(provider.told)
    assert list(body) == BODY
    return body, before, provider.told


both = pytest.mark.parametrize("is_async", [True, False])


@both
def test_tokens_that_wait_are_taken_back_once_the_body_is_sent(is_async):
    _, before, after = answered(Revokes(), is_async=is_async)
    assert (before, after) == ([], [NOW + 7])


@both
def test_where_nothing_waits_or_there_are_no_tokens_the_body_is_sent_as_it_is(is_async, caplog):
    for provider, waits in ((Revokes(), False), (Revokes(has_tokens=False), True)):
        body, before, after = answered(provider, waits=waits, is_async=is_async)
        assert body is BODY
        assert (before, after) == ([], [])
    assert "token_not_revoked" not in caplog.text


@both
@pytest.mark.parametrize(
    ("path", "logged_in", "revokes"), [(LOGIN, False, False), (LOGIN, True, True), (CALLBACK, False, True)]
)
def test_nothing_is_taken_back_when_a_login_has_just_begun(is_async, path, logged_in, revokes):
    _, _, after = answered(Revokes(), path, is_async=is_async, logged_in=logged_in)
    assert (after == [NOW + 7]) is revokes


@both
@pytest.mark.parametrize("error", [Unreachable("as asked for"), LookupError("whatever")])
def test_a_failure_is_logged_and_changes_nothing(is_async, error, caplog):
    _, _, after = answered(Revokes(error), is_async=is_async)
    assert after == [NOW + 7]
    assert "token_not_revoked cause=" in caplog.text
    assert ("as asked for" in caplog.text) is isinstance(error, Unreachable)
    assert "whatever" not in caplog.text


def test_a_visitor_who_leaves_in_the_middle_of_the_body_changes_nothing_either():
    world, provider = World(), Revokes()
    world.context.state.give_up(NEW, of=PERSON, now=NOW)
    served: Any = Served(world.context, provider)
    body: Any = follow(served, BODY, CALLBACK, Response(status=200), Runtime(world, world.store))  # type: ignore[arg-type]
    assert next(body) == BODY[0]
    assert provider.told == []
    body.close()
    assert provider.told == [NOW + 7]
