"""Injection and cache poisoning by way of the language and the name of a site: nothing that is sent gets into a page,
and no cache gives one visitor's language to another."""

import time

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import FROM_ELSEWHERE, LOGIN
from xwms_auth._core.base.texts.sentences import LANGUAGES
from xwms_auth._core.http.languages import MAX_ACCEPT_LANGUAGE, preferred_language

HOSTILE = [
    '"><script>alert(1)</script>',
    "nl\"onload='x'",
    "../../../etc/passwd",
    "nl/../en",
    "nl%00",
    "nl;q=1;q=0",
    "${language}",
    "x" * 60_000,
    "nl," * 30_000,
    "-".join(["nl"] * 20_000),
    "nl;q=0." + "0" * 50_000,
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_accept_language_gets_the_english_page(site, value):
    headers = [*{**FROM_ELSEWHERE, "Accept-Language": value}.items()]
    answer = site.raw(LOGIN, headers=headers)
    assert (answer.status_code, answer.headers["content-language"]) == (200, "en")
    assert '<html lang="en" dir="ltr">' in answer.text
    assert "alert(1)" not in answer.text


def test_a_repeated_header_is_one_list(site):
    headers = [*FROM_ELSEWHERE.items(), ("Accept-Language", "en;q=0.5"), ("Accept-Language", "ru;q=0.6")]
    assert site.raw(LOGIN, headers=headers).headers["content-language"] == "ru"


@pytest.mark.parametrize("piece", ["a", "a-", "*", ",", " ", "nl;q=0.", "\t;", "q=0", "A1-"])
def test_no_accept_language_takes_long(piece):
    header = (piece * MAX_ACCEPT_LANGUAGE)[:MAX_ACCEPT_LANGUAGE]
    began = time.perf_counter()
    assert preferred_language(header) in LANGUAGES
    assert time.perf_counter() - began < 0.1


def test_a_site_name_with_markup_stays_text(make_site):
    name = "</p><script>alert(1)</script> & \"Co\" ${title} 'x'"
    browser = make_site(site_name=name).browser()
    answer = browser.get(LOGIN, FROM_ELSEWHERE)
    assert "<script" not in answer.text
    assert "&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Co&quot; ${title}" in answer.text


@pytest.mark.parametrize("name", ["a\nb", "a\r\nX: y", "x" * 81, "\u202egro.live", "a\x00", 5, None])
def test_a_site_name_that_could_mislead_or_fill_the_page_is_refused(make_fx, name):
    """A right-to-left override would turn the whole line around."""
    with pytest.raises(xwms_auth.ConfigError, match="site_name"):
        xwms_auth.XWMSConfig(**make_fx().options(redirect_uris="https://a.example/cb", site_name=name))


def test_the_name_of_one_client_is_not_shown_at_a_host_of_nobody(make_fx):
    """Several clients in one application: an unknown host is answered with the first one's settings."""
    configs = [
        xwms_auth.XWMSConfig(
            **make_fx().options(
                client_id=f"client-{name}",
                redirect_uris=f"https://{name}.example/cb",
                site_name=f"Shop {name}",
                locale="nl",
            )
        )
        for name in ("one", "two")
    ]
    app = flask.Flask(__name__)
    xwms_auth.flask.XWMSAuth(app, configs)
    answer = app.test_client().get(LOGIN, headers=FROM_ELSEWHERE, base_url="https://three.example")
    assert answer.status_code == 400
    assert answer.headers["content-language"] == "en"
    assert "Shop" not in answer.text
    assert "one.example" not in answer.text


# --- buttons in an application's own pages ---

BUTTONS = {
    "login": {"xwms_login_button": {}},
    "link": {"xwms_link_button": {}},
    "logout": {"xwms_logout_form": {}},
    "language": {"xwms_language": {}},
    "login in Dutch": {"xwms_login_button": {"locale": "nl"}},
    "logout with a label": {"xwms_logout_form": {"label": "Bye"}},
    "url": {"xwms_login_url": {}},
}
NEGOTIATED = {"login", "link", "logout", "language"}
CACHED = {"Cache-Control": "public, max-age=60"}


def page_of(edge, config, clock, headers):
    """An application whose page has the named helper, and may be kept by every cache."""
    if edge == "flask":
        app = flask.Flask(__name__)

        @app.get("/<name>")
        def page(name):
            [(helper, arguments)] = BUTTONS[name].items()
            return flask.Response(str(getattr(xwms_auth.flask, helper)(**arguments)), headers=headers)

        xwms_auth.flask.XWMSAuth(app, config, clock=clock)
        return app

    async def served(request):
        [(helper, arguments)] = BUTTONS[request.path_params["name"]].items()
        return HTMLResponse(str(xwms_auth.starlette.template_context(request)[helper](**arguments)), headers=headers)

    app = Starlette(routes=[Route("/{name}", served)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, clock=clock)


@pytest.mark.parametrize("headers", [CACHED, {**CACHED, "Vary": "Accept-Encoding"}, {**CACHED, "Vary": "*"}, {}])
def test_a_cache_is_told_where_a_button_is_in_the_visitors_language(edge, site, headers):
    site.app = page_of(edge, site.config, site.clock, headers)
    browser = site.browser()
    for name in BUTTONS:
        answer = browser.get(f"/{name}", {"Accept-Language": "nl"})
        varied = [part.strip() for part in answer.headers.get("vary", "").split(",")]
        expected = name in NEGOTIATED and "*" not in varied
        assert varied.count("Accept-Language") == expected, name
        assert headers.get("Vary", "") in (*varied, "")
        for header, value in headers.items() if name != "logout" else ():
            assert value in answer.headers[header]
    assert "Inloggen met XWMS" in browser.get("/login", {"Accept-Language": "nl"}).text
    assert "Uitloggen" in browser.get("/logout", {"Accept-Language": "nl"}).text
    assert "Koppelen met XWMS" in browser.get("/link", {"Accept-Language": "nl"}).text
    assert browser.get("/language", {"Accept-Language": "nl"}).text == "nl"


def test_a_site_in_one_language_has_buttons_in_that_and_tells_caches_nothing(edge, make_site):
    site = make_site(locale="ru")
    site.app = page_of(edge, site.config, site.clock, CACHED)
    browser = site.browser()
    for name in BUTTONS:
        assert "Accept-Language" not in browser.get(f"/{name}", {"Accept-Language": "nl"}).headers.get("vary", "")
    assert "Войти через XWMS" in browser.get("/login", {"Accept-Language": "nl"}).text
