"""A sample of what the rule of `next` takes, and of what it refuses, in a real Chromium.

So that the judge of the long runs, a parser of URLs in a library, is known to say what a browser does.
"""

import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.drivers import chromium
from tests.corpus.next_targets import OWN_PATHS
from tests.fuzz.house import ORIGIN
from tests.fuzz.judges import stays_here
from tests.fuzz.lines import lines_of
from tests.fuzz.targets.next_urls import TARGETS
from tests.tools.site import CALLBACK
from xwms_auth._core.http.next_url import safe_next

pytestmark = pytest.mark.browser

SEED, VALUES, FOLLOWED = 20_261_128, 3_000, 40


@pytest.fixture(scope="module")
def page():
    with chromium() as browser:
        yield browser.new_page()


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """A site whose `/go?next=…` answers with exactly that Location, and whose every other page is there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            go, _, number = self.path.partition("?number=")
            self.send_response(303 if go == "/go" else 200)
            if go == "/go":
                self.send_header("Location", TAKEN[int(number)])
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def values() -> list[str]:
    """Seeds with a few pieces put in."""
    dice, pieces = random.Random(SEED), lines_of("pieces", "next")
    found: dict[str, None] = {}
    while len(found) < VALUES:
        data = dice.choice(TARGETS[0].seeds())
        for _ in range(dice.randint(0, 3)):
            at = dice.randint(0, len(data))
            data = data[:at] + dice.choice(pieces) + data[at + dice.randint(0, 2) :]
        found[data.decode("utf-8", "replace")] = None  # no lone surrogate travels to the browser
    return list(found)


VALUES_SENT = values()
TAKEN = [taken for value in VALUES_SENT if (taken := safe_next(value, own_paths=OWN_PATHS)) is not None]


def test_the_judge_of_locations_says_what_chromium_does(page):
    """Chromium also goes to hosts with a space, which the standard does not know: these count as elsewhere."""
    script = "([base, all]) => all.map(one => { try { return new URL(one, base).origin } catch { return null } })"
    seen = page.evaluate(script, [f"{ORIGIN}{CALLBACK}", VALUES_SENT])
    other = {
        value: origin
        for value, origin in zip(VALUES_SENT, seen, strict=True)
        if stays_here(value) != (origin == ORIGIN)
    }
    assert other == {}
    assert sum(origin != ORIGIN for origin in seen) > 300


def test_what_the_rule_takes_keeps_chromium_on_the_site(page, origin):
    assert len(TAKEN) > 300
    seen = page.evaluate("([base, all]) => all.map(one => new URL(one, base).origin)", [f"{origin}/a", TAKEN])
    assert set(seen) == {origin}


def test_a_redirect_to_what_the_rule_takes_ends_on_the_site(page, origin):
    for number in range(0, len(TAKEN), len(TAKEN) // FOLLOWED):
        page.goto(f"{origin}/go?number={number}")
        assert page.url.startswith(f"{origin}/"), TAKEN[number]
        assert not page.url.startswith(f"{origin}/go?"), TAKEN[number]
