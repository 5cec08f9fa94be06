"""A login that a page's script began is no login that a person began: in Chromium, in Firefox, and in WebKitGTK.

The attacker's page opens a page of the app whose script goes to the login, and waits until this browser has a login
under way. Then it sends that window to the callback of a login of its own, which it has kept. Where the token does not
tell, the person would go on in the attacker's account (SM-07).
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.browser.drivers import Driver, wait_for_url, wait_for_window
from tests.browser.houses import LOGIN, House, choose_anna, serve, text
from tests.browser.servers import Edge, Elsewhere
from tests.browser.visitor import CALLBACK
from xwms_auth import XWMSClient

pytestmark = pytest.mark.browser

MALLORY = "xwms-user-mallory"

# Pages of the app whose script goes to the login: GET, and POST.
FETCHES = {
    # As docs/troubleshooting.md has it.
    "fetch": """<script type="module">
        const answer = await fetch("/private", {headers: {Accept: "application/json"}});
        const problem = await answer.json();
        if (problem.code === "login_required") location.href = "/xwms/auth?next=" + encodeURIComponent("/private");
    </script>""",
    # What HTMX does with the answer.
    "htmx": """<script type="module">
        const answer = await fetch("/private", {headers: {"HX-Request": "true", "HX-Current-URL": location.href}});
        location.href = answer.headers.get("HX-Redirect");
    </script>""",
    "link": '<a href="/xwms/auth?next=/private">Log in</a><script>document.querySelector("a").click()</script>',
    "refresh": '<meta http-equiv="refresh" content="0;url=/xwms/auth?next=/private">',
}
POSTS = {
    "submit": '<form method="post" action="/xwms/auth"></form><script>document.forms[0].submit()</script>',
    "button": '<form method="post" action="/xwms/auth"><button>Log in</button></form>'
    '<script>document.querySelector("button").click()</script>',
}
PAGES = {f"/{name}": f"<!doctype html><title>{name}</title>{page}" for name, page in {**FETCHES, **POSTS}.items()}


def login_of_mallory(house: House) -> str:
    """Start a login as no browser does, approve it as Mallory, and keep the callback's address."""
    typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    with httpx2.Client(headers={**typed, "Sec-Fetch-User": "?1"}) as curl:
        return approve(curl.get(house.origin + LOGIN).headers["location"], MALLORY)


def approve(sign_in: str, sub: str) -> str:
    answer = httpx2.post(sign_in, data={"person": sub})
    assert answer.status_code == 303
    return answer.headers["location"]


@pytest.fixture(params=["either", "fresh"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """The app where the token does not tell; each of the two modes behind an edge of its own."""
    edge: Edge = "flask" if request.param == "either" else "starlette"
    with serve(edge, callback_token=request.param, brought="fresh", pages=PAGES) as made:
        yield made


@pytest.fixture
def learning_house() -> Iterator[House]:
    """The app with `either`, at an XWMS that brings sign-token's own token back."""
    with serve("starlette", callback_token="either", pages=PAGES) as made:
        yield made


def is_lured(driver: Driver, house: House, elsewhere: Elsewhere, path: str) -> str:
    """The person clicks on another site, which opens `path` of the app; gives where that window's script ends."""
    elsewhere.pages["/evil"] = f"<button onclick=\"window.w = window.open('{house.origin}{path}')\">Win</button>"
    driver.open(elsewhere.url("/evil"))
    evil = driver.front()
    before = driver.windows()
    driver.click("button")
    wait_for_window(driver, before)
    ended = wait_for_url(driver, f"{house.sign_in_pages}|{re.escape(house.origin + LOGIN)}")
    opened = driver.front()
    driver.window(evil)
    assert driver.run("window.w.closed") is False
    driver.window(opened)
    return ended


def is_sent_to(driver: Driver, house: House, callback: str) -> str:
    """The other site sends the window that it has opened to `callback`; gives where it ends."""
    opened, (evil,) = driver.front(), [name for name in driver.windows() if name != driver.front()]
    driver.window(evil)
    driver.run(f"void (window.w.location = '{callback}')")
    driver.window(opened)
    # Any page of the app but the one that asks before a start, where the window may have been before.
    return wait_for_url(driver, rf"{re.escape(house.origin)}/(?!xwms/auth($|\?next=(?!.*&confirm=)))")


def who(driver: Driver, house: House) -> str:
    driver.open(house.origin + "/")
    return text(driver, "#who")


def starts() -> list[Any]:
    """Every script in Chromium, and every second in the others, the two modes by turns.

    Where a browser does not say who sent a form, no rule could tell (docs).
    """
    return [
        pytest.param(browser, name, mode, id=f"{browser}-{name}-{mode}")
        for first, browser in enumerate(("chromium", "firefox", "webkit"))
        for number, name in enumerate(FETCHES if browser == "webkit" else {**FETCHES, **POSTS})
        for mode in [("either", "fresh")[(first + number) % 2]]
        if browser == "chromium" or (first + number) % 2
    ]


@pytest.mark.parametrize(("driver", "start", "house"), starts(), indirect=["driver", "house"])
def test_a_login_that_a_script_began_brings_nobody_into_the_attackers_session(driver, house, elsewhere, start):
    """SM-07: nothing but a page with a question comes of it, and the attacker's callback finds no login here."""
    callback = login_of_mallory(house)
    ended = is_lured(driver, house, elsewhere, f"/{start}")
    is_sent_to(driver, house, callback)
    assert who(driver, house) == "nobody"
    assert ended.startswith(house.origin + LOGIN)


@pytest.mark.parametrize(
    ("driver", "house"), [("chromium", "either"), ("firefox", "fresh"), ("webkit", "either")], indirect=True
)
def test_who_was_asked_goes_on_by_a_click_and_is_who_they_chose(driver, house, elsewhere):
    ended = is_lured(driver, house, elsewhere, "/fetch")
    assert ended.startswith(house.origin + LOGIN)
    assert driver.run("document.querySelectorAll('main button, body button').length") == 1
    driver.click("button")
    choose_anna(driver, house, back_at="/private")


@pytest.mark.parametrize("house", ["either"], indirect=True)
def test_the_login_button_asks_nothing(driver, house):
    """It is a form, because only a POST tells in every browser that it was a page of our own."""
    driver.open(house.origin + "/welcome")
    driver.click(f'form[action^="{LOGIN}"] button, a[href^="{LOGIN}"]')
    choose_anna(driver, house, back_at="/private")
    assert [asked.method for asked in house.journal.to(LOGIN)] == ["POST"]


@pytest.mark.parametrize("house", ["fresh"], indirect=True)
def test_a_typed_address_asks_nothing(driver, house):
    driver.open(house.origin + "/private")
    choose_anna(driver, house, back_at="/private")


def test_either_that_has_learned_asks_nothing_at_the_start_and_tells_whom_an_unknown_token_would_make(
    driver, learning_house, elsewhere
):
    house = learning_house
    with XWMSClient(house.config) as attacker:  # Mallory's login began in another process of the app
        callback = approve(attacker.sign_token(house.origin + CALLBACK).url, MALLORY)
    driver.open(house.origin + "/private")
    choose_anna(driver, house, back_at="/private")
    driver.forget()

    ended = is_lured(driver, house, elsewhere, "/fetch")
    assert ended.startswith(house.xwms)
    ended = is_sent_to(driver, house, callback)
    assert re.fullmatch(rf"{re.escape(house.origin + LOGIN)}\?(next=[^&]*&)?confirm=[\w-]{{8}}", ended)
    assert MALLORY in driver.run("document.documentElement.outerHTML")
    assert who(driver, house) == "nobody"
