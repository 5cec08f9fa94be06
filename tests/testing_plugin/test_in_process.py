"""What an XWMS inside the process can do for a test, besides letting somebody in."""

import asyncio
import gc
import os
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.testing_plugin.applications import fastapi_app, flask_app, starlette_app
from xwms_auth import (
    AsyncXWMSClient,
    ConfigError,
    NotAllowed,
    TokenRejected,
    Unreachable,
    User,
    XWMSClient,
    XWMSConfig,
)
from xwms_auth._core.io import in_process
from xwms_auth.accounts import Hooks, LoggedIn
from xwms_auth.fastapi import require_user
from xwms_auth.flask import XWMSAuth
from xwms_auth.sandbox import SandboxServer, SandboxSettings
from xwms_auth.sandbox.faults.catalogue import FAULTS
from xwms_auth.testing import Call, LocalXWMS, LoginFailed, local_xwms

OWN = XWMSConfig(
    client_id="live-client",
    client_secret=lambda: pytest.fail("the application's own secret was asked for"),
    redirect_uris="https://shop.example/login/done",
    session_secret="K3y-for-tests-0123456789-abcdefghij",
    session_store="memory://",
)
"""Settings of an application that goes live with them."""

BY_ITSELF = flask_app(OWN)
"""Made when this module was imported, before any test had an XWMS."""


@pytest.fixture(autouse=True)
def offline(no_network):
    """No test in this file uses the network."""


def test_the_clock_reaches_the_application_and_xwms(xwms: LocalXWMS):
    app = flask_app(xwms.config(session_idle=600))
    client = app.test_client()
    xwms.login(client)
    xwms.clock.advance(timedelta(minutes=9))
    assert client.get("/").status_code == 200
    xwms.clock.advance(601)
    assert client.get("/").status_code == 401
    assert client.get("/why").text == "session_idle"
    for wrong in (-1, timedelta(seconds=-1), float("nan"), float("inf")):
        with pytest.raises(ValueError, match="forward"):
            xwms.clock.advance(wrong)


def test_a_token_of_xwms_ends_with_the_clock(xwms: LocalXWMS):
    client = flask_app().test_client()
    callback = xwms.approve(client.get("/xwms/auth", headers={"Sec-Fetch-Site": "none"}).location)
    xwms.clock.advance(timedelta(minutes=9))
    assert client.get(callback).status_code == 303
    with XWMSClient(xwms.config()) as api:
        ticket = api.sign_token("http://localhost/xwms/validateToken")
        token = xwms.approve(ticket.url).partition("=")[2]
        xwms.clock.advance(timedelta(minutes=11))
        with pytest.raises(TokenRejected):
            api.verify_token(token, "http://localhost/xwms/validateToken")


def test_a_clock_of_the_applications_own_stays(xwms: LocalXWMS):
    now = xwms.clock() - 5
    client = flask_app(clock=lambda: now).test_client()
    xwms.login(client)
    xwms.clock.advance(timedelta(days=30))
    assert client.get("/").status_code == 200


OUTAGES = {
    "timeout": "xwms_timeout",
    "drip": "xwms_timeout",
    "truncated": "xwms_unreachable",
    "503": "xwms_unreachable",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_the_sandbox_strikes_at_once(fault, xwms: LocalXWMS):
    client = flask_app().test_client()
    with xwms.fail(fault):
        if fault in ("slow", "wrong-clock", "expired-token", "no-sub"):
            outcome: object = None
            try:
                xwms.login(client)
            except LoginFailed as error:
                outcome = error.code
            expected = {
                "slow": None,
                "wrong-clock": outcome,
                "expired-token": "token_rejected",
                "no-sub": "xwms_bad_answer",
            }
            assert outcome == expected[fault]
        else:
            with pytest.raises(LoginFailed) as failed:
                xwms.login(client)
            known = {"disabled-client": "client_disabled", **OUTAGES}
            assert failed.value.code == known.get(fault, "xwms_bad_answer")
    xwms.login(client)
    assert client.get("/").text == "Anna de Vries"


def outcome_of(config: XWMSConfig) -> str:
    """What a client of the API makes of a call."""
    with XWMSClient(config) as client:
        try:
            return type(client.sign_token(config.registered[0].uri)).__name__
        except Exception as error:  # noqa: BLE001
            return type(error).__name__


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"expired-token", "no-sub", "slow"}))
def test_a_fault_has_the_outcome_that_it_has_over_a_socket(fault, xwms: LocalXWMS, monkeypatch):
    patience = 0.4 if fault in ("timeout", "drip") else 20.0
    config = xwms.config(timeout=patience)
    with xwms.fail(fault):
        here = outcome_of(config)
    monkeypatch.undo()
    settings = SandboxSettings(
        client_id="c", client_secret="s", redirect_uris=(config.registered[0].uri,), faults=(fault,)
    )
    with SandboxServer(settings, port=0) as server:
        there = XWMSConfig(
            client_id="c",
            client_secret="s",
            redirect_uris=config.redirect_uris,
            api_url=server.api_url,
            timeout=patience,
        )
        assert here == outcome_of(there)


def test_a_slow_answer_lets_time_pass_instead_of_waiting(xwms: LocalXWMS):
    client, before = flask_app().test_client(), xwms.clock()
    with xwms.fail("slow", endpoint="sign-token", seconds=5):
        xwms.login(client)
    assert 5 <= xwms.clock() - before < 60
    with xwms.fail("slow", seconds=9), pytest.raises(LoginFailed, match="xwms_timeout"):
        xwms.login(client)


def test_a_fault_strikes_one_endpoint_and_so_often(xwms: LocalXWMS):
    client = flask_app().test_client()
    with xwms.fail("500", endpoint="sign-token-verify", times=1):
        with pytest.raises(LoginFailed):
            xwms.login(client)
        xwms.login(client)
    with xwms.fail("html:sign-token:1"), pytest.raises(LoginFailed, match="xwms_bad_answer"):
        xwms.login(client)
    with pytest.raises(ValueError, match="no fault"), xwms.fail("burns"):
        pass


def test_calls_tell_what_xwms_was_asked_and_no_secret(xwms: LocalXWMS):
    client = flask_app().test_client()
    xwms.login(client)
    assert [str(call) for call in xwms.calls] == [
        "POST /api/sign-token -> 200",
        "POST /api/sign-token-verify -> 200",
    ]
    assert xwms.calls[0] == Call(
        method="POST",
        path="/api/sign-token",
        body={"redirect_url": "http://localhost/xwms/validateToken"},
        status=200,
    )
    assert xwms.calls[1].body["token"] == "…"
    assert os.environ["XWMS_CLIENT_SECRET"] not in repr(xwms.calls)
    xwms.calls.clear()
    with xwms.fail("timeout"), pytest.raises(LoginFailed):
        xwms.login(client, sub="1003")
    assert [(call.status, call.fault) for call in xwms.calls] == [(None, "timeout")]


@pytest.mark.parametrize("store", ["cookie", "memory://", "sqlite"])
@pytest.mark.parametrize("make", [flask_app, fastapi_app])
def test_stores(store, make, xwms: LocalXWMS, tmp_path):
    store = f"sqlite:///{tmp_path / 'sessions'}" if store == "sqlite" else store
    config = xwms.config(session_store=store)
    app = make(config) if make is flask_app else make(config=config)
    client = app.test_client() if make is flask_app else TestClient(app)
    xwms.login(client)
    assert "Anna de Vries" in client.get("/").text
    cookie = xwms.session_cookie(sub="1003", app=app)
    client = app.test_client() if make is flask_app else TestClient(app, base_url="http://localhost")
    (client.set_cookie if make is flask_app else client.cookies.set)(cookie["name"], cookie["value"])
    assert "Suharti" in client.get("/").text


def test_oauth(xwms: LocalXWMS):
    config = xwms.config(flow="oauth2", scopes="openid profile email useraddresses")
    client = TestClient(fastapi_app(config=config), base_url="https://app.example")
    user = xwms.login(client)
    assert (user.issuer, user.name) == (xwms.url, "Anna de Vries")
    assert client.get("/").json() == "Anna de Vries"
    xwms.logout(client)
    assert client.get("/").status_code == 401
    with xwms.fail("timeout", endpoint="oauth/token"), pytest.raises(LoginFailed, match="xwms_timeout"):
        xwms.login(client)
    assert "…" in repr(next(call.body for call in xwms.calls if call.path == "/oauth/token"))


def test_the_scopes_that_a_person_approves(xwms: LocalXWMS):
    from xwms_auth.flask import login_required

    app = flask_app(xwms.config(flow="oauth2", scopes="openid profile useraddresses"))
    app.add_url_rule("/addresses", "addresses", login_required(scopes=["useraddresses"])(lambda: "addresses"))
    client = app.test_client()
    xwms.login(client, scopes=["openid", "profile"])
    assert client.get("/addresses").json["code"] == "not_approved"
    xwms.login(client, sub="1003")
    assert client.get("/addresses").text == "addresses"


def test_the_api_clients(xwms: LocalXWMS):
    config = xwms.config()
    xwms.login(flask_app(config).test_client(), scopes=["userinfo"])
    with XWMSClient(config) as client:
        assert client.info().name == "XWMS sandbox"
        assert client.user_info("1001").second_email == "anna.de.vries@example.org"
        assert len(client.countries()) > 200

    async def ask() -> str | None:
        async with AsyncXWMSClient(config) as asked:
            return (await asked.user_info("1001")).name

    assert asyncio.run(ask()) == "Anna de Vries"


def test_an_application_with_settings_of_its_own_is_joined(xwms: LocalXWMS):
    client = BY_ITSELF.test_client()
    user = xwms.login(client)
    assert user.issuer == "https://xwms.in-process.test"
    assert client.get("/").text == "Anna de Vries"
    assert xwms.calls[0].body["redirect_url"].endswith("/login/done")


def test_and_gets_its_own_back():
    with local_xwms() as xwms:
        client = BY_ITSELF.test_client()
        xwms.login(client)
        assert client.get("/").status_code == 200
    assert client.get("/").status_code == 401
    served = BY_ITSELF.extensions["xwms_auth"]
    assert served.context.config is OWN or served.context.config.api_url == "https://xwms.nl/api/"
    assert in_process.servers == {}


def test_a_test_remembers_nothing_of_another():
    clients = []
    for _ in range(2):
        with local_xwms() as xwms:
            client = BY_ITSELF.test_client()
            assert client.get("/").status_code == 401
            xwms.login(client)
            assert len(xwms.calls) == 2
            clients.append(client)
            assert [one.get("/").status_code for one in clients] == [401] * (len(clients) - 1) + [200]


def test_an_application_that_outlives_its_test():
    with local_xwms() as xwms:
        app = fastapi_app()
        xwms.login(TestClient(app))
    with local_xwms() as xwms:
        client = TestClient(app)
        assert client.get("/").status_code == 401
        xwms.login(client)
        assert client.get("/").json() == "Anna de Vries"
        xwms.clock.advance(timedelta(days=2))
        assert client.get("/").status_code == 401


def test_two_of_them_at_once(xwms: LocalXWMS):
    with local_xwms() as other:
        app, there = flask_app(xwms.config()), flask_app(other.config())
        assert xwms.login(app.test_client()).issuer != other.login(there.test_client()).issuer
    assert (len(xwms.calls), len(other.calls)) == (2, 2)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("make", [flask_app, fastapi_app])
def test_several_of_them_end_in_any_order(order, make):
    before = dict(os.environ)
    app = make(OWN) if make is flask_app else make(config=OWN)
    endings = [ExitStack() for _ in range(3)]
    running = [ending.enter_context(local_xwms()) for ending in endings]
    for xwms in running:
        client = app.test_client() if make is flask_app else TestClient(app)
        assert xwms.login(client).issuer == xwms.url
    for ended in order:
        endings[ended].close()
        alive = [xwms for xwms in running if running.index(xwms) not in order[: order.index(ended) + 1]]
        for xwms in alive:
            own = make(xwms.config()) if make is flask_app else make(config=xwms.config())
            client = own.test_client() if make is flask_app else TestClient(own)
            assert xwms.login(client).issuer == xwms.url
    assert dict(os.environ) == before
    with local_xwms() as xwms:
        client = app.test_client() if make is flask_app else TestClient(app)
        assert client.get("/").status_code == 401
        assert xwms.login(client).issuer == xwms.url


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize("flow", ["sign-token", "oauth2"])
@pytest.mark.parametrize("make", [flask_app, fastapi_app])
def test_a_client_that_outlives_its_test_is_signed_in_no_longer(make, flow, store):
    named = {"issuer": "https://id.example"} if flow == "oauth2" else {}
    own = replace(OWN, session_store=store, flow=flow, **named)
    app = make(own) if make is flask_app else make(config=own)
    client = app.test_client() if make is flask_app else TestClient(app)
    for _ in range(2):
        with local_xwms() as xwms:
            assert client.get("/").status_code == 401
            xwms.login(client)
            assert client.get("/").status_code == 200
        assert client.get("/").status_code == 401
    with local_xwms() as xwms:
        xwms.join(app)
        assert client.get("/").status_code == 401


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize("make", [flask_app, fastapi_app])
def test_nor_is_one_whose_application_was_made_in_the_test(make, store):
    with local_xwms() as xwms:
        config = xwms.config(session_store=store)
        client = flask_app(config).test_client() if make is flask_app else TestClient(fastapi_app(config=config))
        xwms.login(client)
        assert client.get("/").status_code == 200
    assert client.get("/").status_code == 401
    with local_xwms() as xwms:
        assert client.get("/").status_code == 401
        xwms.login(client)
        assert client.get("/").status_code == 200


def test_an_application_with_the_settings_of_a_test_that_is_over_is_joined_by_the_next():
    with local_xwms() as xwms:
        config = xwms.config()
    app = flask_app(config)
    with local_xwms() as xwms:
        client = app.test_client()
        xwms.login(client)
        assert client.get("/").status_code == 200


def test_without_settings_nothing_is_asked_of_an_xwms_in_the_process(xwms: LocalXWMS):
    settings = replace(xwms.config(), client_id="", allow_missing_settings=True)
    with XWMSClient(settings) as client, pytest.raises(ConfigError, match="XWMS_CLIENT_ID"):
        client.info()
    assert xwms.calls == []


def test_without_an_xwms_nothing_leaves_the_process():
    with local_xwms() as xwms:
        config = xwms.config()
        app = flask_app(config)
    response = app.test_client().get("/xwms/auth", headers={"Accept": "application/json"})
    assert response.json["code"] == "xwms_unreachable"
    with XWMSClient(config) as client, pytest.raises(Unreachable, match="no test has an XWMS"):
        client.info()


def test_the_environment_is_that_of_the_test_only(monkeypatch):
    monkeypatch.setenv("XWMS_CLIENT_ID", "live-client")
    monkeypatch.setenv("XWMS_API_URL", "https://xwms.nl/api/")
    monkeypatch.setenv("XWMS_PROTECT", "all")
    monkeypatch.setenv("XWMS_REDIRECT_URI", "https://shop.example/login/done")
    before = dict(os.environ)
    with local_xwms() as xwms:
        assert XWMSConfig.from_env() == xwms.config()
        assert (xwms.config().api_url, xwms.config().protect) == (f"{xwms.url}/api/", "all")
        xwms.login(TestClient(fastapi_app()))
    assert dict(os.environ) == before


def test_an_application_without_settings_gets_those_of_config(xwms: LocalXWMS):
    served = flask_app().extensions["xwms_auth"]
    assert replace(served.context.config, pages=()) == replace(
        xwms.config(), pages=()
    )  # Flask adds the pages that its templates make
    with pytest.raises(ConfigError):
        xwms.config(protect="nothing")


def test_a_linker_and_hooks_are_part_of_the_flow(xwms: LocalXWMS):
    def refuse(event: LoggedIn) -> None:
        if event.user.sub == "1003":
            raise NotAllowed("not this one")

    told: list[str] = []
    hooks = Hooks(login=refuse, logout=lambda event: told.append(event.user.sub))
    client = flask_app(hooks=hooks).test_client()
    xwms.login(client)
    xwms.logout(client)
    with pytest.raises(LoginFailed) as failed:
        xwms.login(client, sub="1003")
    assert (failed.value.code, failed.value.status, told) == ("not_allowed", 403, ["1001"])
    assert "login was refused: 403 not_allowed" in str(failed.value)


def test_a_confirmation_is_given(xwms: LocalXWMS):
    client = flask_app(xwms.config(confirm_person=True, callback_token="fresh")).test_client()
    assert xwms.login(client).sub == "1001"


def test_a_post_needs_no_origin(xwms: LocalXWMS):
    for client in (flask_app().test_client(), TestClient(starlette_app(), follow_redirects=False)):
        xwms.login(client)
        assert client.post("/xwms/logout").status_code == 303
        xwms.login(client)
        assert client.post("/xwms/logout", headers={"Origin": "http://evil.example"}).status_code == 403


def test_an_override_of_the_dependency_is_left_alone(xwms: LocalXWMS):
    app = fastapi_app()
    app.dependency_overrides[require_user] = lambda: User(issuer="https://xwms.nl/api/", sub="overridden")
    client = TestClient(app)
    assert client.get("/depends").json() == "overridden"
    xwms.login(client)
    assert client.get("/depends").json() == "overridden"
    assert client.get("/maybe").json() == "1001"


@pytest.mark.more_packages
def test_beside_the_client_of_flask_login(xwms: LocalXWMS):
    from flask_login import FlaskLoginClient

    app = flask_app()
    app.test_client_class = FlaskLoginClient
    client = app.test_client()
    xwms.login(client)
    assert client.get("/").text == "Anna de Vries"


def test_many_logins_are_no_flood(xwms: LocalXWMS):
    app = flask_app()
    for _ in range(300):
        xwms.login(app.test_client())


def test_step_by_step_with_the_location_of_the_application(xwms: LocalXWMS):
    client = flask_app().test_client()
    away = client.get("/xwms/auth?next=/why", headers={"Sec-Fetch-Site": "none"}).location
    back = client.get(xwms.approve(away, sub="1003"))
    assert (back.status_code, back.location) == (303, "/why")
    with pytest.raises(ValueError, match="waits for a person"):
        xwms.approve(away)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "leads nowhere: look at its status"),
        ("", "leads nowhere"),
        ("https://xwms.nl/sign-in/abc?token=secret", r"^https://xwms.nl/sign-in/abc is not at the XWMS of this test"),
        ("https://xwms.in-process.test.evil.example/sign-in/abc", "is not at the XWMS"),
        ("/orders", "^/orders is not at the XWMS"),
    ],
)
def test_approve_says_why_nobody_can_log_in_there(url, message, xwms: LocalXWMS):
    with pytest.raises(ValueError, match=message):
        xwms.approve(url)


def test_join_refuses_what_is_no_application(xwms: LocalXWMS):
    with pytest.raises(ValueError, match="no application"):
        xwms.join(object())
    xwms.join(BY_ITSELF)
    away = BY_ITSELF.test_client().get("/xwms/auth", headers={"Sec-Fetch-Site": "none"})
    assert away.location.startswith(xwms.url)


def test_the_cookie_of_a_session(xwms: LocalXWMS):
    app = flask_app()
    cookie = xwms.session_cookie(sub="1003")
    assert cookie | {"value": ""} == {
        "name": cookie["name"],
        "value": "",
        "url": "http://localhost",
        "httpOnly": True,
        "secure": False,
        "sameSite": "Lax",
    }
    client = app.test_client()
    client.set_cookie(cookie["name"], cookie["value"])
    assert client.get("/").text == "Suharti"
    secure = xwms.session_cookie(https=True)
    assert (secure["name"], secure["secure"]) == (f"__Host-{cookie['name']}", True)
    client = app.test_client()
    client.set_cookie(secure["name"], secure["value"])
    assert client.get("/", base_url="https://localhost:8443").text == "Anna de Vries"


def test_the_cookie_without_an_application_is_that_of_config(xwms: LocalXWMS):
    cookie = xwms.session_cookie()
    client = flask_app(xwms.config()).test_client()
    client.set_cookie(cookie["name"], cookie["value"])
    assert client.get("/").text == "Anna de Vries"


def test_an_async_client_may_be_used_with_sync_ones(xwms: LocalXWMS):
    async def both() -> None:
        app = fastapi_app()
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
            await xwms.alogin(client)
            cookie = xwms.session_cookie(sub="1003", url="http://test")
            client.cookies.clear()
            client.cookies.set(cookie["name"], cookie["value"])
            assert (await client.get("/")).json() == "Suharti"

    asyncio.run(both())


def test_init_app(xwms: LocalXWMS):
    from flask import Flask

    auth = XWMSAuth()
    for _ in range(2):
        app = Flask("factory")
        auth.init_app(app)
        xwms.login(app.test_client())


def test_settings_of_its_own_that_are_read_at_the_first_request(xwms: LocalXWMS):
    client = TestClient(fastapi_app(config=OWN))
    xwms.login(client)
    assert client.get("/").json() == "Anna de Vries"
    assert xwms.session_cookie(app=client.app)["name"] in client.cookies


def test_what_earlier_tests_have_left_does_not_matter():
    for number in range(3):
        with local_xwms() as xwms:
            app = flask_app(xwms.config(client_id=f"client-{number}", session_store="memory://"))
            cookie = xwms.session_cookie(sub="1003")
            client = app.test_client()
            client.set_cookie(cookie["name"], cookie["value"])
            assert client.get("/").text == "Suharti"
    with local_xwms() as xwms:
        client = flask_app().test_client()
        cookie = xwms.session_cookie()
        client.set_cookie(cookie["name"], cookie["value"])
        assert client.get("/").text == "Anna de Vries"
        flask_app(xwms.config(client_id="another"))
        with pytest.raises(ValueError, match="app="):
            xwms.session_cookie()


@pytest.mark.parametrize("make", [flask_app, fastapi_app])
def test_a_store_with_connections_is_lent_and_given_back(make, tmp_path):
    own = replace(OWN, session_store=f"sqlite:///{tmp_path / 'sessions'}")
    app = make(own) if make is flask_app else make(config=own)
    for _ in range(2):
        with local_xwms() as xwms:
            if make is flask_app:
                client = app.test_client()
                xwms.login(client)
                assert client.get("/").status_code == 200
                continue
            with TestClient(app) as client:
                xwms.login(client)
                assert client.get("/").status_code == 200
    gc.collect()
