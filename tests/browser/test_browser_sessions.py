"""Where a person is logged in, and why they no longer are: the example apps in several real browsers at once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.browser.servers import Journal, listener, port_of, serve_asgi, serve_wsgi
from tests.browser.visitor import CALLBACK, TAG, Place, Visitor
from tests.tools.clock import Clock
from tests.tools.example_apps import FOLDERS, load
from xwms_auth.sandbox import SandboxServer, SandboxSettings

pytestmark = pytest.mark.browser

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Mobile Safari/604.1"


@pytest.fixture
def clock() -> Clock:
    """The clock of the app and of the local XWMS; Chromium's own stays where it is."""
    return Clock()


@pytest.fixture(params=FOLDERS)
def place(
    request: pytest.FixtureRequest,
    clock: Clock,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Place]:
    """An example app as its folder has it, with sessions in the file beside its database."""
    with ExitStack() as stack:
        sock = stack.enter_context(listener())
        origin = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(origin + CALLBACK,))
        sandbox = stack.enter_context(SandboxServer(settings, port=0, clock=clock))
        for name, value in {
            "SUPPORT_DESK_DB": str(tmp_path / "desk.sqlite3"),
            "XWMS_API_URI": sandbox.api_url,
            "XWMS_CLIENT_ID": settings.client_id,
            "XWMS_CLIENT_SECRET": settings.client_secret,
            "XWMS_REDIRECT_URI": origin + CALLBACK,
            "XWMS_SESSION_SECRET": "a-session-secret-for-the-browser-tests",
            "XWMS_SESSION_STORE": "",
            "XWMS_COOKIE_TAG": TAG,
        }.items():
            monkeypatch.setenv(name, value)
        module = load(request.param, monkeypatch, clock=clock)
        stack.callback(module.engine.dispose)
        serve = serve_wsgi if request.param == "flask_app" else serve_asgi
        stack.enter_context(serve(module.app, sock, None))
        yield Place(origin, False, sandbox, Journal(), caplog)


def log_in(visitor: Visitor, path: str = "/tickets") -> Any:
    """A tab in which Anna is logged in."""
    page = visitor.tab()
    visitor.ask_to_log_in(page, path)
    visitor.pick(page)
    assert page.url == visitor.place.origin + path
    return page


def devices(page: Any) -> list[str]:
    """What the page of devices says, a text for each session."""
    return [" ".join(text.split()) for text in page.get_by_role("listitem").all_inner_texts()]


def told(page: Any) -> str:
    """The sentence at the top that says why somebody is signed out."""
    return page.get_by_role("complementary", name="Why you are signed out").get_by_role("paragraph").inner_text()


def is_anna(page: Any) -> bool:
    return "You are logged in as Anna de Vries." in page.get_by_role("contentinfo").inner_text()


def follow(page: Any, origin: str) -> None:
    """From any page of the app, over the link at its foot, to the page of devices."""
    page.get_by_role("link", name="Where you are logged in").click()
    page.wait_for_url(f"{origin}/devices")


def tell_of_two_browsers(make_visitor: Callable[..., Visitor], place: Place, **options: Any) -> None:
    page = log_in(make_visitor(user_agent=WINDOWS, **options))
    phone = log_in(make_visitor(user_agent=IPHONE, **options))
    follow(page, place.origin)
    assert devices(page) == [
        "Firefox on Windows This device Logged in just now, in use now",
        "Safari on iPhone Logged in just now, last seen just now Log out there",
    ]
    page.get_by_role("button", name="Log out there").click()
    page.wait_for_url(f"{place.origin}/devices")
    assert devices(page) == ["Firefox on Windows This device Logged in just now, in use now"]

    phone.goto(place.origin)
    assert not is_anna(phone)
    assert told(phone) == "You were signed out because this login was ended from somewhere else."
    phone.get_by_role("button", name="Log in again").click()
    phone.get_by_role("button", name="Anna de Vries").first.click()
    phone.wait_for_url(f"{place.origin}/")
    assert is_anna(phone)
    assert phone.get_by_role("complementary").count() == 0
    page.goto(f"{place.origin}/tickets")
    assert is_anna(page)


def test_a_person_sees_both_of_their_browsers_and_ends_the_other_which_is_told_why(make_visitor, place):
    tell_of_two_browsers(make_visitor, place)


@pytest.mark.parametrize("place", ["flask_app"], indirect=True)
def test_the_page_of_devices_needs_no_javascript(make_visitor, place):
    tell_of_two_browsers(make_visitor, place, java_script_enabled=False)


@pytest.mark.parametrize("place", ["starlette_app"], indirect=True)
def test_logging_out_everywhere_signs_out_every_browser_of_the_person(make_visitor, place):
    here, other = make_visitor(user_agent=WINDOWS), make_visitor(user_agent=IPHONE)
    page, phone = log_in(here), log_in(other)
    follow(page, place.origin)
    page.get_by_role("button", name="Log out everywhere").click()
    page.wait_for_url(f"{place.origin}/")
    assert not is_anna(page)
    assert page.get_by_role("complementary").count() == 0  # whoever logs out knows why
    assert here.cookies() == {}
    page.go_back()
    page.goto(f"{place.origin}/tickets")
    assert page.url.startswith(f"{place.sandbox.url}/sign-in/")

    phone.goto(f"{place.origin}/tickets")
    assert phone.url.startswith(f"{place.sandbox.url}/sign-in/")
    phone.get_by_role("link", name="Cancel").click()
    phone.wait_for_url(f"{place.origin}/")
    assert told(phone) == "You were signed out because this login was ended from somewhere else."


@pytest.mark.parametrize("place", ["flask_app"], indirect=True)
def test_somebody_who_was_away_too_long_is_told_so_and_can_send_the_sentence_away(visitor, place, clock):
    page = log_in(visitor)
    clock.advance(minutes=24 * 60 + 1)
    page.goto(place.origin)
    assert not is_anna(page)
    assert told(page) == "You were signed out because you had not been here for a while."
    page.get_by_role("button", name="Dismiss").click()
    page.wait_for_url(f"{place.origin}/")
    assert page.get_by_role("complementary").count() == 0
    assert visitor.cookies() == {}


@pytest.mark.parametrize("place", ["starlette_app"], indirect=True)
def test_somebody_who_was_away_too_long_logs_in_again_where_another_site_leads_to_the_login(
    visitor, place, clock, elsewhere
):
    """Without a question: the first login has shown that the callback's token tells whose it is."""
    page = log_in(visitor)
    clock.advance(minutes=24 * 60 + 1)
    elsewhere.pages["/"] = f'<a href="{place.origin}/xwms/auth?next=/tickets">A link</a>'
    page.goto(elsewhere.url("/"))
    page.get_by_role("link").click()
    visitor.pick(page)
    assert (page.url, is_anna(page)) == (f"{place.origin}/tickets", True)


@pytest.mark.parametrize("place", ["flask_app"], indirect=True)
def test_an_old_login_is_asked_for_again_before_the_devices_are_shown(visitor, place, clock):
    page = log_in(visitor)
    before = visitor.cookies()[place.session_cookie]["value"]
    clock.advance(minutes=14)
    follow(page, place.origin)
    clock.advance(minutes=2)
    page.reload()
    assert page.url.startswith(f"{place.sandbox.url}/sign-in/")
    visitor.pick(page)
    assert page.url == f"{place.origin}/devices"
    assert len(devices(page)) == 1
    assert visitor.cookies()[place.session_cookie]["value"] != before


@pytest.mark.parametrize("place", ["starlette_app"], indirect=True)
def test_whoever_turns_back_from_that_login_goes_on_with_the_session_they_had(visitor, place, clock):
    page = log_in(visitor)
    before = visitor.cookies()[place.session_cookie]["value"]
    clock.advance(minutes=16)
    page.get_by_role("link", name="Where you are logged in").click()
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url(f"{place.origin}/")
    assert is_anna(page)
    assert page.get_by_role("complementary").count() == 0
    assert visitor.cookies()[place.session_cookie]["value"] == before
    page.goto(f"{place.origin}/tickets")
    assert (page.url, is_anna(page)) == (f"{place.origin}/tickets", True)
