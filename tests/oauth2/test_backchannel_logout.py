"""A logout that began at the authorization server: signed, for this client, lately, once; then the sessions end."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.oauth2.fake_as import USERINFO, FakeAS
from tests.oauth2.jwts import encode, hs256, make_key, signed
from tests.oauth2.local_as import token_page
from tests.oauth2.steps import begin, code_of, come_back, log_in
from tests.oauth2.test_id_tokens import NO_MOMENTS, OTHER_TYPES
from tests.tools.fake_xwms import CLIENT_ID
from tests.tools.site import PROGRAM, Browser, Site
from xwms_auth import Identity, StoreUnavailable
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.oauth2.id_token import sid_of
from xwms_auth.stores.memory import MemoryStore

PATH = "/xwms/backchannel-logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SUB = "xwms-user-1234"


def claims_of(server: FakeAS, **changes: object) -> dict[str, object]:
    now = int(time.time())
    good: dict[str, object] = {
        "iss": server.issuer,
        "aud": CLIENT_ID,
        "sub": SUB,
        "iat": now,
        "exp": now + 120,
        "jti": f"logout-{time.monotonic_ns()}",
        "events": {EVENT: {}},
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def post(site: Site, token: str, **more: Any) -> httpx2.Response:
    """As the server does it: no browser, no cookie."""
    body = f"logout_token={token}".encode()
    headers = [*FORM.items(), ("Content-Length", str(len(body)))]
    return site.raw(PATH, method="POST", headers=headers, body=body, **more)


@pytest.fixture(params=[("flask", "memory"), ("asgi", "sqlite")], ids=lambda pair: f"{pair[0]}-{pair[1]}")
def edge_and_place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A place for each edge: which sessions end is the store's doing, and how that is told the edge's."""
    pair: tuple[str, str] = request.param
    return pair


@pytest.fixture
def edge(edge_and_place: tuple[str, str]) -> str:
    return edge_and_place[0]


@pytest.fixture
def place(edge_and_place: tuple[str, str], tmp_path: Any) -> str:
    return "memory://" if edge_and_place[1] == "memory" else f"sqlite:///{tmp_path / 'sessions.sqlite3'}"


@pytest.fixture
def site(make_site: Callable[..., Site], place: str) -> Site:
    return make_site(session_store=place)


def logged_in(site: Site, server: FakeAS, *, sub: str = SUB, sid: str | None = None) -> Browser:
    browser = site.browser()
    server.claims = {"sid": sid}
    log_in(browser, server, sub=sub)
    assert browser.who() == sub
    return browser


def why(browser: Browser) -> Any:
    return browser.get("/who", PROGRAM).json().get("reason")


def test_the_sessions_of_the_person_end_and_nobody_elses(site, server):
    mine = [logged_in(site, server) for _ in range(2)]
    other = logged_in(site, server, sub="somebody-else")
    answer = post(site, signed(server.key, claims_of(server)))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert [why(browser) for browser in mine] == ["session_revoked"] * 2
    assert other.who() == "somebody-else"


def test_where_a_login_is_named_that_one_ends(site, server):
    one, two = (logged_in(site, server, sid=sid) for sid in ("sid-1", "sid-2"))
    assert post(site, signed(server.key, claims_of(server, sid="sid-1"))).status_code == 200
    assert why(one) == "session_revoked"
    assert two.who() == SUB
    assert post(site, signed(server.key, claims_of(server, sid="sid-of-nobody"))).status_code == 200
    assert two.who() == SUB


def test_a_login_that_the_server_gave_no_name_ends_with_any_of_the_persons(site, server):
    """Nobody can say that it was another one."""
    nameless, other = logged_in(site, server), logged_in(site, server, sub="somebody-else")
    assert post(site, signed(server.key, claims_of(server, sid="sid-1"))).status_code == 200
    assert why(nameless) == "session_revoked"
    assert other.who() == "somebody-else"


def test_where_the_login_is_named_and_nobody_else_the_sessions_of_that_login_end(site, server):
    """OpenID Connect Back-Channel Logout 2.4: `sid` and no `sub`."""
    one, two, same = (logged_in(site, server, sid=sid) for sid in ("sid-1", "sid-2", "sid-1"))
    nameless, other = logged_in(site, server), logged_in(site, server, sub="somebody-else", sid="sid-3")
    answer = post(site, signed(server.key, claims_of(server, sub=None, sid="sid-1")))
    assert (answer.status_code, answer.json()) == (200, {})
    assert [why(browser) for browser in (one, same)] == ["session_revoked"] * 2
    assert [browser.who() for browser in (two, nameless, other)] == [SUB, SUB, "somebody-else"]
    assert post(site, signed(server.key, claims_of(server, sub=None, sid="sid-of-nobody"))).status_code == 200
    assert [browser.who() for browser in (two, nameless, other)] == [SUB, SUB, "somebody-else"]


def test_a_session_whose_tokens_were_refreshed_is_still_of_its_login(make_site, server, place):
    site = token_page(make_site(session_store=place))
    server.tokens = {"refresh_token": "refresh-me", "expires_in": 100}
    browser = logged_in(site, server, sid="sid-1")
    before = browser.get("/token", PROGRAM).text
    site.clock.advance(90)
    assert browser.get("/token", PROGRAM).text != before
    assert post(site, signed(server.key, claims_of(server, sub=None, sid="sid-1"))).status_code == 200
    assert why(browser) == "session_revoked"


def test_a_store_that_cannot_find_logins_says_so_and_may_be_told_again(make_site, server, caplog):
    site = make_site(revocation_store="memory://")
    browser = logged_in(site, server, sid="sid-1")
    token = signed(server.key, claims_of(server, sub=None, sid="sid-1"))
    for _ in range(2):
        answer = post(site, token)
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
    assert caplog.text.count("cannot find sessions by sid") == 2
    assert browser.who() == SUB


@pytest.mark.parametrize("sub", [SUB, None])
def test_a_login_that_is_under_way_does_not_outlive_the_logout(site, server, sub):
    """The server ends the login between the code and the session; the callback waits for userinfo at that moment."""
    browser = site.browser()
    server.claims = {"sid": "sid-1"}
    query = server.consent(begin(browser))
    with ThreadPoolExecutor(1) as thread, server.hold(USERINFO) as gate:
        coming = thread.submit(come_back, browser, query)
        server.wait_for_calls(USERINFO)
        assert post(site, signed(server.key, claims_of(server, sub=sub, sid="sid-1"))).status_code == 200
        # What has been remembered for less than its time stays, whatever comes after it.
        assert post(site, signed(server.key, claims_of(server, sub=None, sid="sid-of-nobody"))).status_code == 200
        gate.set()
        assert code_of(coming.result(20)) == (401, "token_rejected")
    assert browser.who() is None
    assert logged_in(site, server, sid="sid-2").who() == SUB


@pytest.mark.parametrize("edge", ["flask", "asgi"])
@pytest.mark.parametrize("option", ["session_store", "revocation_store"])
@pytest.mark.parametrize("sub", [SUB, None])
def test_a_login_that_is_under_way_in_another_process_does_not_outlive_the_logout(
    make_site, server, tmp_path, option, sub
):
    """Where the processes share a store. The cookie store cannot find a login by its `sid` alone, and refuses that."""
    options = {option: f"sqlite:///{tmp_path / 'shared.sqlite3'}"}
    one, other = make_site(**options), make_site(**options)
    browser = one.browser()
    server.claims = {"sid": "sid-1"}
    query = server.consent(begin(browser))
    status = 400 if (option, sub) == ("revocation_store", None) else 200
    with ThreadPoolExecutor(1) as thread, server.hold(USERINFO) as gate:
        coming = thread.submit(come_back, browser, query)
        server.wait_for_calls(USERINFO)
        assert post(other, signed(server.key, claims_of(server, sub=sub, sid="sid-1"))).status_code == status
        gate.set()
        assert code_of(coming.result(20)) == (401, "token_rejected")
    assert browser.who() is None
    assert logged_in(one, server, sid="sid-2").who() == SUB


def test_a_token_whose_sessions_could_not_be_ended_may_come_again(make_site, server):
    """The store fails in between; the server, told 503, delivers once more."""

    class Fails(MemoryStore):
        failing = False

        def revoke_all(self, identity: Any, *, now: int) -> None:
            if self.failing:
                raise StoreUnavailable("as asked for")
            super().revoke_all(identity, now=now)

    store = Fails()
    site = make_site(session_store=store)
    browser, token = logged_in(site, server), signed(server.key, claims_of(server))
    store.failing = True
    assert post(site, token).status_code == 503
    store.failing = False
    assert browser.who() == SUB
    assert post(site, token).status_code == 200
    assert why(browser) == "session_revoked"


class BrokenStore(MemoryStore):
    """Raises what is no error of ours, once."""

    is_broken = True

    def revoke_all(self, identity: Identity, *, now: int) -> None:
        if self.is_broken:
            self.is_broken = False
            raise RuntimeError("broken")
        super().revoke_all(identity, now=now)


@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_a_token_whose_sessions_nobody_knows_to_have_ended_may_come_again_a_little_later(make_site, server):
    site = make_site(session_store=BrokenStore())
    browser = logged_in(site, server)
    token = signed(server.key, claims_of(server))
    assert post(site, token).status_code == 500
    site.clock.advance(31)
    assert post(site, token).status_code == 200
    assert why(browser) == "session_revoked"
    site.clock.advance(31)
    assert post(site, token).status_code == 400


class SlowStore(MemoryStore):
    """Ends all sessions of a person once it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

    async def revoke_all(self, identity: Identity, *, now: int) -> None:
        self.asked.set()
        await self.goes_on.wait()
        super().revoke_all(identity, now=now)


@pytest.mark.parametrize("edge", ["asgi"])
def test_a_server_that_gives_up_waiting_has_ended_the_sessions_all_the_same(make_site, server):
    store = SlowStore()
    site = make_site(session_store=store)
    browser = logged_in(site, server)
    body = f"logout_token={signed(server.key, claims_of(server))}".encode()

    async def give_up() -> None:
        transport = httpx2.ASGITransport(site.app)
        async with httpx2.AsyncClient(transport=transport, base_url=site.origin) as client:
            sent = asyncio.create_task(client.post(PATH, headers=FORM, content=body))
            await store.asked.wait()
            sent.cancel()
            await asyncio.wait([sent])
            store.goes_on.set()
            for _ in range(100):
                await asyncio.sleep(0)

    asyncio.run(give_up())
    assert why(browser) == "session_revoked"


def test_junk_becomes_no_calls_to_the_server(site, server):
    """Anybody may post here, also before anybody has logged in."""
    for _ in range(50):
        assert post(site, "junk").status_code == 400
    assert server.requests == []
    forged = signed(make_key(another=1), claims_of(server))
    server.metadata["jwks_uri"] = f"{server.url}/gone"
    statuses = [post(site, forged).status_code for _ in range(50)]
    assert statuses.count(429) >= 40
    assert len(server.requests) <= 20


def test_the_cookie_store_ends_all_of_the_persons_with_a_revocation_store(make_site, server):
    site = make_site(revocation_store="memory://")
    one, two = (logged_in(site, server, sid=sid) for sid in ("sid-1", "sid-2"))
    assert post(site, signed(server.key, claims_of(server, sid="sid-1"))).status_code == 200
    assert [one.who(), two.who()] == [None, None]


def test_the_cookie_store_alone_does_not_claim_to_have_ended_anything(make_site, server):
    site = make_site()
    browser = logged_in(site, server)
    assert post(site, signed(server.key, claims_of(server))).status_code == 500
    assert browser.who() == SUB


def test_a_name_of_a_login_that_cannot_be_kept_is_none_so_all_of_the_persons_end(site, server):
    """Sessions do not keep such a name either (`sid_of` is the one reader), so none could be found by it."""
    sids: list[Any] = ["\ud800", "a\x00b", "x" * 256, "", 5, ["sid-1"]]
    for sid in sids:
        assert sid_of(JSONObject(sid=sid)) is None, sid
        site.clock.advance(1)
        browsers = [logged_in(site, server, sid=kept) for kept in ("sid-1", None)]
        assert post(site, signed(server.key, claims_of(server, sid=sid))).status_code == 200, sid
        assert [why(browser) for browser in browsers] == ["session_revoked"] * 2, sid


def test_a_name_of_a_login_may_be_any_printable_text():
    for sid in ("a b", "caf\u00e9", "x" * 255):
        assert sid_of(JSONObject(sid=sid)) == sid
    assert sid_of(JSONObject()) is None


def test_a_token_works_once(site, server):
    token = signed(server.key, claims_of(server))
    assert post(site, token).status_code == 200
    browser = logged_in(site, server)
    assert post(site, token).status_code == 400
    assert browser.who() == SUB


NOW = int(time.time())
WRONG: dict[str, dict[str, object]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another client": {"aud": "another"},
    "no audience": {"aud": None},
    "too old": {"iat": NOW - 3600},
    "from the future": {"iat": NOW + 3600},
    "no iat": {"iat": None},
    "an iat of text": {"iat": str(NOW)},
    "expired": {"exp": NOW - 3600},
    **{f"{name} of {said}": {name: value} for said, value in NO_MOMENTS.items() for name in ("iat", "exp")},
    "no event": {"events": None},
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "an event of text": {"events": {EVENT: "yes"}},
    "a nonce": {"nonce": "n"},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "neither sub nor sid": {"sub": None},
    "an empty sub beside a sid": {"sub": "", "sid": "sid-1"},
    "no sub, and a sid that is no text": {"sub": None, "sid": 7},
    "no sub, and a sid that is too long": {"sub": None, "sid": "x" * 256},
    "no sub, and an empty sid": {"sub": None, "sid": ""},
    "a sub that is a number": {"sub": 7},
}


def test_a_token_that_is_not_right_ends_nothing(site, server):
    browser = logged_in(site, server, sid="sid-1")
    for name, changes in WRONG.items():
        answer = post(site, signed(server.key, claims_of(server, **changes)))
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"}), name
        assert browser.who() == SUB, name
    assert post(site, signed(server.key, claims_of(server))).status_code == 200
    assert browser.who() is None


def test_a_logout_token_may_say_what_it_is(site, server):
    for kind in (None, "JWT", "jwt", "logout+jwt", "Logout+JWT", "application/logout+jwt"):
        site.clock.advance(1)
        browser = logged_in(site, server)
        assert post(site, signed(server.key, claims_of(server), typ=kind)).status_code == 200, kind
        assert why(browser) == "session_revoked", kind


def test_a_token_of_another_type_ends_nothing(site, server):
    """RFC 8725 3.11."""
    browser = logged_in(site, server)
    for kind in OTHER_TYPES:
        assert post(site, signed(server.key, claims_of(server), typ=kind)).status_code == 400, kind
        assert browser.who() == SUB, kind


def forged(server: FakeAS, how: str) -> str:
    claims = claims_of(server)
    if how == "another key":
        return signed(make_key(another=1), claims)
    if how == "none":
        return encode({"alg": "none"}, claims, lambda data: b"")
    if how == "HS256 with the public key":
        return encode({"alg": "HS256"}, claims, hs256(str(server.keys[0]).encode()))
    return {"empty": "", "garbage": "a.b.c", "huge": "A" * 20_000 + ".b.c"}[how]


def test_a_token_that_the_server_did_not_sign_ends_nothing(site, server):
    """OC-09: the same rules as for ID tokens."""
    browser = logged_in(site, server)
    for how in ("another key", "none", "HS256 with the public key", "empty", "garbage", "huge"):
        assert post(site, forged(server, how)).status_code == 400, how
        assert browser.who() == SUB, how


def test_an_id_token_is_no_logout_token_and_the_other_way_round(site, server):
    caught: list[str] = []

    def keep(claims: dict[str, object]) -> str:
        caught.append(signed(server.key, claims))
        return caught[-1]

    server.forge = keep
    browser = logged_in(site, server)
    assert post(site, caught[-1]).status_code == 400
    server.forge = lambda claims: signed(server.key, claims_of(server))
    other = site.browser()
    assert log_in(other, server).status_code == 401
    assert (browser.who(), other.who()) == (SUB, None)


def test_only_a_post_is_listened_to(site):
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        assert site.raw(PATH, method=method).status_code == 405, method


def test_with_xwmss_own_login_there_is_no_such_route(edge, make_fx):
    site = Site(edge, make_fx())
    assert post(site, "a.b.c").status_code == 404


def test_a_browsers_cookie_says_nothing_here(site, server):
    browser = logged_in(site, server)
    assert browser.post(PATH, data={"logout_token": ""}).status_code == 400
    assert browser.who() == SUB
