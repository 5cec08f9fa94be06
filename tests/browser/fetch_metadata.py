"""What browsers say of how a login began: `python -m tests.browser.fetch_metadata`, from the repository's root.

Prints a table (Markdown) of the `Sec-Fetch-*` headers that Chromium, Firefox and WebKitGTK send for each way of getting
to a page. The rule of "begun here" rests on it; run it when a browser has changed.

Knows: the ways, as a person or a script takes them.
Must not: judge; the table is for people.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.browser.drivers import Chromium, Driver, Firefox, WebKit, chromium, wait_for_url, wait_for_window
from tests.browser.servers import Asked, Journal, listener, port_of, recording_wsgi, serve_wsgi

TARGET: Final = "/target"
LINK: Final = '<a href="TARGET">go</a>'
LATER: Final = "fetch('/quick').then(() => location = '/target')"

PAGES: Final = {
    "/": "home",
    "/quick": "quick",
    "/link": '<a href="/target">go</a>',
    "/new-tab": '<a href="/target" target="_blank">go</a>',
    "/link-to-redirect": '<a href="/redirect">go</a>',
    "/form": '<form method="post" action="/target"><button>go</button></form>',
    "/form-get": '<form method="get" action="/target"><button>go</button></form>',
    "/form-no-referrer": '<meta name="referrer" content="no-referrer"><form method="post" action="/target">'
    "<button>go</button></form>",
    "/form-field": '<form method="post" action="/target"><input name="a" value="b"><button>go</button></form>',
    "/form-to-redirect": '<form method="post" action="/redirect"><button>go</button></form>',
    "/submit": '<form method="post" action="/target"></form><script>document.forms[0].submit()</script>',
    "/request-submit": '<form method="post" action="/target"></form><script>document.forms[0].requestSubmit()</script>',
    "/click-button": '<form method="post" action="/target"><button>go</button></form>'
    '<script>document.querySelector("button").click()</script>',
    "/click-link": '<a href="/target">go</a><script>document.querySelector("a").click()</script>',
    "/submit-by-hand": '<form method="post" action="/target"></form>'
    '<button onclick="document.forms[0].submit()">go</button>',
    "/location": "<script>location = '/target'</script>",
    "/location-onload": "<script>onload = () => setTimeout(() => location = '/target', 50)</script>",
    "/location-by-hand": "<button onclick=\"location = '/target'\">go</button>",
    "/location-later": f'<button onclick="{LATER}">go</button>',
    "/meta-refresh": '<meta http-equiv="refresh" content="0;url=/target">',
    "/going-back": "<script>onload = () => setTimeout(() => history.back(), 50)</script>",
    "/popup": "<button onclick=\"window.open('/target')\">go</button>",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Two sites, and what both were asked."""

    origin: str
    elsewhere: str
    journal: Journal


@contextmanager
def serve() -> Iterator[Place]:
    journal = Journal()

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        path = environ["PATH_INFO"]
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
        if path == "/redirect":
            start_response("303 See Other", [*headers, ("Location", TARGET)])
            return [b""]
        if path == "/redirect-over":
            start_response("303 See Other", [*headers, ("Location", environ["QUERY_STRING"])])
            return [b""]
        page = PAGES.get(path, "arrived")
        start_response("200 OK", headers)
        return [f'<!doctype html><title>{path}</title><link rel="icon" href="data:,">{page}'.encode()]

    with listener() as sock, serve_wsgi(recording_wsgi(app, journal), sock, None):
        yield Place(f"http://localhost:{port_of(sock)}", f"http://127.0.0.1:{port_of(sock)}", journal)


def opened(path: str) -> Callable[[Driver, Place], None]:
    """The page's own script does it."""
    return lambda driver, at: driver.open(at.origin + path)


def clicked(path: str, selector: str = "a, button") -> Callable[[Driver, Place], None]:
    def way(driver: Driver, at: Place) -> None:
        driver.open(at.origin + path)
        driver.click(selector)

    return way


def pressed(path: str) -> Callable[[Driver, Place], None]:
    def way(driver: Driver, at: Place) -> None:
        driver.open(at.origin + path)
        driver.press("a, button")

    return way


def lured(path: str) -> Callable[[Driver, Place], None]:
    """Another site's page opens ours in a window of its own; what our page's script does then."""

    def way(driver: Driver, at: Place) -> None:
        PAGES["/lure"] = f"<button onclick=\"window.open('{at.origin}{path}')\">go</button>"
        driver.open(f"{at.elsewhere}/lure")
        driver.click("button")

    return way


def from_elsewhere(page: str) -> Callable[[Driver, Place], None]:
    """A click on something of another site's page; TARGET in it is the address of ours."""

    def way(driver: Driver, at: Place) -> None:
        PAGES["/elsewhere"] = page.replace("TARGET", at.origin + TARGET)
        driver.open(f"{at.elsewhere}/elsewhere")
        driver.click("a, button")

    return way


def reloaded_from_elsewhere(driver: Driver, at: Place) -> None:
    from_elsewhere(LINK)(driver, at)
    wait_for_url(driver, at.origin + TARGET)
    _forget(at)
    driver.reload()


def reloaded_by_script_from_elsewhere(driver: Driver, at: Place) -> None:
    from_elsewhere(LINK)(driver, at)
    wait_for_url(driver, at.origin + TARGET)
    _forget(at)
    driver.run("void location.reload()")


def sent_back_by_elsewhere(driver: Driver, at: Place) -> None:
    """Another site's page goes to ours; what comes after it there goes back."""
    from_elsewhere(LINK)(driver, at)
    wait_for_url(driver, at.origin + TARGET)
    driver.open(f"{at.elsewhere}/quick")
    _forget(at)
    driver.run("void history.back()")


def sent_back_by_elsewhere_to_typed(driver: Driver, at: Place) -> None:
    """Somebody types our address, then is on another site in the same window, whose script goes back."""
    driver.open(at.origin + TARGET)
    _forget(at)
    driver.open(f"{at.elsewhere}/going-back")


def window_sent_back_by_elsewhere(driver: Driver, at: Place) -> None:
    """Another site opens ours in a window, leads the window to a page of its own, and has that go back."""
    PAGES["/opener"] = f'<button id="open" onclick="window.w = window.open(\'{at.origin}{TARGET}\')">open</button>'
    driver.open(f"{at.elsewhere}/opener")
    windows = driver.windows()
    front = driver.front()
    driver.click("#open")
    wait_for_window(driver, windows)
    wait_for_url(driver, at.origin + TARGET)
    _forget(at)
    driver.window(front)
    driver.run("void (window.w.location = '/going-back')")


def typed_and_redirected_from_elsewhere(driver: Driver, at: Place) -> None:
    driver.open(f"{at.elsewhere}/redirect-over?{at.origin}{TARGET}")


def reloaded(driver: Driver, at: Place) -> None:
    driver.open(at.origin + TARGET)
    _forget(at)
    driver.reload()


def reloaded_after_link(driver: Driver, at: Place) -> None:
    driver.open(at.origin + "/link")
    driver.click("a")
    wait_for_url(driver, at.origin + TARGET)
    _forget(at)
    driver.reload()


def reloaded_by_script(driver: Driver, at: Place) -> None:
    driver.open(at.origin + TARGET)
    _forget(at)
    driver.run("void location.reload()")


def back(driver: Driver, at: Place) -> None:
    driver.open(at.origin + TARGET)
    driver.open(at.origin + "/")
    _forget(at)
    driver.back()


def back_after_link(driver: Driver, at: Place) -> None:
    driver.open(at.origin + "/link")
    driver.click("a")
    wait_for_url(driver, at.origin + TARGET)
    driver.open(at.origin + "/")
    _forget(at)
    driver.back()


def back_by_script(driver: Driver, at: Place) -> None:
    driver.open(at.origin + TARGET)
    driver.open(at.origin + "/")
    _forget(at)
    driver.run("void history.back()")


def by_script_after_a_click(driver: Driver, at: Place) -> None:
    """A click on anything of the page, then a script that does not belong to it."""
    driver.open(at.origin + "/popup-none")
    driver.run("void (document.body.innerHTML = '<button>nothing</button>')")
    driver.click("button")
    driver.run(f"void (location = '{TARGET}')")


def _forget(at: Place) -> None:
    at.journal.wait_for(TARGET)
    at.journal.entries.clear()


WAYS: Final[dict[str, Callable[[Driver, Place], None]]] = {
    "typed address": opened(TARGET),
    "typed address, redirected": opened("/redirect"),
    "click on a link": clicked("/link"),
    "Enter on a link": pressed("/link"),
    "click on a link to a new tab": clicked("/new-tab"),
    "click on a link, redirected": clicked("/link-to-redirect"),
    "click on a form's button, POST": clicked("/form"),
    "Enter on a form's button, POST": pressed("/form"),
    "Enter in a form's field, POST": lambda driver, at: (
        driver.open(at.origin + "/form-field"),
        driver.press("input"),
    )[1],
    "click on a form's button, POST, `no-referrer`": clicked("/form-no-referrer"),
    "click on a form's button, GET": clicked("/form-get"),
    "redirect after a POST by click": clicked("/form-to-redirect"),
    "`form.submit()`, no gesture": opened("/submit"),
    "`form.requestSubmit()`, no gesture": opened("/request-submit"),
    "`button.click()` by script, POST, no gesture": opened("/click-button"),
    "`form.submit()` in a click": clicked("/submit-by-hand", "button"),
    "`link.click()` by script, no gesture": opened("/click-link"),
    "`location =`, no gesture": opened("/location"),
    "`location =` after the page is there, no gesture": opened("/location-onload"),
    "`location =` in a click": clicked("/location-by-hand"),
    "`location =` after a fetch that a click began (HTMX)": clicked("/location-later"),
    "`location =` after a click on something else": by_script_after_a_click,
    "meta refresh": opened("/meta-refresh"),
    "`window.open` in a click": clicked("/popup"),
    "another site opens our page, whose script sets `location`": lured("/location"),
    "another site opens our page, whose script submits a form": lured("/submit"),
    "another site opens our page, whose script clicks a link": lured("/click-link"),
    "another site opens our page with a meta refresh": lured("/meta-refresh"),
    "click on another site's link": from_elsewhere(LINK),
    "click on another site's link, `noreferrer`": from_elsewhere('<a rel="noreferrer" href="TARGET">go</a>'),
    "another site's `window.open`, `noopener`": from_elsewhere(
        "<button onclick=\"window.open('TARGET', '_blank', 'noopener')\">go</button>"
    ),
    "another site's script in an empty window of its own": from_elsewhere(
        "<button onclick=\"let w = window.open('about:blank'); setTimeout(() => w.location = 'TARGET', 9)\">go</button>"
    ),
    "another site's form, POST by click": from_elsewhere(
        '<form method="post" action="TARGET"><button>go</button></form>'
    ),
    "typed address of another site, which redirects here": typed_and_redirected_from_elsewhere,
    "reload (F5) of a page come to from another site": reloaded_from_elsewhere,
    "`location.reload()` of a page come to from another site": reloaded_by_script_from_elsewhere,
    "another site goes back to our page": sent_back_by_elsewhere,
    "another site's script goes back to our page, which was typed": sent_back_by_elsewhere_to_typed,
    "another site's window goes back to our page": window_sent_back_by_elsewhere,
    "reload (F5) of a typed address": reloaded,
    "reload (F5) of a page come to by a link": reloaded_after_link,
    "`location.reload()`": reloaded_by_script,
    "back button to a typed address": back,
    "back button to a page come to by a link": back_after_link,
    "`history.back()`": back_by_script,
}


def said(asked: Asked) -> str:
    """One cell: method, Site, and User; Mode and Dest where they are not those of a navigation."""
    headers = asked.headers
    words = [asked.method, headers.get("sec-fetch-site", "(no Site)"), headers.get("sec-fetch-user", "no User")]
    if (mode := headers.get("sec-fetch-mode")) != "navigate":
        words.append(f"mode {mode}")
    if (dest := headers.get("sec-fetch-dest")) != "document":
        words.append(f"dest {dest}")
    if "origin" in headers:
        words.append(f"Origin {'null' if headers['origin'] == 'null' else 'sent'}")
    return ", ".join(words)


def take(way: Callable[[Driver, Place], None], driver: Driver, at: Place) -> str:
    at.journal.entries.clear()
    try:
        way(driver, at)
        return said(at.journal.wait_for(TARGET))
    except (AssertionError, RuntimeError) as reason:
        return f"({str(reason)[:60]})"


def in_new_windows(driver: Driver, at: Place) -> Iterator[str]:
    """One way after the other."""
    for way in WAYS.values():
        driver.new_window()
        yield take(way, driver, at)
    driver.close()


def in_new_browsers(make: Callable[[], Driver], at: Place) -> Iterator[str]:
    """For WebKitGTK, where a window that is not the first takes no clicks."""
    for way in WAYS.values():
        driver = make()
        yield take(way, driver, at)
        driver.close()


def main() -> None:
    """Print the table."""
    with serve() as at, ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        columns: dict[str, dict[str, str]] = {}
        columns["WebKitGTK"] = dict(zip(WAYS, in_new_browsers(WebKit, at), strict=True))
        columns["Firefox"] = dict(zip(WAYS, in_new_windows(Firefox(Path(scratch)), at), strict=True))
        browser = stack.enter_context(chromium())
        columns["Chromium"] = dict(zip(WAYS, in_new_windows(Chromium(browser), at), strict=True))
        rows = [["way", *columns], ["---"] * (len(columns) + 1)]
        rows += [[way, *(column[way] for column in columns.values())] for way in WAYS]
        sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
