"""Clients that reach the application through a socket, and a real browser with a session's cookie."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import httpx2
import pytest
import uvicorn
from flask import Flask
from werkzeug.serving import make_server

from tests.browser.drivers import chromium
from tests.testing_plugin.applications import fastapi_app, flask_app
from xwms_auth.testing import LocalXWMS, LoginFailed


@contextmanager
def over_asgi(app: object) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@contextmanager
def over_wsgi(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_sync_client(library, xwms: LocalXWMS):
    with over_wsgi(flask_app()) as url, library.Client(base_url=url) as client:
        xwms.login(client)
        assert client.get("/").text == "Anna de Vries"
        xwms.clock.advance(24 * 3600 + 60)
        assert client.get("/").status_code == 401


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_async_client(library, xwms: LocalXWMS):
    async def visit(url: str) -> None:
        async with library.AsyncClient(base_url=url) as client:
            await xwms.alogin(client)
            assert (await client.get("/")).json() == "Anna de Vries"
            await xwms.alogout(client)
            assert (await client.get("/")).status_code == 401

    with over_asgi(fastapi_app(config=xwms.config())) as url:
        asyncio.run(visit(url))


def test_of_several_applications_one_has_to_be_named(xwms: LocalXWMS):
    one = flask_app(xwms.config(client_id="one"))
    other = flask_app(xwms.config(client_id="other"))
    with over_wsgi(other) as url, httpx2.Client(base_url=url) as client:
        with pytest.raises(ValueError, match="app="):
            xwms.login(client)
        xwms.login(client, app=other)
        assert client.get("/").text == "Anna de Vries"
    assert one is not other


def test_an_application_of_another_xwms_is_told_of(xwms: LocalXWMS):
    other = flask_app(
        xwms.config(api_url="https://xwms.example/api/", redirect_uris="http://localhost/xwms/validateToken")
    )
    with over_wsgi(other) as url, httpx2.Client(base_url=url) as client:
        with pytest.raises(LoginFailed, match=r"login did not begin: 50[34] xwms_"):
            xwms.login(client)
        xwms.join(other)
        xwms.login(client)
        assert client.get("/").text == "Anna de Vries"


@pytest.mark.browser
@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_a_real_browser_with_the_cookie_of_a_session(store, xwms: LocalXWMS, browser_page):
    with over_wsgi(flask_app(xwms.config(session_store=store))) as url:
        browser_page.context.add_cookies([xwms.session_cookie(sub="1003", url=url)])
        browser_page.goto(url)
        assert browser_page.inner_text("body") == "Suharti"
        browser_page.context.clear_cookies()
        browser_page.context.add_cookies([{**xwms.session_cookie(), "url": url}])
        browser_page.goto(url)
        assert browser_page.inner_text("body") == "Anna de Vries"


@pytest.mark.browser
def test_a_real_browser_takes_the_cookie_of_https(xwms: LocalXWMS, browser_page):
    app = flask_app(xwms.config(redirect_uris="https://app.example/xwms/validateToken"))
    cookie = xwms.session_cookie(https=True, url="https://app.example", app=app)
    browser_page.context.add_cookies([cookie])
    [kept] = browser_page.context.cookies()
    assert kept["name"].startswith("__Host-xwms_session_")
    assert (kept["secure"], kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, True, "Lax", "/")
    assert kept["domain"] == "app.example"


@pytest.fixture
def browser_page():
    with chromium() as browser:
        yield browser.new_page()
