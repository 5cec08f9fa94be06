"""Attacks on accounts, on every door: taking one over, getting in where one may not, leaks, and freezing a site.

Each test demands what must hold, so one that fails is an attack that works.
"""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import flask
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import ForeignKey, String, create_engine, delete
from sqlalchemy.event import listen
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.accounts.members_apps import (
    APPS,
    DOORS,
    ORIGIN,
    Desk,
    Member,
    Members,
    Visitor,
    told,
    way_to_own_login,
)
from tests.accounts.test_linking import ADA, code_of
from tests.tools.faults import envelope
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, FROM_SIBLING, LOGIN, NAVIGATION, PROGRAM, TYPED
from xwms_auth import ConfigError, Identity, NotAllowed, StoreUnavailable, User, XWMSConfig
from xwms_auth._core.adapters.threads import run_in_thread
from xwms_auth.accounts import AccountExists, AppLogin, Hooks, LastIdentity, ProofNeeded, SQLAlchemyLinker

SYNC_DOORS = tuple(door for door in DOORS if "async" not in door)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def members(tmp_path: Any) -> Members:
    return Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")


@pytest.fixture
def make_desk(door: str, members: Members, fx: Any) -> Any:
    return lambda **options: Desk(door, members, fx, **options)


def config_of(fx: Any, **options: Any) -> XWMSConfig:
    return XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}{CALLBACK}", **options))


def confirmation(answer: Any) -> tuple[str, str]:
    """The URL and the key of a confirmation page."""
    url, _, key = answer.headers["location"].partition("&confirm=")
    return url, key


def cookies_of(visitor: Visitor) -> dict[str, str]:
    return dict(visitor.client.cookies.items())


def put(visitor: Visitor, cookies: dict[str, str]) -> None:
    for name, value in cookies.items():
        visitor.client.cookies.set(name, value, domain="app.example")


# --- the sign-up and the block list fail open?


@pytest.mark.parametrize("is_async", [False, True], ids=["sync linker", "async linker"])
def test_an_async_invitation_does_not_invite_everybody(members, fx, is_async):
    """`invited` is called, and not awaited: a coroutine is true."""

    async def invited(user: User, session: Any) -> bool:
        return False

    try:
        desk = Desk("starlette async" if is_async else "starlette", members, fx, invited=invited)
    except Exception:  # noqa: BLE001  refused when it is set up: just as well
        return
    visitor = desk.visitor()
    answer = visitor.log_in("666", name="Mallory")
    assert answer.status_code in (403, 500)
    assert members.count() == (0, 0)


@pytest.mark.parametrize("domains", [[], (), {}], ids=["list", "tuple", "dict"])
def test_a_list_of_domains_that_has_none_opens_the_sign_up_to_nobody(members, fx, domains):
    """A list that comes from a setting or a table, and is empty: the one list for which everybody may come."""
    try:
        desk = Desk("flask", members, fx, domains=domains)
    except ConfigError:
        return
    assert desk.visitor().log_in("666", name="Mallory").status_code == 403
    assert members.count() == (0, 0)


def returns_false(event: Any) -> Any:
    return False


def yields(event: Any) -> Any:
    yield refuses(event)


@pytest.mark.parametrize("hook", [returns_false, yields], ids=["False", "a generator"])
@pytest.mark.parametrize("door", DOORS)
def test_a_login_hook_that_answers_instead_of_raising_lets_nobody_in(door, members, fx, hook):
    """A check that is written wrongly: what it gives is not looked at, and a generator has not even begun."""
    try:
        visitor = Desk(door, members, fx, hooks=Hooks(login=hook)).visitor()
    except (ConfigError, TypeError):
        return
    visitor.log_in("666")
    assert visitor.get("/public").text == "nobody"


def empty(*_: Any) -> Any:
    return next(iter(()))  # StopIteration


@pytest.mark.parametrize("door", DOORS)
def test_a_block_list_that_raises_stop_iteration_lets_nobody_in(door, members, fx):
    """A guard that is only called, as the documentation says: "guard what matters by asking for it"."""
    broken = [False]

    def blocked(member: Member) -> bool:
        return bool(empty()) if broken[0] else False

    desk = Desk(door, members, fx, blocked=blocked)
    app = guarded_app(desk)
    visitor = Visitor(app, desk.door, fx)
    visitor.log_in("1001", **ADA)
    assert visitor.get("/guarded").text == "members only"
    broken[0] = True
    try:
        answer = visitor.get("/guarded")
    except Exception:  # noqa: BLE001  the server's 500
        return
    assert answer.status_code >= 400
    assert "members only" not in answer.text


def guarded_app(desk: Desk) -> Any:
    config, linker = config_of(desk.fx), desk.linker
    if desk.door == "flask":
        app = flask.Flask(__name__)
        auth = xwms_auth.flask.XWMSAuth(app, config, linker=linker)

        @app.get("/guarded")
        def guarded() -> str:
            auth.account()
            return "members only"

        return app
    if desk.door == "wsgi":

        def inner(environ: Any, start_response: Any) -> Any:
            outer.account(environ)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"members only"]

        outer = xwms_auth.wsgi.XWMSAuth(inner, config, linker=linker)
        return outer

    async def page(request: Any) -> Any:
        await xwms_auth.starlette.current_account(request, linker)
        return PlainTextResponse("members only")

    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=[Route("/guarded", page)]), config, linker=linker)


@pytest.mark.parametrize("where", ["login", "created", "refused", "who", "blocked", "new", "invited"])
@pytest.mark.parametrize("door", DOORS)
def test_stop_iteration_of_the_applications_is_an_error_like_any_other(door, members, fx, where):
    options: dict[str, Any] = {}
    if where in ("login", "created", "refused"):
        options["hooks"] = Hooks(**{where: empty})
    elif where != "who":
        options[where] = empty
    desk = Desk(door, members, fx, **options)
    visitor = desk.visitor()
    if where == "who":
        config = config_of(fx)
        own = AppLogin(url="/own-login", who=empty)
        app: Any
        if desk.door in ("flask", "wsgi"):
            app = flask.Flask(__name__)
            xwms_auth.flask.XWMSAuth(app, config, linker=desk.linker, app_login=own)
        else:
            app = xwms_auth.starlette.XWMSAuthMiddleware(Starlette(), config, linker=desk.linker, app_login=own)
        answer = Visitor(app, desk.door, fx).post(LOGIN, link="1")
        assert (answer.status_code, "internal" in answer.text) == (500, True)
        return
    if where == "refused":
        answer = visitor.get(CALLBACK)
        assert answer.status_code == 400
        return
    if where == "blocked":
        Desk(door, members, fx).visitor().log_in("1001", **ADA)
    answer = visitor.log_in("1001", **ADA)
    if where == "created":
        assert answer.status_code == 303
        return
    assert answer.status_code == 500, answer.text
    assert visitor.get("/public").text == "nobody"


# --- the login hook


def refuses(event: Any) -> None:
    raise NotAllowed("nobody")


def test_the_login_hook_is_asked_on_every_way_into_a_session(door, members, fx):
    ada = members.add(name="Ada", email="ada@example.org")
    hooks = Hooks(login=refuses)
    plain = Desk(door, members, fx, hooks=hooks, fields={}).visitor()
    assert code_of(plain.log_in("1", name="x")) == (403, "not_allowed")
    assert plain.get("/public").text == "nobody"
    # by the settings
    linking = Desk(door, members, fx, hooks=hooks).visitor()
    linking.log_in_as_before(ada)
    url, key = confirmation(linking.log_in("2", link=True))
    assert code_of(linking.post(url, confirm=key)) == (403, "not_allowed")
    assert linking.get("/public").text == "nobody"
    # after "is this you?"
    fx.callback_token = "fresh"
    config = config_of(fx, callback_token="fresh", confirm_person=True)
    asked = Desk(door, members, fx, hooks=hooks, config=config, fields={}).visitor()
    url, key = confirmation(asked.log_in("3"))
    assert code_of(asked.post(url, confirm=key)) == (403, "not_allowed")
    assert asked.get("/public").text == "nobody"
    again = asked.post(url, confirm=key)
    assert asked.get("/public").text == "nobody", again.status_code


def test_a_person_whom_the_hook_refuses_links_nothing(door, members, fx):
    ada = members.add(name="Ada")
    visitor = Desk(door, members, fx, hooks=Hooks(login=refuses)).visitor()
    visitor.log_in_as_before(ada)
    url, key = confirmation(visitor.log_in("2", link=True))
    assert code_of(visitor.post(url, confirm=key)) == (403, "not_allowed")
    assert members.count() == (1, 0)


@pytest.mark.parametrize("kind", ["flask", "starlette"])
def test_the_hook_of_a_nested_application_of_the_same_client_is_asked(kind, members, fx):
    config = config_of(fx)
    hooks = Hooks(login=refuses)
    if kind == "flask":
        inner: Any = flask.Flask("inner")
        inner.add_url_rule("/private", "private", xwms_auth.flask.login_required(lambda: "secret"))
        xwms_auth.flask.XWMSAuth(inner, config, hooks=hooks)
        app: Any = xwms_auth.wsgi.XWMSAuth(inner, config)
    else:

        @xwms_auth.starlette.login_required
        async def private(request: Any) -> Any:
            return PlainTextResponse("secret")

        inner = Starlette(routes=[Route("/private", private)])
        inner.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config, hooks=hooks)
        app = xwms_auth.starlette.XWMSAuthMiddleware(inner, config)
    visitor = Visitor(app, "flask" if kind == "flask" else "asgi", fx)
    visitor.log_in("1001")
    with suppress(ConfigError):
        assert "secret" not in visitor.get("/private").text


# --- linking: a foreign identity, planted in the browser of an account's owner


@pytest.mark.parametrize("mode", ["same", "fresh", "either"])
def test_a_planted_callback_links_nothing_without_a_click(door, members, fx, mode):
    ada = members.add(name="Ada")
    fx.callback_token = "same" if mode == "same" else "fresh"
    desk = Desk(door, members, fx, config=config_of(fx, callback_token=mode))
    attacker, victim = desk.visitor(), desk.visitor()
    planted = fx.approve(attacker.start(), sub="666", name="Ada")
    victim.log_in_as_before(ada)
    victim.start(link="1")
    answer = victim.come_back(planted)
    assert members.count() == (1, 0)
    if mode == "same":
        assert answer.status_code == 401
        return
    assert answer.status_code == 303
    page = victim.get(answer.headers["location"])
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert members.count() == (1, 0)
    url, key = confirmation(answer)
    # Another site posts the click.
    for headers in (
        {**FROM_ELSEWHERE, "Origin": "https://evil.example"},
        {**FROM_SIBLING, "Origin": "https://evil.app.example"},
        {**NAVIGATION, "Origin": "null"},
        {**NAVIGATION},
        {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {**NAVIGATION, "Sec-Fetch-Site": "none", "Origin": "null"},
    ):
        posted = victim.client.post(url, headers=headers, data={"confirm": key})
        assert posted.status_code >= 400, headers
        assert members.count() == (1, 0)
    # Nor by a GET, or by parameters of the address.
    victim.get(answer.headers["location"] + "&link=1&method=POST&_method=POST")
    assert members.count() == (1, 0)


@pytest.mark.parametrize("text", ["ada@example.org"])
def test_the_page_that_links_shows_no_address_that_xwms_has_not_verified(door, members, fx, text):
    """Whoever claims the victim's address at XWMS, and has no name there, is shown as the victim."""
    ada = members.add(name="Ada", email=text)
    fx.callback_token = "fresh"
    desk = Desk(door, members, fx, config=config_of(fx, callback_token="fresh"))
    nobody = {"name": None, "given_name": None, "family_name": None}
    planted = fx.approve(desk.visitor().start(), sub="666", **nobody, email=text, email_verified=False)
    victim = desk.visitor()
    victim.log_in_as_before(ada)
    victim.start(link="1")
    page = victim.get(victim.come_back(planted).headers["location"])
    assert "Link with XWMS?" in page.text
    assert text not in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {**FROM_ELSEWHERE, "Origin": "https://evil.example"},
        {**FROM_SIBLING, "Origin": "https://evil.app.example"},
        {**NAVIGATION, "Origin": "null"},
        {**NAVIGATION},
        {**PROGRAM},
        {**TYPED, "Origin": "null"},
        {**NAVIGATION, "Origin": "https://app.example.evil.example"},
        {**NAVIGATION, "Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "iframe", "Origin": ORIGIN},
    ],
)
def test_no_other_page_begins_a_link(door, members, fx, headers):
    ada = members.add(name="Ada")
    visitor = Desk(door, members, fx).visitor()
    visitor.log_in_as_before(ada)
    answer = visitor.client.post(LOGIN, headers=headers, data={"link": "1"})
    assert answer.status_code >= 400
    assert not [name for name in visitor.client.cookies if "login" in name]


def test_a_waiting_link_is_of_its_browser_its_key_and_its_host(door, members, fx):
    ada, grace = members.add(name="Ada"), members.add(name="Grace")
    desk = Desk(door, members, fx)
    mallory, victim = desk.visitor(), desk.visitor()
    mallory.log_in_as_before(grace)
    url, key = confirmation(mallory.log_in("666", link=True))
    victim.log_in_as_before(ada)
    # The victim's browser knows no such login, whatever is posted.
    victim.post(url, confirm=key)
    assert members.count() == (2, 0)
    # Even with mallory's cookies (a sibling may not set __Host- ones; say that it could).
    put(victim, {name: value for name, value in cookies_of(mallory).items() if name != "own"})
    assert code_of(victim.post(url, confirm=key)) == (409, "nobody_to_link")
    assert members.count() == (2, 0)


def test_an_edited_or_swapped_pending_cookie_is_none(door, members, fx):
    ada = members.add(name="Ada")
    desk = Desk(door, members, fx)
    visitor = desk.visitor()
    visitor.log_in_as_before(ada)
    url, key = confirmation(visitor.log_in("1001", link=True))
    name = next(name for name in cookies_of(visitor) if name.endswith(key))
    value = cookies_of(visitor)[name]
    for changed in (value[:-1] + ("A" if value[-1] != "A" else "B"), value[::-1], value + value, "A" * len(value)):
        put(visitor, {name: changed})
        visitor.post(url, confirm=key)
        assert members.count() == (1, 0)
    # The same value under the key of another login.
    other = name[: -len(key)] + "AAAAAAAA"
    put(visitor, {name: "x", other: value})
    visitor.post(url, confirm="AAAAAAAA")
    assert members.count() == (1, 0)


def test_a_replayed_link_does_not_undo_an_unlink(door, members, fx):
    """The owner disconnects what was connected by mistake; the old cookie connects nothing again."""
    ada = members.add(name="Ada")
    desk = Desk(door, members, fx)
    visitor = desk.visitor()
    visitor.log_in_as_before(ada)
    url, key = confirmation(visitor.log_in("1001", link=True))
    kept = cookies_of(visitor)
    assert visitor.post(url, confirm=key).status_code == 303
    with members.session() as session:
        session.execute(desk.linker.tables.identities.delete())
    put(visitor, kept)
    assert visitor.post(url, confirm=key).status_code == 400
    assert members.count() == (1, 0)


def test_two_clicks_at_once_link_once(members, fx):
    ada = members.add(name="Ada")
    desk = Desk("flask", members, fx)
    visitor = desk.visitor()
    visitor.log_in_as_before(ada)
    url, key = confirmation(visitor.log_in("1001", link=True))
    kept = cookies_of(visitor)

    def click(_: int) -> int:
        one = desk.visitor()
        put(one, kept)
        return one.post(url, confirm=key).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(click, range(8)))
    assert statuses.count(303) == 1
    assert members.count() == (1, 1)


def test_two_accounts_confirm_one_identity_at_once_and_one_has_it(members, fx):
    desk = Desk("flask", members, fx)
    waiting = []
    for name in ("Ada", "Grace"):
        visitor = desk.visitor()
        visitor.log_in_as_before(members.add(name=name))
        waiting.append((visitor, *confirmation(visitor.log_in("1001", link=True))))
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: one[0].post(one[1], confirm=one[2]), waiting))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert members.count() == (2, 1)


def test_linking_begins_a_session_under_a_new_key(door, members, fx):
    desk = Desk(door, members, fx, fields={"name": "display_name"})
    visitor = desk.visitor()
    visitor.log_in("1001", name="Ada")
    before = {name: value for name, value in cookies_of(visitor).items() if "session" in name}
    url, key = confirmation(visitor.log_in("2002", link=True))
    visitor.post(url, confirm=key)
    after = {name: value for name, value in cookies_of(visitor).items() if "session" in name}
    assert before.keys() == after.keys()
    assert before != after


def test_pages_of_another_site_do_not_end_a_link_that_waits(door, members, fx):
    """Another site opens the start of a login in twelve windows, while the person looks up the old password."""
    ada = members.add(name="Ada", email="ada@example.org")
    config = config_of(fx, callback_token="same")
    visitor = Desk(door, members, fx, config=config, link_by_email="email").visitor()
    back = way_to_own_login(visitor.get(visitor.log_in("1001", **ADA).headers["location"]))
    for number in range(12):
        visitor.get(f"{LOGIN}?next=/{number}", FROM_ELSEWHERE)
    visitor.log_in_as_before(ada)
    url, _, key = back.partition("&confirm=")
    assert visitor.post(url, confirm=key).status_code == 303
    assert members.owner_of("1001") == ada


# --- what the application's own login says


@pytest.mark.parametrize("own", ["abc", "", "9" * 5000, "9" * 23], ids=["text", "empty", "long", "large"])
def test_an_own_login_that_names_no_account_is_answered_cleanly(door, members, fx, own):
    members.add(name="Ada")
    visitor = Desk(door, members, fx).visitor()
    visitor.client.cookies.set("own", own, domain="app.example")
    answer = visitor.post(LOGIN, link="1")
    assert answer.status_code < 500, answer.text
    if answer.status_code != 302:
        return
    token = fx.approve(answer.headers["location"].rpartition("/")[2], sub="666")
    asked = visitor.come_back(token)
    if asked.status_code != 303:
        assert asked.status_code < 500
        return
    url, key = confirmation(asked)
    assert visitor.post(url, confirm=key).status_code < 500
    assert members.count() == (1, 0)


# --- identities


def test_no_spelling_of_a_sub_is_another_person(door, members, fx):
    desk = Desk(door, members, fx, fields={})
    subs = ["a", "A", "a ", " a", "\u00e0", "a\u0300", "\uff41", "\u00df", "ss", "1001", "\u0661\u0660\u0660\u0661"]
    subs += ["01001", "a" * 255, "a" * 254, "K", "k", "\u212a"]
    for sub in subs:
        assert desk.visitor().log_in(sub).status_code == 303, sub
    assert members.count() == (len(subs), len(subs))


@pytest.mark.parametrize("sub", ["a\0", "a\n", "", " ", "a" * 256, "\u200b", "\u202e1001", None, True, 0, -1, [], {}])
def test_a_sub_that_is_none_is_no_person(door, members, fx, sub):
    answer = Desk(door, members, fx, fields={}).visitor().log_in(sub)
    assert answer.status_code in (400, 401, 403, 502), answer.status_code
    assert members.count() == (0, 0)


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("strasse.example", "me@straße.example"),  # two domains under IDNA 2008, and to registries
        ("example.org", "me@exam\u200dple.org"),
        ("example.org", "me@evil.example＠example.org"),
        ("example.org", '"me@example.org"@evil.example'),
        ("example.org", "me@evil.example, a@example.org"),
        ("example.org", "me@evil.example>@example.org"),
    ],
)
def test_a_domain_of_the_sign_up_is_that_domain(members, fx, domain, address):
    desk = Desk("flask", members, fx, domains=domain)
    answer = desk.visitor().log_in("666", email=address, email_verified=True)
    assert answer.status_code == 403
    assert members.count() == (0, 0)


# --- a row that is deleted, and its number given to somebody else


@pytest.mark.parametrize("by", ["a first login", "the application"])
def test_whoever_was_deleted_is_not_whoever_comes_next(door, members, fx, by):
    """SQLite gives the number of the last row again, and deletes no identity with the row: its foreign keys are off."""
    desk = Desk(door, members, fx, fields={"name": "display_name"})
    mallory = desk.visitor()
    mallory.log_in("666", name="Mallory")
    assert mallory.account() == "1 Mallory"
    with members.session() as session:
        session.delete(session.get_one(Member, 1))
    if by == "a first login":
        desk.visitor().log_in("1001", name="Ada")
    else:
        members.add(name="Ada")
    assert mallory.account() != "1 Ada"  # with the session that was there
    again = desk.visitor()
    again.log_in("666", name="Mallory")
    assert again.account() != "1 Mallory"
    assert members.get(1).name == "Ada"


def test_whoever_was_deleted_can_come_again(door, members, fx):
    desk = Desk(door, members, fx)
    desk.visitor().log_in("1001", **ADA)
    members.add(name="the last row")
    with members.session() as session:
        session.delete(session.get_one(Member, 1))
    visitor = desk.visitor()
    assert visitor.log_in("1001", **ADA).status_code == 303
    assert visitor.account() == "3 Ada Lovelace"


# --- the last identity


@pytest.mark.parametrize("isolation", ["sqlite", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_two_unlinks_at_once_leave_one_identity(isolation, members, request):
    if isolation == "sqlite":
        linker = SQLAlchemyLinker(Member, members.engine)
    else:
        members = Members(request.getfixturevalue("postgres").url("psycopg"))
        linker = SQLAlchemyLinker(Member, create_engine(members.url, isolation_level=isolation, poolclass=NullPool))
    ada = members.add(name="Ada")
    for round_ in range(6):
        people = [User(issuer="https://xwms.example", sub=f"{number}-{round_}") for number in range(2)]
        with members.session() as session:
            session.execute(linker.tables.identities.delete())
        for one in people:
            linker.link(one, str(ada))
        barrier = threading.Barrier(2)

        def unlink(identity: Identity, barrier: Any = barrier) -> bool:
            barrier.wait()
            try:
                return linker.unlink(ada, identity)
            except LastIdentity:
                return False

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(unlink, [one.identity for one in people]))
        assert members.count() == (1, 1)


def test_nobody_unlinks_what_is_somebody_elses(members):
    linker = SQLAlchemyLinker(Member, members.engine)
    ada, mallory = members.add(name="Ada"), members.add(name="Mallory")
    hers, his = (User(issuer="https://xwms.example", sub=sub) for sub in ("1001", "666"))
    linker.link(hers, str(ada))
    linker.link(his, str(mallory))
    assert linker.unlink(mallory, hers.identity) is False
    assert linker.unlink(mallory, hers.identity, allow_last=True) is False
    assert [one.identity for one in linker.identities(ada)] == [hers.identity]


# --- whose row is it?


def shared_sessions(members: Members, **options: Any) -> Any:
    return scoped_session(sessionmaker(create_engine(members.url, **options)))


def test_a_registry_of_sessions_does_not_use_up_the_pool_of_an_asgi_application(members, fx):
    """A `scoped_session` is one for each thread; in ASGI the linker runs in threads, and nobody ends their sessions."""
    sessions = shared_sessions(members, pool_size=2, max_overflow=0, pool_timeout=1)
    linker = SQLAlchemyLinker(Member, sessions, fields={"name": "display_name"})
    app = APPS["starlette"](config_of(fx), linker)
    visitor = Visitor(app, "starlette", fx)
    visitor.log_in("1001", name="Ada")
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies_of(visitor).items())}

    async def story() -> list[int]:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:

            async def ask() -> int:
                return (await client.get("/account", headers={**FROM_HERE, **headers})).status_code

            await asyncio.gather(*(ask() for _ in range(8)))  # at once, so that there are several threads
            return [await ask() for _ in range(8)]  # and now one after another

    try:
        assert asyncio.run(story()) == [200] * 8
    finally:
        sessions.get_bind().dispose()


def test_a_block_is_seen_although_a_registry_of_sessions_keeps_its_transaction(fx, request):
    """PostgreSQL with REPEATABLE READ, as MySQL has it by default."""
    members = Members(request.getfixturevalue("postgres").url("psycopg"))
    sessions = shared_sessions(members, isolation_level="REPEATABLE READ", poolclass=NullPool)
    linker = SQLAlchemyLinker(Member, sessions, blocked=lambda member: member.blocked)
    app = APPS["starlette"](config_of(fx), linker)
    visitor = Visitor(app, "starlette", fx)
    visitor.log_in("1001")
    jar = "; ".join(f"{name}={value}" for name, value in cookies_of(visitor).items())

    async def story() -> list[int]:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            headers = {**FROM_HERE, "Cookie": jar}
            before = await client.get("/account", headers=headers)
            members.change(members.owner_of("1001") or 0, blocked=True)
            after = await client.get("/account", headers=headers)
            await run_in_thread(sessions.remove, ())  # the thread that both have used
            return [before.status_code, after.status_code]

    assert asyncio.run(story()) == [200, 403]


def test_a_block_is_seen_although_the_application_has_loaded_the_row_before(members):
    linker = SQLAlchemyLinker(Member, members.engine, blocked=lambda member: member.blocked)
    person = User(issuer="https://xwms.example", sub="1001")
    linker.sign_in(person)
    with sessionmaker(members.engine)() as session:
        held = linker.load(person.identity, session=session)
        members.change(1, blocked=True)
        try:
            found = linker.load(person.identity, session=session)
        except NotAllowed:
            return
    assert held is found, "the same request"  # documented: it keeps its values until it is refreshed


@pytest.mark.parametrize("door", ["flask", "wsgi", "starlette", "starlette async", "fastapi async"])
def test_everybody_sees_their_own_row_at_the_same_time(door, members, fx):
    desk = Desk(door, members, fx, fields={"name": "display_name"})
    visitors = [desk.visitor() for _ in range(6)]
    for number, visitor in enumerate(visitors):
        visitor.log_in(f"p{number}", name=f"Person {number}")

    def look(number: int) -> str | None:
        return visitors[number % 6].account()

    own = [look(number) for number in range(6)]
    assert len(set(own)) == 6
    if door in ("flask", "wsgi"):
        with ThreadPoolExecutor(6) as pool:
            for _ in range(10):
                assert list(pool.map(look, range(6))) == own
        return

    async def story() -> None:
        transport = httpx2.ASGITransport(desk.app)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            jars = ["; ".join(f"{name}={value}" for name, value in cookies_of(one).items()) for one in visitors]
            for _ in range(10):
                found = await asyncio.gather(
                    *(client.get("/account", headers={**FROM_HERE, "Cookie": jar}) for jar in jars)
                )
                assert [one.text for one in found] == own

    asyncio.run(story())


# --- a model as people write them


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(String(200))
    posts: Mapped[list["Post"]] = relationship(lazy="joined")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[int] = mapped_column(ForeignKey("authors.id"))


def test_a_model_that_loads_its_collections_at_once_can_log_in(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'authors.sqlite3'}")
    linker = SQLAlchemyLinker(Author, engine, link_by_email="email")
    Base.metadata.create_all(engine)
    person = User(issuer="https://xwms.example", sub="1001", email="a@example.org", email_verified=True)
    with sessionmaker(engine).begin() as session:
        session.add(Author(email="a@example.org", posts=[Post(), Post()]))
        session.add(Author(email="b@example.org"))
    assert linker.sign_in(person) == ProofNeeded(key="1")
    linker.link(person, "1")
    assert linker.sign_in(person).key == "1"
    person = User(issuer="https://xwms.example", sub="1002")
    assert linker.sign_in(person) == linker.sign_in(person).__class__(key="3", created=True)
    assert linker.load(person.identity) is not None


# --- freezing a site


class Stuck:
    """Sessions of a database that does not answer until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        self.released.wait(20)
        raise OSError("the database is down")


def test_a_database_that_hangs_freezes_no_page_that_does_not_ask_for_it(members, fx):
    stuck = Stuck()
    good = SQLAlchemyLinker(Member, members.engine)
    visitor = Visitor(APPS["starlette"](config_of(fx), good), "starlette", fx)
    visitor.log_in("1001")
    jar = "; ".join(f"{name}={value}" for name, value in cookies_of(visitor).items())
    app = APPS["starlette"](config_of(fx), SQLAlchemyLinker(Member, stuck))

    async def story() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, timeout=10) as client:
            headers = {**FROM_HERE, "Cookie": jar}
            waiting = [asyncio.create_task(client.get("/account", headers=headers)) for _ in range(30)]
            await asyncio.sleep(0.5)
            began = time.monotonic()
            assert (await client.get("/public", headers=headers)).text == "somebody"
            assert (await client.get(LOGIN, headers=FROM_HERE)).status_code == 302
            assert time.monotonic() - began < 2
            stuck.released.set()
            assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {503}

    asyncio.run(story())


def test_a_locked_database_keeps_a_request_no_longer_than_its_own_timeout(members):
    """Of SQLite: one connection waits `timeout` for a lock. The linker is not to wait eleven times as long."""
    engine = create_engine(members.url, connect_args={"timeout": 0.5}, poolclass=NullPool)
    linker = SQLAlchemyLinker(Member, engine)
    person = User(issuer="https://xwms.example", sub="1001")
    linker.sign_in(person)
    with members.engine.connect() as locking:
        locking.exec_driver_sql("BEGIN EXCLUSIVE")
        tries: list[Any] = []
        listen(engine, "handle_error", tries.append)
        with pytest.raises(StoreUnavailable):
            linker.load(person.identity)
        locking.exec_driver_sql("ROLLBACK")
    assert 1 <= len(tries) <= 3


def test_strangers_who_are_refused_do_not_keep_members_waiting(members, fx):
    """Anybody can be refused as often as they like, and each time the application's hook is called, in a thread."""

    begun, released = threading.Event(), threading.Event()

    def write_down(event: Any) -> None:
        begun.set()
        released.wait(30)  # a mail server that does not answer

    linker = SQLAlchemyLinker(Member, members.engine)
    app = APPS["starlette"](config_of(fx), linker, hooks=Hooks(refused=write_down))
    visitor = Visitor(app, "starlette", fx)
    visitor.log_in("1001")
    jar = "; ".join(f"{name}={value}" for name, value in cookies_of(visitor).items())

    async def story() -> int:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as client:
            flood = [asyncio.create_task(client.get(CALLBACK, headers=PROGRAM)) for _ in range(60)]
            await asyncio.to_thread(begun.wait, 30)
            try:
                page = client.get("/account", headers={**FROM_HERE, "Cookie": jar})
                return (await asyncio.wait_for(page, 20)).status_code
            finally:
                released.set()
                await asyncio.gather(*flood)

    assert asyncio.run(story()) == 200


# --- cookies that are too large


def test_the_longest_of_everything_still_has_a_click(door, members, fx):
    """Whoever has a long sub and long claims is not kept out by the size of a cookie."""
    ada = members.add(name="Ada", email=f"{'a' * 150}@example.org")
    claims = {
        "name": "\u4e2d" * 1000,
        "given_name": "\u4e2d" * 1000,
        "picture": f"https://example.org/{'p' * 2000}",
        "email": f"{'a' * 150}@example.org",
        "email_verified": True,
    }
    for sub in ("a" * 255, "\u4e2d" * 255):
        desk = Desk(door, members, fx, link_by_email="email")
        visitor = desk.visitor()
        answer = visitor.log_in(sub, **claims)
        assert answer.status_code == 303, (sub[:3], answer.text)
        back = way_to_own_login(visitor.get(answer.headers["location"]))
        visitor.log_in_as_before(ada)
        url, _, key = back.partition("&confirm=")
        assert visitor.post(url, confirm=key).status_code == 303
        with members.session() as session:
            session.execute(desk.linker.tables.identities.delete())


# --- leaks


def test_an_error_of_the_database_shows_no_values(door, members, fx, caplog):
    """Names, addresses and SQL parameters are in no page and no line of a log."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    canary = "canary-of-a-person"

    def new(user: User) -> Member:
        return Member(id="not a number")

    desk = Desk(door, members, fx, new=new, blocked=None)
    answer = desk.visitor().log_in("1001", name=canary, email=f"{canary}@example.org", email_verified=True)
    assert answer.status_code == 500
    assert canary not in answer.text
    assert canary not in caplog.text
    assert "INSERT" not in caplog.text


# --- two logins in one browser


def test_nothing_is_linked_where_two_accounts_are_there(door, members, fx):
    """Ada is there by XWMS, and sees her settings. Somebody has logged this browser in to another account as well.

    Login pages of applications are often open to login CSRF. The page that asks does not say which account it is.
    """
    desk = Desk(door, members, fx, fields={"name": "display_name"})
    visitor = desk.visitor()
    visitor.log_in("1001", name="Ada")
    mallory = members.add(name="Mallory")
    visitor.log_in_as_before(mallory)
    assert visitor.account() == "1 Ada"
    answer = visitor.post(LOGIN, link="1")
    if answer.status_code == 302:
        token = fx.approve(answer.headers["location"].rpartition("/")[2], sub="2002", name="Ada at work")
        asked = visitor.come_back(token)
        page = visitor.get(asked.headers["location"])
        if page.status_code == 200 and "Mallory" not in page.text:
            url, key = confirmation(asked)
            visitor.post(url, confirm=key)
    assert members.owner_of("2002") != mallory


# --- other hosts, other clients


def two_hosts(fx: Any) -> tuple[Any, Any]:
    uris = tuple(f"https://{host}.example{CALLBACK}" for host in ("a", "b"))
    one = XWMSConfig(**fx.options(redirect_uris=uris))
    several = [
        XWMSConfig(**fx.options(redirect_uris=uri, client_id=f"client-{number}", cookie_tag="same"))
        for number, uri in enumerate(uris)
    ]
    return one, several


@pytest.mark.parametrize("number", [0, 1], ids=["two redirect URIs", "two clients"])
@pytest.mark.parametrize("door", ["flask", "wsgi", "starlette", "asgi", "fastapi"])
def test_a_waiting_link_of_one_host_is_nothing_at_another(door, members, fx, number):
    ada = members.add(name="Ada")
    app = APPS[door](two_hosts(fx)[number], SQLAlchemyLinker(Member, members.engine))
    visitor = Visitor(app, door, fx)
    visitor.client.base_url = "https://a.example"
    visitor.client.headers["Cookie"] = f"own={ada}"

    def post(host: str, form: dict[str, str], cookies: str = "") -> Any:
        origin = f"https://{host}.example"
        headers = {**FROM_HERE, "Origin": origin, "Cookie": f"own={ada}; {cookies}"}
        return visitor.client.post(f"{origin}{LOGIN}", headers=headers, data=form)

    def jar(answer: Any) -> str:
        return "; ".join(line.partition(";")[0] for line in answer.headers.get_list("set-cookie"))

    begun = post("a", {"link": "1"})
    token = fx.approve(begun.headers["location"].rpartition("/")[2], sub="1001")
    headers = {**FROM_ELSEWHERE, "Cookie": f"own={ada}; {jar(begun)}"}
    at_b = visitor.client.get(f"https://b.example{CALLBACK}", params={"token": token}, headers=headers)
    assert at_b.status_code >= 400
    begun = post("a", {"link": "1"})
    token = fx.approve(begun.headers["location"].rpartition("/")[2], sub="1001")
    headers = {**FROM_ELSEWHERE, "Cookie": f"own={ada}; {jar(begun)}"}
    asked = visitor.client.get(f"https://a.example{CALLBACK}", params={"token": token}, headers=headers)
    _, key = confirmation(asked)
    waiting = jar(asked)
    post("b", {"confirm": key}, waiting)
    for host in ("a.example:444", "a.example.", "a.example.b", "b.example"):
        headers = {**FROM_HERE, "Origin": f"https://{host}", "Host": host, "Cookie": f"own={ada}; {waiting}"}
        visitor.client.post(f"https://a.example{LOGIN}", headers=headers, data={"confirm": key})
    assert members.count() == (1, 0)
    assert post("a", {"confirm": key}, waiting).status_code == 303
    assert members.owner_of("1001") == ada


class Firm(DeclarativeBase):
    pass


class Customer(Firm):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))


class Employee(Firm):
    __tablename__ = "employees"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))


def test_two_tables_of_users_in_one_database_are_two_kinds_of_people(fx, tmp_path):
    """`linker=` may have one for each client: a customer of the shop is nobody at the desk, whose sign-up is closed."""
    engine = create_engine(f"sqlite:///{tmp_path / 'firm.sqlite3'}")
    try:
        linkers: dict[str, Any] = {
            "client-0": SQLAlchemyLinker(Customer, engine, fields={"name": "display_name"}),
            "client-1": SQLAlchemyLinker(Employee, engine, create=False),
        }
    except ConfigError:  # each needs identities= of its own: just as well
        return
    Firm.metadata.create_all(engine)
    with sessionmaker(engine).begin() as session:
        session.add(Employee(name="the director"))
    _, several = two_hosts(fx)
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app, several, linker=linkers)
    app.add_url_rule("/account", "account", lambda: f"{auth.account().name}")
    answers = []
    for host in ("a", "b"):
        client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url=f"https://{host}.example")
        started = client.post(LOGIN, headers={"Origin": f"https://{host}.example"})
        token = fx.approve(started.headers["location"].rpartition("/")[2], sub="666", name="Mallory")
        answers.append(client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE).status_code)
        answers.append(client.get("/account").text)
    assert answers[:2] == [303, "Mallory"]
    assert "the director" not in answers[3]
    assert answers[2] == 403


def test_a_client_without_a_linker_shows_no_row_of_another(members, fx):
    _, several = two_hosts(fx)
    linker = SQLAlchemyLinker(Member, members.engine, fields={"name": "display_name"})
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app, several, linker={"client-0": linker})
    app.add_url_rule("/account", "account", lambda: f"{auth.account().name}")
    found = {}
    for host in ("a", "b"):
        client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url=f"https://{host}.example")
        started = client.post(LOGIN, headers={"Origin": f"https://{host}.example"})
        token = fx.approve(started.headers["location"].rpartition("/")[2], sub="1001", name="Ada")
        client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE)
        found[host] = client.get("/account")
    assert found["a"].text == "Ada"
    assert found["b"].status_code == 500
    assert "Ada" not in found["b"].text
    assert members.count() == (1, 1)


# --- the page that asks for a proof


@pytest.mark.parametrize(
    "url",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/a\r\nX: y",
        "javascript:alert(1)",
        "",
        "login",
        "/%2f/evil",
    ],
)
def test_an_own_login_is_on_this_site(members, fx, url):
    linker = SQLAlchemyLinker(Member, members.engine)
    with pytest.raises(ConfigError):
        xwms_auth.flask.XWMSAuth(
            flask.Flask(__name__), config_of(fx), linker=linker, app_login=AppLogin(url=url, who=empty)
        )


@pytest.mark.parametrize(
    ("url", "parameter"),
    [("/in?a=b", "next"), ("/in", '"><script>alert(1)</script>'), ("/in", "a&next=//evil"), ("/in#x", "next")],
)
def test_the_way_to_the_own_login_leads_there_and_back(members, fx, url, parameter):
    members.add(name="Ada", email="ada@example.org")
    linker = SQLAlchemyLinker(Member, members.engine, link_by_email="email")
    app = flask.Flask(__name__)
    own = AppLogin(url=url, who=lambda request: None, next_parameter=parameter)
    try:
        xwms_auth.flask.XWMSAuth(app, config_of(fx), linker=linker, app_login=own)
    except ConfigError:
        return
    visitor = Visitor(app, "flask", fx)
    evil = {"name": '"><script>alert(2)</script>', "email": "ada@example.org", "email_verified": True}
    answer = visitor.come_back(fx.approve(visitor.start(next='/"><script>alert(3)</script>'), sub="<b>1</b>", **evil))
    page = visitor.get(answer.headers["location"])
    assert "<script" not in page.text
    assert "<b>" not in page.text
    href = page.text.partition('href="/in')[2].partition('"')[0].replace("&amp;", "&")
    parsed = urlsplit(f"/in{href}")
    back = dict(parse_qsl(parsed.query)).get(parameter)
    assert back is not None
    assert back.startswith("/xwms/auth?")


def test_the_page_that_links_cuts_its_ties_to_the_window_that_opened_it(door, members, fx):
    """Double-click-jacking: the opener leads its popup's opener here between the two clicks; no frame is needed."""
    ada = members.add(name="Ada")
    visitor = Desk(door, members, fx).visitor()
    visitor.log_in_as_before(ada)
    page = visitor.get(visitor.log_in("1001", link=True).headers["location"])
    assert page.headers.get("cross-origin-opener-policy") == "same-origin"


# --- a session goes on?


def test_an_identity_that_was_unlinked_is_out_at_the_next_page(door, members, fx):
    desk = Desk(door, members, fx)
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    plain = SQLAlchemyLinker(Member, members.engine)
    assert plain.unlink(1, Identity(config_of(fx).issuer, "1001"), allow_last=True)
    assert visitor.account() is None
    assert visitor.get("/public").text == "nobody"


@pytest.mark.parametrize("door", ["starlette", "starlette async"])
def test_a_blocked_member_gets_no_websocket(door, members, fx):
    desk = Desk(door, members, fx)
    linker = desk.linker

    async def socket(websocket: Any) -> None:
        account = await xwms_auth.starlette.current_account(websocket, linker)
        await websocket.accept()
        await websocket.send_text(told(account))
        await websocket.close()

    app = xwms_auth.starlette.XWMSAuthMiddleware(
        Starlette(routes=[WebSocketRoute("/socket", socket)]), config_of(fx), linker=linker
    )
    visitor = Visitor(app, desk.door, fx)
    visitor.log_in("1001", **ADA)
    headers = {"Origin": ORIGIN, "Cookie": "; ".join(f"{name}={value}" for name, value in cookies_of(visitor).items())}
    with visitor.client.websocket_connect("/socket", headers=headers) as one:  # type: ignore[attr-defined]
        assert one.receive_text() == "1 Ada Lovelace"
    members.change(1, blocked=True)
    with pytest.raises(WebSocketDisconnect), visitor.client.websocket_connect("/socket", headers=headers) as one:  # type: ignore[attr-defined]
        one.receive_text()


@pytest.mark.parametrize("door", ["fastapi", "fastapi async"])
def test_a_blocked_member_is_nobody_where_the_account_is_optional(door, members, fx):
    desk = Desk(door, members, fx)
    app = FastAPI()
    perhaps = xwms_auth.fastapi.current_account(desk.linker, optional=True)

    @app.get("/perhaps")
    async def page(member: Annotated[Any, perhaps]) -> Any:
        return PlainTextResponse("nobody" if member is None else told(member))

    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config_of(fx), linker=desk.linker)
    visitor = Visitor(app, "fastapi", fx)
    assert visitor.get("/perhaps").text == "nobody"
    visitor.log_in("1001", **ADA)
    assert visitor.get("/perhaps").text == "1 Ada Lovelace"
    members.change(1, blocked=True)
    assert "Ada" not in visitor.get("/perhaps").text


def test_a_profile_that_is_refreshed_creates_nobody_anew(members, fx):
    """The row is deleted while XWMS is asked."""
    linker = SQLAlchemyLinker(Member, members.engine, fields={"name": "display_name"})
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app, config_of(fx), linker=linker)
    app.add_url_rule("/refresh", "refresh", lambda: auth.refresh_profile().sub)
    visitor = Visitor(app, "flask", fx)
    visitor.log_in("1001", name="Ada")
    fx.answer("get/user/info", envelope({"user": {"sub": "1001", "name": "Ada"}}))
    refresh = linker.refresh

    def refresh_after_deletion(user: User) -> Any:
        with members.session() as session:
            session.execute(linker.tables.identities.delete())
            session.execute(delete(Member))
        return refresh(user)

    linker.refresh = refresh_after_deletion  # type: ignore[method-assign]
    visitor.get("/refresh")
    assert members.count() == (0, 0)


# --- errors of ours carry nothing along


def test_no_error_of_ours_has_one_of_the_database_behind_it(members):
    """A crash report prints the whole chain, and an error of SQLAlchemy's has the values of the statement."""
    linker = SQLAlchemyLinker(Member, members.engine, fields={"email": "verified_email"}, link_by_email="email")
    members.add(name="Ada", email="ada@example.org")
    members.add(name="Ada", email="ADA@example.org")
    person = User(issuer="https://xwms.example", sub="1", email="ada@example.org", email_verified=True)
    with pytest.raises(AccountExists) as caught:
        linker.sign_in(person)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    with members.session() as session:
        session.connection().exec_driver_sql("ALTER TABLE xwms_identities RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable) as down:
        linker.sign_in(person)
    assert (down.value.__context__, down.value.__cause__) == (None, None)
    with sessionmaker(members.engine)() as session, pytest.raises(StoreUnavailable) as down:
        linker.load(person.identity, session=session)
    assert (down.value.__context__, down.value.__cause__) == (None, None)


def test_a_picture_takes_no_more_memory_than_is_said(tmp_path):
    """128 MB with the default of `max_pixels` (docs/pictures.md). Pillow keeps eight bytes for each row besides."""
    program = (
        "import io, resource, warnings; from PIL import Image; warnings.simplefilter('ignore')\n"
        "from xwms_auth.accounts.picture_images import encode_anew\n"
        "from xwms_auth.accounts.pictures import PictureRefused\n"
        "data = open('tall.png', 'rb').read(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: encode_anew(data, max_pixels=16_000_000, side=512)\n"
        "except PictureRefused: pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    image = pytest.importorskip("PIL.Image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.new("I;16", (1, 16_000_000)).save(tmp_path / "tall.png")  # 46 kB
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    made = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert int(made.stdout) < 200


# --- through the site's own service worker

PASSED_ON = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "empty"}
REBUILT = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "same-origin",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Site": "same-origin",
    "Upgrade-Insecure-Requests": "1",
}


@pytest.mark.parametrize("mode", ["same", "fresh", "either"])
def test_what_another_site_sends_through_the_sites_own_worker_links_nothing(door, members, fx, mode):
    """The attacker's page begins the link and brings the callback; all that it cannot do is to click."""
    ada = members.add(name="Ada")
    fx.callback_token = "same" if mode == "same" else "fresh"
    desk = Desk(door, members, fx, config=config_of(fx, callback_token=mode))
    for headers in (
        {**PASSED_ON, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {**PASSED_ON, "Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},  # as WebKit says
        {**PASSED_ON, "Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {**REBUILT, "Origin": ORIGIN},
    ):
        victim, attacker = desk.visitor(), desk.visitor()
        victim.log_in_as_before(ada)
        victim.client.post(LOGIN, headers=headers, data={"link": "1"})
        planted = fx.approve(attacker.start(), sub="666", name="Ada")
        back = victim.client.get(
            CALLBACK, params={"token": planted}, headers={**PASSED_ON, "Sec-Fetch-Site": "cross-site"}
        )
        if back.status_code == 303:
            # It leads there by itself, and a worker follows.
            victim.client.get(back.headers["location"], headers=headers)
            victim.client.post(LOGIN, headers=headers, data={"confirm": "AAAAAAAA"})
        assert members.count() == (1, 0)
        assert victim.get("/public").text == "nobody"


# --- several processes


def test_a_link_replayed_in_another_process_undoes_no_unlink_where_they_share_a_store(members, fx, tmp_path):
    ada = members.add(name="Ada")
    config = config_of(fx, session_store=f"sqlite:///{tmp_path / 'sessions.sqlite3'}")
    one, other = (Desk("flask", members, fx, config=config) for _ in range(2))
    visitor = one.visitor()
    visitor.log_in_as_before(ada)
    url, key = confirmation(visitor.log_in("1001", link=True))
    kept = cookies_of(visitor)
    assert visitor.post(url, confirm=key).status_code == 303
    with members.session() as session:
        session.execute(one.linker.tables.identities.delete())
    again = other.visitor()
    put(again, kept)
    assert again.post(url, confirm=key).status_code == 400
    assert members.count() == (1, 0)


# --- what the application is told


def test_what_the_application_is_told_of_a_refusal_has_no_token_and_nobodys_name(door, members, fx):
    told_of: list[Any] = []
    desk = Desk(door, members, fx, hooks=Hooks(refused=told_of.append), create=False)
    visitor = desk.visitor()
    canary = "canary-token-0123456789-abcdefghijklmn"
    visitor.get(f"{CALLBACK}?token={canary}", FROM_ELSEWHERE)
    visitor.start()
    visitor.get(f"{CALLBACK}?token={canary}", FROM_ELSEWHERE)
    visitor.get(f"{CALLBACK}?token={canary}&token={canary}%0D%0A", FROM_ELSEWHERE)
    token = fx.approve(
        visitor.start(), sub="canary-sub", name="canary-name", email="canary@example.org", email_verified=True
    )
    visitor.come_back(token)
    visitor.post(LOGIN, link="1", confirm="canary-key")
    assert len(told_of) >= 4
    for event in told_of:
        shown = f"{event!r} {event.code} {event.path} {event.cause}"
        assert "canary" not in shown
        assert token not in shown


@pytest.mark.parametrize("raised", [SystemExit(), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_whatever_the_login_hook_raises_nobody_is_signed_in(members, fx, raised):
    def hook(event: Any) -> None:
        raise raised

    visitor = Desk("flask", members, fx, hooks=Hooks(login=hook)).visitor()
    with suppress(BaseException):
        visitor.log_in("1001", **ADA)
    assert visitor.get("/public").text == "nobody"


def test_a_receiver_of_the_signal_ends_the_login_too(members, fx):
    visitor = Desk("flask", members, fx).visitor()

    def receiver(app: Any, event: Any) -> None:
        raise NotAllowed("no")

    with xwms_auth.flask.logged_in.connected_to(receiver):
        assert visitor.log_in("1001", **ADA).status_code == 403
    assert visitor.get("/public").text == "nobody"


# --- requests that end in the middle


@pytest.mark.parametrize("door", ["starlette", "starlette async"])
def test_requests_that_are_cancelled_leave_no_connection_and_no_half_account(door, members, fx):
    desk = Desk(door, members, fx)
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    jar = "; ".join(f"{name}={value}" for name, value in cookies_of(visitor).items())

    async def story() -> None:
        transport = httpx2.ASGITransport(desk.app)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            for number in range(60):
                task = asyncio.create_task(client.get("/account", headers={**FROM_HERE, "Cookie": jar}))
                for _ in range(number):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for number in range(12):
                started = await client.post(LOGIN, headers={**FROM_HERE, "Origin": ORIGIN})
                token = fx.approve(started.headers["location"].rpartition("/")[2], sub=f"2{number}")
                task = asyncio.create_task(client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE))
                await asyncio.sleep(number * 0.004)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.2)
            answer = await client.get("/account", headers={**FROM_HERE, "Cookie": jar})
            assert answer.text == "1 Ada Lovelace"

    asyncio.run(story())
    people, identities = members.count()
    assert people == identities


# --- keys


class KeyedBase(DeclarativeBase):
    pass


class Keyed(KeyedBase):
    __tablename__ = "keyed"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[str | None] = mapped_column(String(200))


@pytest.mark.parametrize("spelling", ["row", "key", "text", "upper", "hex"])
def test_every_spelling_of_a_key_that_an_own_login_keeps_is_that_account(tmp_path, fx, spelling):
    """`session["member_id"] = member.id.hex` is as good as another; a person must be able to prove who they are."""
    engine = create_engine(f"sqlite:///{tmp_path / 'keyed.sqlite3'}")
    linker = SQLAlchemyLinker(Keyed, engine, link_by_email="email")
    KeyedBase.metadata.create_all(engine)
    key = uuid.UUID("0d6f4f0e-7c55-4d3f-9a7e-2f6d2f7b6f3e")
    with sessionmaker(engine).begin() as session:
        session.add(Keyed(id=key, email="ada@example.org"))

    def who(request: Any) -> object:
        spellings: dict[str, object] = {"key": key, "text": str(key), "upper": str(key).upper(), "hex": key.hex}
        spellings["row"] = Keyed(id=key)
        return spellings[spelling]

    app = flask.Flask(__name__)
    xwms_auth.flask.XWMSAuth(app, config_of(fx), linker=linker, app_login=AppLogin(url="/own-login", who=who))
    visitor = Visitor(app, "flask", fx)
    url, answer_key = confirmation(visitor.log_in("1001", email="ada@example.org", email_verified=True))
    assert visitor.post(url, confirm=answer_key).status_code == 303
    assert linker.find(Identity(config_of(fx).issuer, "1001")) == str(key)


# --- one application within another


class AdminBase(DeclarativeBase):
    pass


class Admin(AdminBase):
    __tablename__ = "admins"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))


@pytest.mark.parametrize("inner_is", ["flask", "wsgi"])
def test_the_account_of_an_inner_application_is_none_of_the_outer_ones(members, fx, tmp_path, inner_is):
    """The outer one has members, the inner one admins, and both have one client: a member is no admin."""
    engine = create_engine(f"sqlite:///{tmp_path / 'admins.sqlite3'}")
    admins = SQLAlchemyLinker(Admin, engine, create=False)
    AdminBase.metadata.create_all(engine)
    config = config_of(fx)
    if inner_is == "flask":
        inner: Any = flask.Flask("inner")
        auth = xwms_auth.flask.XWMSAuth(inner, config, linker=admins)
        inner.add_url_rule("/admin", "admin", lambda: f"admin {auth.account().id}")
    else:

        def page(environ: Any, start_response: Any) -> Any:
            text = f"admin {inner.account(environ).id}"
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [text.encode()]

        inner = xwms_auth.wsgi.XWMSAuth(page, config, linker=admins)
    members_linker = SQLAlchemyLinker(Member, members.engine, fields={"name": "display_name"})
    app = xwms_auth.wsgi.XWMSAuth(inner, config, linker=members_linker)
    visitor = Visitor(app, "wsgi", fx)
    visitor.log_in("666", name="Mallory")
    assert "admin" not in visitor.get("/admin").text


def test_the_account_of_an_inner_asgi_application_is_none_of_the_outer_ones(members, fx, tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'admins.sqlite3'}")
    admins = SQLAlchemyLinker(Admin, engine, create=False)
    AdminBase.metadata.create_all(engine)

    async def page(request: Any) -> Any:
        return PlainTextResponse(f"admin {(await xwms_auth.starlette.current_account(request, admins)).id}")

    inner = xwms_auth.starlette.XWMSAuthMiddleware(
        Starlette(routes=[Route("/admin", page)]), config_of(fx), linker=admins
    )
    linker = SQLAlchemyLinker(Member, members.engine, fields={"name": "display_name"})
    visitor = Visitor(xwms_auth.starlette.XWMSAuthMiddleware(inner, config_of(fx), linker=linker), "starlette", fx)
    visitor.log_in("666", name="Mallory")
    with suppress(ConfigError):  # the server makes a 500 of it
        assert "admin" not in visitor.get("/admin").text
