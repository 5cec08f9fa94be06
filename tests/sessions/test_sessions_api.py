"""`auth.sessions`, `request.auth.sessions`, `XWMSSessions(config)`: seeing and ending sessions, in both colours."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import flask
import pytest

import xwms_auth.asgi
import xwms_auth.flask
import xwms_auth.wsgi
from tests.tools.places import REACHING, SERVERS, SHARED
from tests.tools.session_pages import inside, outside, told, with_pages
from tests.tools.site import FROM_ELSEWHERE, HTTPS_URI, PROGRAM, Site
from xwms_auth import AsyncXWMSSessions, ConfigError, SessionInfo, StoreUnavailable, XWMSConfig, XWMSSessions
from xwms_auth.stores import MemoryStore

SUB = "xwms-user-1234"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"

# Memory is the same object for both edges; the others have a way of waiting for each.
server_kind = pytest.mark.parametrize(
    ("edge", "kind"), [*(("flask", kind) for kind in SERVERS), ("asgi", "sqlite"), ("asgi", "redis")]
)


@pytest.fixture
def make(make_site, where):
    """The site with its sessions in this kind of store."""
    return lambda kind, **more: with_pages(make_site(**where(kind), **more))


def signed_in(site, sub=SUB):
    browser = site.browser()
    browser.log_in(sub)
    return browser


def ids(browser) -> list[str]:
    return [one.id for one in inside(browser, lambda sessions: sessions.list(SUB))]


@server_kind
def test_a_session_says_when_it_began_and_was_seen_and_on_which_device(make, kind):
    site = make(kind)
    browser = site.browser()
    began = datetime.fromtimestamp(int(site.clock()), UTC)
    browser.come_back(site.fx.approve(browser.start()), headers={**FROM_ELSEWHERE, "User-Agent": LINUX})
    site.clock.advance(1000)
    assert browser.who() == SUB
    (info,) = inside(browser, lambda sessions: sessions.list(SUB))
    assert isinstance(info, SessionInfo)
    assert info == SessionInfo(
        id=info.id,
        started_at=began,
        seen_at=began + timedelta(seconds=1000),
        device="Firefox on Linux",
        is_current=True,
    )
    assert (info.started_at.tzinfo, info.seen_at.tzinfo) == (UTC, UTC)
    assert info.id not in browser.cookies()[site.session_cookie]
    assert browser.cookies()[site.session_cookie] not in info.id


@server_kind
def test_this_one_comes_first_then_the_one_used_last(make, kind):
    site = make(kind)
    first, second, third = (signed_in(site) for _ in range(3))
    site.clock.advance(1000)
    assert first.who() == SUB
    site.clock.advance(1000)
    assert third.who() == SUB
    for browser in (first, second, third):
        listed = inside(browser, lambda sessions: sessions.list(SUB))
        assert [one.is_current for one in listed] == [True, False, False]
        assert [one.seen_at for one in listed[1:]] == sorted((one.seen_at for one in listed[1:]), reverse=True)
    of_first, of_second, of_third = (ids(browser)[0] for browser in (first, second, third))
    assert len({of_first, of_second, of_third}) == 3
    by_script = outside(site, lambda sessions: sessions.list(SUB))
    assert [one.is_current for one in by_script] == [False] * 3
    assert {one.id for one in by_script} == {of_first, of_second, of_third}


@server_kind
def test_nobody_and_somebody_else_see_no_current_one_in_a_persons_list(make, kind):
    site = make(kind)
    signed_in(site)
    for browser in (site.browser(), signed_in(site, "somebody-else")):
        assert [one.is_current for one in inside(browser, lambda sessions: sessions.list(SUB))] == [False]


@server_kind
def test_a_list_has_no_session_that_is_over(make, kind):
    site = make(kind, session_idle=300, session_lifetime=500)
    idle, logged_out, alive = (signed_in(site) for _ in range(3))
    logged_out.log_out()
    site.clock.advance(200)
    assert alive.who() == SUB
    site.clock.advance(101)
    assert idle.who() is None
    assert [one.is_current for one in inside(alive, lambda sessions: sessions.list(SUB))] == [True]
    site.clock.advance(199)
    assert outside(site, lambda sessions: sessions.list(SUB)) == ()
    assert outside(site, lambda sessions: sessions.list("nobody")) == ()


@server_kind
def test_nobody_may_end_nobodys_session(make, kind):
    """`sub=current_user.sub` in a view that does not ask for a login: whoever comes is nobody, whose sub is None."""
    site = make(kind)
    browser = signed_in(site)
    (one,) = ids(browser)
    assert inside(site.browser(), lambda sessions: sessions.revoke(one, sub=None)) is False
    assert [outside(site, lambda sessions, odd=odd: sessions.revoke(odd)) for odd in (None, 7, [one], {})] == [
        False
    ] * 4
    assert browser.who() == SUB
    assert outside(site, lambda sessions: sessions.revoke(one)) is True
    assert browser.who() is None


@server_kind
def test_one_session_is_ended_and_no_other(make, kind):
    site = make(kind)
    keeps, loses = signed_in(site), signed_in(site)
    (lost,) = ids(loses)[:1]
    assert inside(keeps, lambda sessions: sessions.revoke(lost, sub=SUB)) is True
    assert (keeps.who(), loses.who()) == (SUB, None)
    assert loses.get("/who", PROGRAM).json()["reason"] == "session_revoked"
    assert inside(keeps, lambda sessions: sessions.revoke(lost, sub=SUB)) is False
    assert inside(keeps, lambda sessions: sessions.revoke(lost)) is False


@server_kind
def test_nobody_ends_another_persons_session(make, kind):
    """The id comes from a form, the sub from the session: whoever sends another person's id achieves nothing."""
    site = make(kind)
    victim, thief = signed_in(site), signed_in(site, "thief")
    (theirs,) = ids(victim)
    assert inside(thief, lambda sessions: sessions.revoke(theirs, sub="thief")) is False
    assert victim.who() == SUB
    assert inside(thief, lambda sessions: sessions.revoke(theirs)) is True  # an administrator's: no sub given
    assert victim.who() is None


@server_kind
def test_an_id_that_is_none_ends_nothing_nor_does_the_session_cookie_itself(make, kind):
    site = make(kind)
    browser = signed_in(site)
    cookie = browser.cookies()[site.session_cookie]
    for junk in (cookie, "", "x", "*", "A" * 43, "A" * 5000, "é", "a\nb", "{}", "' OR 1=1; --", "\ud800"):
        assert outside(site, lambda sessions, junk=junk: sessions.revoke(junk)) is False, ascii(junk)
        assert outside(site, lambda sessions, junk=junk: sessions.revoke(junk, sub=SUB)) is False, ascii(junk)
        assert browser.who() == SUB, ascii(junk)


@server_kind
def test_a_sub_that_nobody_has_ends_nothing(make, kind):
    site = make(kind)
    browser = signed_in(site)
    for sub in ("", "nobody", "*", "é", "x" * 300, "\ud800", "a\nb"):
        assert outside(site, lambda sessions, sub=sub: sessions.list(sub)) == (), ascii(sub)
        outside(site, lambda sessions, sub=sub: sessions.revoke_all(sub))
        assert browser.who() == SUB, ascii(sub)


@server_kind
def test_ending_all_is_told_in_the_log_without_a_name(make, caplog, kind):
    site = make(kind)
    browser = signed_in(site)
    caplog.set_level("INFO", logger="xwms_auth")
    caplog.clear()
    (one,) = ids(browser)
    outside(site, lambda sessions: sessions.revoke(one))
    outside(site, lambda sessions: sessions.revoke_all(SUB))
    outside(site, lambda sessions: sessions.revoke_client())
    told_ = [record.getMessage().split()[0] for record in caplog.records if record.name == "xwms_auth"]
    assert told_ == ["session_revoked", "sessions_revoked", "all_sessions_revoked"]
    assert SUB not in caplog.text
    assert one not in caplog.text


def test_ending_one_is_told_in_the_log_with_the_beginning_of_its_id_and_whose_it_is_where_that_was_said(make, caplog):
    site = make("memory")
    browsers = [signed_in(site) for _ in range(2)]
    caplog.set_level("INFO", logger="xwms_auth")
    caplog.clear()
    first, second = (ids(browser)[0] for browser in browsers)
    name = inside(browsers[0], lambda sessions: sessions.log_name(SUB))
    assert outside(site, lambda sessions: sessions.revoke(first)) is True
    assert outside(site, lambda sessions: sessions.revoke(second, sub=SUB)) is True
    assert [record.getMessage() for record in caplog.records if record.name == "xwms_auth"] == [
        f"session_revoked session={first[:12]}",
        f"session_revoked session={second[:12]} person={name}",
    ]


# a script beside the application


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize(("edge", "sessions_of"), [("asgi", XWMSSessions), ("flask", AsyncXWMSSessions)])
def test_a_script_sees_and_ends_the_sessions_of_the_application(make, kind, sessions_of):
    site = make(kind)
    browsers = [signed_in(site) for _ in range(3)]
    script = sessions_of(site.config)
    listed = told(lambda sessions: sessions.list(SUB), script)
    assert {one.id for one in listed} == {ids(browser)[0] for browser in browsers}
    assert not any(one.is_current for one in listed)
    last = ids(browsers[2])[0]
    assert told(lambda sessions: sessions.revoke(last, sub=SUB), script) is True
    assert [browser.who() for browser in browsers] == [SUB, SUB, None]
    told(lambda sessions: sessions.revoke_all(SUB), script)
    assert [browser.who() for browser in browsers] == [None] * 3
    (somebody,) = [signed_in(site, "somebody-else")]
    told(lambda sessions: sessions.revoke_client(), script)
    assert somebody.who() is None


SCRIPT = """
from xwms_auth import XWMSConfig, XWMSSessions
sessions = XWMSSessions(XWMSConfig.from_env())
sessions.revoke_all("xwms-user-1234")
"""


@pytest.mark.parametrize(("edge", "kind"), [("flask", "sqlite"), ("asgi", "redis"), ("flask", "cookie+revocations")])
def test_a_script_in_a_process_of_its_own_does_the_same(make, where, kind):
    site = make(kind)
    browser = signed_in(site)
    names = {"session_store": "XWMS_SESSION_STORE", "revocation_store": "XWMS_REVOCATION_STORE"}
    environ = {names[name]: value for name, value in where(kind).items()}
    environ |= {
        "XWMS_CLIENT_ID": site.config.client_id,
        "XWMS_CLIENT_SECRET": "anything",
        "XWMS_API_URI": site.fx.api_url,
    }
    environ |= {"XWMS_REDIRECT_URI": HTTPS_URI, "XWMS_SESSION_SECRET": site.fx.options()["session_secret"]}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    site.clock.advance(10)  # what the cookie store may still believe
    assert browser.who() is None


def test_a_script_of_another_client_sees_and_ends_nothing(make, where):
    """Clients may share a store."""
    site = make("sqlite")
    browser = signed_in(site)
    options = site.fx.options(client_id="another-client", redirect_uris=HTTPS_URI, **where("sqlite"))
    script = XWMSSessions(XWMSConfig(**options))
    assert script.list(SUB) == ()
    (session,) = ids(browser)
    assert script.revoke(session) is False
    script.revoke_all(SUB)
    script.revoke_client()
    assert browser.who() == SUB


@pytest.mark.parametrize("run", [lambda main: asyncio.run(main()), anyio.run], ids=["asyncio", "anyio"])
@pytest.mark.parametrize(("edge", "kind"), [("flask", kind) for kind in SHARED])
def test_async_code_awaits_it_on_any_runner_again_and_again(make, kind, run):
    """Each run has an event loop of its own: no connection of the one before is in the way."""
    site = make(kind)
    signed_in(site)
    script = AsyncXWMSSessions(site.config)

    async def main() -> None:
        several = await asyncio.gather(*(script.list(SUB) for _ in range(10)))
        assert [len(one) for one in several] == [1] * 10

    run(main)
    run(main)


@pytest.mark.parametrize("make_sessions", [XWMSSessions, AsyncXWMSSessions])
def test_a_config_without_a_session_secret_is_refused_at_once(make_fx, make_sessions):
    options = {**make_fx().options(session_store="memory://"), "session_secret": ()}
    with pytest.raises(ConfigError, match="XWMS_SESSION_SECRET"):
        make_sessions(XWMSConfig(**options))


@pytest.mark.parametrize("make_sessions", [XWMSSessions, AsyncXWMSSessions])
def test_a_store_that_is_down_is_an_error_and_never_an_empty_list(make_fx, make_sessions):
    """SL-11"""
    sessions = make_sessions(XWMSConfig(**make_fx().options(session_store="unix:///nowhere/redis.sock")))
    questions = (
        lambda: sessions.list(SUB),
        lambda: sessions.revoke("A" * 43),
        lambda: sessions.revoke_all(SUB),
        lambda: sessions.revoke_client(),
    )
    for question in questions:
        with pytest.raises(StoreUnavailable):
            told(lambda _, question=question: question(), sessions)


# one XWMSAuth, several applications


def flask_site(fx, auth, name) -> flask.Flask:
    app = flask.Flask(name)
    auth.init_app(
        app, XWMSConfig(**{**fx.options(session_store="memory://", redirect_uris=HTTPS_URI), "client_id": name})
    )
    app.add_url_rule("/list", "list", lambda: str(len(auth.sessions.list(SUB))))
    return app


def test_an_auth_of_several_applications_asks_for_the_context_of_one(make_fx):
    fx = make_fx()
    auth = xwms_auth.flask.XWMSAuth()
    with pytest.raises(RuntimeError, match="no application, or several"):
        auth.sessions  # noqa: B018
    one, two = flask_site(fx, auth, "one"), flask_site(fx, auth, "two")
    with pytest.raises(RuntimeError, match="no application, or several"):
        auth.sessions  # noqa: B018
    site = Site("flask", fx)
    site.app = one
    site.browser().log_in()
    for app, sessions in ((one, 1), (two, 0)):
        with app.app_context():
            assert len(auth.sessions.list(SUB)) == sessions
        assert app.test_client().get("/list", base_url="https://app.example").text == str(sessions)


def test_one_application_is_set_up_once(make_fx):
    auth = xwms_auth.flask.XWMSAuth()
    app = flask_site(make_fx(), auth, "one")
    with pytest.raises(ConfigError, match="twice"):
        auth.init_app(app)
    assert auth.sessions.list(SUB) == ()  # the one it has, without a context


@pytest.mark.parametrize("kind", REACHING)
@pytest.mark.parametrize(("edge", "everybody"), [("flask", False), ("asgi", True)])
def test_a_login_at_a_machine_whose_clock_is_ahead_is_ended_too(make, where, kind, everybody):
    """SL-15: by less than a minute, which two machines may differ."""
    site = make(kind)
    ahead = site if kind == "memory" else with_pages(site.restarted(**where(kind)))
    site.clock.advance(30)
    ahead.clock.now, earlier = site.clock.now, site.clock.now - 30
    browser = signed_in(ahead)
    site.clock.now = earlier + 20
    if everybody:
        outside(site, lambda sessions: sessions.revoke_client())
    else:
        outside(site, lambda sessions: sessions.revoke_all(SUB))
    site.clock.advance(30)
    ahead.clock.now = site.clock.now + 10
    assert browser.who() is None
    again = signed_in(site)
    assert again.who() == SUB
    site.clock.advance(300)
    assert again.who() == SUB


# The id of the session that is here.

every_kind = pytest.mark.parametrize(
    ("edge", "kind"), [*(("flask", kind) for kind in ("cookie", *REACHING)), ("asgi", "cookie"), ("asgi", "sqlite")]
)


def here(browser) -> str | None:
    return inside(browser, lambda sessions: sessions.current_id())


@every_kind
def test_a_request_knows_the_id_of_its_session_with_every_store(make_site, where, kind):
    site = with_pages(make_site(**where(kind)))
    browser = site.browser()
    assert here(browser) is None
    first, second = signed_in(site), signed_in(site)
    known = here(first)
    assert isinstance(known, str)
    assert known not in (None, here(second))
    assert known not in first.cookies()[site.session_cookie]
    site.clock.advance(3000)
    assert first.who() == SUB  # renewed
    assert here(first) == known
    if kind in SERVERS:
        assert {known, here(second)} == {one.id for one in outside(site, lambda sessions: sessions.list(SUB))}
    assert outside(site, lambda sessions: sessions.current_id()) is None


@pytest.mark.parametrize(("edge", "kind"), [("flask", kind) for kind in REACHING] + [("asgi", "cookie+revocations")])
def test_a_session_ends_by_the_id_that_it_told(make_site, where, kind):
    site = with_pages(make_site(**where(kind)))
    first, second = signed_in(site), signed_in(site)
    known = here(first)
    assert outside(site, lambda sessions: sessions.revoke(known))
    site.clock.advance(11)
    assert (first.who(), second.who()) == (None, SUB)


@pytest.mark.parametrize("door", ["wsgi", "asgi"])
def test_a_plain_door_knows_the_session_of_a_request(fx, door):
    told_: list[str | None] = []

    def wsgi_app(environ, start_response):
        told_.append(auth.sessions.current_id())
        start_response("204 No Content", [])
        return []

    async def asgi_app(scope, receive, send):
        told_.append(auth.sessions.current_id())
        assert scope["auth"].sessions.current_id() == told_[-1]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    site = Site(door, fx)
    if door == "wsgi":
        site.app = auth = xwms_auth.wsgi.XWMSAuth(wsgi_app, site.config)
    else:
        site.app = auth = xwms_auth.asgi.XWMSAuthMiddleware(asgi_app, site.config)
    browser = site.browser()
    browser.get("/")
    browser.log_in(SUB)
    browser.get("/")
    browser.get("/")
    nobody, first, again = told_
    assert nobody is None
    assert first == again is not None
    assert auth.sessions.current_id() is None


class Kept(MemoryStore):
    """A store with connections, which are closed at once or later."""

    def __init__(self, *, is_async):
        super().__init__()
        self.seen, self.is_async = [], is_async

    def keep_connections(self):
        self.seen.append("kept")

    def close(self):
        return self.later() if self.is_async else self.seen.append("closed")

    async def later(self):
        self.seen.append("closed")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_manager_keeps_and_closes_the_connections_of_the_store(fx, is_async):
    store = Kept(is_async=is_async)

    async def story():
        async with AsyncXWMSSessions(XWMSConfig(**fx.options(session_store=store))) as sessions:
            assert store.seen == ["kept"]
            assert await sessions.list(SUB) == ()

    asyncio.run(story())
    assert store.seen == ["kept", "closed"]
