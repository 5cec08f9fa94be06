"""Accounts where the login is by OAuth 2.0: the same rules, and the tokens are there afterwards."""

from typing import Any

import flask
import httpx2
import pytest

import xwms_auth.flask
from tests.accounts.members_apps import FIELDS, ORIGIN, Member, Members, Visitor, way_to_own_login
from tests.oauth2.fake_as import FakeAS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN
from xwms_auth import XWMSConfig
from xwms_auth.accounts import AppLogin, SQLAlchemyLinker


class AtServer(Visitor):
    """A browser that logs in at the authorization server."""

    def begin(self, **form: str) -> str:
        answer = self.post(LOGIN, **form)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def return_from(self, location: str, **claims: Any) -> httpx2.Response:
        query = self.fx.consent(location, **claims)
        return self.client.get(CALLBACK, params=query, headers=FROM_ELSEWHERE)


@pytest.fixture
def members(tmp_path: Any) -> Members:
    return Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")


@pytest.fixture
def visitor(members: Members, request: pytest.FixtureRequest) -> Any:
    app = flask.Flask(__name__)
    with FakeAS() as server:
        config = XWMSConfig(**server.options(redirect_uris=f"{ORIGIN}{CALLBACK}"))
        own = AppLogin(url="/own-login", who=lambda asked: asked.cookies.get("own"))
        linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS, link_by_email="email")
        auth = xwms_auth.flask.XWMSAuth(app, config, linker=linker, app_login=own)
        app.add_url_rule("/account", "account", lambda: f"{auth.account().id} {bool(auth.access_token())}")
        yield AtServer(app, "flask", server)


def test_a_first_login_creates_a_member(visitor, members):
    assert visitor.return_from(visitor.begin(), sub="1001").status_code == 303
    assert visitor.account() == "1 True"
    assert members.count() == (1, 1)


def test_after_a_proof_the_login_goes_on_and_has_its_tokens(visitor, members):
    ada = members.add(email="ada@example.org")
    claims = {"sub": "1001", "email": "ada@example.org", "email_verified": True}
    back = way_to_own_login(visitor.get(visitor.return_from(visitor.begin(), **claims).headers["location"]))
    visitor.log_in_as_before(ada)
    url, _, key = back.partition("&confirm=")
    linked = visitor.post(url, confirm=key)
    assert members.owner_of("1001") == ada
    assert visitor.account() is None  # its tokens were not kept while it waited
    again = visitor.get(linked.headers["location"])
    assert again.status_code == 302  # straight on to the server, which knows the person
    assert visitor.return_from(str(again.headers["location"]), **claims).status_code == 303
    assert visitor.account() == f"{ada} True"
    assert members.count() == (1, 1)


def test_a_settings_page_links_here_too(visitor, members):
    ada = members.add(name="Ada")
    visitor.log_in_as_before(ada)
    answer = visitor.return_from(visitor.begin(link="1"), sub="1001")
    assert members.count() == (1, 0)
    url, _, key = answer.headers["location"].partition("&confirm=")
    assert visitor.post(url, confirm=key).status_code == 303
    assert members.owner_of("1001") == ada
