"""The health answer: whether the store answers in time, and what this process knows of XWMS, on each door."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime, timedelta

import flask
import pytest
import trio
from starlette.responses import JSONResponse
from starlette.routing import Route

import xwms_auth.asgi
import xwms_auth.flask
import xwms_auth.wsgi
from tests.tools.several import config_for
from tests.tools.site import LOGIN, Site
from xwms_auth import Health, StoreUnavailable, XWMSConfig
from xwms_auth._core.base.health import Upstream
from xwms_auth._core.base.health import health_of as health_of_clients
from xwms_auth.stores.memory import MemoryStore

every_door = pytest.mark.parametrize("edge", ["flask", "wsgi", "asgi"])


class Store(MemoryStore):
    """A store of the application's own, which answers, is down, breaks or hangs. `asked` counts."""

    def __init__(self, *, is_async: bool = False) -> None:
        super().__init__()
        self.is_async, self.state, self.asked, self.text = is_async, "up", 0, "a secret"
        self.gate = threading.Event()

    def claimed(self, names, *, now):
        self.asked += 1
        return self._async_answer(names) if self.is_async else self._answer(names)

    def _answer(self, names):
        if self.state == "down":
            raise StoreUnavailable("connection refused")
        if self.state == "broken":
            return int(self.text)
        if self.state == "hanging":
            self.gate.wait(20)
        return [False for _ in names]

    async def _async_answer(self, names):
        if self.state == "hanging":
            for _ in range(2000):
                if self.gate.is_set():
                    break
                await asyncio.sleep(0.01)
            return [False]
        return self._answer(names)


class Door:
    """One application with a store of its own, and its health."""

    def __init__(self, edge: str, config: XWMSConfig) -> None:
        self.edge = edge
        if edge == "flask":
            self.app = flask.Flask("app")
            self.auth = xwms_auth.flask.XWMSAuth(self.app, config)
        elif edge == "wsgi":
            self.auth = xwms_auth.wsgi.XWMSAuth(lambda environ, start: [], config)
        else:
            self.auth = xwms_auth.asgi.XWMSAuthMiddleware(nothing, config)

    def health(self, **options: float) -> Health:
        found = self.auth.health(**options)
        return asyncio.run(found) if self.edge == "asgi" else found


async def nothing(scope, receive, send):
    pass


@pytest.fixture
def store(edge):
    store = Store(is_async=edge == "asgi")
    yield store
    store.gate.set()


@pytest.fixture
def door(edge, fx, store):
    return Door(edge, XWMSConfig(**fx.options(session_store=store)))


@every_door
def test_a_store_that_answers_is_healthy_and_xwms_is_not_asked(door, fx, store):
    health = door.health()
    assert health == Health(store_reachable=True, circuit="closed", last_success=None)
    assert health.ok
    assert fx.requests == []
    assert store.asked == 1
    assert json.loads(json.dumps(health.as_dict())) == {
        "ok": True,
        "store_reachable": True,
        "circuit": "closed",
        "last_success": None,
    }


@every_door
@pytest.mark.parametrize("state", ["down", "broken"])
def test_a_store_that_fails_is_told_and_logged_without_its_text(door, store, state, caplog):
    store.state = state
    assert not door.health().ok
    assert ("store_unhealthy cause='connection refused'" in caplog.text) is (state == "down")
    assert "a secret" not in caplog.text
    store.state = "up"
    assert door.health().ok


@pytest.mark.parametrize("edge", ["flask", "wsgi"])
def test_a_store_that_hangs_has_its_time_and_is_asked_once(door, store, caplog):
    store.state = "hanging"
    began = time.monotonic()
    healths: list[Health] = []
    threads = [threading.Thread(target=lambda: healths.append(door.health(timeout=0.2))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [health.ok for health in healths] == [False] * 5
    assert not door.health(timeout=0.1).store_reachable
    assert 0.2 <= time.monotonic() - began < 10
    assert store.asked <= 5
    assert "store_unhealthy cause='no answer in time'" in caplog.text
    asked = store.asked
    assert not door.health(timeout=0).ok
    assert store.asked == asked
    store.state = "up"
    store.gate.set()
    assert door.health(timeout=10).ok


@pytest.mark.parametrize("edge", ["asgi"])
def test_a_store_that_hangs_has_its_time_in_async_code_and_is_asked_once(door, store):
    store.state = "hanging"

    async def ask() -> list[Health]:
        first = await asyncio.gather(*(door.auth.health(timeout=0.1) for _ in range(5)))
        assert store.asked == 1
        store.gate.set()
        return [*first, await door.auth.health(timeout=10)]

    assert [health.ok for health in asyncio.run(ask())] == [False] * 5 + [True]


@pytest.mark.parametrize("edge", ["asgi"])
def test_health_on_trio(fx, store):
    store.is_async = False
    door = Door("asgi", XWMSConfig(**fx.options(session_store=store)))
    assert trio.run(door.auth.health).ok
    store.state = "down"
    assert not trio.run(door.auth.health).ok


@pytest.mark.parametrize("kind", ["cookie", "memory://", "sqlite"])
@every_door
def test_each_store_of_ours_is_healthy(edge, fx, kind, tmp_path):
    url = f"sqlite:///{tmp_path}/sessions.db" if kind == "sqlite" else kind
    assert Door(edge, XWMSConfig(**fx.options(session_store=url))).health(timeout=20).ok


@every_door
def test_a_redis_that_is_down_is_unhealthy_within_its_time(edge, fx):
    door = Door(edge, XWMSConfig(**fx.options(session_store="redis://127.0.0.1:1/0")))
    began = time.monotonic()
    assert not door.health(timeout=1).ok
    assert time.monotonic() - began < 10


@every_door
def test_a_revocation_store_that_is_down_is_unhealthy(edge, fx):
    door = Door(edge, XWMSConfig(**fx.options(revocation_store="redis://127.0.0.1:1/0")))
    assert not door.health(timeout=1).ok


class WithoutClaimed(MemoryStore):
    """A store that can tell what is claimed by claiming it only."""

    claimed = None

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def claim(self, name, *, until, now):
        self.asked.append(f"claim {name}")
        return super().claim(name, until=until, now=now)

    def release(self, name):
        self.asked.append(f"release {name}")
        super().release(name)


@every_door
def test_a_store_that_cannot_tell_what_is_claimed_is_asked_to_claim_something_and_release_it(edge, fx):
    store = WithoutClaimed()
    door = Door(edge, XWMSConfig(**fx.options(session_store=store)))
    assert door.health().ok
    assert store.asked == ["claim health", "release health"]


# --- what is known of XWMS ---


def health_of(site: Site) -> Health:
    if site.edge == "flask":
        with site.app.app_context():
            return AUTH[site.edge](site)
    return AUTH[site.edge](site)


AUTH = {
    "flask": lambda site: with_auth(site).health(),
    "wsgi": lambda site: site.app.health(),
    "asgi": lambda site: asyncio.run(site.app.health()),
}


def with_auth(site: Site) -> "xwms_auth.flask.XWMSAuth":
    """Flask's application keeps its login, and any `XWMSAuth` finds it in the application's context."""
    return xwms_auth.flask.XWMSAuth()


@every_door
def test_the_last_answer_of_xwms_is_told_with_its_time(site):
    before = datetime.now(UTC) - timedelta(seconds=2)
    assert site.browser().get(LOGIN).status_code == 302
    health = health_of(site)
    assert health.circuit == "closed"
    assert health.last_success is not None
    assert before <= health.last_success <= datetime.now(UTC)


@every_door
def test_the_circuit_opens_after_outages_and_the_login_of_others_goes_on(make_site):
    site = make_site(api_url="http://127.0.0.1:1/api/")
    browser = site.browser()
    for _ in range(5):
        assert health_of(site).circuit == "closed"
        assert browser.get(LOGIN).status_code == 503
    outage = health_of(site)
    assert (outage.circuit, outage.last_success, outage.ok) == ("open", None, True)


@every_door
def test_an_error_of_xwms_is_no_success(site):
    site.fx.answer("sign-token", "500 html")
    site.browser().get(LOGIN)
    assert health_of(site).last_success is None


# --- in a page of the application ---


@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_a_page_of_the_application_answers_and_no_page_of_ours_does(site):
    if site.edge == "flask":
        site.app.add_url_rule("/ready", "ready", lambda: with_auth(site).health().as_dict())
    else:

        async def ready(request):
            return JSONResponse((await request.auth.health()).as_dict())

        site.app.app.router.routes.append(Route("/ready", ready))
    assert site.browser().get("/xwms/health").status_code == 404
    answer = site.browser().get("/ready")
    assert answer.json() == {"ok": True, "store_reachable": True, "circuit": "closed", "last_success": None}
    assert "set-cookie" not in answer.headers
    assert "vary" not in answer.headers


# --- several clients ---


@every_door
def test_several_clients_are_as_healthy_as_the_worst_of_them(edge, fx, store):
    first = config_for(fx, "a.example", session_store=store)
    second = config_for(fx, "b.example")
    door = Door(edge, [first, second])
    assert door.health().ok
    store.state = "down"
    assert not door.health().ok


def test_the_time_is_the_oldest_and_unknown_where_one_client_has_none():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    told = Health(store_reachable=True, circuit="open", last_success=at).as_dict()
    assert told["last_success"] == "2026-01-01T00:00:00+00:00"
    early, late = Upstream(circuit="half_open", last_success=1.0), Upstream(last_success=2.0)
    both = health_of_clients([early, late], store_reachable=True)
    assert (both.circuit, both.last_success) == ("half_open", datetime.fromtimestamp(1, UTC))
    assert health_of_clients([early, Upstream()], store_reachable=True).last_success is None
