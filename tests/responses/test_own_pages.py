"""Documents of the application's own in place of our pages: functions on every door, templates on Flask."""

import logging

import flask
import jinja2
import pytest

import xwms_auth.flask
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN, LOGOUT, Site
from xwms_auth import ConfigError, NotAllowed, PageContent, XWMSConfig
from xwms_auth._core.base.texts.page_content import PAGE_NAMES

REQUIRED = {"client_id": "a", "client_secret": "b", "redirect_uris": "https://a.example/cb"}
TEMPLATE = (
    '<!doctype html><html lang="{{ page.language }}" dir="{{ page.direction }}"><head><title>{{ page.title }}</title>'
    "{{ page.head }}<link rel=\"stylesheet\" href=\"{{ url_for('static', filename='site.css') }}\">{{ page.style }}"
    "</head><body><nav>{{ page.site_name }}, {{ current_user.is_authenticated }}, {{ request.query_string }}</nav>"
    "<h1>{{ page.title }}</h1>{{ page.body }}<footer>{{ page.name }} {{ page.code }}</footer></body></html>"
)


def document(page: PageContent) -> str:
    return f"<!doctype html><title>{page.title}</title>{page.head}<h1>{page.name}</h1>{page.body}"


def test_a_function_makes_the_document_with_our_form_and_our_head(make_site):
    browser = make_site(pages={"confirm": document}, locale="nl").browser()
    answer = browser.get(LOGIN, FROM_ELSEWHERE)
    assert answer.status_code == 200
    assert answer.text.startswith("<!doctype html><title>Inloggen met XWMS?</title>")
    assert "<h1>confirm</h1>" in answer.text
    assert '<meta name="referrer" content="same-origin">' in answer.text
    assert 'method="post" action="/xwms/auth?next=/"' in answer.text
    assert answer.headers["content-language"] == "nl"
    assert answer.headers["cache-control"] == "no-store"
    # Another page is still ours.
    assert "<h1>Je bent niet ingelogd</h1>" in browser.get(CALLBACK, FROM_ELSEWHERE).text


def test_an_own_document_has_styles_and_images_of_the_site_and_no_script(make_site):
    ours = make_site().browser().get(LOGIN, FROM_ELSEWHERE).headers["content-security-policy"].split("; ")
    own = make_site(pages={"confirm": document}).browser().get(LOGIN, FROM_ELSEWHERE)
    policy = own.headers["content-security-policy"].split("; ")
    [style] = [directive for directive in ours if directive.startswith("style-src")]
    assert set(policy) - set(ours) == {
        style.replace("style-src ", "style-src 'self' "),
        "img-src 'self' data:",
        "font-src 'self'",
    }
    assert set(ours) - set(policy) == {style}
    assert "script-src" not in str(policy)
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)


def broken(page: PageContent) -> str:
    raise RuntimeError(f"{page.name}: a {'secret'} of the application's")


@pytest.mark.parametrize("function", [broken, lambda page: 5, lambda page: "\ud800", lambda page: b"<p>"])
def test_a_function_that_fails_costs_nobody_the_page(make_site, caplog, function):
    caplog.set_level(logging.WARNING, logger="xwms_auth")
    answer = make_site(pages={"confirm": function}).browser().get(LOGIN, FROM_ELSEWHERE)
    assert "<h1>Log in with XWMS?</h1>" in answer.text
    assert "page_failed page=confirm" in caplog.text
    assert "confirm: a secret" not in caplog.text


def test_none_is_our_page(make_site):
    browser = make_site(pages={"confirm": lambda page: None}).browser()
    assert "<h1>Log in with XWMS?</h1>" in browser.get(LOGIN, FROM_ELSEWHERE).text


def test_an_own_page_is_told_the_error_and_never_the_query(make_site):
    seen: list[PageContent] = []
    browser = make_site(pages={"error": seen.append}, locale="en").browser()
    browser.get(f"{CALLBACK}?token=a-secret-token", FROM_ELSEWHERE)
    [page] = seen
    assert (page.name, page.code, page.language) == ("error", "login_not_started", "en")
    assert "a-secret-token" not in f"{page}"
    assert isinstance(page.request, dict)
    assert page.request.get("QUERY_STRING", page.request.get("query_string")) in ("", b"")


@pytest.mark.parametrize(
    "pages", [{"confirmation": document}, {"confirm": "x.html"}, "confirm", {1: document}, [document], None, False]
)
def test_something_else_than_named_functions_is_refused(pages):
    with pytest.raises(ConfigError, match="pages"):
        XWMSConfig(**REQUIRED, pages=pages)


def test_an_async_function_is_refused():
    async def later(page):
        return ""

    with pytest.raises(ConfigError, match="async"):
        XWMSConfig(**REQUIRED, pages={"confirm": later})


# --- the logo ---


def test_a_logo_of_the_site_is_shown_and_allowed(make_site):
    answer = make_site(site_logo="/static/logo.svg?a=1&b").browser().get(LOGIN, FROM_ELSEWHERE)
    assert '<img class="logo" src="/static/logo.svg?a=1&amp;b" alt="">' in answer.text
    assert "img-src 'self'" in answer.headers["content-security-policy"].split("; ")


@pytest.mark.parametrize(
    "logo",
    ["//evil.example/l.png", "https://evil.example/l", "logo.png", "/\\evil.example", "/a\nb", "data:,", 5, None],
)
def test_a_logo_of_another_origin_is_refused(logo):
    with pytest.raises(ConfigError, match="XWMS_SITE_LOGO"):
        XWMSConfig(**REQUIRED, site_logo=logo)


# --- Flask ---


@pytest.fixture
def templates(make_fx):
    """Make a site on Flask with these templates."""

    def make(**files: str) -> Site:
        site = Site("flask", make_fx(), site_name="Desk")
        loader = jinja2.DictLoader({f"xwms/{name}.html": text for name, text in files.items()})
        site.app.jinja_loader = loader

        @site.app.get("/forbidden")
        @xwms_auth.flask.login_required
        def forbidden():
            raise NotAllowed

        site.app.register_error_handler(NotAllowed, xwms_auth.flask._on_error)
        return site

    return make


def test_templates_of_a_fixed_name_are_found_by_themselves(templates):
    browser = templates(confirm=TEMPLATE).browser()
    answer = browser.get(f"{LOGIN}?next=/hello", {**FROM_ELSEWHERE, "Accept-Language": "ar"})
    assert answer.text.startswith('<!doctype html><html lang="ar" dir="rtl"><head><title>هل تريد')
    assert '<link rel="stylesheet" href="/static/site.css">' in answer.text
    assert "<nav>Desk, False, b&#39;&#39;</nav>" in answer.text
    assert '<form class="actions" method="post" action="/xwms/auth?next=/hello">' in answer.text
    assert "<footer>confirm None</footer>" in answer.text
    assert "xwms/page" not in browser.get(CALLBACK, FROM_ELSEWHERE).text


def test_one_template_may_be_for_all_pages(templates):
    browser = templates(page=TEMPLATE, confirm="mine {{ page.body }}").browser()
    assert browser.get(LOGIN, FROM_ELSEWHERE).text.startswith("mine <p>")
    error = browser.get(f"{CALLBACK}?token=a-secret-token", FROM_ELSEWHERE)
    assert "<footer>error login_not_started</footer>" in error.text
    assert "a-secret-token" not in error.text


def test_a_template_knows_who_is_signed_in(templates):
    browser = templates(page=TEMPLATE).browser()
    browser.log_in()
    answer = browser.get("/forbidden")
    assert answer.status_code == 403
    assert "<nav>Desk, True, b&#39;&#39;</nav>" in answer.text
    # One of our own routes, which Flask does not see.
    assert "Desk, True" in browser.post(LOGOUT, FROM_ELSEWHERE).text


def test_a_broken_template_costs_nobody_the_page(templates):
    for text in ("{% if", "{{ page.nothing.more }}", "{% include 'missing.html' %}"):
        answer = templates(page=text).browser().get(LOGIN, FROM_ELSEWHERE)
        assert "<h1>Log in with XWMS?</h1>" in answer.text


def test_a_function_comes_before_a_template_and_has_a_request(make_fx):
    def own(page: PageContent) -> str | None:
        return f"{flask.request.path} {page.name}" if page.name == "confirm" else None

    site = Site("flask", make_fx(), pages=dict.fromkeys(PAGE_NAMES, own))
    site.app.jinja_loader = jinja2.DictLoader({"xwms/page.html": "template {{ page.name }}"})
    assert site.browser().get(LOGIN, FROM_ELSEWHERE).text == f"{LOGIN} confirm"
    assert site.browser().get(CALLBACK, FROM_ELSEWHERE).text == "template error"


def test_a_hostile_name_stays_text_in_a_template(make_fx):
    site = Site("flask", make_fx("fresh"), callback_token="fresh", confirm_person=True)
    site.app.jinja_loader = jinja2.DictLoader({"xwms/page.html": TEMPLATE})
    browser = site.browser()
    answer = browser.log_in(name="<script>alert(1)</script>")
    page = browser.get(answer.headers["location"])
    assert "<footer>person None</footer>" in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script" not in page.text
