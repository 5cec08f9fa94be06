"""What the address bar, the back button, a reload and an old address do, in a real Chromium."""

import pytest

from tests.browser.visitor import CALLBACK

pytestmark = pytest.mark.browser


def test_the_back_button_after_login_leads_to_a_spent_sign_in_page_and_forward_again(visitor, place):
    page = visitor.tab()
    visitor.log_in(page, "/private?page=2")
    assert "token" not in page.url
    calls = place.api_calls()
    back = page.go_back()
    assert page.url.startswith(f"{place.sandbox.url}/sign-in/")
    assert back is None or back.status == 410
    page.go_forward()
    assert (page.url, visitor.who(page)) == (f"{place.origin}/private?page=2", "Anna de Vries")
    assert place.api_calls() == calls


def test_no_step_of_the_history_holds_a_callback_or_logs_in_again_after_logout(visitor, place):
    """RP-06"""
    page = visitor.tab()
    visitor.log_in(page)
    visitor.log_out(page)
    calls = place.api_calls()
    seen = []
    for _ in range(page.evaluate("history.length") - 1):
        page.go_back()
        seen.append(page.url)
        assert CALLBACK not in page.url
        assert "Anna" not in page.inner_text("body") or page.url.startswith(place.sandbox.url)
        assert all(name.startswith(place.login_prefix) for name in visitor.cookies())
    assert len(seen) >= 2
    assert "sign-token-verify 200" not in place.api_calls()[len(calls) :]
    page.goto(place.origin)
    assert visitor.who(page) == "nobody"


def test_the_page_after_login_reloads_without_a_second_login(visitor, place):
    page = visitor.tab()
    visitor.log_in(page)
    page.reload()
    assert (page.url, visitor.who(page)) == (f"{place.origin}/private", "Anna de Vries")
    assert len(place.journal.to(CALLBACK)) == 1


def test_the_callback_opened_again_after_success_changes_nothing(visitor, place):
    """RP-01"""
    page = visitor.tab()
    callback = visitor.log_in(page)
    session = visitor.cookies()[place.session_cookie]["value"]
    for _ in range(2):
        page.goto(callback)
        assert (page.url, visitor.who(page)) == (f"{place.origin}/", "Anna de Vries")
        assert visitor.cookies()[place.session_cookie]["value"] == session
    assert place.api_calls().count("sign-token-verify 200") == 1


@pytest.mark.parametrize("place", ["starlette-https"], indirect=True)
def test_the_callback_opened_again_after_logout_logs_nobody_in(visitor, place):
    """RP-06: neither when opened, nor when reloaded, nor when found in the history."""
    page = visitor.tab()
    callback = visitor.log_in(page)
    visitor.log_out(page)
    refused = page.goto(callback)
    assert (refused.status, page.url) == (400, callback)
    assert "login_not_started" in page.inner_text("body")
    again = page.reload()
    assert again.status == 400
    page.goto(f"{place.origin}/")
    page.go_back()
    assert page.url == callback
    assert "login_not_started" in page.inner_text("body")
    assert visitor.cookies() == {}
    assert place.api_calls().count("sign-token-verify 200") == 1


@pytest.mark.parametrize("place", ["flask-http"], indirect=True)
def test_the_callback_opened_in_another_browser_logs_nobody_in(make_visitor, place):
    """RP-03"""
    visitor, other = make_visitor(), make_visitor()
    callback = visitor.log_in(visitor.tab())
    page = other.tab()
    assert page.goto(callback).status == 400
    assert other.cookies() == {}


@pytest.mark.parametrize("place", ["starlette-https"], indirect=True)
def test_no_referer_leaves_the_callback(visitor, place):
    """LP-05: without the header Chromium would name XWMS's page to the page that follows, which is told first here."""
    page = visitor.tab()
    visitor.ask_to_log_in(page)
    page.goto(visitor.approve(page), referer=f"{place.sandbox.url}/")
    assert page.url == f"{place.origin}/private"
    assert place.journal.to(CALLBACK)[0].headers["referer"] == f"{place.sandbox.url}/"
    assert "referer" not in place.journal.to("/private")[-1].headers
    assert page.evaluate("document.referrer") == ""


@pytest.mark.parametrize("place", ["flask-http"], indirect=True)
def test_an_error_page_at_an_address_with_a_token_names_it_to_nobody_and_leads_on(visitor, place):
    """LP-04, LP-05"""
    page = visitor.tab()
    page.goto(f"{place.origin}{CALLBACK}?token=somebody-elses-token")
    assert "login_not_started" in page.inner_text("body")
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url(f"{place.sandbox.url}/sign-in/*")
    assert page.evaluate("document.referrer") == ""
    assert "referer" not in place.journal.to("/xwms/auth")[0].headers
    visitor.pick(page)
    assert (page.url, visitor.who(page)) == (f"{place.origin}/", "Anna de Vries")


@pytest.mark.parametrize("place", ["flask-http"], indirect=True)
def test_no_referer_ever_holds_a_token(visitor, place):
    page = visitor.tab()
    callback = visitor.log_in(page)
    page.get_by_role("link", name="Home").click()
    page.wait_for_url(f"{place.origin}/")
    token = callback.partition("token=")[2]
    assert place.journal.to("/")[-1].headers["referer"] == f"{place.origin}/private"
    assert [asked for asked in place.journal.entries if token in asked.headers.get("referer", "")] == []
