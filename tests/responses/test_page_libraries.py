"""What a library gets that fetches pages, while nobody is signed in: an answer that it acts upon (docs/front-end.md).

The headers are those that the libraries were measured to send in Chromium.
"""

import pytest

from tests.tools.site import LOGIN, PROGRAM

FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
TURBO = {**FETCH, "Accept": "text/html, application/xhtml+xml", "X-Turbo-Request-Id": "a5fb0a51"}
TURBO_STREAM = "text/vnd.turbo-stream.html, text/html, application/xhtml+xml"
TURBO_FORM = {**TURBO, "Accept": TURBO_STREAM}
TURBO_7_FORM = {**FETCH, "Accept": TURBO_STREAM}
TURBO_FRAME = {**TURBO, "Turbo-Frame": "basket"}
UNPOLY = {**FETCH, "Accept": "*/*", "X-Up-Version": "3.14.3", "X-Up-Target": "main", "X-Up-Mode": "root"}
UNPOLY_CALL = {**FETCH, "Accept": "*/*", "X-Up-Version": "3.14.3"}
HTMX = {**FETCH, "Accept": "*/*", "HX-Request": "true", "HX-Current-URL": "https://app.example/basket"}
HTMX_4 = {**HTMX, "Accept": "text/html", "Sec-Fetch-Mode": "same-origin"}
RELOAD = '<meta name="turbo-visit-control" content="reload">'


@pytest.mark.parametrize(
    ("method", "headers", "action"),
    [
        ("POST", TURBO_FORM, LOGIN),
        ("POST", TURBO_7_FORM, LOGIN),
        ("GET", TURBO_FRAME, f"{LOGIN}?next=/private"),
        ("POST", {**TURBO_FORM, "Turbo-Frame": "basket"}, LOGIN),
        ("GET", UNPOLY, f"{LOGIN}?next=/private"),
        ("POST", UNPOLY, LOGIN),
    ],
)
def test_what_shows_html_gets_a_page_whose_form_no_library_takes(site, browser, method, headers, action):
    """A redirect would end at XWMS, where no script may follow; JSON would be shown to nobody."""
    answer = browser.client.request(method, "/private", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert 'data-turbo="false" up-submit="false" hx-boost="false"' in answer.text
    assert f'method="post" action="{action}"' in answer.text
    # Without it Turbo looks for its frame in the page, and shows "Content missing".
    assert (RELOAD in answer.text) is ("Turbo-Frame" in headers)
    assert site.fx.requests == []


@pytest.mark.parametrize("headers", [TURBO, UNPOLY_CALL, FETCH, PROGRAM])
def test_what_turbo_opens_as_a_page_by_itself_and_every_program_get_a_problem(browser, headers):
    answer = browser.get("/private", headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["login_url"]) == ("login_required", f"{LOGIN}?next=/private")


@pytest.mark.parametrize("headers", [HTMX, HTMX_4])
def test_htmx_is_told_where_to_send_the_window(browser, headers):
    for answer in (browser.get("/private", headers), browser.post("/private", headers)):
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, f"{LOGIN}?next=/basket")


def test_a_login_link_that_a_library_fetches_ends_in_the_window(site, browser):
    """Turbo opens by itself what is no HTML, Unpoly shows the page, and HTMX follows its header."""
    turbo, unpoly, htmx = (browser.get(LOGIN, headers) for headers in (TURBO, UNPOLY, HTMX))
    assert [answer.status_code for answer in (turbo, unpoly, htmx)] == [400] * 3
    assert turbo.headers["content-type"] == "application/problem+json"
    assert f'method="post" action="{LOGIN}"' in unpoly.text
    assert htmx.headers["hx-redirect"] == LOGIN
    assert site.fx.requests == []
