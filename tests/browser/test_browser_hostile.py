"""What another site can do to a person's real Chromium, and what it cannot."""

import html

import pytest

from tests.browser.visitor import CALLBACK

pytestmark = pytest.mark.browser

LOGIN, LOGOUT = "/xwms/auth", "/xwms/logout"

# By another host name it is another site. By another port it is the same site over http, where cookies travel along.
by_another_host_and_by_another_port = pytest.mark.parametrize(
    ("place", "host"), [("starlette-https", "127.0.0.1"), ("flask-http", "localhost")], indirect=["place"]
)
behind_tls = pytest.mark.parametrize("place", ["starlette-https"], indirect=True)


def auto_form(action, method, **fields):
    """A form that sends itself. A browser without JavaScript shows its button."""
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    form = f'<form method="{method}" action="{html.escape(action)}">{inputs}<button>Win</button></form>'
    return f"{form}<script>document.forms[0].submit()</script>"


def link(address):
    return f'<a href="{html.escape(address)}">Free kittens</a>'


def confirm_by_click(visitor, page, place, *, back_at):
    """On the confirmation page: nothing has happened yet, and the click goes on."""
    assert page.get_by_role("heading", level=1).inner_text() == "Log in with XWMS?"
    assert place.api_calls() == []
    assert visitor.cookies() == {}
    visitor.go_on(page)
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")
    assert place.api_calls() == ["sign-token 200"]
    visitor.pick(page)
    assert (page.url, visitor.who(page)) == (place.origin + back_at, "Anna de Vries")


@by_another_host_and_by_another_port
def test_a_link_on_another_site_to_the_login_asks_first(visitor, place, elsewhere, host):
    """LC-04"""
    elsewhere.pages["/evil"] = link(f"{place.origin}{LOGIN}?next=/private%3Fpage%3D2")
    page = visitor.tab()
    page.goto(elsewhere.url("/evil", host=host))
    page.get_by_role("link").click()
    page.wait_for_url(f"{place.origin}{LOGIN}?**")
    confirm_by_click(visitor, page, place, back_at="/private?page=2")


@behind_tls
def test_a_link_on_another_site_to_a_protected_page_asks_first(visitor, place, elsewhere):
    """LC-05"""
    elsewhere.pages["/evil"] = link(f"{place.origin}/private?page=2")
    page = visitor.tab()
    page.goto(elsewhere.url("/evil"))
    page.get_by_role("link").click()
    page.wait_for_url(f"{place.origin}{LOGIN}?**")
    confirm_by_click(visitor, page, place, back_at="/private?page=2")


@behind_tls
def test_a_form_that_sends_itself_to_the_login_asks_first(visitor, place, elsewhere):
    """LC-04"""
    elsewhere.pages["/evil"] = auto_form(f"{place.origin}{LOGIN}", "get", next="/private")
    page = visitor.tab()
    page.goto(elsewhere.url("/evil"))
    page.wait_for_url(f"{place.origin}{LOGIN}?**")
    confirm_by_click(visitor, page, place, back_at="/private")


@behind_tls
def test_the_confirmation_works_without_javascript(make_visitor, place, elsewhere):
    elsewhere.pages["/evil"] = link(f"{place.origin}{LOGIN}?next=/private")
    visitor = make_visitor(java_script_enabled=False)
    page = visitor.tab()
    page.goto(elsewhere.url("/evil"))
    page.get_by_role("link").click()
    page.wait_for_url(f"{place.origin}{LOGIN}?**")
    confirm_by_click(visitor, page, place, back_at="/private")


@by_another_host_and_by_another_port
def test_another_site_cannot_click_the_confirmation(visitor, place, elsewhere, host):
    """LC-04: the form that the click sends is refused when another site sends it."""
    elsewhere.pages["/evil"] = auto_form(f"{place.origin}{LOGIN}", "post", next="/private")
    page = visitor.tab()
    with page.expect_response(lambda answer: answer.url.startswith(place.origin + LOGIN)) as seen:
        page.goto(elsewhere.url("/evil", host=host))
    assert seen.value.status == 403
    assert place.api_calls() == []
    assert visitor.cookies() == {}


@behind_tls
def test_a_link_to_the_login_while_signed_in_goes_straight_on(visitor, place, elsewhere):
    page = visitor.tab()
    visitor.log_in(page)
    elsewhere.pages["/evil"] = link(f"{place.origin}{LOGIN}?next=/private%3Fpage%3D2")
    page.goto(elsewhere.url("/evil"))
    page.get_by_role("link").click()
    page.wait_for_url(f"{place.origin}/private?page=2")
    assert place.api_calls() == ["sign-token 200", "sign-token-verify 200"]


@by_another_host_and_by_another_port
def test_images_frames_and_prefetches_of_login_and_callback_do_nothing(make_visitor, visitor, place, elsewhere, host):
    """LC-06: nothing reaches XWMS, the login in progress stays as it is, and the framed answer is not shown (LO-08)."""
    attacker = make_visitor()
    foreign = attacker.tab()
    attacker.ask_to_log_in(foreign)
    callback = attacker.approve(foreign, "xwms-user-mallory")

    page = visitor.tab()
    visitor.ask_to_log_in(page)
    before, cookies, asked = place.api_calls(), visitor.cookies(), len(place.journal.entries)
    addresses = [html.escape(address) for address in (f"{place.origin}{LOGIN}?next=/private", callback)]
    elsewhere.pages["/evil"] = "".join(
        f'<img src="{address}"><iframe src="{address}"></iframe><link rel="prefetch" href="{address}">'
        for address in addresses
    )
    lured = visitor.tab()
    lured.goto(elsewhere.url("/evil", host=host))
    for path in (LOGIN, CALLBACK):
        place.journal.wait_for(path, sec_fetch_dest="image")
        place.journal.wait_for(path, sec_fetch_dest="iframe")
        place.journal.wait_for(path, sec_purpose="prefetch")
    assert len(place.journal.entries) - asked >= 6
    # Nothing begins; what is foreign is spent, at most once by each of the two that bring it.
    spent = [call.split()[0] for call in place.api_calls()[len(before) :]]
    assert spent in (["sign-token-verify"], ["sign-token-verify"] * 2)
    assert visitor.cookies() == cookies
    assert all("frame-ancestors" in said for said in visitor.violations)
    visitor.violations.clear()  # frames of our pages are meant to be refused; nothing else may be

    visitor.pick(page)
    assert visitor.who(page) == "Anna de Vries"


@behind_tls
def test_the_callback_of_somebody_elses_login_is_refused_and_spent(make_visitor, visitor, place, elsewhere):
    """LC-01, SF-01: another person's fresh callback address, opened here by a link, logs nobody in, here or there."""
    attacker = make_visitor()
    foreign = attacker.tab()
    attacker.ask_to_log_in(foreign)
    callback = attacker.approve(foreign, "xwms-user-mallory")
    elsewhere.pages["/evil"] = f'<meta name="referrer" content="no-referrer">{link(callback)}'
    page = visitor.tab()
    page.goto(elsewhere.url("/evil"))
    page.get_by_role("link").click()
    page.wait_for_url(callback)
    assert "login_not_started" in page.inner_text("body")
    assert visitor.cookies() == {}
    page.goto(place.origin)
    assert visitor.who(page) == "nobody"
    foreign.goto(callback)
    assert attacker.place.session_cookie not in attacker.cookies()


@by_another_host_and_by_another_port
def test_another_site_cannot_log_anybody_out(visitor, place, elsewhere, host):
    """LO-02, LO-03: from another host the cookie stays at home; from another port it comes along."""
    page = visitor.tab()
    visitor.log_in(page)
    cookies = visitor.cookies()
    elsewhere.pages["/evil"] = auto_form(f"{place.origin}{LOGOUT}", "post")
    lured = visitor.tab()
    with lured.expect_response(place.origin + LOGOUT) as seen:
        lured.goto(elsewhere.url("/evil", host=host))
    assert seen.value.status == 403
    assert visitor.cookies() == cookies
    page.reload()
    assert visitor.who(page) == "Anna de Vries"


@behind_tls
def test_a_picture_of_the_logout_does_not_log_out(visitor, place, elsewhere):
    """LO-01"""
    page = visitor.tab()
    visitor.log_in(page)
    elsewhere.pages["/evil"] = f'<img src="{place.origin}{LOGOUT}">'
    visitor.tab().goto(elsewhere.url("/evil", host="localhost"))
    place.journal.wait_for(LOGOUT, sec_fetch_dest="image")
    page.reload()
    assert visitor.who(page) == "Anna de Vries"
