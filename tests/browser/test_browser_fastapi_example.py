"""The page of the example with FastAPI in a real Chromium: tickets appear where they are not opened, and stay text."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import Journal, listener, port_of, recording_asgi, serve_asgi
from tests.browser.visitor import CALLBACK, TAG, Place, Visitor
from tests.tools.clock import Clock
from tests.tools.example_apps import load
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

A_TICKET = re.compile(r"/tickets/[0-9a-f]{16}$")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(
    clock: Clock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Place]:
    with ExitStack() as stack:
        sock = stack.enter_context(listener())
        origin = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(origin + CALLBACK,))
        sandbox = stack.enter_context(SandboxServer(settings, port=0, clock=clock))
        for name, value in {
            "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'desk.sqlite3'}",
            "XWMS_API_URI": sandbox.api_url,
            "XWMS_CLIENT_ID": settings.client_id,
            "XWMS_CLIENT_SECRET": settings.client_secret,
            "XWMS_REDIRECT_URI": origin + CALLBACK,
            "XWMS_SESSION_SECRET": "a-session-secret-for-the-browser-tests",
            "XWMS_SESSION_STORE": f"sqlite:///{tmp_path / 'sessions.sqlite3'}",
            "XWMS_COOKIE_TAG": TAG,
        }.items():
            monkeypatch.setenv(name, value)
        module = load("fastapi_app", monkeypatch, clock=clock)
        journal = Journal()
        stack.enter_context(serve_asgi(recording_asgi(module.app, journal), sock, None, websockets=True))
        yield Place(origin, False, sandbox, journal, caplog)


def log_in(visitor: Visitor, path: str = "/tickets") -> "Page":
    """A tab in which Anna is logged in, from a page that has asked her to."""
    page = visitor.tab()
    page.goto(visitor.place.origin + path)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{visitor.place.sandbox.url}/sign-in/**")
    visitor.pick(page)
    page.wait_for_url(visitor.place.origin + path)
    return page


def open_ticket(page: "Page", subject: str, message: str = "It is on fire.") -> None:
    page.get_by_role("link", name=re.compile("^Open (a|your first) ticket$")).click()
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("Message").fill(message)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(A_TICKET)


def subjects(page: "Page") -> list[str]:
    return page.locator(".row span").all_inner_texts()


def test_a_ticket_appears_in_a_second_window_at_once(visitor):
    page = log_in(visitor)
    page.get_by_text("No tickets yet").wait_for()
    second = visitor.tab()
    with second.expect_websocket() as live:
        second.goto(f"{visitor.place.origin}/tickets")
    second.get_by_text("No tickets yet").wait_for()
    with live.value.expect_event("framereceived"):
        open_ticket(page, "My printer")
    second.get_by_role("link", name="My printer").wait_for()
    assert second.get_by_role("status").inner_text() == "New ticket: My printer"
    assert page.get_by_role("heading", name="My printer").is_visible()
    page.get_by_role("link", name="All your tickets").click()
    page.get_by_role("link", name="My printer").wait_for()
    assert subjects(page) == subjects(second) == ["My printer"], "it came to the first window twice"


def test_hostile_text_stays_text(visitor):
    """The conftest fails a test that broke the page's Content-Security-Policy."""
    page = log_in(visitor)
    hostile = '<img src=x onerror="document.title=1"><script>document.title = 2</script>'
    open_ticket(page, hostile, f"</p>{hostile}")
    page.reload()
    page.get_by_role("heading", name=hostile).wait_for()
    assert page.locator(".message").inner_text() == f"</p>{hostile}"
    page.goto(f"{visitor.place.origin}/tickets")
    page.get_by_role("link", name=hostile).wait_for()
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "Your tickets · Support desk"


def test_a_ticket_that_nobody_may_send_any_more_is_not_lost(visitor, clock):
    page = log_in(visitor, "/tickets/new")
    page.get_by_label("Subject").fill("My printer")
    page.get_by_label("Message").fill("A long story")
    clock.advance(minutes=25 * 60)
    page.get_by_role("button", name="Send").click()
    told = page.get_by_role("complementary", name="Why you are signed out")
    told.get_by_text("because you had not been here for a while").wait_for()
    assert page.get_by_label("Message").input_value() == "A long story"
    page.get_by_role("contentinfo").get_by_text("You are not logged in.").wait_for()
    told.get_by_role("button", name="Log in again").click()
    visitor.pick(page)
    page.wait_for_url(f"{visitor.place.origin}/tickets/new")
    page.get_by_role("contentinfo").get_by_text("You are logged in as Anna de Vries.").wait_for()


def test_the_link_to_the_content_leaves_what_was_typed(visitor):
    page = log_in(visitor, "/tickets/new")
    page.get_by_label("Message").fill("A long story")
    skip = page.get_by_role("link", name="Skip to the content")
    skip.focus()
    skip.press("Enter")
    page.wait_for_url("**/tickets/new#content")
    assert page.get_by_label("Message").input_value() == "A long story"


def test_a_window_does_not_go_on_as_somebody_who_has_logged_out_in_another(visitor):
    page = log_in(visitor)
    open_ticket(page, "A private matter of Anna's")
    page.get_by_role("link", name="Your tickets", exact=True).click()
    page.get_by_role("link", name="A private matter").wait_for()
    second = visitor.tab()
    second.goto(f"{visitor.place.origin}/tickets")
    second.get_by_role("button", name="Log out").click()
    second.wait_for_url(f"{visitor.place.origin}/")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when it comes to the front
    page.get_by_role("heading", name="Please log in").wait_for()
    second.goto(f"{visitor.place.origin}/tickets")
    second.get_by_role("main").get_by_role("button", name="Log in").click()
    visitor.pick(second)
    page.reload()
    page.get_by_role("link", name="A private matter").wait_for()
    second.get_by_role("button", name="Log out").click()
    second.wait_for_url(f"{visitor.place.origin}/")
    second.get_by_role("banner").get_by_role("button", name="Log in").click()
    visitor.pick(second, "Bram")
    second.wait_for_url(f"{visitor.place.origin}/")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_text("No tickets yet").wait_for()


def test_a_window_without_anybody_notices_a_login_in_another(visitor):
    page = visitor.tab()
    page.goto(f"{visitor.place.origin}/tickets")
    page.get_by_role("heading", name="Please log in").wait_for()
    log_in(visitor)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_text("No tickets yet").wait_for()


def test_logging_out_is_a_form_and_the_page_says_so(visitor):
    page = log_in(visitor)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{visitor.place.origin}/")
    page.get_by_text("You are not logged in.").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Please log in").wait_for()


def test_back_and_forward_show_the_pages_that_were_there(visitor):
    page = log_in(visitor)
    open_ticket(page, "My printer")
    page.go_back()
    page.get_by_role("heading", name="Open a ticket").wait_for()
    page.go_back()
    page.get_by_role("link", name="My printer").wait_for()
    page.go_forward()
    page.go_forward()
    page.get_by_role("heading", name="My printer").wait_for()


def test_a_window_that_lost_its_websocket_catches_up_and_keeps_no_session_alive(visitor):
    page = log_in(visitor)
    page.get_by_text("No tickets yet").wait_for()
    second = visitor.tab()
    sockets: list[Any] = []
    second.route_web_socket("**/live", lambda route: sockets.append(route) or route.connect_to_server())
    second.goto(f"{visitor.place.origin}/tickets")
    second.get_by_text("No tickets yet").wait_for()
    visitor.place.journal.wait_for("/api/tickets", xwms_passive="1")
    sockets[0].close()
    open_ticket(page, "While it was away")
    second.get_by_role("link", name="While it was away").wait_for()


@pytest.mark.parametrize("path", ["/", "/tickets"])
def test_without_javascript_the_questions_are_there_and_the_page_says_what_is_not(make_visitor, path):
    visitor = make_visitor(java_script_enabled=False)
    page = visitor.tab()
    page.goto(visitor.place.origin + path)
    told = page.locator("noscript p")  # Playwright finds no text in there
    assert told.is_visible()
    assert "Tickets need JavaScript" in told.inner_text()
    assert page.get_by_text("Everybody can read the questions").is_visible()


def test_on_a_phone_with_text_at_200_percent_nothing_is_wider_than_the_screen(make_visitor):
    visitor = make_visitor(viewport={"width": 360, "height": 740})
    page = log_in(visitor)
    open_ticket(page, "W" * 120)
    ticket = page.url.removeprefix(visitor.place.origin)
    for path in ("/", "/tickets", "/tickets/new", ticket):
        page.goto(visitor.place.origin + path)
        page.get_by_role("heading", level=1).wait_for()
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
