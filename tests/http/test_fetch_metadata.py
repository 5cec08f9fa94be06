"""What the headers of a request say of who sent it: one header after another, present, absent and wrong."""

import pytest

from xwms_auth._core.base.errors import CrossSite, NotANavigation
from xwms_auth._core.http.fetch_metadata import (
    ClientKind,
    began_here,
    client_kind,
    follows_redirects,
    is_by_worker,
    is_own_post,
    is_passive,
    is_prefetch,
    is_rebuilt_by_worker,
    require_navigation,
    require_sent_by_xwms,
)
from xwms_auth._core.http.messages import Request
from xwms_auth._core.http.urls import parse_api_url, parse_redirect_uri

ORIGIN = "https://app.example.com"
URI = parse_redirect_uri(f"{ORIGIN}/cb")
CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"

# What a worker makes of a navigation: passed on as it is, and built anew with or without its headers.
PASSED_ON = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "empty"}
REBUILT = {"sec-fetch-mode": "same-origin", "sec-fetch-dest": "empty", "upgrade-insecure-requests": "1"}


def with_headers(headers: dict[str, str], method: str = "GET") -> Request:
    return Request(method=method, path="/", headers=headers)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"hx-request": "true"}, ClientKind.HTMX),
        ({"hx-request": "true", "sec-fetch-mode": "navigate"}, ClientKind.HTMX),
        ({"hx-request": "false", "accept": "text/html"}, ClientKind.PERSON),
        ({"sec-fetch-mode": "navigate", "accept": "*/*"}, ClientKind.PERSON),
        ({"sec-fetch-mode": "navigate", "x-requested-with": "XMLHttpRequest"}, ClientKind.PERSON),
        ({"sec-fetch-mode": "cors", "accept": "text/html"}, ClientKind.PROGRAM),
        ({"sec-fetch-mode": "same-origin", "accept": "text/html"}, ClientKind.PROGRAM),
        ({"sec-fetch-mode": "cors", "upgrade-insecure-requests": "1"}, ClientKind.PERSON),
        ({"sec-fetch-mode": "cors", "upgrade-insecure-requests": "0"}, ClientKind.PROGRAM),
        ({"x-requested-with": "xmlHTTPrequest", "accept": "text/html"}, ClientKind.PROGRAM),
        ({"x-requested-with": "org.example.app", "accept": "text/html"}, ClientKind.PERSON),
        ({"accept": "application/json, text/html"}, ClientKind.PERSON),
        ({"accept": "application/json"}, ClientKind.PROGRAM),
        ({}, ClientKind.PROGRAM),
        ({"sec-fetch-mode": "cors", "turbo-frame": ""}, ClientKind.PERSON),
        ({"sec-fetch-mode": "cors", "x-up-target": "main"}, ClientKind.PERSON),
        ({"sec-fetch-mode": "cors", "x-turbo-request-id": "1"}, ClientKind.PROGRAM),
    ],
)
def test_who_shows_the_answer(headers, kind):
    assert client_kind(with_headers(headers)) is kind


@pytest.mark.parametrize(
    ("method", "headers", "follows"),
    [
        ("GET", {}, True),
        ("GET", {"sec-fetch-mode": "navigate"}, True),
        ("GET", {"sec-fetch-mode": "cors"}, False),
        ("GET", {"turbo-frame": "x"}, False),
        ("GET", {"x-up-target": "main"}, False),
        ("GET", {"x-turbo-request-id": "1"}, True),
        ("HEAD", {"x-turbo-request-id": "1"}, True),
        ("POST", {"x-turbo-request-id": "1"}, False),
        ("POST", {"accept": "text/vnd.turbo-stream.html, text/html"}, False),
        ("PUT", {"accept": "text/vnd.turbo-stream.html"}, False),
        ("GET", {"accept": "text/vnd.turbo-stream.html"}, True),
        ("POST", {"accept": "text/html"}, True),
    ],
)
def test_whether_a_redirect_leads_a_person_on(method, headers, follows):
    assert follows_redirects(with_headers(headers, method)) is follows


@pytest.mark.parametrize(
    ("headers", "by_worker", "rebuilt"),
    [
        (PASSED_ON, True, False),
        (REBUILT, True, True),
        ({**REBUILT, "upgrade-insecure-requests": "0"}, False, False),
        ({"sec-fetch-mode": "same-origin", "sec-fetch-dest": "empty"}, False, False),
        ({"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "upgrade-insecure-requests": "1"}, False, False),
        ({"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, False, False),
        ({**REBUILT, "sec-fetch-dest": "document"}, False, False),
        ({"sec-fetch-dest": "empty"}, False, False),
        ({}, False, False),
    ],
)
def test_what_a_service_worker_has_passed_on(headers, by_worker, rebuilt):
    assert (is_by_worker(with_headers(headers)), is_rebuilt_by_worker(with_headers(headers))) == (by_worker, rebuilt)


@pytest.mark.parametrize(
    ("value", "site", "passive"),
    [
        ("1", None, True),
        ("1", "same-origin", True),
        ("1", "same-site", False),
        ("1", "cross-site", False),
        ("1", "none", False),
        ("0", "same-origin", False),
        ("", None, False),
        (None, None, False),
    ],
)
def test_what_is_no_sign_of_a_person(value, site, passive):
    assert is_passive(value, site) is passive


@pytest.mark.parametrize(
    ("headers", "prefetch"),
    [
        ({"sec-purpose": "prefetch"}, True),
        ({"sec-purpose": "prefetch;prerender"}, True),
        ({"purpose": "prefetch"}, True),
        ({"sec-purpose": "any", "purpose": "any"}, False),
        ({}, False),
    ],
)
def test_what_is_fetched_before_anybody_went_there(headers, prefetch):
    assert is_prefetch(with_headers(headers)) is prefetch


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-mode": "navigate"},
        {"sec-fetch-dest": "document"},
        {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "cross-site"},
        PASSED_ON,
        REBUILT,
    ],
)
def test_a_navigation_and_what_may_be_one_pass(headers):
    require_navigation(with_headers(headers))
    with pytest.raises(NotANavigation) as error:
        require_navigation(with_headers({**headers, "sec-purpose": "prefetch", "sec-fetch-site": "same-origin"}))
    assert error.value.cause.endswith("Sec-Purpose prefetch")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-mode": "no-cors"},
        {"sec-fetch-mode": "cors", "sec-fetch-dest": "document"},
        {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"sec-fetch-dest": "image"},
        {"sec-fetch-mode": "same-origin", "sec-fetch-dest": "empty"},
    ],
)
def test_what_is_no_navigation_is_refused_by_whose_it_is(headers):
    for site in ("cross-site", "same-site"):
        with pytest.raises(CrossSite):
            require_navigation(with_headers({**headers, "sec-fetch-site": site}))
    for more in ({"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}):
        with pytest.raises(NotANavigation):
            require_navigation(with_headers({**headers, **more}))


@pytest.mark.parametrize(
    ("headers", "here"),
    [
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-origin", "sec-fetch-user": "?1"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-origin", "sec-fetch-user": "?0"}, False),
        ({"sec-fetch-site": "same-site", "sec-fetch-user": "?1"}, False),
        ({"sec-fetch-site": "cross-site", "sec-fetch-user": "?1"}, False),
        ({"sec-fetch-site": "none", **PASSED_ON}, False),
        ({"sec-fetch-site": "same-origin", "sec-fetch-user": "?1", **REBUILT}, False),
        # Without Fetch Metadata.
        ({}, True),
        ({"referer": f"{ORIGIN}/page"}, True),
        ({"referer": "https://evil.example/"}, False),
        ({"referer": f"{ORIGIN}.evil.example/"}, False),
        ({"referer": "no address"}, False),
        ({"user-agent": "curl/8.0"}, True),
        ({"user-agent": SAFARI}, False),
        ({"user-agent": SAFARI.upper(), "referer": f"{ORIGIN}/"}, False),
    ],
)
def test_where_a_login_began(headers, here):
    assert began_here(with_headers(headers), URI) is here


@pytest.mark.parametrize(
    ("headers", "here"),
    [
        ({"sec-fetch-user": "?1"}, True),
        ({"sec-fetch-user": "?1", "sec-fetch-site": "same-origin", "user-agent": CHROMIUM}, True),
        ({"sec-fetch-site": "same-origin", "user-agent": CHROMIUM}, False),
        ({"sec-fetch-site": "same-origin", "user-agent": FIREFOX}, False),
        ({"sec-fetch-site": "same-origin", "user-agent": FIREFOX.upper()}, False),
        ({"sec-fetch-site": "same-origin", "user-agent": SAFARI}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        # Before Fetch Metadata no browser told whether anybody acted.
        ({"user-agent": CHROMIUM}, True),
        ({"sec-fetch-user": "?1", **PASSED_ON}, False),
    ],
)
def test_whether_a_person_sent_our_own_form(headers, here):
    assert began_here(with_headers(headers, "POST"), URI) is here


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": ORIGIN}, True),
        ({"origin": "null"}, False),
        ({"origin": "https://evil.example"}, False),
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"sec-fetch-site": "same-origin", "origin": ORIGIN}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://other.example", "host": "other.example"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://other.example", "host": "app.example.com"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://other.example"}, False),
        ({"sec-fetch-site": "same-site", "origin": ORIGIN}, False),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, False),
        ({"sec-fetch-site": "none", "origin": ORIGIN}, False),
        ({"sec-fetch-site": "same-origin", "origin": ORIGIN, **PASSED_ON}, True),
        ({"sec-fetch-site": "same-origin", "origin": "null", **PASSED_ON}, False),
        ({"sec-fetch-site": "same-origin", **PASSED_ON}, False),
        ({"sec-fetch-site": "same-origin", "origin": ORIGIN, **REBUILT}, False),
    ],
)
def test_whether_a_form_of_this_site_was_sent(headers, own):
    assert is_own_post(with_headers(headers, "POST"), URI) is own


def sent_by(
    headers: dict[str, str], *, uri: str = f"{ORIGIN}/cb", api: str = "https://xwms.nl/api/", origins=()
) -> str:
    """Nothing, or why the callback is refused."""
    try:
        require_sent_by_xwms(
            with_headers(headers), parse_redirect_uri(uri), api=parse_api_url(api), login_origins=origins
        )
    except CrossSite as error:
        return error.cause
    return ""


@pytest.mark.parametrize(
    ("headers", "options", "cause"),
    [
        ({}, {}, ""),
        ({"sec-fetch-site": "none"}, {}, ""),
        ({"sec-fetch-site": "cross-site"}, {}, ""),
        ({"sec-fetch-site": "same-origin"}, {}, "page of this site"),
        ({"sec-fetch-site": "same-origin", **PASSED_ON}, {}, "page of this site"),
        ({"sec-fetch-site": "same-origin", **REBUILT}, {}, ""),
        ({"sec-fetch-site": "same-origin"}, {"uri": "https://xwms.nl/cb"}, ""),
        ({"sec-fetch-site": "same-origin"}, {"uri": "https://app.xwms.nl/cb"}, ""),
        ({"sec-fetch-site": "same-origin"}, {"origins": [ORIGIN]}, ""),
        ({"sec-fetch-site": "same-site"}, {}, "sibling"),
        ({"sec-fetch-site": "same-site"}, {"uri": "https://app.nl/cb"}, "sibling"),
        ({"sec-fetch-site": "same-site"}, {"uri": "https://xwms.example/cb"}, "sibling"),
        ({"sec-fetch-site": "same-site"}, {"uri": "https://app.xwms.nl/cb"}, ""),
        ({"sec-fetch-site": "same-site"}, {"uri": "https://xwms.nl:8443/cb"}, ""),
        ({"sec-fetch-site": "same-site"}, {"uri": "http://localhost/cb", "api": "http://localhost:1/api/"}, ""),
        ({"sec-fetch-site": "same-site"}, {"origins": ["https://id.example.com:8443"]}, ""),
        ({"sec-fetch-site": "same-site"}, {"origins": ["https://id.example.net"]}, "sibling"),
        ({"referer": f"{ORIGIN}/any"}, {}, ""),
        ({"referer": "https://xwms.nl/login"}, {}, ""),
        ({"referer": "https://login.xwms.nl/"}, {}, ""),
        ({"referer": "https://evilxwms.nl/"}, {}, "neither on XWMS"),
        ({"referer": "https://evil.example/?https://xwms.nl/"}, {}, "neither on XWMS"),
        ({"referer": "about:blank"}, {}, "neither on XWMS"),
        ({"referer": ""}, {}, "neither on XWMS"),
        ({"referer": "https://[/"}, {}, "neither on XWMS"),
        ({"referer": "https://id.example.com/"}, {"origins": ["https://id.example.com"]}, ""),
        ({"referer": "https://xwms.nl/"}, {"origins": ["https://id.example.com"]}, "neither on XWMS"),
    ],
)
def test_who_opened_the_callback(headers, options, cause):
    found = sent_by(headers, **options)
    assert cause in found
    assert bool(found) is bool(cause)
