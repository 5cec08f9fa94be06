"""The parameters of a login with `flow="oauth2"`: who may set which, what the server gets, and `prompt=none`."""

from urllib.parse import parse_qsl, urlsplit

import flask
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.oauth2.steps import asked, begin, code_of, come_back, log_in
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM, TYPED, Site
from xwms_auth._core.http.login_params import NEEDS_PERSON

ALL = {
    "ui_locales": "nl fr-CA",
    "prompt": "login consent",
    "login_hint": "anna@example.org",
    "acr_values": "urn:example:strong 0",
}
ANY = "ui_locales prompt login_hint acr_values"
one_edge = pytest.mark.parametrize("edge", ["flask"])


def with_url(site: Site, **args: object) -> Site:
    """The site with a page `/url` that answers with the address of a login, and `/button`."""
    next_ = args.pop("next", "/welcome")
    if site.edge == "flask":
        site.app.add_url_rule("/url", "url", lambda: xwms_auth.flask.xwms_login_url(next=next_, **args))
        site.app.add_url_rule("/button", "button", lambda: xwms_auth.flask.xwms_login_button(next=next_, **args))
    else:

        async def url(request):
            return PlainTextResponse(
                xwms_auth.starlette.template_context(request)["xwms_login_url"](next=next_, **args)
            )

        async def button(request):
            names = xwms_auth.starlette.template_context(request)
            return PlainTextResponse(names["xwms_login_button"](next=next_, **args))

        site.app.app.router.routes += [Route("/url", url), Route("/button", button)]
    return site


def guarded(site: Site, **args: object) -> Site:
    """The site with a page `/danger` behind `login_required` with these parameters."""
    if site.edge == "flask":
        site.app.add_url_rule("/danger", "danger", xwms_auth.flask.login_required(**args)(lambda: "done"))
    else:

        async def danger(request):
            return PlainTextResponse("done")

        site.app.app.router.routes.append(Route("/danger", xwms_auth.starlette.login_required(**args)(danger)))
    return site


def sent(browser, url: str, headers=FROM_HERE) -> dict[str, str]:
    """What the authorization request has of the four, if this address starts a login."""
    answer = browser.get(url, headers)
    assert answer.status_code == 302, answer.text
    query = asked(answer.headers["location"])
    return {name: query[name] for name in ALL if name in query}


def link(**params: str) -> str:
    return f"{LOGIN}?{'&'.join(f'{name}={value}' for name, value in params.items())}".replace(" ", "+")


# --- who may set which ---


def test_a_link_may_set_the_language_and_nothing_else_unless_the_site_allows_it(make_site):
    assert sent(make_site().browser(), link(**ALL), FROM_ELSEWHERE) == {"ui_locales": "nl fr-CA"}
    for name, value in ALL.items():
        browser = make_site(login_params=name).browser()
        assert sent(browser, link(**ALL), FROM_ELSEWHERE) == {name: value}
    assert sent(make_site(login_params="none").browser(), link(**ALL)) == {}
    assert sent(make_site(login_params=ANY).browser(), link(**ALL)) == ALL


@one_edge
def test_what_a_link_sets_wrongly_starts_a_login_without_it(make_site):
    browser = make_site(login_params=ANY).browser()
    for query in ("prompt=none+login", "prompt=dance", "login_hint=a%0Ab", "ui_locales=nl_NL", "acr_values=%22"):
        assert sent(browser, f"{LOGIN}?{query}") == {}, query
    assert sent(browser, f"{LOGIN}?prompt=login&prompt=login&ui_locales=nl") == {"ui_locales": "nl"}


def test_the_application_sets_what_it_likes_in_its_own_links_and_buttons(make_site):
    browser = with_url(make_site(), **ALL).browser()
    url = browser.get("/url").text
    assert sent(browser, url) == ALL
    form = browser.get("/button").text
    action = form.partition('action="')[2].partition('"')[0].replace("&amp;", "&")
    answer = browser.post(action, {**FROM_HERE, "Origin": "https://app.example"})
    assert {name: asked(answer.headers["location"])[name] for name in ALL} == ALL


def test_no_link_changes_what_the_application_has_set(make_site):
    browser = with_url(make_site(login_params=ANY), prompt="login", acr_values="strong").browser()
    url = browser.get("/url").text
    assert sent(browser, f"{url}&login_hint=eve")["login_hint"] == "eve"
    browser = with_url(make_site(), prompt="login", acr_values="strong").browser()
    url = browser.get("/url").text
    assert sent(browser, f"{url}&prompt=none&acr_values=weak&login_hint=eve") == {
        "prompt": "login",
        "acr_values": "strong",
    }


def test_a_sealed_value_is_the_applications_or_none(make_site):
    site, other = with_url(make_site(), prompt="login"), make_site(session_secret="another-key-0123456789-0123456789")
    url = site.browser().get("/url").text
    assert sent(site.browser(), url) == {"prompt": "login"}
    assert sent(other.browser(), url) == {}
    for broken in (url[:-4], url + "AAAA", url.replace("params=", "params=AAAA"), f"{url}&params=x"):
        assert sent(site.browser(), broken) == {}, broken


def test_a_hint_of_somebody_elses_page_does_not_count_in_a_link_on_another_site(make_site):
    """Somebody takes the address out of their own page; the others' sign-in page would show that account."""
    site = with_url(make_site(), login_hint="eve@example.org", prompt="select_account")
    url = site.browser().get("/url").text
    assert sent(site.browser(), url, FROM_ELSEWHERE) == {"prompt": "select_account"}
    assert sent(site.browser(), url, FROM_HERE)["login_hint"] == "eve@example.org"
    assert sent(site.browser(), url, TYPED)["login_hint"] == "eve@example.org"


def test_a_hint_is_readable_in_no_address_and_no_log(make_site, caught):
    site = with_url(make_site(login_params=ANY), **ALL)
    browser = site.browser()
    url = browser.get("/url").text
    browser.get(url)
    assert "anna" not in url
    assert "anna" not in browser.get("/button").text
    assert "anna" not in caught().replace("login_hint=…", "")


def test_nobody_can_drop_or_change_what_fresh_asks_of_the_server(make_site):
    browser = guarded(make_site(login_params=ANY), fresh=60, acr_values="strong").browser()
    start = browser.get("/danger", FROM_ELSEWHERE).headers["location"]
    query = asked(browser.get(f"{start}&max_age=9999&fresh=9999").headers["location"])
    assert query["acr_values"] == "strong"
    assert "max_age" not in asked(browser.get(f"{LOGIN}?max_age=5").headers["location"])
    now = browser.site.clock.now
    browser.site.fx.claims = {"iat": now, "exp": now + 300, "auth_time": now - 61}
    assert come_back(browser, browser.site.fx.consent(begin(browser))).status_code == 303
    again = browser.get("/danger", FROM_HERE)
    assert again.status_code == 302
    assert asked(browser.get(again.headers["location"]).headers["location"])["max_age"] == "60"


# --- what the server gets ---


def test_a_guard_passes_its_parameters_on(make_site):
    browser = guarded(make_site(), acr_values=["strong"], prompt="login", ui_locales="nl").browser()
    refused = browser.get("/danger", FROM_HERE)
    assert sent(browser, refused.headers["location"]) == {
        "acr_values": "strong",
        "prompt": "login",
        "ui_locales": "nl",
    }
    assert sent(browser, browser.get("/danger", PROGRAM).json()["login_url"])["prompt"] == "login"


@one_edge
def test_offline_access_keeps_its_consent_beside_another_prompt(make_site):
    site = make_site(scopes="openid offline_access", login_params=ANY)
    for given, prompt in (("login", "login consent"), ("consent", "consent"), ("none", "none"), ("", "consent")):
        assert sent(site.browser(), f"{LOGIN}?prompt={given}")["prompt"] == prompt


@one_edge
def test_parameters_never_make_the_address_of_the_login_page_too_long(make_site):
    site = make_site(login_params=ANY, scopes=["openid", "x" * 700])
    url = link(login_hint="%C3%A9" * 127, acr_values="x" * 300, ui_locales="nl", prompt="login")
    assert sent(site.browser(), url) == {"prompt": "login"}


def test_whoever_is_signed_in_goes_to_the_server_if_that_is_to_ask_them_something(make_site, server):
    site = make_site(login_params="prompt")
    browser = site.browser()
    log_in(browser, server)
    assert browser.get(f"{LOGIN}?next=/hello").headers["location"] == "/hello"
    assert browser.get(f"{LOGIN}?next=/hello&prompt=none").headers["location"] == "/hello"
    for prompt in ("login", "select_account", "consent"):
        assert sent(browser, f"{LOGIN}?next=/hello&prompt={prompt}") == {"prompt": prompt}
    query = server.consent(browser.get(f"{LOGIN}?next=/hello&prompt=select_account").headers["location"], sub="1002")
    assert come_back(browser, query).headers["location"] == "/hello"
    assert browser.who() == "1002"


# --- prompt=none ---


def silently(browser, error: str, url: str):
    """Start a silent login at this address; the answer to the callback with which the server refuses it."""
    query = asked(browser.get(url).headers["location"])
    return come_back(browser, {"error": error, "state": query["state"], "iss": browser.site.config.issuer})


@pytest.mark.parametrize("error", NEEDS_PERSON)
def test_a_silent_login_that_needs_the_person_comes_back_signed_out(make_site, error):
    site = make_site(login_params="prompt")
    for next_, back in (("/hello", "/hello?"), ("/hello%3Fa%3D1", "/hello?a=1&"), ("/hello%23x", "/hello?")):
        browser = site.browser()
        answer = silently(browser, error, f"{LOGIN}?prompt=none&next={next_}")
        place, mark, fragment = answer.headers["location"].partition("#")
        assert (answer.status_code, place) == (303, f"{back}xwms_error={error}")
        assert (mark + fragment) == ("#x" if "23" in next_ else "")
        assert browser.who() is None
        assert browser.logins() == {}


def test_a_silent_login_of_a_person_whom_the_server_knows_signs_them_in(make_site, server):
    browser = with_url(make_site(), prompt="none").browser()
    answer = come_back(browser, server.consent(browser.get(browser.get("/url").text).headers["location"]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/welcome")
    assert browser.who() == "xwms-user-1234"


def test_a_page_that_asks_silently_each_time_is_no_loop(make_site):
    browser = guarded(make_site(), prompt="none").browser()
    start = browser.get("/danger", FROM_ELSEWHERE).headers["location"]
    back = silently(browser, "login_required", start).headers["location"]
    assert back == "/danger?xwms_error=login_required"
    again = browser.get(browser.get(back, FROM_ELSEWHERE).headers["location"], FROM_ELSEWHERE)
    assert code_of(again) == (401, "login_required")
    assert 'href="/xwms/auth?next=/danger"' in again.text
    assert "prompt" not in asked(browser.get(f"{LOGIN}?next=/danger").headers["location"])


def test_a_login_after_a_silent_one_returns_to_the_page_as_it_was(make_site, server):
    browser = make_site().browser()
    for asked_for, back in (
        ("/hello?xwms_error=login_required", "/hello"),
        ("/hello?a=1&xwms_error=consent_required&b=2#c", "/hello?a=1&b=2#c"),
    ):
        answer = come_back(browser, server.consent(begin(browser, asked_for)))
        assert answer.headers["location"] == back
        browser.log_out()


def test_only_a_silent_login_comes_back_without_an_error_page(make_site):
    site = make_site(login_params="prompt")
    browser = site.browser()
    assert code_of(silently(browser, "login_required", f"{LOGIN}?next=/hello")) == (400, "token_missing")
    for error, status in (("access_denied", 400), ("server_error", 502), ("constructed", 400)):
        answer = silently(site.browser(), error, f"{LOGIN}?prompt=none")
        assert answer.status_code == status, error
    assert code_of(come_back(browser, {"error": "login_required", "state": "x" * 43}))[0] == 400


def test_a_refusal_of_another_server_is_no_outcome_of_a_silent_login(make_site):
    browser = make_site(login_params="prompt").browser()
    query = asked(browser.get(f"{LOGIN}?prompt=none").headers["location"])
    answer = come_back(browser, {"error": "login_required", "state": query["state"], "iss": "https://evil.example"})
    assert code_of(answer) == (401, "token_rejected")


# --- the other doors ---


@one_edge
def test_wsgi_and_fastapi_guards_take_the_parameters(make_site, server):
    """The guard of WSGI in the application of Flask's site, and the dependency of FastAPI by its requirement."""
    site = make_site()

    @xwms_auth.wsgi.login_required(prompt="login")
    def page(environ, start_response):
        raise AssertionError

    inner = flask.Flask("inner")
    served = xwms_auth.wsgi.XWMSAuth(page, site.config, clock=site.clock)
    site.app = served
    location = site.browser().get("/", FROM_HERE).headers["location"]
    assert sent(site.browser(), location) == {"prompt": "login"}
    assert inner.name == "inner"
    with pytest.raises(ValueError, match="prompt"):
        xwms_auth.fastapi.fresh_user(60, prompt="dance")
    for door in (xwms_auth.flask, xwms_auth.wsgi, xwms_auth.starlette):
        with pytest.raises(ValueError, match="acr_values"):
            door.login_required(acr_values='"')


# --- the local XWMS ---


@one_edge
def test_the_local_xwms_suggests_who_is_hinted_at_and_says_which_languages_are_asked_for(make_local, local):
    browser = with_url(make_local(), login_hint="1003", ui_locales="nl en").browser()
    location = browser.get(browser.get("/url").text).headers["location"]
    page = local.http.get(local.http.get(location).headers["location"]).text
    assert page.index("suggested by the app") < page.index('value="1001"')
    assert page.index('value="1003"') < page.index('value="1001"')
    assert "<code>nl en</code>" in page
    unknown = with_url(make_local(cookie_tag="b"), login_hint="new@example.org").browser()
    location = unknown.get(unknown.get("/url").text).headers["location"]
    page = local.http.get(local.http.get(location).headers["location"]).text
    assert 'value="new@example.org"' in page
    assert "suggested by the app" not in page


@one_edge
def test_a_silent_login_at_the_local_xwms_comes_back_signed_out(make_local, local):
    browser = with_url(make_local(), prompt="none").browser()
    back = local.http.get(browser.get(browser.get("/url").text).headers["location"]).headers["location"]
    answer = come_back(browser, dict(parse_qsl(urlsplit(back).query)))
    assert answer.headers["location"] == "/welcome?xwms_error=login_required"
