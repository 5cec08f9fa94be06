"""Applications that are made and dropped, as for every test of a factory, leave nothing behind.

Knows: the public names.
Must not: look inside the package.
"""

import asyncio
import gc
import sys
import weakref

import flask
import httpx2
import pytest
from fastapi import FastAPI

from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, ME, Site, alive
from xwms_auth import XWMSConfig
from xwms_auth.fastapi import CurrentUser, XWMSAuthMiddleware
from xwms_auth.flask import XWMSAuth, current_user, login_required
from xwms_auth.wsgi import XWMSAuth as WSGIAuth

ORIGIN = "https://app.example"
COUNT = 20
STORES = ["cookie", "memory://", "sqlite"]


@pytest.fixture(params=STORES)
def config(request, make_fx, tmp_path):
    store = f"sqlite:///{tmp_path / 'sessions.sqlite3'}" if request.param == "sqlite" else request.param
    fx = make_fx()
    return fx, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, session_store=store))


def steps(fx):
    """The requests of a visit with a login, each with its headers; sends in the answers."""
    started = yield LOGIN, FROM_HERE
    token = fx.approve(started.headers["location"].rpartition("/")[2])
    yield f"/xwms/validateToken?token={token}", FROM_ELSEWHERE
    answer = yield "/who", {}
    assert answer.status_code == 200
    assert (yield ME, {}).json()["user"]["sub"] == answer.json()


def flask_visit(fx, config, auth):
    app = flask.Flask(__name__)
    app.add_url_rule("/who", "who", login_required(lambda: flask.jsonify(current_user.sub)))
    auth.init_app(app, config)
    with httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN) as client:
        visit = steps(fx)
        path, headers = next(visit)
        while True:
            try:
                path, headers = visit.send(client.get(path, headers=headers))
            except StopIteration:
                return app


async def fastapi_visit(fx, config):
    app = FastAPI()

    @app.get("/who")
    async def who(user: CurrentUser) -> str:
        return user.sub

    app.add_middleware(XWMSAuthMiddleware, config=config)
    async with alive(app), httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=ORIGIN) as client:
        visit = steps(fx)
        path, headers = next(visit)
        while True:
            try:
                path, headers = visit.send(await client.get(path, headers=headers))
            except StopIteration:
                return app


def left_of(objects):
    gc.collect()
    return [found for one in objects if (found := one()) is not None]


def test_twenty_flask_applications_of_one_extension_leave_nothing(config):
    auth = XWMSAuth()
    known = [weakref.ref(flask_visit(*config, auth)) for _ in range(COUNT)]
    assert left_of(known) == []
    assert sys.getrefcount(auth) < 5


def test_sessions_outside_a_request_are_those_of_the_one_application_that_is_left(config):
    auth = XWMSAuth()
    flask_visit(*config, auth)
    gc.collect()
    with pytest.raises(RuntimeError, match="no application"):
        _ = auth.sessions
    app = flask_visit(*config, auth)
    assert auth.sessions is not None
    assert app.extensions


def test_twenty_asgi_applications_leave_nothing(config):
    async def story():
        return [weakref.ref(await fastapi_visit(*config)) for _ in range(COUNT)]

    assert left_of(asyncio.run(story())) == []


def test_applications_that_served_nobody_leave_nothing(config):
    _, settings = config

    def made():
        app = flask.Flask(__name__)
        XWMSAuth(app, settings)
        return app

    known = [weakref.ref(made()) for _ in range(COUNT)]
    known += [weakref.ref(XWMSAuthMiddleware(FastAPI(), settings)) for _ in range(COUNT)]
    assert left_of(known) == []


async def nothing(scope, receive, send):
    """The smallest application: it leaves nothing for the collector, so whatever is left is ours."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(scope["user"].sub).encode()})


def nothing_in_wsgi(environ, start_response):
    start_response("200 OK", [])
    user = environ["xwms_auth.state"].user()
    return iter([str(user.sub).encode()])


def asgi_requests(fx, config, cookie):
    app = XWMSAuthMiddleware(nothing, config)
    scope = {"type": "http", "method": "GET", "path": "/who", "raw_path": b"/who", "query_string": b"", "root_path": ""}
    headers = [(b"host", b"app.example"), *([(b"cookie", cookie.encode())] if cookie else [])]

    async def send(message):
        pass

    async def receive():
        return {"type": "http.request"}

    async def some(count):
        for _ in range(count):
            await app({**scope, "headers": headers}, receive, send)

    def run(count):
        asyncio.run(some(count))

    return run


def wsgi_requests(fx, config, cookie):
    app = WSGIAuth(nothing_in_wsgi, config)
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/who", "QUERY_STRING": ""}
    environ |= {"HTTP_HOST": "app.example", **({"HTTP_COOKIE": cookie} if cookie else {})}

    def run(count):
        for _ in range(count):
            body = app({**environ}, lambda status, headers, exc_info=None: lambda data: None)
            assert b"".join(body)
            body.close()

    return run


@pytest.mark.parametrize("requests", [asgi_requests, wsgi_requests])
@pytest.mark.parametrize("visitor", ["somebody", "nobody", "junk"])
def test_a_request_leaves_nothing_for_the_garbage_collector(make_fx, requests, visitor):
    """No circle of references: the state leads to the request, and the request to the state, only while it runs."""
    fx = make_fx()
    config = XWMSConfig(**fx.options(redirect_uris=HTTPS_URI))
    site = Site("asgi", fx)
    browser = site.browser()
    browser.log_in()
    good = browser.cookies()[site.session_cookie]
    cookie = {"somebody": good, "nobody": None, "junk": "junk"}[visitor]
    run = requests(fx, config, cookie and f"{site.session_cookie}={cookie}")
    run(10)
    left = []
    for count in (10, 110):
        gc.collect()
        gc.disable()
        run(count)
        left.append(gc.collect())
        gc.enable()
    # What an event loop of its own leaves is the same for ten requests and for a hundred and ten.
    assert left[1] - left[0] < 10, left
