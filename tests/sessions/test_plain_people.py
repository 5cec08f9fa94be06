"""What an application reads of a person is plain: it may write it into any session, file or database of its own."""

from typing import Any

import pytest
from markupsafe import Markup

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.session_pages import inside, with_pages
from xwms_auth import User


@pytest.mark.parametrize("store", ["cookie", "memory", "sqlite"])
def test_the_texts_of_a_person_are_of_no_subclass(make_site, where, store):
    site = with_pages(make_site(**where(store)))
    browser = site.browser()
    browser.log_in("1001")
    current_user: Any = (xwms_auth.flask if site.edge == "flask" else xwms_auth.starlette).current_user
    texts = [
        *inside(browser, lambda _: [*current_user.claims().values(), *current_user.identity]),
        *inside(browser, lambda _: [current_user.get_id(), current_user.display_name]),
    ]
    assert {type(text) for text in texts} <= {str, bool, type(None)}


def test_a_person_of_other_texts_has_plain_ones():
    person = User(issuer=Markup("https://xwms.example"), sub=Markup("17"))
    assert (type(person.issuer), type(person.sub)) == (str, str)
    assert person == User(issuer="https://xwms.example", sub="17")
