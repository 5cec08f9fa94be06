"""Every page of the package, the sandbox and the examples: axe-core finds nothing, and nothing is lost to anybody.

What is measured is in tests/browser/measures.py, the way to the pages in tests/browser/every_page.py.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.every_page import (
    add_clients,
    enter,
    sandbox_settings,
    tour_of_dashboard,
    tour_of_example,
    tour_of_fastapi_example,
    tour_of_many_clients,
    tour_of_roles,
    tour_of_sign_in,
)
from tests.browser.measures import PHONE, Inspection, axe_source
from tests.browser.servers import listener, port_of, serve_asgi, serve_elsewhere, serve_wsgi
from tests.browser.test_browser_accessibility import pages_in
from tests.browser.visitor import CALLBACK, STEP_TIMEOUT
from tests.tools.clock import Clock
from tests.tools.example_apps import FOLDERS, load
from xwms_auth.sandbox import SandboxServer, SandboxSettings
from xwms_auth.sandbox.app import create_app

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
        with server.inside.database.work() as session:
            add_clients(session, 53)
        yield server, settings


FOR_PROGRAMS = {"oauth.userinfo", "oauth.jwks", "oauth.discovery_0", "oauth.discovery_1"}


def never_seen(inspection: Inspection, settings: SandboxSettings, wanted: Callable[[str], bool]) -> set[str]:
    """The routes of the sandbox that give a page, and that nobody has looked at."""
    rules = create_app(settings).url_map
    addresses = rules.bind("127.0.0.1")
    seen = {addresses.match(path)[0] for path in inspection.paths if addresses.test(path)}
    pages = {rule.endpoint for rule in rules.iter_rules() if "GET" in (rule.methods or ()) and wanted(rule.endpoint)}
    return pages - FOR_PROGRAMS - seen


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_page_of_the_package(page, inspection, language):
    for name, text in pages_in(language).items():
        page.set_content(text)
        inspection.look(page, name)


def test_every_page_of_a_login_at_the_sandbox(page, inspection, sandbox):
    server, settings = sandbox
    tour_of_sign_in(page, server, settings, inspection.look)
    assert never_seen(inspection, settings, lambda endpoint: endpoint.startswith(("pages.", "oauth."))) == set()


def test_every_page_of_the_dashboard(page, inspection, sandbox):
    server, settings = sandbox
    tour_of_dashboard(page, server, inspection.look)
    assert never_seen(inspection, settings, lambda endpoint: endpoint.startswith("dashboard.")) == set()


def test_every_page_of_the_dashboard_for_others(page, inspection, sandbox):
    server, _ = sandbox
    tour_of_roles(page, server, inspection.look)


def test_the_pages_of_a_long_list(page, inspection, sandbox):
    server, _ = sandbox
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


def a_client(page: "Page", server: SandboxServer) -> str:
    """The address of a client in the dashboard, as its owner."""
    enter(page, f"{server.url}/dashboard", "Olivia Owner")
    page.get_by_role("link", name="Web shop", exact=True).click()
    return page.url


def test_a_table_that_is_too_wide_is_scrolled_with_the_keyboard(page, sandbox):
    server, _ = sandbox
    page.goto(f"{a_client(page, server)}/log")
    page.set_viewport_size({"width": 1280, "height": 800})
    calls = page.get_by_role("region", name="Calls")
    assert calls.evaluate("each => each.scrollWidth <= each.clientWidth"), "the reasons are cut off"
    page.evaluate("document.documentElement.style.fontSize = '250%'")
    assert calls.evaluate("each => each.scrollWidth > each.clientWidth")
    page.get_by_role("link", name="Refused only").focus()
    page.keyboard.press("Tab")
    assert calls.evaluate("each => each === document.activeElement")
    page.keyboard.press("ArrowRight")
    calls.evaluate("each => new Promise(done => each.scrollLeft ? done() : each.addEventListener('scroll', done))")


def test_the_first_key_leads_past_the_navigation(page, sandbox):
    server, _ = sandbox
    page.goto(a_client(page, server))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_on_a_phone_the_content_is_near_the_top_and_the_selected_tab_in_sight(page, sandbox):
    server, _ = sandbox
    page.set_viewport_size(PHONE)
    client = a_client(page, server)
    for path in ("", "/secrets", "/redirect-uris", "/domains", "/scopes", "/users", "/log"):
        page.goto(client + path)
        assert page.get_by_role("heading", level=1).bounding_box()["y"] < 160, path
        tab = page.get_by_role("navigation", name="Client").locator("[aria-current]").bounding_box()
        assert 0 <= tab["x"] <= tab["x"] + tab["width"] <= PHONE["width"], path


def test_a_copy_button_says_what_it_copies_and_that_it_did(page, sandbox):
    server, _ = sandbox
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(a_client(page, server).rpartition("/")[0])
    page.locator("button.copy").first.wait_for()
    names = page.locator("button.copy").evaluate_all("all => all.map(each => each.ariaLabel)")
    assert names == ["Copy client ID of Web shop", "Copy client ID of Back office"]
    page.get_by_role("button", name=names[1]).click()
    page.get_by_role("status").get_by_text("Copied: client ID of Back office").wait_for()


def test_a_copy_button_says_that_it_could_not(page, sandbox):
    server, _ = sandbox
    page.add_init_script(
        "navigator.clipboard.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
    )
    page.goto(a_client(page, server))
    page.get_by_role("button", name="Copy client ID").click()
    page.get_by_role("status").get_by_text("Not copied: client ID").wait_for()


def test_a_list_of_many_clients_is_no_endless_page_on_a_phone(page, sandbox):
    server, _ = sandbox
    page.set_viewport_size(PHONE)
    enter(page, f"{server.url}/dashboard", "Local developer")
    assert page.locator("tbody tr").count() == 25
    assert page.evaluate("document.documentElement.scrollHeight") < 4000


def test_who_is_signed_in_and_the_way_out_need_no_javascript(chromium, sandbox):
    server, _ = sandbox
    with chromium.new_context(java_script_enabled=False, viewport=PHONE) as context:
        page = context.new_page()
        enter(page, f"{server.url}/dashboard", "Olivia Owner")
        page.locator("summary").get_by_text("OO").click()
        assert page.get_by_text("Olivia Owner, Bloom flower shop").is_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{server.url}/dashboard")


def test_the_page_of_a_foreign_host_has_its_style_and_leads_to_the_right_address(page, sandbox):
    server, _ = sandbox
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.goto(server.url.replace("127.0.0.1", "xwms.example"))
    assert refused == [page.url]
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).maxWidth") == "416px"
    page.get_by_role("link", name=server.url).click()
    page.wait_for_url(f"{server.url}/")
