"""LC-04: a click that was meant for another window is no answer to the confirmation page.

The page asks before a login that another site began. A window of that site lies over it, asks for a double click, and
closes itself at the first: the second lands on our button, before anybody can have seen it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.servers import Elsewhere
from tests.browser.visitor import Place, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

# The page and its script are the same behind every door.
pytestmark = [pytest.mark.browser, pytest.mark.parametrize("place", ["starlette-https"], indirect=True)]
LOGIN = "/xwms/auth"
TOUCH = {"has_touch": True, "is_mobile": True, "viewport": {"width": 400, "height": 800}}
WATCH = """() => {
    window.clicked = [];
    for (const kind of ["click", "submit"])
        addEventListener(kind, event => { clicked.push(kind + " " + event.target.localName); }, true);
}"""


def asked(page: "Page", place: Place, elsewhere: Elsewhere) -> tuple[float, float]:
    """Bring somebody to the confirmation page; gives the middle of its button."""
    elsewhere.pages["/evil"] = f'<a href="{place.origin}{LOGIN}">Free kittens</a>'
    page.goto(elsewhere.url("/evil"))
    page.get_by_role("link").click()
    page.wait_for_url(f"{place.origin}{LOGIN}")
    return watched(page)


def watched(page: "Page") -> tuple[float, float]:
    page.evaluate(WATCH)
    box = page.get_by_role("button", name="Continue").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def mouse(devtools: "CDPSession", kind: str, at: tuple[float, float], **more: Any) -> None:
    devtools.send(
        "Input.dispatchMouseEvent", {"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1, **more}
    )


def type_of_error() -> type[Exception]:
    from playwright.sync_api import Error

    return Error


def stopped(page: "Page") -> "CDPSession":
    """The page's animations and transitions stand still until `setPlaybackRate` says 1."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Animation.enable")
    devtools.send("Animation.setPlaybackRate", {"playbackRate": 0})
    return devtools


def test_lc_04_the_second_click_of_a_double_click_that_began_in_another_window_is_none(visitor, place, elsewhere):
    """LC-04"""
    elsewhere.pages["/decoy"] = (
        "<h1>Double-click here</h1><script>addEventListener('mousedown', () => close())</script>"
    )
    elsewhere.pages["/evil"] = (
        "<button onclick=\"open('/decoy', '', 'width=600,height=600'); "
        f"location = '{place.origin}{LOGIN}'\">Play</button>"
    )
    page = visitor.tab()
    page.goto(elsewhere.url("/evil"))
    with page.expect_popup() as opened:
        page.get_by_role("button").click()
    popup = opened.value
    popup.wait_for_load_state()
    page.wait_for_url(f"{place.origin}{LOGIN}")
    at = watched(page)
    devtools = page.context.new_cdp_session(page)
    # The window is gone before the browser can say that it took the click.
    with popup.expect_event("close"), suppress(type_of_error()):
        mouse(page.context.new_cdp_session(popup), "mousePressed", (300, 300))
    mouse(devtools, "mousePressed", at, clickCount=2)
    mouse(devtools, "mouseReleased", at, clickCount=2)
    assert page.evaluate("clicked") == ["click form"]
    assert place.api_calls() == []
    visitor.go_on(page)
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")


def test_lc_04_a_mouse_has_to_be_there_for_a_moment(visitor, place, elsewhere):
    """LC-04"""
    page = visitor.tab()
    devtools = stopped(page)
    at = asked(page, place, elsewhere)
    page.mouse.move(*at)
    page.mouse.click(*at)
    page.mouse.dblclick(*at)
    assert set(page.evaluate("clicked")) == {"click form"}
    devtools.send("Animation.setPlaybackRate", {"playbackRate": 1})
    visitor.go_on(page)
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")


def test_lc_04_a_page_that_appears_under_a_finger_cannot_be_hit_at_once(make_visitor, place, elsewhere):
    """LC-04"""
    visitor = make_visitor(**TOUCH)
    page = visitor.tab()
    devtools = stopped(page)
    at = asked(page, place, elsewhere)
    page.touchscreen.tap(*at)
    assert page.evaluate("clicked") == ["click form"]
    devtools.send("Animation.setPlaybackRate", {"playbackRate": 1})
    page.get_by_role("button", name="Continue").tap()
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")


def test_the_keyboard_waits_for_nothing(visitor, place, elsewhere):
    page = visitor.tab()
    stopped(page)
    asked(page, place, elsewhere)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")


@pytest.mark.parametrize(
    "options", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}, {"color_scheme": "dark"}], ids=str
)
def test_the_button_can_be_pressed_whatever_somebody_has_set(make_visitor, place, elsewhere, options):
    visitor = make_visitor(**options)
    page = visitor.tab()
    asked(page, place, elsewhere)
    visitor.go_on(page)
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")


def test_without_animations_the_button_only_has_no_cover(make_visitor: Callable[..., Visitor], place, elsewhere):
    visitor = make_visitor(bypass_csp=True)
    page = visitor.tab()
    at = asked(page, place, elsewhere)
    page.add_style_tag(content="* , *::after { animation: none !important; transition: none !important; }")
    page.mouse.move(*at)
    page.mouse.click(*at)
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")
