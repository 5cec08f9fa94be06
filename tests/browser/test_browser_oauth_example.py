"""The example apps by OAuth 2.0 in a real Chromium: nothing about the app changes but one variable."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import Elsewhere, Journal, listener, port_of, serve_asgi, serve_wsgi
from tests.browser.visitor import CALLBACK, TAG, Place, Visitor
from tests.tools.clock import Clock
from tests.tools.example_apps import FOLDERS, load
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(params=FOLDERS)
def make_place(
    request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[str], Place]]:
    """Start an example app as its folder has it; what differs between two calls is `XWMS_FLOW` alone."""
    with ExitStack() as stack:

        def make(flow: str) -> Place:
            sock = stack.enter_context(listener())
            origin = f"http://localhost:{port_of(sock)}"
            settings = SandboxSettings(redirect_uris=(origin + CALLBACK,))
            sandbox = stack.enter_context(SandboxServer(settings, port=0))
            for name, value in {
                "SUPPORT_DESK_DB": str(tmp_path / "desk.sqlite3"),
                "XWMS_API_URI": sandbox.api_url,
                "XWMS_ISSUER": sandbox.url,
                "XWMS_CLIENT_ID": settings.client_id,
                "XWMS_CLIENT_SECRET": settings.client_secret,
                "XWMS_REDIRECT_URI": origin + CALLBACK,
                "XWMS_SESSION_SECRET": "a-session-secret-for-the-browser-tests",
                "XWMS_SESSION_STORE": "",
                "XWMS_COOKIE_TAG": TAG,
                "XWMS_FLOW": flow,
            }.items():
                monkeypatch.setenv(name, value)
            module = load(request.param, monkeypatch, clock=Clock())
            stack.callback(module.engine.dispose)
            serve = serve_wsgi if request.param == "flask_app" else serve_asgi
            stack.enter_context(serve(module.app, sock, None))
            return Place(origin, False, sandbox, Journal(), caplog)

        yield make


@pytest.fixture
def place(make_place: Callable[[str], Place]) -> Place:
    return make_place("oauth2")


def ask(visitor: Visitor, path: str = "/tickets") -> "Page":
    """A tab that was sent to XWMS's sign-in page."""
    page = visitor.tab()
    page.goto(visitor.place.origin + path)
    assert page.url.startswith(f"{visitor.place.sandbox.url}/oauth/sign-in/"), page.url
    return page


def agree(page: "Page") -> None:
    page.get_by_role("button", name="Anna de Vries").first.click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_load_state()


def is_anna(page: "Page") -> bool:
    return "You are logged in as Anna de Vries." in page.get_by_role("contentinfo").inner_text()


@pytest.mark.parametrize(
    ("make_place", "scripts"), [("flask_app", True), ("starlette_app", False)], indirect=["make_place"]
)
def test_a_person_logs_in_uses_the_app_and_is_out_in_both_places(place, make_visitor, scripts):
    visitor = make_visitor(java_script_enabled=scripts)
    page = ask(visitor)
    agree(page)
    assert page.url == f"{place.origin}/tickets"
    assert is_anna(page)
    page.goto(f"{place.origin}/devices")
    assert page.get_by_text("This device").is_visible()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url(f"{place.origin}/")
    assert not is_anna(page)
    ask(visitor)


@pytest.mark.parametrize("make_place", ["flask_app"], indirect=True)
def test_one_variable_changes_the_flow_of_one_and_the_same_app(make_place, make_visitor):
    for flow, page_of_xwms in (("sign-token", "/sign-in/"), ("oauth2", "/oauth/sign-in/")):
        place = make_place(flow)
        visitor = make_visitor()
        visitor.place = place
        page = visitor.tab()
        page.goto(f"{place.origin}/tickets")
        assert page.url.startswith(place.sandbox.url + page_of_xwms)
        page.get_by_role("button", name="Anna de Vries").first.click()
        if flow == "oauth2":
            page.get_by_role("button", name="Allow").click()
        page.wait_for_url(f"{place.origin}/tickets")
        assert is_anna(page)


@pytest.mark.parametrize("make_place", ["starlette_app"], indirect=True)
def test_who_cancels_is_told_so_and_nothing_has_changed(place, visitor):
    page = ask(visitor)
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_load_state()
    assert page.get_by_text("token_missing").is_visible()
    assert "session" not in " ".join(visitor.cookies())
    page.goto(f"{place.origin}/")
    assert not is_anna(page)


def test_back_and_reload_after_a_login_change_nothing(place, visitor):
    page = ask(visitor)
    agree(page)
    session = visitor.cookies()[place.session_cookie]["value"]
    page.reload()
    page.goto(f"{place.origin}/")
    page.go_back()
    page.reload()
    assert visitor.cookies()[place.session_cookie]["value"] == session
    assert is_anna(page)


@pytest.mark.parametrize("make_place", ["flask_app"], indirect=True)
def test_a_login_that_another_site_began_leads_to_xwms_and_back_to_ones_own_account(
    place, visitor, elsewhere: Elsewhere
):
    """LC-04: the page learns nothing of the state, so there is no callback it could send this browser to."""
    elsewhere.pages["/lure"] = f'<a href="{place.origin}/xwms/auth?next=/tickets">Log in</a>'
    page = visitor.tab()
    page.goto(elsewhere.url("/lure"))
    page.get_by_role("link", name="Log in").click()
    page.wait_for_url(f"{place.sandbox.url}/oauth/sign-in/**")
    agree(page)
    assert page.url == f"{place.origin}/tickets"
    assert is_anna(page)
