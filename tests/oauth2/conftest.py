"""The application of tests/tools/site.py over a fake authorization server, on each edge, and steps of a login."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.oauth2.fake_as import FakeAS
from tests.oauth2.local_as import LocalAS, token_page
from tests.tools.clock import Clock
from tests.tools.site import Browser, Site


@pytest.fixture
def make_as() -> Iterator[Callable[..., FakeAS]]:
    """Make a fake authorization server: `make_as(path="/tenant")`, `make_as(algorithm="RS256")`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(FakeAS(**options))


@pytest.fixture
def server(make_as: Callable[..., FakeAS]) -> FakeAS:
    """A fake authorization server."""
    return make_as()


@pytest.fixture
def clock() -> Clock:
    """One clock for the application and for the local XWMS."""
    return Clock()


@pytest.fixture
def local(clock: Clock) -> Iterator[LocalAS]:
    """The local XWMS as authorization server."""
    with LocalAS(clock) as running:
        yield running


@pytest.fixture
def make_local(edge: str, local: LocalAS, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Site]:
    """Make the application over it, with its page of tokens; several over one store are several processes."""
    monkeypatch.setattr("tests.tools.site.Clock", lambda: clock)
    return lambda **options: token_page(Site(edge, local, **options))


@pytest.fixture
def make_site(edge: str, server: FakeAS) -> Callable[..., Site]:
    """Make the application: `make_site(**options of the config)`, on the edge of this run."""
    return lambda **options: Site(edge, server, **options)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """The application with default options."""
    return make_site()


@pytest.fixture
def browser(site: Site) -> Browser:
    """A browser that has not been here yet."""
    return site.browser()


@pytest.fixture
def caught(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that is logged on the application's side, by anybody, at DEBUG. `httpx2` is the browser."""
    caplog.set_level(0)
    return lambda: "\n".join(
        f"{record.name} {record.getMessage()}" for record in caplog.records if not record.name.startswith("httpx2")
    )
