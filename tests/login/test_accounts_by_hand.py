"""Logins of an application with accounts, without any I/O: XWMS, the linker and the own login are played by hand."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.login.test_flow_steps import answer
from tests.login.visits import Visit, code, confirm, location
from tests.tools.site import FROM_ELSEWHERE, LOGIN
from xwms_auth._core.accounts.errors import NoAccount
from xwms_auth._core.accounts.hooks import AccountCreated, AccountLinked, LoggedIn, LoginRefused
from xwms_auth._core.accounts.linker import AppLogin, Linked, ProofNeeded


class Shop:
    """An application whose accounts are what a test says. `here` is whose owner its own login names."""

    def __init__(
        self, *, found: Any = None, here: str | None = None, app_login: bool = True, url: str = "/own-login?a=1"
    ) -> None:
        self.linker: Any = self
        self.app_login = AppLogin(url=url, who=lambda request: here) if app_login else None
        self.found, self.here = found, here
        self.told: list[object] = []
        self.linked: list[tuple[str, str]] = []

    def call(self, function: Callable[..., Any], *args: object) -> Any:
        return function(*args)

    def tell(self, event: object) -> None:
        self.told.append(event)

    def who(self) -> object:
        return self.here

    def sign_in(self, user: Any) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def link(self, user: Any, key: str) -> Linked:
        self.linked.append((user.sub, key))
        return Linked(key=key, linked=True)

    def find(self, identity: Any) -> str | None:
        return next((key for sub, key in self.linked if sub == identity.sub), None)

    def key_of(self, account: object) -> str:
        return str(account)


@pytest.mark.parametrize("has_application", [True, False])
def test_where_there_are_no_accounts_nothing_can_be_linked(has_application):
    """Neither at a site that has only hooks."""
    shop = Shop(here="7") if has_application else None
    if shop is not None:
        shop.linker = None
    visit = Visit(shop)
    assert code(visit.ask(LOGIN, method="POST", link="1")) == (409, "nobody_to_link")
    assert visit.log_in().logged_in
    assert visit.is_in()
    if shop is not None:
        assert [event.account for event in shop.told if isinstance(event, LoggedIn)] == [None]


def test_a_login_with_accounts_tells_whose_it_is():
    shop = Shop(found=Linked(key="1"))
    visit = Visit(shop)
    assert visit.log_in().logged_in
    assert [(event.user.sub, event.account) for event in shop.told if isinstance(event, LoggedIn)] == [("17", "1")]
    assert visit.names("login") == []


def test_a_first_login_tells_of_the_account_that_it_has_created():
    shop = Shop(found=Linked(key="1", created=True))
    assert Visit(shop).log_in().logged_in
    assert [type(event) for event in shop.told] == [AccountCreated, LoggedIn]


def test_whoever_came_by_xwms_links_a_second_identity_to_the_account_that_they_have():
    shop = Shop(found=Linked(key="3"))
    visit = Visit(shop)
    visit.log_in()
    shop.linked.append(("17", "3"))
    visit.reply = answer(sub="18")
    waiting = visit.log_in(link=True)
    assert (waiting.status, waiting.logged_in) == (303, False)
    assert confirm(visit, waiting).logged_in
    assert shop.linked[1:] == [("18", "3")]


def test_the_log_names_a_login_as_its_cookie_does(caplog):
    """So that an operator finds what became of it."""
    shop = Shop(found=ProofNeeded(key="7"))
    visit = Visit(shop, confirm_person=True, callback_token="fresh")
    with caplog.at_level(logging.INFO):
        visit.start()
        (name,) = visit.names("login")
        asked = visit.come_back("a-token-that-sign-token-never-gave")
        proof = confirm(visit, asked)
        shop.here = "7"
        assert confirm(visit, proof).logged_in
    assert re.search(r"linked=yes\b", caplog.text)
    told = re.findall(r"(\w+) login=([\w-]*)", caplog.text)
    events = ["login_started", "login_waits", "proof_needed", "login_waits", "login_finished"]
    assert told == [(event, name[-8:]) for event in events]


def test_an_address_that_has_an_account_is_refused_where_nothing_can_prove_whose_it_is():
    """Account takeover: a linker of the application's own that asks for a proof, and no `app_login` to give one."""
    shop = Shop(found=ProofNeeded(key="7"), app_login=False)
    visit = Visit(shop)
    assert code(visit.log_in()) == (409, "account_exists")
    assert not visit.is_in()
    assert visit.names("login") == []
    assert [event.code for event in shop.told if isinstance(event, LoginRefused)] == ["account_exists"]


def test_a_person_whom_the_linker_refuses_is_not_signed_in_and_the_login_is_over():
    visit = Visit(Shop(found=NoAccount("closed")))
    assert code(visit.log_in()) == (403, "not_allowed")
    assert not visit.is_in()
    assert visit.names("login") == []


@pytest.mark.parametrize("here", [None, "8"])
def test_a_proof_is_asked_for_until_the_owner_is_here_and_links_once(here):
    shop = Shop(found=ProofNeeded(key="7"), here=here)
    visit = Visit(shop)
    waiting = visit.log_in()
    assert waiting.status == 303
    assert not waiting.logged_in
    page = visit.ask(LOGIN, location(waiting).partition("?")[2])
    assert page.status == 200
    assert 'href="/own-login?a=1&amp;next=%2Fxwms%2Fauth' in page.body
    assert ("another account" in page.body) is (here is not None)
    refused = confirm(visit, waiting)
    assert code(refused) == (409, "nobody_to_link")
    assert ("another account" if here else "nobody is") in refused.error.cause
    assert visit.names("login") == [], "a refusal ends it"
    waiting = visit.log_in()
    shop.here = "7"
    page = visit.ask(LOGIN, location(waiting).partition("?")[2])
    assert "Link with XWMS?" in page.body
    assert ("Cross-Origin-Opener-Policy", "same-origin") in page.headers
    kept = dict(visit.jar)
    done = confirm(visit, waiting)
    assert (done.status, location(done), done.logged_in) == (303, "/hello", True)
    assert shop.linked == [("17", "7")]
    assert [type(event) for event in shop.told if not isinstance(event, LoginRefused)] == [LoggedIn, AccountLinked]
    assert visit.names("login") == []
    visit.jar = kept
    assert code(confirm(visit, waiting)) == (400, "login_not_started")
    assert shop.linked == [("17", "7")]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("shop_later", [None, "without accounts"])
def test_a_link_that_waits_is_refused_by_a_site_that_has_no_accounts_any_more(shop_later, method):
    """The application was deployed anew meanwhile."""
    visit = Visit(Shop(found=ProofNeeded(key="7")))
    waiting = visit.log_in()
    visit.shop = None if shop_later is None else Shop()
    if visit.shop is not None:
        visit.shop.linker = None
    asked = visit.ask(LOGIN, location(waiting).partition("?")[2]) if method == "GET" else confirm(visit, waiting)
    assert code(asked) == (409, "nobody_to_link")
    assert visit.names("login") == []
    assert not visit.is_in()


def test_a_link_from_a_session_that_has_ended_finds_nobody_and_no_way_to_prove_anything():
    shop = Shop(found=Linked(key="3"), app_login=False)
    visit = Visit(shop)
    visit.log_in()
    shop.linked.append(("17", "3"))
    visit.reply = answer(sub="18")
    waiting = visit.log_in(link=True)
    visit.jar = {name: value for name, value in visit.jar.items() if "login" in name}
    refused = visit.ask(LOGIN, location(waiting).partition("?")[2])
    assert code(refused) == (409, "nobody_to_link")
    assert "nobody is logged in" in refused.error.cause


@pytest.mark.parametrize(("url", "mark"), [("/own-login", "?"), ("/own-login?a=1", "&amp;")])
def test_the_way_to_the_own_login_is_a_parameter_of_its_address(url, mark):
    visit = Visit(Shop(found=ProofNeeded(key="7"), url=url))
    page = visit.ask(LOGIN, location(visit.log_in()).partition("?")[2])
    assert f'href="{url}{mark}next=%2Fxwms%2Fauth' in page.body


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"name": "Ada"}, "Ada"),
        ({"name": "boss@example.org"}, "the-sub-of-ada"),
        ({"name": "boss@example.org", "email": "boss@example.org"}, "the-sub-of-ada"),
        ({"name": "boss@example.org", "email": "boss@example.org", "email_verified": True}, "boss@example.org"),
        ({"name": "Ada", "email": "boss@example.org", "email_verified": True}, "Ada"),
        ({"email": "boss@example.org"}, "the-sub-of-ada"),
    ],
)
@pytest.mark.parametrize("links", [True, False])
def test_the_page_that_asks_calls_nobody_by_an_address_that_is_not_verified(claims, shown, links):
    """Anybody can call themselves what they like."""
    visit = Visit(Shop(found=ProofNeeded(key="7"))) if links else Visit(callback_token="fresh", confirm_person=True)
    visit.reply = answer(sub="the-sub-of-ada", **claims)
    token = visit.start()
    waiting = visit.come_back(token if links else "a-token-that-sign-token-never-gave")
    page = visit.ask(LOGIN, location(waiting).partition("?")[2])
    assert ("boss@example.org" in page.body) is bool(claims.get("email_verified"))
    assert page.body.count("boss@example.org") == bool(claims.get("email_verified")) + (shown == "boss@example.org")
    assert re.search(rf"<(b|strong|h2|p|span|dd)[^>]*>{re.escape(shown)}<", page.body)


def test_a_store_that_is_down_keeps_the_login_that_waits():
    """The next click may work."""
    shop = Shop(found=ProofNeeded(key="7"), here="7")
    visit = Visit(shop)
    waiting = visit.log_in()
    visit.store.down = ("claim link",)
    assert code(confirm(visit, waiting)) == (503, "store_unavailable")
    assert len(visit.names("login")) == 1
    assert shop.linked == []
    visit.store.down = ()
    assert confirm(visit, waiting).logged_in


def test_a_login_that_links_waits_for_a_click_although_the_account_is_here():
    """Login CSRF: an identity is never linked without one."""
    shop = Shop(found=Linked(key="9"), here="7")
    visit = Visit(shop)
    waiting = visit.log_in(link=True)
    assert (waiting.status, waiting.logged_in, shop.linked) == (303, False, [])
    visit.now += 599
    assert confirm(visit, waiting).logged_in
    assert shop.linked == [("17", "7")]


@pytest.mark.parametrize(("later", "counts"), [(599, True), (600, False)])
def test_a_login_that_waits_twice_was_proven_when_it_began_to(later, counts):
    """First for who the person is, then for whose the account is."""
    shop = Shop(found=ProofNeeded(key="7"), here="7")
    visit = Visit(shop, callback_token="fresh", confirm_person=True)
    visit.start()
    asked = visit.come_back("a-token-that-sign-token-never-gave")
    visit.now += 100
    proof = confirm(visit, asked)
    visit.now += later - 100
    assert confirm(visit, proof).logged_in is counts
    assert shop.linked == ([("17", "7")] if counts else [])
    if counts:
        assert visit.store.created[0].proved_at == visit.now - later


def test_of_two_logins_that_wait_the_one_that_is_named_goes_on():
    visit = Visit(callback_token="fresh", confirm_person=True)
    waiting = []
    for number, page in enumerate(("/one", "/two")):
        visit.start(f"next={page}")
        waiting.append(visit.come_back(f"a-token-that-sign-token-never-gave-{number}"))
    keys = [f"confirm={location(one).partition('confirm=')[2]}" for one in waiting]
    assert "next=/one" in visit.ask(LOGIN, "&".join(keys)).body, "the first, if there are several"
    assert location(confirm(visit, waiting[1])) == "/two"
    visit.jar = {name: value for name, value in visit.jar.items() if "login" in name}
    assert location(confirm(visit, waiting[0])) == "/one"


@pytest.mark.parametrize(
    ("options", "link"),
    [
        ({"protect": "all", "public": ["/bye"], "after_logout": "/bye?a=1"}, "/bye?a=1"),
        ({"protect": "all", "public": ["/other"], "after_logout": "/bye?a=1"}, None),
        ({"public": ["/bye"], "after_logout": "/bye?a=1"}, None),
        ({}, None),
    ],
)
def test_the_page_before_a_login_links_a_page_that_is_known_to_need_none(options, link):
    """A link to one that needs a login would start it."""
    page = Visit(**options).ask(LOGIN, "next=/hello", FROM_ELSEWHERE)
    assert page.status == 200
    assert re.findall('<a [^>]*href="([^"]*)"', page.body) == ([] if link is None else [link])


def test_the_page_before_a_login_says_why_the_session_has_ended():
    visit = Visit(session_idle=600, callback_token="fresh")
    visit.start()
    assert visit.come_back("a-token-that-sign-token-never-gave").logged_in
    said = "You were signed out because you had not been here for a while."
    assert said not in Visit().ask(LOGIN, "", FROM_ELSEWHERE).body
    visit.now += 601
    assert said in visit.ask(LOGIN, "", FROM_ELSEWHERE).body
