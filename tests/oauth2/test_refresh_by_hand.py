"""Refreshing the tokens of a session without a server: what a provider says is played, and so is who was faster."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from xwms_auth import Identity, LoginRequired, User, XWMSConfig
from xwms_auth._core.base.effects import Runtime, run
from xwms_auth._core.base.errors import ConfigError, TokenRejected, Unreachable
from xwms_auth._core.base.models import EndReason, Secret, TokenSet
from xwms_auth._core.base.session import Session
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.http.urls import parse_redirect_uri
from xwms_auth._core.login import backchannel_logout
from xwms_auth._core.sessions.lookup import SessionLookup
from xwms_auth._core.sessions.token_refresh import access_token
from xwms_auth.stores.memory import MemoryStore

NOW = 1_800_000_000
ISSUER = "https://as.example"
URI = parse_redirect_uri("https://app.example/xwms/validateToken")
OLD = TokenSet(
    access_token=Secret("old"), refresh_token=Secret("refresh-me"), id_token=None, scope=(), expires_at=NOW - 1
)
NEW = replace(OLD, access_token=Secret("new"), refresh_token=Secret("refresh-more"), expires_at=NOW + 900, number=1)


def context_of(**options: Any) -> Context:
    given: dict[str, Any] = {"client_id": "id", "flow": "oauth2", "issuer": ISSUER, "timeout": 3, **options}
    return Context.of(
        XWMSConfig(
            client_secret="secret",
            redirect_uris=URI.uri,
            session_secret="0123456789abcdefghijklmnopqrstuv",
            **given,
        )
    )


class Store(MemoryStore):
    """Notes which names are claimed, until when, and which are released."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[tuple[str, int]] = []
        self.released: list[str] = []

    def claim(self, name: str, *, until: int, now: int) -> bool:
        self.claims.append((name, until))
        return super().claim(name, until=until, now=now)

    def release(self, name: str) -> None:
        self.released.append(name)
        super().release(name)


class Provider:
    """Plays the server: what `refresh` gives is a token set, an error, or what a function does first."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)
        self.refreshed: list[TokenSet] = []
        self.revoked: list[TokenSet] = []
        self.tokens: Any = self
        self.prepared = 0

    def prepare_refresh(self, context: Context, *, now: int) -> Any:
        yield from ()
        self.prepared += 1

    def refresh(self, context: Context, tokens: TokenSet, *, sub: str, now: int) -> Any:
        yield from ()
        self.refreshed.append(tokens)
        assert sub == "17"
        result = self.results.pop(0)
        if callable(result):
            result = result()
        if isinstance(result, Exception):
            raise result
        return result

    def revoke_tokens(self, context: Context, tokens: TokenSet, *, of: Identity, now: int) -> Any:
        yield from ()
        assert of.sub == "17"
        self.revoked.append(tokens)


class World:
    """A store with one session, and a wait that does what a test says."""

    def __init__(
        self, tokens: TokenSet | None = OLD, *, context: Context | None = None, store: Store | None = None
    ) -> None:
        self.context = context or context_of()
        self.store = store or Store()
        session = Session(id="", user=User(issuer=ISSUER, sub="17"), started_at=NOW, seen_at=NOW, tokens=tokens)
        self.handle = self.store.create(session, until=NOW + 3600, now=NOW)
        self.session = self.stored()
        self.paused: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        assert len(self.paused) < 500
        self.meanwhile()

    def send(self, call: object) -> Any:
        raise AssertionError(f"nobody is called: {call}")

    def shielded(self, steps: Any, runtime: Runtime) -> Any:
        return run(steps, runtime)

    def stored(self) -> Any:
        return self.store.load(self.handle, now=NOW)

    def store_tokens(self, tokens: TokenSet) -> None:
        """Another process has refreshed, and saved what it got."""
        self.store.renew(self.handle, replace(self.session, tokens=tokens), until=NOW + 3600, now=NOW)

    def known(self, **changes: Any) -> SessionLookup:
        return SessionLookup(URI, self.handle, self.session, at=NOW)._replace(**changes)

    def token(self, provider: Any, *, cookie: str = "", now: int = NOW, **changes: Any) -> Any:
        steps = access_token(self.context, provider, self.known(**changes), cookie, now=now)
        return run(steps, Runtime(self, self.store))  # type: ignore[arg-type]


def text(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({"expires_at": NOW + 61}, True),
        ({"expires_at": NOW + 60}, False),
        ({"expires_at": None}, True),
        ({"expires_at": NOW + 1, "refresh_token": None}, True),
    ],
)
def test_a_token_is_refreshed_a_minute_before_its_end_if_it_can_be(changes, usable):
    world, provider = World(replace(OLD, **changes)), Provider(NEW)
    _, token = world.token(provider)
    assert text(token) == ("old" if usable else "new")
    assert len(provider.refreshed) == (not usable)
    assert len(world.store.claims) == (not usable)


def test_what_cannot_be_refreshed_is_used_to_its_end_and_then_needs_a_login():
    world = World(replace(OLD, expires_at=NOW, refresh_token=None))
    with pytest.raises(LoginRequired, match="no refresh token"):
        world.token(Provider())
    assert isinstance(world.stored(), Session)


def test_a_session_without_tokens_or_a_login_without_any_needs_a_login():
    with pytest.raises(LoginRequired, match="this login has no access token"):
        World(None).token(Provider())
    tokenless = Provider()
    tokenless.tokens = None
    with pytest.raises(LoginRequired, match="protocol has no access tokens"):
        World().token(tokenless)
    with pytest.raises(ConfigError):
        World(context=context_of(flow="sign-token", issuer="")).token(Provider())


def test_new_tokens_are_stored_before_they_are_used_and_the_lock_stays_until_its_end(caplog):
    caplog.set_level("INFO")
    world, provider = World(), Provider(NEW)
    known, token = world.token(provider)
    assert text(token) == "new"
    assert world.stored().tokens == known.session.tokens == NEW
    assert (known.handle, known.changed, known.has_new_tokens) == (world.handle, False, False)
    [(lock, until)] = world.store.claims
    assert lock.startswith("refresh/")
    assert "refresh-me" not in lock
    assert (until, world.store.released, world.paused) == (NOW + 5, [], [])
    assert provider.prepared == 1
    assert "token_refreshed" in caplog.text


def test_tokens_that_this_process_has_refreshed_are_used_by_a_session_that_has_not_heard_of_it():
    world, provider = World(), Provider(NEW)
    world.token(provider)
    known, token = world.token(provider)
    assert text(token) == "new"
    assert known.changed
    assert len(provider.refreshed) == 1
    known, token = world.token(provider, session=world.stored())
    assert (text(token), known.changed) == ("new", False)


@pytest.mark.parametrize("changed", [True, False])
def test_a_session_that_is_to_be_saved_anyway_still_is(changed):
    world = World(replace(OLD, expires_at=NOW + 900))
    known, token = world.token(Provider(), changed=changed)
    assert (text(token), known.changed) == ("old", changed)


def test_a_handle_that_was_not_looked_up_is_read_from_the_cookie():
    world, provider = World(), Provider(NEW)
    names = world.context.names_for(URI)
    known, _ = world.token(provider, cookie=f"{names.session}={world.handle}", handle=None)
    assert known.handle == world.handle
    assert world.stored().tokens == NEW


def test_a_session_that_has_no_handle_at_all_goes_on_with_the_new_tokens():
    world, provider = World(), Provider(NEW)
    known, token = world.token(provider, handle=None, uri=None)
    assert (text(token), known.session.tokens, world.paused) == ("new", NEW, [])
    assert world.stored().tokens == OLD


@pytest.mark.parametrize("sent", [True, False])
def test_a_server_that_does_not_say_leaves_the_session_and_is_asked_again_only_if_it_heard_nothing(sent, caplog):
    world = World()
    provider = Provider(Unreachable("x", sent=sent), NEW)
    with pytest.raises(Unreachable):
        world.token(provider)
    assert world.stored().tokens == OLD
    assert "token_not_refreshed" in caplog.text
    assert bool(world.store.released) is not sent
    if not sent:
        _, token = world.token(provider)
        assert text(token) == "new"


@pytest.mark.parametrize("has_handle", [True, False])
def test_a_refusal_ends_the_session(has_handle, caplog):
    world = World()
    changes = {} if has_handle else {"handle": None, "uri": None}
    known, token = world.token(Provider(TokenRejected("x")), **changes)
    assert (known.session, known.ended, token) == (None, EndReason.WITHDRAWN, None)
    assert (world.stored() is EndReason.WITHDRAWN) is has_handle
    assert "session_ended" in caplog.text


def test_a_refusal_says_nothing_if_another_process_has_refreshed_meanwhile():
    world = World()

    def faster() -> Exception:
        world.store_tokens(NEW)
        return TokenRejected("the old refresh token is used up")

    known, token = world.token(Provider(faster))
    assert (text(token), known.session.tokens) == ("new", NEW)
    assert isinstance(world.stored(), Session)


def test_a_session_that_another_process_has_refreshed_is_not_refreshed_again():
    world, provider = World(), Provider()
    world.store_tokens(NEW)
    _, token = world.token(provider)
    assert text(token) == "new"
    assert provider.refreshed == []
    assert world.store.released == [name for name, _ in world.store.claims]


def test_tokens_that_another_request_of_this_process_has_just_refreshed_are_not_refreshed_again():
    """With the cookie store nobody else can know of it: what is stored is what the browser has sent."""

    class Faster(Provider):
        def prepare_refresh(self, context: Context, *, now: int) -> Any:
            yield from super().prepare_refresh(context, now=now)
            context.state.refreshed_tokens.put(Secret("refresh-me"), NEW, now=now)

    world, provider = World(), Faster()
    known, token = world.token(provider, handle=None, uri=None)
    assert (text(token), known.session.tokens, known.changed) == ("new", NEW, True)
    assert (provider.refreshed, world.store.released) == ([], [name for name, _ in world.store.claims])


def test_a_session_whose_tokens_are_gone_meanwhile_needs_a_login():
    world, provider = World(), Provider()
    bare = world.store.create(replace(world.session, tokens=None), until=NOW + 3600, now=NOW)
    with pytest.raises(LoginRequired, match="this login has no access token"):
        world.token(provider, handle=bare)
    assert provider.refreshed == []


def test_a_session_that_has_ended_meanwhile_gets_no_token_and_says_why():
    world, provider = World(), Provider()
    world.store.drop(world.handle, why=EndReason.REVOKED, now=NOW)
    known, token = world.token(provider)
    assert (known.session, known.ended, token) == (None, EndReason.REVOKED, None)
    assert provider.refreshed == []
    world.store.drop(world.handle, why=None, now=NOW)
    known, token = world.token(provider)
    assert (known.session, known.ended, token) == (None, None, None)


def test_tokens_for_somebody_who_has_logged_out_meanwhile_are_taken_back():
    world = World()

    def logged_out() -> TokenSet:
        world.store.drop(world.handle, why=None, now=NOW)
        return NEW

    provider = Provider(logged_out)
    known, token = world.token(provider)
    assert (known.session, token, provider.revoked, world.paused) == (None, None, [NEW], [])


def held(world: World) -> None:
    """Another process has begun to refresh."""
    provider = Provider(Unreachable("x"))
    with pytest.raises(Unreachable):
        world.token(provider)
    assert world.store.released == []


def test_while_another_process_refreshes_nobody_else_does_and_all_get_what_it_got():
    world, provider = World(), Provider()
    held(world)
    world.meanwhile = lambda: world.store_tokens(NEW) if len(world.paused) == 3 else None
    known, token = world.token(provider)
    assert (text(token), known.session.tokens, known.ended) == ("new", NEW, None)
    assert (provider.refreshed, world.paused) == ([], [0.05] * 3)


def test_a_session_that_ends_while_another_process_refreshes_is_not_waited_for_any_longer():
    world = World()
    held(world)
    world.meanwhile = lambda: world.store.drop(world.handle, why=EndReason.REVOKED, now=NOW)
    known, token = world.token(Provider())
    assert (known.session, known.ended, token, len(world.paused)) == (None, EndReason.REVOKED, None, 1)


def test_a_process_that_has_died_is_waited_for_until_its_lock_ends(monkeypatch):
    world = World()
    held(world)
    _, token = world.token(Provider(NEW))
    assert text(token) == "new"
    assert 5.0 <= sum(world.paused) <= 6.1


class Held(Store):
    """Another process refreshes, and never ends."""

    def claim(self, name: str, *, until: int, now: int) -> bool:
        return False


@pytest.mark.parametrize("pauses", [80, 100, 121])
def test_a_lock_that_does_not_end_is_waited_for_a_second_longer_than_it_should_last(pauses):
    """The lock lasts two seconds longer than the timeout."""
    longest = 0.0
    for _ in range(pauses):
        longest += 0.05
    world = World(context=context_of(timeout=longest - 3), store=Held())
    with pytest.raises(Unreachable, match="has not finished in time") as error:
        world.token(Provider())
    assert not error.value.sent
    assert world.paused == [0.05] * pauses


def test_where_there_are_no_tokens_no_logout_token_is_one(caplog):
    """No door has the route then; it is refused all the same."""
    caplog.set_level("INFO")
    tokenless: Any = Provider()
    tokenless.tokens = None
    request = Request(method="POST", path="/xwms/backchannel-logout", form={"logout_token": "a.b.c"})
    world = World()
    steps = backchannel_logout.log_out(world.context, tokenless, request, now=NOW)
    response = run(steps, Runtime(world, world.store))  # type: ignore[arg-type]
    assert response.status == 400
    assert "no logout tokens" in caplog.text
