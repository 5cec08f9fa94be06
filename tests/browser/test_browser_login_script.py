"""The script that offers the login after a 401, in real browsers and below a strict Content-Security-Policy."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.drivers import Driver, wait_for, wait_for_url
from tests.browser.front_ends import TAG, serve_front_end
from tests.browser.houses import House, pick_anna
from tests.browser.measures import axe_source
from xwms_auth._core.base.assets.login_script import PLAIN_SCRIPT_PATH
from xwms_auth._core.base.texts.sentences import texts_in

pytestmark = pytest.mark.browser

BOTH = pytest.mark.parametrize("driver", ["chromium", "firefox"], indirect=True)
OFFER = "[popover]:popover-open"
BUTTON = f"{OFFER} button"
HEAD = '<!doctype html><html lang="en"><title>The app</title><link rel="icon" href="data:,">'
PAGE = f"{HEAD}{TAG}<main><h1>The app</h1><p>Some text of the application's.</p><button>Save</button></main></html>"
FILES = {
    "/": PAGE,
    "/plain": PAGE.replace(TAG, f'<script src="{PLAIN_SCRIPT_PATH}?lang=nl" defer></script>'),
}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serve_front_end(FILES) as served:
        yield served


@pytest.fixture(scope="module")
def other() -> Iterator[House]:
    with serve_front_end(FILES) as served:
        yield served


def offers(driver: Driver) -> int:
    return int(driver.run(f"document.querySelectorAll('{OFFER}').length"))


def wait_for_offer(driver: Driver) -> None:
    wait_for(lambda: offers(driver), "the offer")


def told(driver: Driver, script: str) -> Any:
    """What an async function on the page gives."""
    driver.run(f"(window.told = null, (async () => {{ {script} }})().then(told => {{ window.told = [told] }}), 0)")
    return wait_for(lambda: driver.run("window.told"), "what the page tells")[0]


WAYS = {
    "fetch": "await fetch('/api/me-too')",
    "fetch of a Request": "await fetch(new Request('/api/me-too', {method: 'POST', body: 'x'}))",
    "XMLHttpRequest": """await new Promise(done => {
        const asked = new XMLHttpRequest();
        asked.open('GET', '/api/me-too');
        asked.onloadend = done;
        asked.send();
    })""",
}


@BOTH
@pytest.mark.parametrize("way", WAYS)
def test_a_401_brings_an_offer_whose_button_logs_in_without_a_question_and_comes_back(driver, house, way):
    driver.open(f"{house.origin}/tickets?page=2&q=a%26b#last")
    driver.run("history.pushState(null, '', '/tickets/7?page=3#last')")
    told(driver, WAYS[way])
    wait_for_offer(driver)
    texts = texts_in("en")
    assert texts.errors["login_required"]["title"] in driver.run(f"document.querySelector('{OFFER}').innerText")
    assert driver.run(f"document.querySelector('{BUTTON}').innerText") == texts.buttons.login
    driver.click(BUTTON)
    pick_anna(driver, house)
    wait_for_url(driver, house.at("/tickets/7?page=3#last"))
    assert told(driver, "return (await (await fetch('/api/me-too')).json()).sub") == "1001"
    assert offers(driver) == 0


@BOTH
def test_the_keyboard_logs_in_too(driver, house):
    driver.open(f"{house.origin}/tickets")
    told(driver, WAYS["fetch"])
    driver.press(BUTTON)
    pick_anna(driver, house)
    wait_for_url(driver, house.at("/tickets"))


@BOTH
def test_many_at_once_are_one_offer(driver, house):
    driver.open(house.origin)
    told(driver, f"await Promise.all([...Array(8)].map(async () => {{ {WAYS['fetch']}; {WAYS['XMLHttpRequest']}; }}))")
    wait_for_offer(driver)
    assert offers(driver) == 1


@BOTH
def test_what_is_not_our_401_or_not_of_this_origin_brings_none(driver, house, other):
    driver.open(house.origin)
    crossing = other.origin.replace("localhost", "127.0.0.1")
    status = told(
        driver,
        f"""await fetch('/api/other'); await fetch('/');
        const answer = await fetch('{crossing}/api/me-too');
        const asked = new XMLHttpRequest();
        asked.open('GET', '{crossing}/api/me-too');
        await new Promise(done => {{ asked.onloadend = done; asked.send(); }});
        return [answer.status, (await answer.json()).code, asked.status];""",
    )
    assert status == [401, "login_required", 401]
    # Everything that was asked before is through when this one is.
    told(driver, "await fetch('/api/other')")
    assert offers(driver) == 0
    assert driver.run("document.querySelectorAll('[popover]').length") == 0


@BOTH
def test_the_response_is_the_callers_untouched(driver, house):
    driver.open(house.origin)
    seen = told(
        driver,
        """const answer = await fetch('/api/me-too'), before = answer.bodyUsed;
        const chunks = [];
        for (const reader = answer.body.getReader();;) {
            const {done, value} = await reader.read();
            if (done) break;
            chunks.push(...value);
        }
        const problem = JSON.parse(new TextDecoder().decode(new Uint8Array(chunks)));
        const text = await (await fetch('/api/other')).text();
        const asked = new XMLHttpRequest();
        asked.open('GET', '/api/me-too'); asked.responseType = 'json';
        const same = await new Promise(done => { asked.onload = function () { done(this === asked) }; asked.send(); });
        return [answer instanceof Response, answer.status, before, problem.code, JSON.parse(text).code,
            same, asked.response.code];""",
    )
    assert seen == [True, 401, False, "login_required", "other", True, "login_required"]


@BOTH
def test_an_aborted_fetch_and_one_that_fails_are_as_without_it(driver, house):
    driver.open(house.origin)
    seen = told(
        driver,
        """const unhandled = [];
        addEventListener('unhandledrejection', event => unhandled.push(event.reason.name));
        const names = [];
        const name = async promise => { try { await promise; names.push('no error'); }
            catch (error) { names.push(error.name); } };
        const stop = new AbortController();
        const started = fetch('/api/me-too', {signal: stop.signal});
        stop.abort();
        await name(started);
        await name(fetch('http://localhost:1/'));
        await name(fetch());
        const late = new AbortController();
        const answer = await fetch('/api/me-too', {signal: late.signal});
        late.abort();
        await name(answer.text());
        fetch('http://localhost:1/');
        while (!unhandled.length) await new Promise(done => setTimeout(done, 10));
        return [names.slice(0, 3), unhandled];""",
    )
    assert seen == [["AbortError", "TypeError", "TypeError"], ["TypeError"]]


@BOTH
def test_a_closed_offer_does_not_come_back_at_once(driver, house):
    driver.open(house.origin)
    told(driver, WAYS["fetch"])
    wait_for_offer(driver)
    driver.click("h1")
    wait_for(lambda: offers(driver) == 0, "the end of the offer")
    told(driver, f"{WAYS['fetch']}; await fetch('/api/other')")
    assert offers(driver) == 0


@BOTH
def test_the_address_that_stays_speaks_the_language_of_the_page(driver, house):
    driver.open(f"{house.origin}/plain")
    told(driver, WAYS["fetch"])
    wait_for_offer(driver)
    assert driver.run(f"document.querySelector('{BUTTON}').innerText") == texts_in("nl").buttons.login
    assert driver.run(f"document.querySelector('{OFFER}').lang") == "nl"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(drivers, house, scheme, width):
    axe = axe_source()
    context = drivers("chromium").context.browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 740}, locale="bn", bypass_csp=True
    )
    page = context.new_page()
    page.goto(f"{house.origin}/tickets")
    page.evaluate("document.documentElement.style.cssText = 'font-size: 200%; color-scheme: light dark'")
    page.evaluate("fetch('/api/me-too')")
    alert = page.get_by_role("alert")
    alert.get_by_role("button", name=texts_in("bn").buttons.login).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert json.dumps([one["id"] for one in found["violations"]]) == "[]"
    page.keyboard.press("Escape")
    assert not page.locator(OFFER).count()
    context.close()
