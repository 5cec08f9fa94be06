"""Fixtures that every test may use. See tools/site.py for the application they give, tools/places.py for stores."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import pytest

from tests.tools import canaries
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.places import (
    place,
    postgres,
    postgres_of_the_run,
    postgres_url,
    redis_of_the_run,
    redis_url,
    sqlite_url,
    where,
)
from tests.tools.site import Browser, Site
from xwms_auth._core.base import events

__all__ = [
    "place",
    "postgres",
    "postgres_of_the_run",
    "postgres_url",
    "redis_of_the_run",
    "redis_url",
    "sqlite_url",
    "where",
]

PATIENCE = 30.0  # seconds
STORE_TIMEOUTS = (
    "xwms_auth.stores.redis_connections.REDIS_TIMEOUT",
    "xwms_auth.stores.sqlalchemy_engines.DATABASE_TIMEOUT",
    "xwms_auth.stores.sqlite.BUSY_TIMEOUT",
)
PROMPT_ERRORS = "xwms_auth.stores.sqlalchemy_engines.PROMPT"
QUICK_CALLS = tuple(f"xwms_auth._core.{module}.QUICK" for module in ("base.memory.limits", "io.connections"))

# The run starts hundreds of processes; none of them should compile what another has compiled.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    """Search every response and every log line of the run for secrets."""
    config.pluginmanager.register(canaries.Watch(config))


@pytest.fixture(autouse=True, scope="session")
def patient() -> Iterator[None]:
    """Stores and XWMS may take their time: on a busy machine a second passes, and only tests of slow ones mean that."""
    with pytest.MonkeyPatch.context() as patch:
        for constant in (*STORE_TIMEOUTS, *QUICK_CALLS, PROMPT_ERRORS):
            patch.setattr(constant, PATIENCE)
        yield


@pytest.fixture(autouse=True, scope="session")
def declared_events() -> Iterator[None]:
    """Whatever a test does, only events are logged that are declared, and so in docs/operation.md."""
    declared = get_args(events.Event)

    def checked(write: Callable[..., None]) -> Callable[..., None]:
        def checking(event: str, **fields: str) -> None:
            assert event in declared, f"{event!r} is no declared event"
            write(event, **fields)

        return checking

    with pytest.MonkeyPatch.context() as patch:
        for name in ("info", "warning"):
            patch.setattr(events, name, checked(getattr(events, name)))
        yield


@pytest.fixture
def short_store_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of stores that take too long."""
    for constant in STORE_TIMEOUTS:
        monkeypatch.setattr(constant, 0.3)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of calls that take too long: they are slow much sooner than after a second."""
    for constant in QUICK_CALLS:
        monkeypatch.setattr(constant, 0.2)


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: some of them always wait for a browser, a server or another process."""
    return math.ceil(1.5 * (os.cpu_count() or 1))


@pytest.fixture(params=["flask", "asgi"])
def edge(request: pytest.FixtureRequest) -> str:
    """Each test that uses this runs once per edge."""
    name: str = request.param
    return name


@pytest.fixture
def make_fx() -> Iterator[Callable[..., FakeXWMS]]:
    """Make a fake XWMS: `make_fx("same")` or `make_fx("fresh")`."""
    made: list[FakeXWMS] = []

    def make(callback_token: Literal["same", "fresh"] = "same") -> FakeXWMS:
        fx = FakeXWMS(callback_token=callback_token).__enter__()
        made.append(fx)
        return fx

    yield make
    for fx in made:
        fx.__exit__(None, None, None)


@pytest.fixture
def fx(make_fx: Callable[..., FakeXWMS]) -> FakeXWMS:
    """A fake XWMS whose callback token is sign-token's."""
    return make_fx()


@pytest.fixture
def make_site(edge: str, make_fx: Callable[..., FakeXWMS]) -> Callable[..., Site]:
    """Make the application: `make_site(callback="fresh", **options of the config)`, on the edge of this run."""

    def make(callback: Literal["same", "fresh"] = "same", **options: Any) -> Site:
        return Site(edge, make_fx(callback), **options)

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """The application with default options, over an XWMS whose callback token is sign-token's."""
    return make_site()


@pytest.fixture
def browser(site: Site) -> Browser:
    """A browser that has not been here yet."""
    return site.browser()
