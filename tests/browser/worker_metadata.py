"""What browsers say of a navigation through a service worker: `python -m tests.browser.worker_metadata`, from the root.

Prints a table (Markdown) for each kind of worker, as `tests.browser.fetch_metadata` does without one. What the login
makes of such navigations rests on it; run it when a browser has changed.

Knows: the ways to get to a page, and how a worker fetches it.
Must not: judge; the tables are for people.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

from tests.browser.drivers import Chromium, Driver, Firefox, WebKit, chromium, wait_for
from tests.browser.servers import Asked, Journal, listener, port_of, recording_wsgi, serve_wsgi

TARGET: Final = "/target"
WORKERS: Final = {
    "fetch(event.request)": "fetch(event.request)",
    "fetch(event.request, {...})": "fetch(event.request, {cache: 'no-store'})",
    "fetch(new Request(event.request))": "fetch(new Request(event.request))",
    "fetch(event.request.url)": "fetch(event.request.url)",
    "fetch(new Request(event.request.url, {headers}))": "fetch(new Request(event.request.url, "
    "{headers: event.request.headers}))",
}
INSTALL: Final = "<script>navigator.serviceWorker.register('/worker.js')</script>"
LINK: Final = '<a href="OWN/target">go</a>'
FORM: Final = '<form method="post" action="OWN/target"><button>go</button></form>'
FRAME: Final = '<iframe src="OWN/target"></iframe>'
# On whose page, and what is clicked or loaded there. OTHER is another site, SIBLING another port of the same host.
WAYS: Final = {
    "click on a link of ours": ("OWN", LINK),
    "form of ours, POST": ("OWN", FORM),
    "click on another site's link": ("OTHER", LINK),
    "back by another site's redirect": ("OWN", '<a href="OTHER/redirect?OWN/target">go</a>'),
    "another site's form, POST": ("OTHER", FORM),
    "a sibling's form, POST": ("SIBLING", FORM),
    "frame on another site": ("OTHER", FRAME),
    "frame on a sibling": ("SIBLING", FRAME),
    "frame on a sibling, whose page of ours goes on": ("SIBLING", '<iframe src="OWN/goes"></iframe>'),
    "prerender": (
        "OWN",
        '<script type="speculationrules">{"prerender": [{"urls": ["/target"], "eagerness": "immediate"}]}</script>',
    ),
}


def said(asked: Asked) -> str:
    """One cell."""
    headers = asked.headers
    names = ("sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site", "sec-fetch-user", "sec-purpose")
    words = [asked.method, *(headers[name] for name in names if name in headers)]
    words.append(f"cookies: {' '.join(name for name in ('lax', 'strict') if f'{name}=' in headers.get('cookie', ''))}")
    words += [name for name in ("upgrade-insecure-requests",) if name in headers]
    words += [f"{name} {headers[name][:40]}" for name in ("origin", "referer") if name in headers]
    return ", ".join(words)


class Sites:
    """Two servers, of which the first is ours; what the worker does is changed from outside."""

    def __init__(self, stack: ExitStack) -> None:
        self.journal, self.worker, self.page = Journal(), "", ""
        first, second = stack.enter_context(listener()), stack.enter_context(listener())
        stack.enter_context(serve_wsgi(recording_wsgi(self._app, self.journal), first, None))
        stack.enter_context(serve_wsgi(self._app, second, None))
        self.origins = {
            "OWN": f"http://localhost:{port_of(first)}",
            "OTHER": f"http://127.0.0.1:{port_of(second)}",
            "SIBLING": f"http://localhost:{port_of(second)}",
        }

    def _app(self, environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        kind = "text/javascript" if path == "/worker.js" else "text/html"
        headers = [("Cache-Control", "no-store"), ("Content-Type", kind)]
        if path == "/redirect":
            start_response("302 Found", [*headers, ("Location", query)])
            return [b""]
        if path == "/install":
            headers += [("Set-Cookie", "lax=1; SameSite=Lax"), ("Set-Cookie", "strict=1; SameSite=Strict")]
        start_response("200 OK", headers)
        bodies = {
            "/worker.js": "oninstall = () => skipWaiting(); onactivate = event => event.waitUntil(clients.claim());"
            f"onfetch = event => event.respondWith({self.worker})",
            "/install": INSTALL,
            "/goes": "<script>location = '/target'</script>",
            "/page": parse_qs(query).get("html", [""])[0],
        }
        return [bodies.get(path, "arrived").encode()]

    def take(self, driver: Driver, way: tuple[str, str]) -> str:
        """What is said of this way."""
        where, page = way
        for name, origin in self.origins.items():
            page = page.replace(name, origin)
        self.journal.entries.clear()
        with suppress(RuntimeError):  # Firefox takes a frame that it does not show for the page
            driver.open(f"{self.origins[where]}/page?html={quote(page)}")
        if "<a " in page or "<button" in page:
            driver.click("a, button")
        with suppress(AssertionError):
            return said(self.journal.wait_for(TARGET))
        return "(nothing)"

    def install(self, driver: Driver) -> None:
        driver.open(self.origins["OWN"] + "/install")
        wait_for(lambda: driver.run("navigator.serviceWorker.controller !== null"), "the worker")


def column(make: Callable[[], Driver], kind: str) -> list[str]:
    """What one browser says; a new one each time, because in WebKitGTK only its first window takes clicks."""
    cells = []
    for way in WAYS.values():
        with ExitStack() as stack:
            sites = Sites(stack)
            sites.worker = WORKERS[kind]
            driver = make()
            try:
                sites.install(driver)
                cells.append(sites.take(driver, way))
            finally:
                driver.close()
    return cells


def main() -> None:
    """Print the tables."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        browser = stack.enter_context(chromium())
        makers: dict[str, Callable[[], Driver]] = {
            "Chromium": lambda: Chromium(browser),
            "Firefox": lambda: Firefox(Path(tempfile.mkdtemp(dir=scratch))),
            "WebKitGTK": WebKit,
        }
        wanted = sys.argv[1:] or list(makers)
        for kind in WORKERS:
            columns = [column(makers[name], kind) for name in wanted]
            rows = [[f"`{kind}`", *wanted], ["---"] * (len(wanted) + 1), *map(list, zip(WAYS, *columns, strict=True))]
            sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)
            sys.stdout.write("\n")


if __name__ == "__main__":
    main()
