"""Chromium with its back/forward cache, which Playwright switches off and people have on.

Since 2024 Chromium keeps pages in it that say `no-store`, and drops them when an HttpOnly cookie changes, but not
dependably when the change comes with the very navigation that leaves the page, as a log-out's does.
"""

import pytest

pytestmark = pytest.mark.browser

TRIES = 4
"""What is tried is a race inside Chromium."""


@pytest.fixture(scope="module")
def launch_options():
    return {"ignore_default_args": ["--disable-back-forward-cache"]}


@pytest.mark.parametrize("place", ["flask-https", "starlette-https"], indirect=True)
def test_the_back_button_after_logout_does_not_show_the_person_again(make_visitor, place):
    """Only over https: Chromium heeds `Clear-Site-Data` nowhere else, not on http://localhost either."""
    for _ in range(TRIES):
        visitor = make_visitor()
        page = visitor.tab()
        visitor.log_in(page)
        visitor.log_out(page)
        page.go_back(wait_until="commit")
        page.locator("h1, #who").first.wait_for()
        assert "Anna" not in page.inner_text("body")


def test_the_back_button_before_logout_shows_the_page_again(visitor, place):
    page = visitor.tab()
    visitor.log_in(page)
    page.get_by_role("link", name="Home").click()
    page.wait_for_url(f"{place.origin}/")
    page.go_back(wait_until="commit")
    page.wait_for_url(f"{place.origin}/private", wait_until="commit")
    assert visitor.who(page) == "Anna de Vries"
