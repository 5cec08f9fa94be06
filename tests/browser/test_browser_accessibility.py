"""Our pages and buttons for people who enlarge text, use the keyboard, read from right to left or choose their colours.

axe-core says what a program can find; what pages look like is for people (tests/browser/screenshots.py).
"""

import json
from typing import Any

import pytest

from tests.browser.measures import axe_source
from xwms_auth import EndReason, NotAllowed, XWMSError
from xwms_auth._core.base.assets.button_style import BUTTON_STYLE
from xwms_auth._core.base.errors import NotANavigation
from xwms_auth._core.base.texts.sentences import LANGUAGES, texts_in
from xwms_auth._core.responses.buttons import link_button, login_button, logout_form
from xwms_auth._core.responses.pages import confirm_page, error_page, leading_page, person_page, proof_page
from xwms_auth._core.responses.presentation import Presentation

pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 640}
FORM = {"action_url": "/xwms/auth?next=/p", "key": "k", "again_url": "/xwms/auth"}


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_source()


def an_error(language: str, error: XWMSError, *, hints: tuple[str, ...] = ()) -> str:
    texts = texts_in(language)
    return error_page(
        title=texts.title_of(error),
        detail=texts.detail_of(error),
        code=error.code,
        action_url="/xwms/auth",
        action_label=texts.pages.try_again,
        home_url="/",
        hints=hints,
        look=Presentation(texts=texts, site_name="support.example.org"),
    ).html


def pages_in(language: str) -> dict[str, str]:
    """Every page with all that it can have."""
    look = Presentation(texts=texts_in(language), site_name="Support desk", site_logo="/logo.svg")
    note = look.texts.signed_out[EndReason.REVOKED]
    person = {"name": "Anna de Vries", "email": "anna.de.vries@bloemenwinkel.example", "sub": "1001", "look": look}
    made = {
        "confirm": confirm_page(action_url="/xwms/auth", form_origins=(), note=note, look=look),
        "person": person_page(**person, **FORM),
        "person without address": person_page(**{**person, "email": None}, **FORM),
        "link": person_page(**person, **FORM, links=True),
        "proof": proof_page(**person, login_url="/login", as_other=True),
        "leading": leading_page(url="https://xwms.nl/", look=look),
    }
    return {
        # The page that leads on would be gone before it is looked at.
        **{name: page.html.replace('http-equiv="refresh"', 'name="refresh"') for name, page in made.items()},
        "error": an_error(language, NotANavigation()),
        "refusal": an_error(language, NotAllowed(), hints=("Add `one` to `two`.",)),
        "buttons": buttons_in(language),
    }


def buttons_in(language: str) -> str:
    """A page of an application's with our buttons, in a language of its own."""
    texts = texts_in(language)
    buttons = (
        login_button(login_url="/a", label=texts.buttons.login, language=texts, style_url="/s.css")
        + link_button(login_url="/a", label=texts.buttons.link, language=texts, style_url="/s.css")
        + logout_form(logout_url="/a", csrf_token="t", label=texts.buttons.logout, language=texts, style_url="/s.css")
    )
    style = f"<style>:root {{ color-scheme: light dark; }} {BUTTON_STYLE}</style>"
    return f'<!doctype html><html lang="en"><title>t</title>{style}<main><h1>t</h1>{buttons}</main></html>'


def violations(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [f"{each['id']}: {json.dumps([node['html'] for node in each['nodes']])}" for each in found]


@pytest.mark.parametrize(
    ("language", "colours"), [*((language, "light") for language in LANGUAGES), ("en", "dark"), ("ar", "dark")]
)
def test_axe_finds_nothing_on_any_page(chromium, axe, language, colours):
    with chromium.new_context(viewport=PHONE, color_scheme=colours) as context:
        page = context.new_page()
        for name, text in pages_in(language).items():
            page.set_content(text)
            assert violations(page, axe) == [], name


# A word is too long where it does not fit without being broken.
TOO_WIDE = """titles => titles.filter(title => {
    const place = document.querySelector(%s)
    place.textContent = title
    return place.scrollWidth > place.clientWidth || document.documentElement.scrollWidth > innerWidth
})"""


@pytest.mark.parametrize(("width", "text"), [(360, 200), (180, 100)], ids=["text at 200 %", "zoom at 200 %"])
def test_no_word_of_a_title_or_a_button_is_broken_on_a_phone_with_everything_twice_as_large(chromium, width, text):
    with chromium.new_context(viewport={"width": width, "height": 640}) as context:
        page = context.new_page()
        for language in LANGUAGES:
            texts = texts_in(language)
            titles = [texts.pages.confirm_title, texts.pages.person_title, texts.pages.link_title]
            titles += [texts.pages.proof_title, texts.pages.leading_title]
            titles += [error["title"] for error in texts.errors.values() if "title" in error]
            labels = [texts.pages.log_in, texts.pages.try_again, texts.pages.log_out, texts.pages.confirm_continue]
            labels += [texts.pages.person_continue, texts.pages.link_continue, texts.pages.proof_continue]
            page.set_content(an_error(language, NotAllowed()))
            unbroken = "h1, .button { overflow-wrap: normal !important; hyphens: none !important; }"
            page.add_style_tag(content=f"html {{ font-size: {text}%; }} {unbroken}")
            for selector, shown in (("h1", titles), (".button", labels)):
                assert page.evaluate(TOO_WIDE % json.dumps(selector), shown) == [], (language, selector)


@pytest.mark.parametrize(("width", "text"), [(360, 100), (360, 200), (320, 100), (1280, 200)])
def test_no_page_scrolls_sideways(chromium, width, text):
    with chromium.new_context(viewport={"width": width, "height": 640}) as context:
        page = context.new_page()
        for language in LANGUAGES:
            for name, shown in pages_in(language).items():
                page.set_content(shown)
                page.add_style_tag(content=f"html {{ font-size: {text}%; }}")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (language, name)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(chromium, language):
    with chromium.new_context(viewport=PHONE) as context:
        page = context.new_page()
        for name, shown in pages_in(language).items():
            page.set_content(shown)
            expected = page.evaluate("[...document.querySelectorAll('a, button')].map(each => each.textContent)")
            reached = []
            for _ in expected:
                page.keyboard.press("Tab")
                focus = "(({ outlineStyle, outlineWidth }) => [outlineStyle, parseInt(outlineWidth)])"
                assert page.evaluate(f"{focus}(getComputedStyle(document.activeElement))") == ["solid", 3], name
                reached.append(page.evaluate("document.activeElement.textContent"))
            assert reached == expected, name


def test_a_button_is_seen_in_forced_colours(chromium):
    with chromium.new_context(viewport=PHONE, forced_colors="active") as context:
        page = context.new_page()
        for shown in (pages_in("en")["confirm"], buttons_in("en")):
            page.set_content(shown)
            border = page.evaluate(
                "(({ borderTopStyle, borderTopColor, backgroundColor }) => "
                "[borderTopStyle, borderTopColor === backgroundColor, borderTopColor.startsWith('rgba')])"
                "(getComputedStyle(document.querySelector('button')))"
            )
            assert border == ["solid", False, False]


def test_arabic_runs_from_right_to_left_and_addresses_the_other_way(chromium):
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        shown = pages_in("ar")
        page.set_content(shown["person"])

        def place(selector: str) -> tuple[float, float]:
            script = """selector => {
                const range = document.createRange()
                range.selectNodeContents(document.querySelector(selector))
                const place = range.getBoundingClientRect()
                return [place.left, place.right]
            }"""
            left, right = page.evaluate(script, selector)
            return left, right

        edge = page.evaluate("document.querySelector('main').getBoundingClientRect().right")
        for selector in ("h1", ".site span"):
            left, right = place(selector)
            assert edge - right < 40 < left, selector
        directions = "selector => getComputedStyle(document.querySelector(selector)).direction"
        assert [page.evaluate(directions, each) for each in ("main", "h1", "bdi.muted")] == ["rtl", "rtl", "ltr"]
        page.set_content(shown["error"])
        assert page.evaluate(directions, "code") == "ltr"
