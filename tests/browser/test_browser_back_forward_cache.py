"""Chromium with its back/forward cache, which Playwright switches off and people have on.

Chromium keeps pages in it that say `no-store`; after a log-out it may or may not show one again. No header dependably
prevents that (`Clear-Site-Data: "cache"` was tried), so what is demanded is that it is a picture and nothing more.
"""

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def launch_options():
    return {"ignore_default_args": ["--disable-back-forward-cache"]}


@pytest.mark.parametrize("step", ["reload", "click"])
def test_a_page_that_the_back_button_shows_after_logout_can_do_nothing(visitor, place, step):
    page = visitor.tab()
    visitor.log_in(page)
    visitor.log_out(page)
    page.go_back(wait_until="commit")
    page.locator("h1, #who").first.wait_for()
    if step == "click" and page.locator("#who").count():
        page.get_by_role("link", name="Home").click()
        page.wait_for_url(f"{place.origin}/")
        assert visitor.who(page) == "nobody"
    else:
        page.reload()
        assert page.locator("#who").count() == 0
    assert all(name.startswith(place.login_prefix) for name in visitor.cookies())
    assert place.api_calls().count("sign-token-verify 200") == 1


def test_the_back_button_before_logout_shows_the_page_again(visitor, place):
    page = visitor.tab()
    visitor.log_in(page)
    page.get_by_role("link", name="Home").click()
    page.wait_for_url(f"{place.origin}/")
    page.go_back(wait_until="commit")
    page.wait_for_url(f"{place.origin}/private", wait_until="commit")
    assert visitor.who(page) == "Anna de Vries"
