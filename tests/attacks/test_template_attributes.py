"""SM-03: what a template asks of the current user is answered truly, or, in debug mode, with an error."""

import copy
import pickle
from itertools import product

import flask
import jinja2
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.templating import Jinja2Templates

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import Site
from xwms_auth import Anonymous, User

SUB = "17"
MEMBERS = "{% if not current_user.is_anonymous %}members only{% else %}for everybody{% endif %}"
ALL = " ".join(
    f"{{{{ current_user.{name} }}}}" for name in ("is_authenticated", "is_anonymous", "is_active", "get_id()")
)
UNKNOWN = ["{% if not NAME.is_guest %}members{% endif %}", "{{ NAME.is_guest }}", "{{ NAME|attr('is_guest') }}"]


def flask_pages(site, debug):
    app = flask.Flask(__name__)
    app.debug = debug

    @app.post("/render")
    def render():
        user = xwms_auth.flask.current_user
        given = {"given": user._get_current_object(), "request": {"user": user}}
        return flask.render_template_string(flask.request.get_data(as_text=True), **given)

    xwms_auth.flask.XWMSAuth(app, site.config, clock=site.clock)
    return app


def starlette_pages(site, debug):
    async def render(request):
        env = jinja2.Environment(autoescape=True, loader=jinja2.DictLoader({"page": (await request.body()).decode()}))
        templates = Jinja2Templates(env=env, context_processors=[xwms_auth.starlette.template_context])
        given = xwms_auth.starlette.current_user(request)
        return templates.TemplateResponse(request, "page", {"given": given})

    app = Starlette(routes=[Route("/render", render, methods=["POST"])], debug=debug)
    return xwms_auth.starlette.XWMSAuthMiddleware(app, site.config, clock=site.clock)


def fastapi_pages(site, debug):
    app = FastAPI(debug=debug)

    @app.post("/render")
    async def render(request: Request, user: xwms_auth.fastapi.OptionalUser):
        env = jinja2.Environment(autoescape=True, loader=jinja2.DictLoader({"page": (await request.body()).decode()}))
        templates = Jinja2Templates(env=env, context_processors=[xwms_auth.starlette.template_context])
        return templates.TemplateResponse(request, "page", {"given": user or Anonymous()})

    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=site.config, clock=site.clock)
    return app


PAGES = {"flask": flask_pages, "starlette": starlette_pages, "fastapi": fastapi_pages}


@pytest.fixture(params=PAGES)
def make_pages(request, make_fx):
    def make(*, debug=False):
        site = Site("flask" if request.param == "flask" else "asgi", make_fx())
        site.app = PAGES[request.param](site, debug)
        return site

    return make


def rendered(browser, template):
    answer = browser.post("/render", content=template)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("debug", [False, True])
def test_sm_03_templates_written_for_flask_login_get_the_truth(make_pages, debug):
    """SM-03"""
    site = make_pages(debug=debug)
    browser = site.browser()
    names = ("current_user", "request.user", "given")

    def shown(template):
        return {name: rendered(browser, template.replace("current_user", name)) for name in names}

    assert shown(MEMBERS) == dict.fromkeys(names, "for everybody")
    assert shown(ALL) == dict.fromkeys(names, "False True False None")
    browser.log_in(SUB)
    assert shown(MEMBERS) == dict.fromkeys(names, "members only")
    assert shown(ALL) == dict.fromkeys(names, f"True False True {site.config.issuer} {SUB}")


@pytest.mark.parametrize("signed_in", [False, True])
def test_sm_03_in_debug_mode_an_unknown_attribute_in_a_template_is_an_error_that_says_so(
    make_pages, subtests, signed_in
):
    """SM-03"""
    browser = make_pages(debug=True).browser()
    if signed_in:
        browser.log_in(SUB)
    for name, asks in product(("current_user", "request.user", "given"), UNKNOWN):
        template = asks.replace("NAME", name)
        with (
            subtests.test(template),
            pytest.raises(jinja2.UndefinedError, match=r"a template uses 'is_guest'.* is_anonymous"),
        ):
            rendered(browser, template)


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_template_may_still_ask_whether_there_is_such_an_attribute(make_pages, signed_in):
    browser = make_pages(debug=True).browser()
    if signed_in:
        browser.log_in(SUB)
    assert (
        rendered(browser, "{{ current_user.is_guest is defined }} {{ given.is_guest | default('no') }}") == "False no"
    )
    assert "User" in rendered(browser, "{{ current_user }}") or not signed_in


def test_for_visitors_of_a_site_that_is_not_in_debug_mode_the_page_is_as_it_was(make_pages):
    assert rendered(make_pages().browser(), "a{{ current_user.is_guest }}b") == "ab"


@pytest.mark.parametrize("person", [User(issuer="https://xwms.nl/api/", sub="1 2"), Anonymous()])
def test_plain_code_gets_what_it_always_got(person):
    assert not hasattr(person, "is_guest")
    with pytest.raises(AttributeError, match=f"'{type(person).__name__}' object has no attribute 'is_guest'"):
        person.is_guest  # noqa: B018
    assert copy.deepcopy(person) == pickle.loads(pickle.dumps(person)) == person


def test_sm_03_the_names_of_flask_login_are_true_of_people_and_of_nobody():
    """SM-03: in code as in templates."""
    person, other = User(issuer="https://a.example/", sub="b c"), User(issuer="https://a.example/", sub="b")
    assert (person.is_anonymous, person.is_active, person.get_id()) == (False, True, "https://a.example/ b c")
    assert person.get_id() != other.get_id()
    assert (Anonymous().is_anonymous, Anonymous().is_active, Anonymous().get_id()) == (True, False, None)
