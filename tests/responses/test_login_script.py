"""The script that offers the login after a 401: its tag, its addresses, its size. What it does: tests/browser."""

import base64
import hashlib
import re

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import Site
from xwms_auth._core.base.assets.login_script import LOGIN_SCRIPT, MAX_SCRIPT, PLAIN_SCRIPT_PATH, SCRIPT_PATH, script_in
from xwms_auth._core.base.texts.sentences import LANGUAGES, texts_in

KEPT = "public, max-age=31536000, immutable"
FOR_AN_HOUR = "public, max-age=3600"
AS_SCRIPT = {"Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def tagged(edge, make_site):
    """An application whose page has the tag: `tagged(nonce="x")` gives the site, the page's answer, the tag's parts."""

    def make(options: dict | None = None, language: str = "en", **arguments) -> tuple[Site, str, dict[str, str]]:
        site = make_site(**(options or {}))
        if edge == "flask":
            site.app.add_url_rule("/page", "page", lambda: str(xwms_auth.flask.xwms_login_script(**arguments)))
            site.app.add_url_rule(
                "/template", "template", lambda: flask.render_template_string("{{ xwms_login_script() }}")
            )
        else:

            async def page(request):
                return HTMLResponse(xwms_auth.starlette.template_context(request)["xwms_login_script"](**arguments))

            app = Starlette(routes=[Route("/page", page)])
            site.app = xwms_auth.starlette.XWMSAuthMiddleware(app, site.config, clock=site.clock)
        answer = site.browser().get("/page", {"Accept-Language": language})
        found = re.fullmatch(r"<script ((?:[a-z-]+=\"[^\"]*\" )+)defer></script>", answer.text)
        assert found, answer.text
        return site, answer, dict(re.findall(r'([a-z-]+)="([^"]*)"', found[1]))

    return make


def test_the_tag_names_a_script_that_may_be_kept_for_ever(tagged):
    site, _, tag = tagged()
    answer = site.browser().get(tag["src"], AS_SCRIPT)
    assert (answer.status_code, answer.text) == (200, LOGIN_SCRIPT)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == KEPT
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert "vary" not in answer.headers
    assert tag["integrity"] == "sha384-" + base64.b64encode(hashlib.sha384(answer.content).digest()).decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tag_carries_the_texts_in_the_visitors_language(tagged, language):
    _, answer, tag = tagged(language=language)
    texts = texts_in(language)
    assert tag["data-xwms"] == f"{texts.errors['login_required']['title']}|{texts.buttons.login}|{language}"
    assert "accept-language" in answer.headers["vary"].lower()


def test_the_language_and_a_nonce_may_be_named(tagged):
    _, answer, tag = tagged(locale="de", nonce='a"b')
    assert tag["data-xwms"].endswith("|de")
    assert tag["nonce"] == "a&quot;b"
    assert "accept-language" not in answer.headers.get("vary", "").lower()


def test_in_templates_of_flask_it_is_not_escaped_again(make_site):
    site = make_site()
    if site.edge == "flask":
        site.app.add_url_rule("/t", "t", lambda: flask.render_template_string("{{ xwms_login_script() }}"))
        assert site.browser().get("/t").text.startswith('<script src="/xwms/login-')


@pytest.mark.parametrize(
    ("options", "query", "header", "language", "varies"),
    [
        ({}, "", "nl, en;q=0.5", "nl", True),
        ({}, "", "fr", "en", True),
        ({}, "?lang=pt-BR", "nl", "pt", False),
        ({}, "?lang=klingon", "nl", "nl", True),
        ({}, "?lang=de&lang=nl", "es", "de", False),
        ({"locale": "ar"}, "", "nl", "ar", False),
        ({"locale": "ar"}, "?lang=nl", "", "nl", False),
    ],
)
def test_the_address_that_stays_has_the_texts_in_the_script(make_site, options, query, header, language, varies):
    answer = make_site(**options).browser().get(PLAIN_SCRIPT_PATH + query, {**AS_SCRIPT, "Accept-Language": header})
    assert (answer.status_code, answer.text) == (200, script_in(language))
    assert answer.headers["cache-control"] == FOR_AN_HOUR
    assert answer.headers.get("vary") == ("Accept-Language" if varies else None)


def test_both_are_below_the_prefix_and_open_where_all_is_protected(make_site):
    site = make_site(redirect_uris="https://app.example/shop/xwms/validateToken", protect="all")
    for path in (SCRIPT_PATH, PLAIN_SCRIPT_PATH):
        assert site.browser().get(f"/shop{path}", AS_SCRIPT).status_code == 200
        assert site.browser().post(f"/shop{path}").status_code == 405


def test_the_script_is_small_in_every_language_and_asks_for_nothing_else():
    for script in (LOGIN_SCRIPT, *map(script_in, LANGUAGES)):
        assert len(script.encode()) <= MAX_SCRIPT == 1024
        assert "@TEXTS@" not in script
        for never in ("innerHTML", "eval", "http:", "https:", "import(", "document.write", "<"):
            assert never not in script, never


def test_no_text_of_the_script_has_what_would_break_it():
    for language in LANGUAGES:
        texts = texts_in(language)
        for text in (texts.errors["login_required"]["title"], texts.buttons.login):
            assert not set('|"\\\n') & set(text)
