"""Logins through a service worker of the app, which takes away what browsers say of a navigation (SM-08)."""

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.drivers import Chromium, Driver, wait_for, wait_for_url
from tests.browser.houses import ANNA, ANNAS_SUB, LOGIN, LOGOUT, House, pick_anna, serve, text
from tests.browser.servers import Edge
from tests.browser.visitor import CALLBACK
from tests.tools.requires import missing

pytestmark = pytest.mark.browser

MODULES = Path(__file__).with_name("node_modules")

ON_FETCH = (
    "oninstall = () => skipWaiting(); onactivate = event => event.waitUntil(clients.claim()); onfetch = event => "
)
WORKERS = {
    "pass": ON_FETCH + "event.respondWith(fetch(event.request))",
    "rebuild": ON_FETCH + "event.respondWith(fetch(event.request, {cache: 'no-store'}))",
    "url": ON_FETCH + "{ if (event.request.method === 'GET') event.respondWith(fetch(event.request.url)) }",
    "headers": ON_FETCH + "{ if (event.request.method === 'GET') event.respondWith("
    "fetch(new Request(event.request.url, {headers: event.request.headers}))) }",
}
WORKBOX = """
    workbox.core.skipWaiting();
    workbox.core.clientsClaim();
    workbox.routing.registerRoute(() => true, new workbox.strategies.NetworkFirst());
    workbox.routing.registerRoute(() => true, new workbox.strategies.NetworkFirst(), "POST");
"""


def worker(name: str) -> str:
    if name != "workbox":
        return WORKERS[name]
    parts = [MODULES / f"workbox-{part}/build/workbox-{part}.prod.js" for part in ("core", "routing", "strategies")]
    if not all(part.is_file() for part in parts):
        missing("Workbox (npm ci --prefix tests/browser)")
    return "\n".join([*(part.read_text() for part in parts), WORKBOX])


def serve_with_worker(edge: Edge, name: str, **options: Any) -> AbstractContextManager[House]:
    """The app with a page that installs the worker."""
    pages = {
        "/worker.js": worker(name),
        "/install": "<script>navigator.serviceWorker.register('/worker.js')</script>",
        "/goes": "<script>location = '/private'</script>",
    }
    return serve(edge, pages=pages, **options)


def install(driver: Driver, house: House) -> None:
    driver.open(house.origin + "/install")
    wait_for(lambda: driver.run("navigator.serviceWorker.controller !== null"), "the worker")


@pytest.mark.parametrize(
    ("driver", "name", "edge", "expected", "is_asked"),
    [
        ("chromium", "pass", "flask", "fresh", False),
        ("chromium", "workbox", "starlette", "either", False),
        ("chromium", "rebuild", "starlette", "fresh", True),
        ("firefox", "pass", "starlette", "fresh", True),
        ("firefox", "workbox", "flask", "same", False),
        ("firefox", "rebuild", "flask", "either", False),
    ],
    indirect=["driver"],
)
def test_a_person_logs_in_and_out_through_a_worker_that_passes_everything_on(driver, name, edge, expected, is_asked):
    """Who logs in is asked at most once, at the end, and only where the token does not tell whose login it is.

    Who logs out is asked where nothing tells that the form is our own: the one of Starlette's app has no `csrf_token`.
    """
    brought = "fresh" if expected == "fresh" else "same"
    with serve_with_worker(edge, name, callback_token=expected, brought=brought) as house:
        install(driver, house)
        driver.open(house.origin + "/private?page=2")
        pick_anna(driver, house)
        if expected == "fresh":
            wait_for_url(driver, rf"{re.escape(house.origin + LOGIN)}\?next=.*&confirm=")
            assert "Is this you?" in text(driver)
            driver.click("form button")
        wait_for_url(driver, house.at("/private?page=2"))
        assert ANNA in text(driver)
        assert house.journal.to(CALLBACK)[0].headers["sec-fetch-dest"] == "empty"

        driver.click('form[action="/xwms/logout"] button')
        if is_asked:
            wait_for_url(driver, house.at(LOGOUT))
            driver.click("form button")
        wait_for_url(driver, house.at("/"))
        assert "nobody" in text(driver)


@pytest.mark.parametrize(("driver", "edge"), [("chromium", "starlette"), ("firefox", "flask")], indirect=["driver"])
def test_a_worker_that_fetches_addresses_is_named_and_the_callback_waits_for_the_browser_itself(driver, edge):
    """What it fetches cannot be told from a script's, so it starts and finishes nothing; a form goes past it."""
    with serve_with_worker(edge, "url", callback_token="same") as house:
        install(driver, house)
        driver.open(house.origin + LOGIN)
        assert "service worker" in text(driver)
        driver.open(house.origin + "/welcome")
        driver.click("form button")
        pick_anna(driver, house)
        wait_for_url(driver, re.escape(house.origin + CALLBACK))
        assert "Hold the Shift key" in text(driver)
        if isinstance(driver, Chromium):
            driver.reload_with_shift()
            wait_for_url(driver, house.at("/private"))
            assert ANNA in text(driver)


@pytest.mark.parametrize("driver", ["chromium", "firefox"], indirect=True)
def test_the_page_for_a_worker_that_fetches_pages_leads_past_it(driver):
    with serve_with_worker("starlette", "headers", callback_token="same") as house:
        install(driver, house)
        for path in ("/private", LOGIN):
            driver.open(house.origin + path)
            driver.click("form button")
            wait_for_url(driver, house.sign_in_pages)


@pytest.mark.parametrize(
    ("driver", "name", "edge"),
    [("chromium", "pass", "flask"), ("chromium", "rebuild", "starlette"), ("firefox", "pass", "starlette")],
    indirect=["driver"],
)
def test_frames_and_forms_of_a_sibling_host_get_nothing_through_the_worker(driver, name, edge, elsewhere):
    """SM-08, LO-02: its frames are the worker's too, with all cookies, and XWMS would ask nobody anything."""
    with serve_with_worker(edge, name, callback_token="same", auto_login=ANNAS_SUB) as house:
        install(driver, house)
        addresses = [f"{house.origin}{path}" for path in (LOGIN, "/private", "/goes")]
        elsewhere.pages["/frames"] = "".join(f'<iframe src="{address}"></iframe>' for address in addresses)
        elsewhere.pages["/post"] = f'<form method="post" action="{house.origin}{LOGOUT}"><button>Win</button></form>'
        # Not typed, because Firefox then takes a frame that it does not show for the page.
        driver.run(f"void (location = '{elsewhere.url('/frames', host='localhost')}')")
        wait_for(lambda: len(house.journal.to(LOGIN, sec_fetch_dest="empty")) == len(addresses), "the frames")
        driver.open(house.origin + "/")
        assert "nobody" in text(driver)
        assert house.journal.to(CALLBACK) == []

        # The same at the top, and then a form.
        driver.open(house.origin + "/private")
        wait_for_url(driver, house.at("/private"))
        driver.open(elsewhere.url("/post", host="localhost"))
        driver.click("button")
        wait_for_url(driver, house.at(LOGOUT))
        driver.open(house.origin + "/")
        assert ANNA in text(driver)
