"""Every page of the package, the sandbox and the examples: axe-core finds nothing, and nothing is lost to anybody.

What is measured is in tests/browser/measures.py, the way to the pages in tests/browser/every_page.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.every_page import (
    add_clients,
    sandbox_settings,
    tour_of_dashboard,
    tour_of_example,
    tour_of_fastapi_example,
    tour_of_many_clients,
    tour_of_roles,
    tour_of_sign_in,
)
from tests.browser.measures import Inspection, axe_source
from tests.browser.servers import listener, port_of, serve_asgi, serve_elsewhere, serve_wsgi
from tests.browser.test_browser_accessibility import pages_in
from tests.browser.visitor import CALLBACK, STEP_TIMEOUT
from tests.tools.clock import Clock
from tests.tools.example_apps import FOLDERS, load
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def launch_options() -> dict[str, Any]:
    return {"args": ["--host-resolver-rules=MAP xwms.example 127.0.0.1"]}


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_source()


@pytest.fixture
def page(chromium: "Browser") -> "Iterator[Page]":
    with chromium.new_context() as context:
        context.set_default_timeout(STEP_TIMEOUT)
        yield context.new_page()


@pytest.fixture
def inspection(axe: str) -> Iterator[Inspection]:
    """Fails a test at its end with all that was found; what it tried is printed (`pytest -s`, or where it fails)."""
    made = Inspection(axe)
    yield made
    print(f"{len(made.pages)} pages tried: {', '.join(made.pages)}")  # noqa: T201
    if made.faults:
        pytest.fail("\n".join(made.faults), pytrace=False)


@pytest.fixture(scope="module")
def sandbox() -> "Iterator[tuple[SandboxServer, SandboxSettings]]":
    settings = sandbox_settings()
    with SandboxServer(settings, port=0) as server:
        yield server, settings


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_page_of_the_package(page, inspection, language):
    for name, text in pages_in(language).items():
        page.set_content(text)
        inspection.look(page, name)
    assert len(inspection.pages) >= 9


def test_every_page_of_a_login_at_the_sandbox(page, inspection, sandbox):
    server, settings = sandbox
    tour_of_sign_in(page, server, settings, inspection.look)
    assert len(inspection.pages) >= 15


def test_every_page_of_the_dashboard(page, inspection, sandbox):
    server, _ = sandbox
    tour_of_dashboard(page, server, inspection.look)
    assert len(inspection.pages) >= 30


def test_every_page_of_the_dashboard_for_others(page, inspection, sandbox):
    server, _ = sandbox
    tour_of_roles(page, server, inspection.look)
    assert len(inspection.pages) >= 20


def test_the_pages_of_a_long_list(page, inspection, sandbox):
    server, _ = sandbox
    with server.inside.database.work() as session:
        add_clients(session, 53)
    tour_of_many_clients(page, server, inspection.look)


@pytest.fixture
def origin(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an example, the name of whose folder is the parameter."""
    with ExitStack() as stack:
        sock = stack.enter_context(listener())
        address = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(address + CALLBACK,))
        server = stack.enter_context(SandboxServer(settings, port=0))
        for name, value in {
            "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'desk.sqlite3'}",
            "SUPPORT_DESK_DB": str(tmp_path / "desk.sqlite3"),
            "XWMS_API_URI": server.api_url,
            "XWMS_CLIENT_ID": settings.client_id,
            "XWMS_CLIENT_SECRET": settings.client_secret,
            "XWMS_REDIRECT_URI": address + CALLBACK,
            "XWMS_SESSION_SECRET": "a-session-secret-for-the-browser-tests",
            "XWMS_SESSION_STORE": f"sqlite:///{tmp_path / 'sessions.sqlite3'}",
        }.items():
            monkeypatch.setenv(name, value)
        module = load(request.param, monkeypatch, clock=Clock())
        if request.param in FOLDERS:
            stack.callback(module.engine.dispose)
        serve = serve_wsgi if hasattr(module.app, "wsgi_app") else partial(serve_asgi, websockets=True)
        stack.enter_context(serve(module.app, sock, None))
        yield address


@pytest.mark.parametrize("origin", FOLDERS, indirect=True)
def test_every_page_of_an_example(page, inspection, origin):
    with serve_elsewhere() as elsewhere:
        elsewhere.pages["/"] = f'<a href="{origin}/xwms/auth?next=/tickets">A link</a>'
        tour_of_example(page, origin, elsewhere.url("/"), inspection.look)


@pytest.mark.parametrize("origin", ["fastapi_app"], indirect=True)
def test_every_page_of_the_example_with_fastapi(page, inspection, origin):
    tour_of_fastapi_example(page, origin, inspection.look)
