"""The package's own pages: nothing raw gets in, nothing outside is asked for, and everybody can read them."""

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from xwms_auth._core.responses.buttons import link_button, login_button, logout_form
from xwms_auth._core.responses.pages import Page, confirm_page, error_page, leading_page, person_page, proof_page

VOID = {"meta", "input", "link", "img", "br", "hr"}
DOCUMENT_ATTRIBUTES = {"lang", "dir", "charset", "name", "content", "http-equiv"}
LEFT_ALONE = {"data-turbo": "false", "up-submit": "false", "hx-boost": "false"}
KNOWN_ATTRIBUTES = DOCUMENT_ATTRIBUTES | {"class", "href", "rel", "method", "action", "type", "value", *LEFT_ALONE}
HOSTILE = (
    "</title><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' autofocus onfocus=alert(1) x='",
    "</style><script>alert(1)</script>",
    "<!-- ${style} $body $$ {title} %s -->",
    "&lt;b&gt; &amp; &#x3c;",
    "\ud800 lone surrogate",
)
OTHER_ORIGINS = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\n//evil.example",
    " /here",
    "/here\r\nX: y",
    "/h\u00e9re",
    "/\ud800",
    "javascript:alert(1)",
    "data:text/html,x",
    "relative",
    "?query",
    "",
)


class Outline(HTMLParser):
    """Reads a document strictly: every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice on <{tag}>"
        assert set(names) <= KNOWN_ATTRIBUTES, names
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, [])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts[self.open[-1]].append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def tags(self) -> list[str]:
        return [name for name, _ in self.elements]


def an_error(**changes: str | None) -> Page:
    arguments = {
        "title": "This login could not be completed",
        "detail": "XWMS did not accept it.",
        "code": "token_rejected",
        "action_url": "/xwms/auth?next=%2Ftickets",
        "action_label": "Try again",
        "home_url": "/",
    }
    return error_page(**{**arguments, **changes})


def a_confirmation(**changes) -> Page:
    arguments = {"action_url": "/xwms/auth?next=%2Ftickets", "form_origins": ["https://xwms.nl", "https://*.xwms.nl"]}
    return confirm_page(**{**arguments, **changes})


def a_person(**changes) -> Page:
    arguments = {
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "sub": "1001",
        "action_url": "/xwms/auth?next=%2Ftickets",
    }
    return person_page(**{**arguments, "key": "ABCDabcd", "again_url": "/xwms/auth?next=%2Ftickets", **changes})


def a_link(**changes) -> Page:
    return a_person(**{"links": True, **changes})


def a_proof(**changes) -> Page:
    arguments = {"name": "Ada Lovelace", "email": "ada@example.org", "sub": "1001", "login_url": "/login?next=%2Fp"}
    return proof_page(**{**arguments, **changes})


def directives(page: Page) -> dict[str, list[str]]:
    parts = [directive.split() for directive in page.content_security_policy.split("; ")]
    assert len({name for name, *_ in parts}) == len(parts)
    return {name: values for name, *values in parts}


EVERY_PAGE = pytest.mark.parametrize(
    "page",
    [an_error(), an_error(action_url=None), a_confirmation(), a_person(), a_link(), a_proof(), a_proof(as_other=True)],
)


@EVERY_PAGE
def test_a_page_is_a_well_formed_document_with_a_language_one_heading_and_one_landmark(page: Page):
    assert page.html.startswith("<!doctype html>\n")
    outline = Outline(page.html)
    assert outline.all("html") == [{"lang": "en", "dir": "ltr"}]
    for tag in ("head", "body", "title", "main", "h1", "style"):
        assert outline.tags().count(tag) == 1, tag
    assert outline.texts["title"] == outline.texts["h1"]
    metas = {meta.get("name"): meta.get("content") for meta in outline.all("meta")}
    assert metas["robots"] == "noindex"
    assert metas["viewport"] == "width=device-width, initial-scale=1"


@EVERY_PAGE
def test_the_policy_allows_exactly_the_style_block_that_is_in_the_page(page: Page):
    [style] = re.findall(r"<style>(.*?)</style>", page.html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = directives(page)
    assert policy["style-src"] == [f"'sha256-{digest}'"]
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert set(policy) == {"default-src", "style-src", "form-action", "base-uri", "frame-ancestors"}
    assert "\r" not in style


@EVERY_PAGE
def test_a_page_asks_nothing_of_the_outside_and_links_to_its_own_origin_only(page: Page):
    assert "://" not in page.html
    assert "url(" not in page.html
    assert "@import" not in page.html
    outline = Outline(page.html)
    assert not {"script", "img", "link", "iframe", "svg", "object", "base"} & set(outline.tags())
    for attributes in outline.all("a") + outline.all("form"):
        target = attributes.get("href") or attributes.get("action")
        assert target is not None
        assert target.startswith("/")
        assert not target.startswith("//")


def test_an_error_page_says_what_happened_what_to_do_and_the_code_for_support():
    outline = Outline(an_error().html)
    assert outline.texts["h1"] == ["This login could not be completed"]
    assert "XWMS did not accept it." in outline.texts["p"]
    assert outline.texts["code"] == ["token_rejected"]
    assert [link["href"] for link in outline.all("a")] == ["/xwms/auth?next=%2Ftickets", "/"]
    assert outline.texts["a"] == ["Try again", "Go to the home page"]


def test_an_error_page_without_an_action_offers_the_way_home_only():
    outline = Outline(an_error(action_url=None).html)
    assert [link["href"] for link in outline.all("a")] == ["/"]


def test_an_error_page_sends_no_referrer_and_no_form():
    page = an_error()
    assert '<meta name="referrer" content="no-referrer">' in page.html
    assert directives(page)["form-action"] == ["'none'"]


def test_an_error_page_may_have_its_way_on_as_a_form_that_leads_past_a_service_worker():
    page = an_error(form_token='"token"')
    outline = Outline(page.html)
    [form] = outline.all("form")
    assert form == {"class": "actions", "method": "post", "action": "/xwms/auth?next=%2Ftickets", **LEFT_ALONE}
    assert outline.all("input") == [{"type": "hidden", "name": "xwms_csrf_token", "value": '"token"'}]
    assert outline.texts["button"] == ["Try again"]
    assert [link["href"] for link in outline.all("a")] == ["/"]
    # Browsers hold it against the redirect to XWMS as well.
    assert directives(page)["form-action"] == ["'self'", "https:", "http:"]


def test_a_page_that_leads_on_does_so_without_script_or_click_and_in_no_frame():
    page = leading_page(url='https://xwms.nl/sign-in/t?a=1&b="><script>')
    outline = Outline(page.html)
    [refresh] = [meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "refresh"]
    assert refresh == '0;url=https://xwms.nl/sign-in/t?a=1&b="><script>'
    assert [link["href"] for link in outline.all("a")] == ['https://xwms.nl/sign-in/t?a=1&b="><script>']
    assert not outline.all("script")
    assert '<meta name="referrer" content="no-referrer">' in page.html
    policy = directives(page)
    assert policy["frame-ancestors"] == policy["form-action"] == policy["default-src"] == ["'none'"]
    for url in ("javascript:alert(1)", "/here", "//evil.example", "https://", "https://xwms.nl/ x", "data:,"):
        with pytest.raises(ValueError, match="not an absolute URL"):
            leading_page(url=url)


def test_a_confirmation_is_one_button_that_posts_to_the_login():
    outline = Outline(a_confirmation(home_url="/home").html)
    assert outline.texts["h1"] == ["Log in with XWMS?"]
    [form] = outline.all("form")
    assert (form["method"], form["action"]) == ("post", "/xwms/auth?next=%2Ftickets")
    assert outline.all("button") == [{"class": "button", "type": "submit"}]
    assert [link["href"] for link in outline.all("a")] == ["/home"]
    assert Outline(a_confirmation().html).all("a") == []


def test_the_page_about_the_person_is_one_button_that_posts_to_this_site_only():
    page = a_person(home_url="/home")
    outline = Outline(page.html)
    assert [(form["method"], form["action"]) for form in outline.all("form")] == [
        ("post", "/xwms/auth?next=%2Ftickets")
    ]
    assert outline.all("input") == [{"type": "hidden", "name": "confirm", "value": "ABCDabcd"}]
    assert [link["href"] for link in outline.all("a")] == ["/xwms/auth?next=%2Ftickets", "/home"]
    assert "Ada Lovelace" in page.html
    assert "ada@example.org" in page.html
    assert directives(page)["form-action"] == ["'self'"]
    assert "ada@example.org" not in a_person(email=None).html
    assert "no confirmed e-mail address" in a_person(email=None).html
    assert "1001" in page.html
    assert "x" * 41 not in a_person(sub="x" * 255).html


def test_a_hostile_name_stays_text_in_the_page_about_the_person():
    for value in HOSTILE:
        outline = Outline(a_person(name=value, email=value[::-1]).html)
        assert outline.tags().count("strong") == 1, value
        assert outline.texts["bdi"][0] == value.encode("utf-8", "replace").decode()
        assert not outline.all("script"), value
        assert not outline.all("img"), value


def test_a_confirmation_lets_the_form_see_its_own_origin_and_reach_the_named_ones_once():
    page = a_confirmation(form_origins=["https://xwms.nl", "http://127.0.0.1:8800", "https://xwms.nl"])
    assert directives(page)["form-action"] == ["'self'", "https://xwms.nl", "http://127.0.0.1:8800"]
    assert '<meta name="referrer" content="same-origin">' in page.html
    assert directives(a_confirmation(form_origins=()))["form-action"] == ["'self'"]


def test_an_ipv6_origin_becomes_its_scheme_because_csp_cannot_name_it():
    assert directives(a_confirmation(form_origins=["http://[::1]:8800"]))["form-action"] == ["'self'", "http:"]


def test_nothing_but_an_origin_gets_into_the_policy():
    for origin in (
        "https://xwms.nl; script-src *",
        "https://xwms.nl https://evil.example",
        "https://xwms.nl,x",
        "https://xwms.nl/",
        "https://xwms.nl\n",
        "https://*",
        "https://*.*.xwms.nl",
        "https://user@xwms.nl",
        "https://xwms.nl:port",
        "https://[::1] x",
        "'unsafe-inline'",
        "data:",
        "*",
        "",
    ):
        with pytest.raises(ValueError, match="not an origin"):
            a_confirmation(form_origins=[origin])


def test_one_string_is_not_taken_for_a_list_of_origins():
    with pytest.raises(ValueError, match="not an origin"):
        a_confirmation(form_origins="https://xwms.nl")


@pytest.mark.parametrize(
    ("argument", "tag"), [("title", "h1"), ("detail", "p"), ("code", "code"), ("action_label", "a")]
)
def test_a_hostile_text_stays_text_on_the_error_page(argument: str, tag: str):
    plain = Outline(an_error().html)
    for value in HOSTILE:
        page = an_error(**{argument: value})
        hostile = Outline(page.html)
        assert hostile.elements == plain.elements, value
        assert value.replace("\ud800", "?") in hostile.texts[tag]
        assert page.content_security_policy == an_error().content_security_policy
        page.html.encode()


def test_a_hostile_text_stays_text_in_the_button_and_the_form():
    for value in HOSTILE:
        readable = value.replace("\ud800", "?")
        button = Outline(login_button(login_url="/xwms/auth", label=value))
        assert button.tags() == ["form", "button"], value
        assert button.texts["button"] == [readable]
        form = Outline(logout_form(logout_url="/xwms/logout", csrf_token=value, label=value))
        assert form.tags() == ["form", "input", "button"], value
        assert form.texts["button"] == [readable]
        assert form.all("input") == [{"type": "hidden", "name": "xwms_csrf_token", "value": readable}]


MAKERS: dict[str, Callable[[str], str]] = {
    "error action": lambda url: an_error(action_url=url).html,
    "error home": lambda url: an_error(home_url=url).html,
    "confirm action": lambda url: a_confirmation(action_url=url).html,
    "confirm home": lambda url: a_confirmation(home_url=url).html,
    "person action": lambda url: a_person(action_url=url).html,
    "person again": lambda url: a_person(again_url=url).html,
    "person home": lambda url: a_person(home_url=url).html,
    "link action": lambda url: a_link(action_url=url).html,
    "proof login": lambda url: a_proof(login_url=url).html,
    "proof home": lambda url: a_proof(home_url=url).html,
    "link button": lambda url: link_button(login_url=url),
    "login button": lambda url: login_button(login_url=url),
    "button style": lambda url: login_button(login_url="/xwms/auth", style_url=url),
    "logout form": lambda url: logout_form(logout_url=url, csrf_token="t"),
}
EVERY_URL = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


@EVERY_URL
def test_a_url_that_is_not_a_path_of_this_origin_is_refused(make: Callable[[str], str]):
    for url in OTHER_ORIGINS:
        with pytest.raises(ValueError, match="not a path on this origin"):
            make(url)


@EVERY_URL
def test_a_path_with_markup_in_it_stays_one_attribute(make: Callable[[str], str]):
    url = "/a?b=\"><script>alert(1)</script>&c='x'&d=$title"
    outline = Outline(make(url))
    assert "script" not in outline.tags()
    assert url in [value for _, attributes in outline.elements for value in attributes.values()]


def test_the_login_button_and_the_logout_form_are_what_an_app_expects_in_its_template():
    assert login_button(login_url="/xwms/auth?next=%2Fp&x=1") == (
        '<form class="xwms-login" method="post" action="/xwms/auth?next=%2Fp&amp;x=1" '
        'data-turbo="false" up-submit="false" hx-boost="false"><button type="submit">Log in with XWMS</button></form>'
    )
    [form] = Outline(logout_form(logout_url="/xwms/logout", csrf_token="abc")).all("form")
    assert form.items() > {"method": "post", "action": "/xwms/logout", **LEFT_ALONE}.items()


def luminance(colour: str) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(scheme: int):
    palettes = re.findall(r":root \{(.*?)\}", an_error().html, re.DOTALL)
    assert len(palettes) == 2
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", palettes[scheme]))
    on_the_card = [("text", "card"), ("muted", "card"), ("accent", "card")]
    for ink, paper in (*on_the_card, ("on-accent", "accent"), ("accent", "background")):
        dim, bright = sorted((luminance(colours[ink]), luminance(colours[paper])))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)
