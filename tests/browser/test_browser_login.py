"""The story of a login in a real Chromium, on Flask and Starlette, over http and https."""

import pytest

pytestmark = pytest.mark.browser
on_every_pair = pytest.mark.parametrize(
    "place", ["flask-http", "flask-https", "starlette-http", "starlette-https"], indirect=True
)


def tell_the_whole_story(visitor, place):
    page = visitor.tab()
    callback = visitor.log_in(page, "/private?page=2&q=a%20b")
    assert "token=" in callback
    assert page.locator("#query").inner_text() == "page=2&q=a%20b"
    visitor.log_out(page)
    assert visitor.who(page) == "nobody"
    assert place.api_calls() == ["sign-token 200", "sign-token-verify 200"]


@on_every_pair
def test_a_person_is_sent_to_xwms_comes_back_to_the_page_and_logs_out(visitor, place):
    tell_the_whole_story(visitor, place)


@pytest.mark.parametrize("callback_token", ["fresh"], indirect=True)
def test_the_callback_token_may_be_another_than_sign_tokens(visitor, place):
    tell_the_whole_story(visitor, place)


def test_nothing_needs_javascript(make_visitor, place):
    tell_the_whole_story(make_visitor(java_script_enabled=False), place)


def test_chromium_keeps_the_cookies_as_they_are_meant(visitor, place):
    """CK-17: and it lets go of both at log-out, while a login in another tab is still pending."""
    page, other = visitor.tab(), visitor.tab()
    visitor.ask_to_log_in(page)
    visitor.ask_to_log_in(other)
    pending = visitor.cookies()
    assert len(pending) == 2
    assert all(name.startswith(place.login_prefix) for name in pending)
    visitor.pick(page)
    kept = visitor.cookies()
    assert place.session_cookie in kept
    assert len(kept.keys() & pending.keys()) == len(kept) - 1 == 1
    for cookie in (*pending.values(), *kept.values()):
        assert cookie["domain"] == "localhost"  # with a Domain attribute it would start with a dot
        assert cookie["path"] == "/"
        assert cookie["httpOnly"] is True
        assert cookie["secure"] is place.secure
        assert cookie["sameSite"] == "Lax"
    assert page.evaluate("document.cookie") == ""
    visitor.log_out(page)
    assert visitor.cookies() == {}


def test_a_finished_login_leaves_no_pending_cookie(visitor, place):
    visitor.log_in(visitor.tab())
    assert set(visitor.cookies()) == {place.session_cookie}


def test_two_tabs_finish_in_reverse_order_each_at_its_own_page(visitor, place):
    """SF-10"""
    first, second = visitor.tab(), visitor.tab()
    visitor.ask_to_log_in(first, "/private?tab=1")
    visitor.ask_to_log_in(second, "/private?tab=2")
    visitor.pick(second)
    assert second.url == f"{place.origin}/private?tab=2"
    visitor.pick(first)
    assert first.url == f"{place.origin}/private?tab=1"
    assert visitor.who(first) == "Anna de Vries"
    assert set(visitor.cookies()) == {place.session_cookie}


def test_who_cancels_at_xwms_is_nobody_and_may_try_again(visitor, place):
    page = visitor.tab()
    visitor.ask_to_log_in(page)
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url(f"{place.origin}/")
    assert visitor.who(page) == "nobody"
    assert place.session_cookie not in visitor.cookies()
    visitor.log_in(page)


def test_another_person_in_the_same_browser_takes_the_place_of_the_first(visitor, place):
    """LC-15"""
    page, other = visitor.tab(), visitor.tab()
    visitor.ask_to_log_in(other)
    visitor.log_in(page)
    visitor.pick(other, "Bram Bakker")
    page.reload()
    assert (visitor.who(page), visitor.who(other)) == ("Bram Bakker", "Bram Bakker")
