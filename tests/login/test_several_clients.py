"""Several clients in one application: the host selects the client, and the sessions of one are nothing to another."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import xwms_auth.asgi
import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2.fake_as import FakeAS
from tests.oauth2.jwts import signed
from tests.tools.fake_xwms import CLIENT_ID
from tests.tools.several import EDGES, Several, config_for, refusal
from tests.tools.site import CALLBACK, FROM_HERE, HTTPS_URI, LOGIN, LOGOUT, ME, NAVIGATION, PROGRAM, alive
from xwms_auth import ConfigError, HostNotRegistered, XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings
from xwms_auth.stores.memory import MemoryStore

A, B = "a.example", "b.example"
NOT_REGISTERED = (400, "host_not_registered")
PLACES = ("cookie", "cookie+revocations", "memory", "sqlite", "redis")


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def make(edge: str, fx: Any) -> Callable[..., Several]:
    """Make the application of two clients: `make({options of a}, {options of b}, **options of both)`."""

    def build(a: dict[str, Any] | None = None, b: dict[str, Any] | None = None, **both: Any) -> Several:
        return Several(edge, [config_for(fx, A, **both, **(a or {})), config_for(fx, B, **both, **(b or {}))])

    return build


# --- the host selects the client ---


def test_each_host_logs_in_with_its_own_client(make, fx):
    several = make()
    for host, sub in ((A, "1"), (B, "2")):
        visitor = several.visitor(host)
        assert visitor.log_in(fx, sub).status_code == 303
        assert visitor.who() == sub
        assert visitor.get(ME).json()["user"]["sub"] == sub
    clients = [request.all("X-Client-Id") for request in fx.to("sign-token")]
    assert clients == [["a"], ["b"]]
    uris = [request.json["redirect_url"] for request in fx.to("sign-token")]
    assert uris == [f"https://{A}{CALLBACK}", f"https://{B}{CALLBACK}"]


@pytest.mark.parametrize("host", ["A.Example", f"{A}:443"])
def test_a_host_is_the_same_in_other_letters_and_with_the_port_of_its_scheme(make, fx, host):
    several = make()
    visitor = several.visitor(A)
    visitor.log_in(fx, "1")
    assert visitor.get("/who", {**PROGRAM, "Host": host}).text == "1"


def test_each_client_has_paths_and_lifetimes_of_its_own(make, fx):
    uri = f"https://{B}/b/back"
    options = {"redirect_uris": uri, "login_path": "/b/in", "logout_path": "/b/out", "me_path": "/b/me"}
    several = make({"session_idle": 60}, options)
    at_a, at_b = several.visitor(A), several.visitor(B)
    at_a.log_in(fx, "1")
    at_b.log_in(fx, "2", path="/b/in", callback="/b/back")
    assert (at_a.who(), at_b.who()) == ("1", "2")
    # The paths of one are pages of the application, or none, at the host of the other.
    assert [at_a.get(path).status_code for path in ("/b/in", "/b/back", "/b/me")] == [404] * 3
    assert [at_b.get(path).status_code for path in (LOGIN, CALLBACK, ME)] == [404] * 3
    several.clock.advance(120)
    assert (at_a.who(), at_b.who()) == (None, "2")
    assert at_b.post("/b/out").status_code == 303
    assert at_b.who() is None


def test_each_client_protects_its_own_pages(make):
    several = make({"protect": "all", "public": "/health"})
    at_a, at_b = several.visitor(A), several.visitor(B)
    assert (at_a.get("/").status_code, at_a.get("/health").text, at_b.get("/").text) == (401, "up", "home")
    to_login = at_a.get("/", NAVIGATION)
    assert (to_login.status_code, to_login.headers["location"]) == (302, f"{LOGIN}?next=/")


@pytest.mark.more_packages
@pytest.mark.parametrize("edge", EDGES, indirect=True)
def test_both_flows_log_in_beside_each_other_at_a_local_xwms(edge):
    """One client id, once for each flow: what the flows sign and seal is told apart."""
    uris = [f"https://{host}.shop.example{CALLBACK}" for host in ("a", "b")]
    settings = SandboxSettings(domain="shop.example", redirect_uris=tuple(uris), auto_login="1001")
    with SandboxServer(settings, port=0) as server:
        options = {
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "domain": "shop.example",
            "session_secret": "K3y-for-tests-0123456789-abcdefghij",
        }
        token = XWMSConfig(**options, redirect_uris=uris[0], api_url=server.api_url)
        code = XWMSConfig(**options, redirect_uris=uris[1], flow="oauth2", issuer=server.url)
        several = Several(edge, [token, code])
        visitors = [several.visitor(f"{host}.shop.example") for host in ("a", "b")]
        for visitor in visitors:
            assert _approved(visitor).status_code == 303
        assert [visitor.who() for visitor in visitors] == ["1001", "1001"]
        assert refusal(visitors[0].get("/token")) == (500, "config")  # this flow has no access tokens
        assert len(visitors[1].get("/token").text) > 20
        # The session of one flow, under the name of the other's cookie.
        (at_token,), (at_code,) = (visitor.cookies() for visitor in visitors)
        stranger = several.visitor("b.shop.example")
        stranger.client.cookies.set(at_code, visitors[0].cookies()[at_token])
        assert stranger.who() is None


def _approved(visitor: Any) -> Any:
    """Log in where XWMS approves at once."""
    import httpx2

    answer = httpx2.get(visitor.start(), follow_redirects=False, trust_env=False)
    while not answer.headers["location"].startswith("https://"):
        answer = httpx2.get(answer.url.join(answer.headers["location"]), follow_redirects=False, trust_env=False)
    return visitor.get(answer.headers["location"], {**NAVIGATION, "Sec-Fetch-Site": "cross-site"})


# --- nothing of one client counts for another ---


@pytest.mark.parametrize("kind", PLACES)
def test_a_session_of_one_is_nothing_at_the_other_under_any_name(make, fx, where, kind):
    """Cross-client confusion: also with one store for both."""
    several = make(**where(kind))
    at_a, at_b = several.visitor(A), several.visitor(B)
    at_a.log_in(fx, "1")
    at_b.log_in(fx, "2")
    ((name_a, session_a),), ((name_b, _),) = at_a.cookies().items(), at_b.cookies().items()
    assert name_a != name_b
    for host, names in ((B, (name_a, name_b)), ("c.example", (name_a, name_b))):
        stranger = several.visitor(host)
        for name in names:
            stranger.client.cookies.set(name, session_a)
        assert stranger.get("/hello").text == "nobody"
        assert stranger.get("/who").status_code in (400, 401)
    # Nor does what was tried there end it.
    assert (at_a.who(), at_b.who()) == ("1", "2")


def test_a_pending_login_and_a_token_of_one_are_nothing_at_the_other(make, fx):
    several = make()
    at_a, at_b = several.visitor(A), several.visitor(B)
    token = fx.approve(at_a.start().rpartition("/")[2], sub="1")
    assert at_b.get(CALLBACK, params={"token": token}).json()["code"] == "login_not_started"
    ((pending_a, value),) = at_a.cookies().items()
    at_b.start()
    ((pending_b, _),) = at_b.cookies().items()
    tag_a, tag_b = (name.split("_")[4] for name in (pending_a, pending_b))
    for name in (pending_a, pending_a.replace(tag_a, tag_b), pending_b):
        at_b.client.cookies.set(name, value)
    answer = at_b.get(CALLBACK, {**PROGRAM, "Sec-Fetch-Site": "cross-site"}, params={"token": token})
    assert answer.status_code in (400, 401)
    assert at_b.who() is None


def test_a_token_of_one_is_not_redeemed_by_a_login_that_began_at_the_other(make, fx):
    several = make(callback_token="same")
    at_a, at_b = several.visitor(A), several.visitor(B)
    at_a.start()
    token = fx.approve(at_a.start().rpartition("/")[2], sub="1")
    at_b.start()
    assert at_b.come_back(token).status_code in (400, 401)
    assert at_b.who() is None


@pytest.mark.parametrize("kind", PLACES)
def test_a_logout_at_one_leaves_the_session_at_the_other(make, fx, where, kind):
    several = make(**where(kind))
    at_a, at_b = several.visitor(A), several.visitor(B)
    at_a.log_in(fx, "1")
    at_b.log_in(fx, "1")
    # With the other's session too, under the name that counts here.
    ((_, session_a),), ((name_b, _),) = at_a.cookies().items(), at_b.cookies().items()
    thief = several.visitor(B)
    thief.client.cookies.set(name_b, session_a)
    assert thief.post(LOGOUT).status_code == 303
    assert at_b.post(LOGOUT).status_code == 303
    assert (at_a.who(), at_b.who()) == ("1", None)
    assert [visitor.get(ME).json()["user"] is None for visitor in (at_a, at_b)] == [False, True]


@pytest.mark.parametrize("kind", ["cookie+revocations", "memory", "sqlite", "redis"])
def test_one_persons_sessions_are_revoked_at_one_client_only(make, fx, where, kind):
    several = make(**where(kind))
    at_a, at_b, elsewhere_a = (several.visitor(host) for host in (A, B, A))
    for visitor in (at_a, at_b, elsewhere_a):
        visitor.log_in(fx, "1")
    if kind != "cookie+revocations":  # it has no list
        assert (at_a.get("/count").text, at_b.get("/count").text) == ("2", "1")
    several.clock.advance(1)
    assert at_a.get("/revoke").text == "revoked"
    assert (at_a.who(), elsewhere_a.who(), at_b.who()) == (None, None, "1")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_outside_a_request_one_says_whose_sessions_are_meant(make, fx, where, kind):
    several = make(**where(kind))
    at_a, at_b = several.visitor(A), several.visitor(B)
    at_a.log_in(fx, "1")
    at_b.log_in(fx, "1")

    def answer(found: Any) -> Any:
        async def awaited() -> Any:
            return await found

        return asyncio.run(awaited()) if several.edge == "asgi" else found

    assert len(answer(several.auth.sessions_at(A).list("1"))) == 1
    several.clock.advance(1)
    answer(several.auth.sessions_at(f"{B.upper()}:443").revoke_client())
    assert (at_a.who(), at_b.who()) == ("1", None)
    with pytest.raises(RuntimeError, match=r"several clients, at a\.example"):
        _ = several.auth.sessions
    with pytest.raises(ValueError, match=r"'c\.example'; these are known: a\.example"):
        several.auth.sessions_at("c.example")


def test_with_a_single_client_its_host_may_be_named_too(edge, fx):
    several = Several(edge, config_for(fx, A))
    assert several.auth.sessions_at(A) is several.auth.sessions
    with pytest.raises(ValueError, match="no client"):
        several.auth.sessions_at(B)


def test_the_settings_are_those_of_the_requests_client(make):
    several = make({"login_path": "/in/a"}, {"login_path": "/in/b"})
    expected = ["/in/a?next=/", "/in/b?next=/"] if several.edge == "flask" else ["a", "b"]
    assert [several.visitor(host).get("/client").text for host in (A, B)] == expected


@pytest.mark.parametrize("edge", ["flask", "asgi"], indirect=True)
def test_the_form_token_of_a_logout_at_one_is_nothing_at_the_other(make, fx):
    several = make()
    at_a, at_b = several.visitor(A), several.visitor(B)
    for visitor in (at_a, at_b):
        visitor.log_in(fx, "1")
    forms = [
        re.findall(r'name="xwms_csrf_token" value="([^"]+)"', visitor.get("/form").text) for visitor in (at_a, at_b)
    ]
    assert refusal(at_b.post(LOGOUT, PROGRAM, data={"xwms_csrf_token": forms[0][0]})) == (403, "cross_site")
    assert at_b.who() == "1"
    assert at_b.post(LOGOUT, PROGRAM, data={"xwms_csrf_token": forms[1][0]}).status_code == 303


@pytest.mark.more_packages
def test_a_logout_that_begins_at_the_server_ends_the_sessions_of_its_client_only(edge, tmp_path):
    """With the same person at both, one store for both, and a third client of the first server."""
    with FakeAS() as one, FakeAS() as two:
        store = {"session_store": f"sqlite:///{tmp_path / 'sessions.sqlite3'}"}
        configs = [
            config_for(one, A, client_id=CLIENT_ID, **store),
            config_for(two, B, client_id=CLIENT_ID, **store),
            config_for(one, "d.example", **store),
        ]
        several = Several(edge, configs)
        at_a, at_b, at_d = (several.visitor(host) for host in (A, B, "d.example"))
        for visitor, server in ((at_a, one), (at_b, two)):
            query = server.consent(visitor.start(), sub="1")
            assert (
                visitor.get(CALLBACK, {**NAVIGATION, "Sec-Fetch-Site": "cross-site"}, params=query).status_code == 303
            )
        now = int(time.time())
        claims = {"iss": one.issuer, "aud": CLIENT_ID, "sub": "1", "iat": now, "exp": now + 120, "jti": "one"}
        claims["events"] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        form = {"logout_token": signed(one.key, claims)}
        several.clock.advance(1)
        for visitor in (at_b, at_d, several.visitor("c.example")):
            assert visitor.post("/xwms/backchannel-logout", PROGRAM, data=form).status_code == 400
        assert (at_a.who(), at_b.who()) == ("1", "1")
        assert at_a.post("/xwms/backchannel-logout", PROGRAM, data=form).status_code == 200
        assert (at_a.who(), at_b.who()) == (None, "1")


# --- another host ---


@pytest.mark.parametrize("host", ["c.example", "127.0.0.1", f"{A}.", f"{A}:8443", f"x.{A}", f"{A}.evil.example"])
def test_on_another_host_the_application_runs_and_nobody_is_signed_in(make, fx, host):
    several = make()
    at_a = several.visitor(A)
    at_a.log_in(fx, "1")
    stranger = several.visitor(host)
    for name, value in at_a.cookies().items():
        stranger.client.cookies.set(name, value)
    assert (stranger.get("/").text, stranger.get("/hello").text) == ("home", "nobody")
    for path in ("/who", "/require", "/token"):
        assert refusal(stranger.get(path)) == NOT_REGISTERED, path
        page = stranger.get(path, NAVIGATION)
        assert (page.status_code, "location" in page.headers) == (400, False)
        assert "no-store" in page.headers["cache-control"]
        assert "host_not_registered" in page.text
        assert host not in page.text


def test_a_developer_is_told_the_hosts_of_all_clients(make):
    page = make({"debug": True}).visitor("127.0.0.1").get("/who", NAVIGATION).text
    assert all(f"https://{host}{CALLBACK}" in page for host in (A, B))


@pytest.mark.parametrize("hosts", [["", "Host"], [A, B], [f"{A}, {B}"]], ids=["none", "two", "joined"])
def test_no_host_and_two_hosts_are_those_of_no_client(fx, hosts):
    app = Several("asgi", [config_for(fx, A), config_for(fx, B)]).app
    sent: list[Any] = []

    async def story() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", host.encode()) for host in hosts if host and host != "Host"]
        scope = {"type": "http", "method": "GET", "path": LOGIN, "headers": headers, "query_string": b""}
        await app(scope, receive, send)

    asyncio.run(story())
    assert sent[0]["status"] == 400
    assert b"host_not_registered" in sent[1]["body"]


def test_on_another_host_the_paths_of_every_client_are_refused_before_the_application(make, fx):
    """A token that comes to the wrong host never reaches the application, which may log or redirect it."""
    uri = f"https://{B}/b/back"
    several = make(None, {"redirect_uris": uri, "login_path": "/b/in", "logout_path": "/b/out", "me_path": "/b/me"})
    stranger = several.visitor("c.example")
    for path in (LOGIN, CALLBACK, ME, LOGOUT, "/b/in", "/b/back", "/b/me", "/b/out"):
        assert refusal(stranger.get(path, params={"token": "t" * 40})) == NOT_REGISTERED, path
        assert refusal(stranger.post(path, PROGRAM)) == NOT_REGISTERED, path
    assert fx.requests == []


def test_on_another_host_a_page_is_public_only_if_every_strict_client_says_so(make):
    several = make({"protect": "all", "public": ["/health", "/hello"]}, {"protect": "all", "public": "/health"})
    stranger = several.visitor("c.example")
    assert stranger.get("/health").text == "up"
    for path in ("/", "/hello", "/nothing"):
        assert refusal(stranger.get(path)) == NOT_REGISTERED


def test_on_another_host_everything_is_protected_if_one_client_protects_everything(make):
    several = make(None, {"protect": "all", "public": "/health"})
    stranger = several.visitor("c.example")
    assert refusal(stranger.get("/")) == NOT_REGISTERED
    assert stranger.get("/health").text == "up"
    assert several.visitor(A).get("/").text == "home"


def test_on_another_host_nobodys_sessions_are_listed_or_revoked(make, fx):
    several = make(session_store="memory://")
    at_a = several.visitor(A)
    at_a.log_in(fx, "None")  # a person by the name of nobody
    stranger = several.visitor("c.example")
    if several.edge == "wsgi":
        with pytest.raises(HostNotRegistered):
            stranger.get("/revoke")
    else:
        assert refusal(stranger.get("/revoke")) == NOT_REGISTERED
    several.clock.advance(1)
    assert at_a.who() == "None"


def test_an_own_answer_is_not_asked_for_where_no_login_helps(edge, fx):
    asked: list[object] = []
    several = Several(
        edge, [config_for(fx, A), config_for(fx, B)], unauthorized=lambda _, problem: asked.append(problem)
    )
    assert refusal(several.visitor("c.example").get("/who")) == NOT_REGISTERED
    assert asked == []
    assert several.visitor(A).get("/who").status_code == 401
    assert len(asked) == 1


def test_a_websocket_on_another_host_is_refused(fx):
    @xwms_auth.starlette.login_required
    async def guarded(websocket: Any) -> None:
        await websocket.accept()

    app = Starlette(routes=[WebSocketRoute("/ws", guarded)])
    app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=[config_for(fx, A), config_for(fx, B)])
    for host, headers, reason in (
        ("c.example", {}, "host_not_registered"),
        ("c.example", {"Origin": f"https://{A}"}, "cross_site"),
        (B, {"Origin": f"https://{A}"}, "cross_site"),
        (B, {"Origin": f"https://{B}"}, "login_required"),
    ):
        client = TestClient(app)
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            client.websocket_connect(f"wss://{host}/ws", headers=headers),
        ):
            pass
        assert refused.value.reason == reason


# --- what cannot be started ---


def faults_of(edge: str, configs: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        Several(edge, configs)
    return "\n".join(refused.value.problems)


def test_an_empty_list_is_refused_and_the_environment_is_not_read(edge, fx, monkeypatch):
    monkeypatch.setenv("XWMS_CLIENT_ID", "from-the-environment")
    assert "the list of configs is empty" in faults_of(edge, [])
    assert "not an XWMSConfig" in faults_of(edge, [config_for(fx, A), None])
    assert "not an XWMSConfig" in faults_of(edge, "text")


def test_every_clash_is_told_at_once(edge, fx):
    store = MemoryStore()
    both = [f"https://{A}{CALLBACK}", f"https://{B}{CALLBACK}"]
    one = config_for(fx, A, redirect_uris=both, session_store=store)
    configs = [one, config_for(fx, A), config_for(fx, B, redirect_uris=f"https://{B}/elsewhere", session_store=store)]
    told = faults_of(edge, configs)
    assert "the host a.example is in several configs" in told
    assert "the host b.example is in several configs" in told
    assert "client_id): a is in several configs; write one, with all of its redirect_uris" in told
    assert "session_store: one object is in several configs" in told


def test_one_client_twice_is_refused_also_with_cookies_of_its_own(edge, fx):
    """Its sessions would be accepted at both hosts, under another name."""
    told = faults_of(edge, [config_for(fx, A, client_id="x"), config_for(fx, B, client_id="x", cookie_tag="second")])
    assert "client_id): x is in several configs" in told


def test_sl_08_one_name_for_two_xwms_is_refused(edge, fx, make_fx):
    """SL-08: the 1001 of one would be the 1001 of the other."""
    name, theirs = "http://localhost:8800", make_fx().api_url
    Several(edge, [config_for(fx, A, issuer=name), config_for(fx, B, issuer=name)])
    told = faults_of(edge, [config_for(fx, A, issuer=name), config_for(fx, B, issuer=name, api_url=theirs)])
    assert told == (
        f"XWMS_ISSUER (issuer): {name} is in several configs with different api_url, whose people it would mix up"
    )


def test_two_ports_of_a_host_are_two_hosts_and_one_jar_of_cookies(edge, fx):
    uris = [f"http://localhost:{port}{CALLBACK}" for port in (5000, 5001)]
    configs = [config_for(fx, name, redirect_uris=uri) for name, uri in zip("ab", uris, strict=True)]
    Several(edge, configs)
    tagged = [config_for(fx, name, redirect_uris=uri, cookie_tag="x") for name, uri in zip("ab", uris, strict=True)]
    assert "cookie_tag): x is in several configs with the host localhost" in faults_of(edge, tagged)
    Several(edge, [config_for(fx, A, cookie_tag="x"), config_for(fx, B, cookie_tag="x")])


def test_a_session_secret_is_required_of_each_and_told_once(edge, fx):
    missing = [config_for(fx, host, session_secret=()) for host in (A, B)]
    assert faults_of(edge, missing).count("XWMS_SESSION_SECRET") == 1


def test_clients_whose_settings_are_missing_start_and_log_nobody_in(edge):
    configs = [XWMSConfig(client_id="", client_secret="", redirect_uris="", allow_missing_settings=True)] * 2
    several = Several(edge, configs)
    assert several.visitor(A).get("/").text == "home"
    assert several.visitor(A).get("/who").status_code == 400


# --- the parts of each door ---


def test_the_secret_key_of_a_flask_application_is_every_clients_session_secret(fx):
    app = flask.Flask(__name__)
    app.secret_key = "K3y-of-flask-0123456789-abcdefghijkl"
    auth = xwms_auth.flask.XWMSAuth(app, [config_for(fx, host, session_secret=()) for host in (A, B)])
    with app.test_request_context(base_url=f"https://{B}", path="/x"):
        assert xwms_auth.flask.current_user.is_authenticated is False
        assert auth.sessions is auth.sessions_at(B)
    with app.app_context(), pytest.raises(RuntimeError, match="several clients"):
        xwms_auth.flask.xwms_login_url(next="/")


def test_a_short_secret_key_of_a_flask_application_is_told_once(fx):
    app = flask.Flask(__name__)
    app.secret_key = "short"
    with pytest.raises(ConfigError) as refused:
        xwms_auth.flask.XWMSAuth(app, [config_for(fx, host, session_secret=()) for host in (A, B)])
    assert len(refused.value.problems) == 1


def test_one_configured_list_serves_several_flask_applications(fx):
    auth = xwms_auth.flask.XWMSAuth(config=[config_for(fx, A), config_for(fx, B)])
    for _ in range(2):
        app = flask.Flask(__name__)
        auth.init_app(app)
        client = app.test_client()
        assert client.get(ME, base_url=f"https://{A}", headers=PROGRAM).status_code == 200
        with pytest.raises(ConfigError, match="twice"):
            auth.init_app(app)


def test_roles_are_the_applications_for_all_clients(edge, fx):
    several = Several(edge, [config_for(fx, A), config_for(fx, B)], roles=lambda user: [f"person-{user.sub}"])
    assert several.visitor(B).log_in(fx, "2").status_code == 303


@pytest.mark.more_packages
@pytest.mark.parametrize("flow", ["sign-token", "oauth2"])
def test_access_tokens_need_one_client_that_has_some(fx, flow):
    async def api(request: Any) -> None: ...

    from starlette.routing import Route

    app = Starlette(routes=[Route("/api", xwms_auth.starlette.token_required(api))])
    more = {"flow": "oauth2", "issuer": fx.url} if flow == "oauth2" else {}
    configs = [config_for(fx, A), config_for(fx, B, **more)]
    views = flask.Flask(__name__)
    views.add_url_rule("/api", "api", xwms_auth.flask.token_required(lambda: "api"))
    if flow == "sign-token":
        for make in (xwms_auth.starlette.XWMSAuthMiddleware, xwms_auth.flask.XWMSAuth):
            with pytest.raises(ConfigError, match="no access tokens"):
                make(app if make is not xwms_auth.flask.XWMSAuth else views, configs)
        return
    client = TestClient(xwms_auth.starlette.XWMSAuthMiddleware(app, configs))
    xwms_auth.flask.XWMSAuth(views, configs)
    bearer = {**PROGRAM, "Authorization": "Bearer abcdefgh"}
    assert client.get(f"https://{A}/api", headers=bearer).status_code == 500
    assert refusal(client.get("https://c.example/api", headers=bearer)) == NOT_REGISTERED
    at_c = views.test_client().get("/api", base_url="https://c.example", headers=bearer)
    assert (at_c.status_code, at_c.json["code"]) == NOT_REGISTERED


class Kept(MemoryStore):
    """A store that counts how often it was opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def keep_connections(self) -> None:
        self.seen.append("kept")

    async def close(self) -> None:
        self.seen.append("closed")


def test_the_stores_of_all_clients_are_kept_open_while_the_application_runs(fx):
    stores = [Kept(), Kept()]
    hosts = [f"https://{A}{CALLBACK}", f"https://www.{A}{CALLBACK}"]
    configs = [
        config_for(fx, A, redirect_uris=hosts, session_store=stores[0]),
        config_for(fx, B, session_store=stores[1]),
    ]
    app = Several("asgi", configs).app

    async def story() -> None:
        async with alive(app):
            assert [store.seen for store in stores] == [["kept"], ["kept"]]

    asyncio.run(story())
    assert [store.seen for store in stores] == [["kept", "closed"], ["kept", "closed"]]


def test_the_callbacks_of_all_clients_are_redacted_in_access_logs(make, caplog):
    several = make({"redirect_uris": f"https://{A}/a/back"}, {"redirect_uris": f"https://{B}/b/back"})
    several.visitor(A).get("/")
    log = logging.getLogger("uvicorn.access")
    with caplog.at_level(logging.INFO, logger=log.name):
        for path in ("/a/back", "/b/back"):
            log.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", f"{path}?token=secret", "1.1", 303)
    assert "secret" not in caplog.text
    assert caplog.text.count("token=…") == 2


@pytest.mark.more_packages
def test_a_middleware_inside_may_not_use_a_redirect_uri_of_another_flow_for_any_client(fx):
    inner_config = config_for(fx, B, flow="oauth2", issuer=fx.url)
    inner = xwms_auth.asgi.XWMSAuthMiddleware(Starlette(), inner_config)
    with pytest.raises(ConfigError, match="another flow"):
        xwms_auth.asgi.XWMSAuthMiddleware(inner, [config_for(fx, A), config_for(fx, B)])


def test_an_application_inside_shares_the_session_of_the_client_it_has_in_common(fx):
    """The session of the one client, and nobody at the host of the other."""
    inner = Several("asgi", config_for(fx, A)).app
    outer = xwms_auth.starlette.XWMSAuthMiddleware(inner, [config_for(fx, A), config_for(fx, B)])
    at_a, at_b = (TestClient(outer, base_url=f"https://{host}", follow_redirects=False) for host in (A, B))
    location = at_a.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub="1")
    at_a.get(CALLBACK, params={"token": token})
    assert at_a.get("/who", headers=PROGRAM).text == "1"
    assert at_b.get("/who", headers=PROGRAM).status_code == 401


def test_a_single_client_serves_any_host_as_before(edge, fx):
    several = Several(edge, config_for(fx, A, redirect_uris=HTTPS_URI))
    visitor = several.visitor("proxy.internal")
    assert visitor.get(ME).json()["user"] is None
    visitor.log_in(fx, "1")
    assert visitor.who() == "1"


def test_a_list_of_one_serves_its_hosts_only(edge, fx):
    several = Several(edge, [config_for(fx, A)])
    visitor = several.visitor(A)
    visitor.log_in(fx, "1")
    assert visitor.who() == "1"
    assert refusal(several.visitor("proxy.internal").get(ME)) == NOT_REGISTERED
