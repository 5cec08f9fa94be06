"""Every kind of client signs in, through the whole flow, and without a network."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import httpx
import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from flask import Flask
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client as WerkzeugClient

from tests.testing_plugin.applications import fastapi_app, flask_app, starlette_app
from xwms_auth import User
from xwms_auth.fastapi import CurrentUser, XWMSAuthMiddleware
from xwms_auth.testing import LocalXWMS, LoginFailed
from xwms_auth.wsgi import XWMSAuth as WSGIAuth
from xwms_auth.wsgi import current_user as wsgi_user

pytestmark = pytest.mark.usefixtures("no_network")


def test_flask(xwms: LocalXWMS):
    client = flask_app().test_client()
    user = xwms.login(client)
    assert isinstance(user, User)
    assert (user.sub, user.name, user.verified_email) == ("1001", "Anna de Vries", "anna@example.com")
    assert client.get("/").text == "Anna de Vries"
    xwms.logout(client)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("make", [fastapi_app, starlette_app])
@pytest.mark.parametrize(
    "base_url", ["http://testserver", "https://testserver", "https://app.example", "http://localhost:5000"]
)
def test_the_test_client_of_starlette_at_any_address(make, base_url, xwms: LocalXWMS):
    client = TestClient(make(), base_url=base_url)
    assert xwms.login(client, sub="1003").name == "Suharti"
    assert client.get("/").json() in ("Suharti", "1003")
    start = "__Host-xwms_session" if base_url.startswith("https") else "xwms_session"
    assert [name for name in client.cookies if name.startswith(start)] != []
    xwms.logout(client)
    assert client.get("/").json() != "1003"


def test_a_test_client_with_its_lifespan(xwms: LocalXWMS):
    with TestClient(fastapi_app(config=xwms.config(session_store="memory://"))) as client:
        xwms.login(client)
        assert client.get("/").json() == "Anna de Vries"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_async_clients(library, xwms: LocalXWMS):
    async def visit() -> None:
        app = fastapi_app()
        transport = library.ASGITransport(app=app)
        async with library.AsyncClient(transport=transport, base_url="https://app.example") as client:
            user = await xwms.alogin(client, sub="42", name="Piet Puk", email="piet@example.org")
            assert (user.given_name, user.verified_email) == ("Piet", "piet@example.org")
            assert (await client.get("/")).json() == "Piet Puk"
            await xwms.alogout(client)
            assert (await client.get("/")).status_code == 401
            with pytest.raises(TypeError, match=r"await xwms\.alogin"):
                xwms.login(client)
            with pytest.raises(TypeError, match=r"await xwms\.alogout"):
                xwms.logout(client)

    asyncio.run(visit())


def test_async_clients_at_once(xwms: LocalXWMS):
    app = fastapi_app()

    async def visit(sub: str) -> str:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
            await xwms.alogin(client, sub=sub)
            return str((await client.get("/depends")).json())

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(visit(str(number)) for number in range(20)))

    assert asyncio.run(all_of_them()) == [str(number) for number in range(20)]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_sync_clients_over_wsgi(library, xwms: LocalXWMS):
    with library.Client(transport=library.WSGITransport(app=flask_app()), base_url="https://app.example") as client:
        xwms.login(client)
        assert client.get("/").text == "Anna de Vries"


def test_a_websocket(xwms: LocalXWMS):
    for base_url in ("http://testserver", "https://app.example", "http://localhost:5000"):
        client = TestClient(fastapi_app(), base_url=base_url)
        xwms.login(client)
        with client.websocket_connect("/ws") as websocket:
            assert websocket.receive_text() == "Anna de Vries"
        xwms.login(client, sub="1003")
        with client.websocket_connect("/ws", headers={"Origin": base_url}) as websocket:
            assert websocket.receive_text() == "Suharti"


def test_an_open_websocket_ends_when_the_clock_passes_the_end_of_its_session(xwms: LocalXWMS):
    app = FastAPI()
    app.add_middleware(XWMSAuthMiddleware)

    @app.websocket("/chat")
    async def chat(socket: WebSocket, user: CurrentUser) -> None:
        await socket.accept()
        await socket.send_text(f"Hello {user.name}")
        with suppress(WebSocketDisconnect):
            await socket.receive_text()

    client = TestClient(app)
    xwms.login(client)
    with client.websocket_connect("/chat") as websocket:
        assert websocket.receive_text() == "Hello Anna de Vries"
        xwms.clock.advance(timedelta(days=8))
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_text()
    assert (closed.value.code, closed.value.reason) == (4401, "login_required")


def test_two_people_and_two_applications(xwms: LocalXWMS):
    app, other = flask_app(), fastapi_app()
    anna, bram, anna_there = app.test_client(), app.test_client(), TestClient(other)
    xwms.login(anna)
    xwms.login(bram, sub="xwms-user-1234", verified=False)
    xwms.login(anna_there)
    assert (anna.get("/").text, bram.get("/").text) == ("Anna de Vries", "Bram Bakker")
    xwms.logout(anna)
    assert (anna.get("/").status_code, bram.get("/").status_code) == (401, 200)
    assert anna_there.get("/").json() == "Anna de Vries"


def test_somebody_else_at_the_same_client(xwms: LocalXWMS):
    client = TestClient(fastapi_app())
    xwms.login(client)
    xwms.login(client, sub="1003")
    assert client.get("/depends").json() == "1003"


def test_people_are_as_the_test_says(xwms: LocalXWMS):
    client = flask_app().test_client()
    assert xwms.login(client, sub="77").email == "77@example.com"
    assert xwms.login(client, sub="77", email=None).email is None
    assert xwms.login(client, sub="1001", verified=False).verified_email is None
    with pytest.raises(ValueError, match="sub"):
        xwms.login(client, sub="")


@pytest.mark.parametrize("wrap", ["proxy_fix", "mounted", "function"])
def test_an_application_behind_others(wrap, xwms: LocalXWMS):
    app = flask_app(
        xwms.config(redirect_uris="http://localhost/shop/xwms/validateToken") if wrap == "mounted" else None
    )
    outer: object
    if wrap == "proxy_fix":
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
        client = app.test_client()
    else:
        if wrap == "mounted":
            outer = DispatcherMiddleware(Flask("outer"), {"/shop": app})
        else:

            def outer(environ, start_response):
                return app(environ, start_response)

        client = WerkzeugClient(outer)
    xwms.login(client)
    assert client.get("/shop/" if wrap == "mounted" else "/").text == "Anna de Vries"
    xwms.logout(client)


def test_the_application_root_of_flask(xwms: LocalXWMS):
    app = flask_app(xwms.config(redirect_uris="http://localhost/shop/xwms/validateToken"))
    app.config["APPLICATION_ROOT"] = "/shop"
    client = app.test_client()
    xwms.login(client)
    assert client.get("/").text == "Anna de Vries"


def test_a_server_name_and_another_base_url(xwms: LocalXWMS):
    app = flask_app()
    client = app.test_client()
    xwms.login(client, base_url="https://app.example")
    assert client.get("/", base_url="https://app.example").text == "Anna de Vries"
    assert client.get("/").status_code == 401
    app.config["SERVER_NAME"] = "shop.example"
    client = app.test_client()
    xwms.login(client)
    assert client.get("/").text == "Anna de Vries"


def test_any_wsgi_application(xwms: LocalXWMS):
    def page(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [wsgi_user.sub.encode() if wsgi_user.is_authenticated else b"nobody"]

    client = WerkzeugClient(WSGIAuth(page))
    xwms.login(client)
    assert client.get("/").text == "1001"


def test_asgi_applications_below_a_prefix(xwms: LocalXWMS):
    config = xwms.config(redirect_uris="http://localhost/api/xwms/validateToken")
    inner = starlette_app(config=config)
    outer = starlette_app_with(inner)
    client = TestClient(outer)
    xwms.login(client)
    assert client.get("/api/").json() == "1001"
    client = TestClient(starlette_app(config=config), root_path="/api")
    xwms.login(client)
    assert client.get("/api/").json() == "1001"


def starlette_app_with(inner):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/api", app=inner)])


def test_several_clients_by_host(xwms: LocalXWMS):
    configs = [
        xwms.config(client_id=f"client-{name}", redirect_uris=f"https://{name}.example/xwms/validateToken")
        for name in "ab"
    ]
    client = flask_app(configs).test_client()
    xwms.login(client, base_url="https://a.example")
    xwms.login(client, base_url="https://b.example", sub="1003")
    assert client.get("/", base_url="https://a.example").text == "Anna de Vries"
    assert client.get("/", base_url="https://b.example").text == "Suharti"
    with pytest.raises(LoginFailed, match="base_url"):
        xwms.login(client)


def test_what_is_no_client(xwms: LocalXWMS):
    with pytest.raises(TypeError, match="Flask's, the TestClient"):
        xwms.login(flask_app())
    with pytest.raises(ValueError, match="base_url"):
        xwms.login(httpx2.Client())
    with pytest.raises(ValueError, match="is not the address of a site"):
        xwms.login(flask_app().test_client(), base_url="app.example")


def test_a_client_that_keeps_no_cookies_is_told_of(xwms: LocalXWMS):
    with pytest.raises(LoginFailed, match="login_not_started"):
        xwms.login(flask_app().test_client(use_cookies=False))
