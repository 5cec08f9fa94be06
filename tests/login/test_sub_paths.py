"""An application below a prefix: the shapes in which servers hand its requests over, on both edges.

The names of the shapes are those of docs/sub-paths.md, which has the table of servers and proxies.
"""

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, PROGRAM, Browser, Site
from xwms_auth import XWMSConfig
from xwms_auth.starlette import XWMSAuthMiddleware

URI = "https://app.example/shop/xwms/validateToken"

ASGI_SHAPES: dict[str, Callable[[str], dict[str, Any]]] = {
    # uvicorn and a proxy that strips; Mount and a proxy that keeps; hypercorn, granian, daphne and one that keeps
    "whole": lambda path: {"path": path, "raw_path": quote(path).encode(), "root_path": "/shop"},
    # hypercorn, granian, daphne, FastAPI(root_path=…) and a proxy that strips
    "stripped": lambda path: {"path": path[5:], "raw_path": quote(path[5:]).encode(), "root_path": "/shop"},
    "stripped, with a slash": lambda path: {"path": path[5:], "raw_path": None, "root_path": "/shop/"},
    "only the path stripped": lambda path: {"path": path[5:], "raw_path": quote(path).encode(), "root_path": "/shop"},
}
WSGI_SHAPES: dict[str, Callable[[str], dict[str, Any]]] = {
    # gunicorn, uWSGI and DispatcherMiddleware with a proxy that keeps; waitress with either
    "whole": lambda path: {"SCRIPT_NAME": "/shop", "PATH_INFO": path[5:]},
    "ProxyFix": lambda path: {"PATH_INFO": path[5:], "HTTP_X_FORWARDED_PREFIX": "/shop"},
}
SHAPES = [
    *(("asgi", name) for name in ASGI_SHAPES),
    *((edge, name) for edge in ("flask", "wsgi") for name in WSGI_SHAPES),
]


def behind(site: Site, shape: str) -> Browser:
    """A browser of the site, whose server hands requests over in this shape."""
    app = site.app

    async def shaped_asgi(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, **ASGI_SHAPES[shape](scope["path"])}, receive, send)

    def shaped_wsgi(environ: Any, start_response: Any) -> Any:
        inner = ProxyFix(app, x_prefix=1) if shape == "ProxyFix" else app
        return inner({**environ, **WSGI_SHAPES[shape](environ["PATH_INFO"])}, start_response)

    site.app = shaped_asgi if site.edge == "asgi" else shaped_wsgi
    return site.browser()


@pytest.mark.parametrize(("edge", "shape"), SHAPES)
def test_one_redirect_uri_is_all_that_names_the_prefix(fx, edge, shape):
    browser = behind(Site(edge, fx, redirect_uris=URI), shape)
    asked = browser.get("/shop/private?a=b")
    assert asked.headers["location"] == "/shop/xwms/auth?next=/shop/private%3Fa%3Db"
    started = browser.get(asked.headers["location"])
    token = fx.approve(started.headers["location"].rpartition("/")[2])
    ended = browser.get("/shop/xwms/validateToken", FROM_ELSEWHERE, params={"token": token})
    assert ended.headers["location"] == "/shop/private?a=b"
    assert browser.get(ended.headers["location"]).text == "xwms-user-1234"
    assert browser.get("/shop/xwms/me", PROGRAM).json()["user"]["sub"] == "xwms-user-1234"
    left = browser.post("/shop/xwms/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/shop/")
    assert browser.get("/shop/private", PROGRAM).json()["login_url"].startswith("/shop/xwms/auth?next=/shop/")


def test_a_root_path_that_nobody_sees_changes_nothing(fx):
    """FastAPI(root_path="/shop") on a developer's machine, where there is no proxy."""
    site = Site("asgi", fx)
    app = site.app

    async def rooted(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/shop"}, receive, send)

    site.app = rooted
    browser = site.browser()
    assert browser.get("/private").headers["location"] == "/xwms/auth?next=/private"
    assert browser.log_in(next="/private").headers["location"] == "/private"


NO_WAY_IN = (
    "/private",
    "/shop/private",
    "/shop/shop/private",
    "//shop/static/private",
    "/shop//static/../private",
    "/shop/static/../private",
    "/shop/static/..;/private",
    "/shop/static/%2e%2e/private",
    "/shopstatic/private",
    "/static/../shop/private",
    "/shop",
    "/shop/",
)


def test_no_reading_of_a_prefix_makes_a_guarded_page_public(fx):
    async def shown(request: Any) -> PlainTextResponse:
        return PlainTextResponse(f"shown {request.scope['path']}")

    async def static(request: Any) -> PlainTextResponse:
        return PlainTextResponse("static")

    # A page of the application that is called like the prefix, and one with the path of a public one below it.
    pages = [Route(path, shown) for path in ("/private", "/shop/private", "/shop/static/private", "/", "/shop")]
    config = XWMSConfig(**fx.options(redirect_uris=URI, protect="all", public="/static/*"))
    site = Site("asgi", fx, redirect_uris=URI)
    site.app = XWMSAuthMiddleware(Starlette(routes=[*pages, Route("/static/{path:path}", static)]), config)
    app = site.app
    for root in ("", "/shop", "/shop/", "/static", "/"):

        async def rooted(scope: Any, receive: Any, send: Any, root: str = root) -> None:
            await app({**scope, "root_path": root}, receive, send)

        site.app = rooted
        for path in NO_WAY_IN:
            assert "shown" not in site.raw(path, headers=[*PROGRAM.items()]).text, (root, path)


@pytest.mark.parametrize(
    ("path", "root", "uri", "event"),
    [
        ("/xwms/auth", "", URI, "prefix_missing"),
        ("/shop/shop/private", "/shop", URI, "prefix_twice"),
        ("/shop/nowhere", "/shop", "https://app.example/xwms/validateToken", "prefix_not_registered"),
    ],
)
def test_what_cannot_work_is_told_once(edge, fx, caplog, path, root, uri, event):
    site = Site(edge, fx, redirect_uris=uri)
    app = site.app

    async def rooted(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": root}, receive, send)

    def mounted(environ: Any, start_response: Any) -> Any:
        inside = environ["PATH_INFO"].removeprefix(root)
        return app({**environ, "SCRIPT_NAME": root, "PATH_INFO": inside}, start_response)

    site.app = rooted if edge == "asgi" else mounted
    with caplog.at_level(logging.WARNING, "xwms_auth"):
        for _ in range(2):
            assert site.raw(path, headers=[*FROM_HERE.items()]).status_code == 404
    (told,) = [record.getMessage() for record in caplog.records if "prefix_" in record.getMessage()]
    assert told.startswith(event)
    assert "docs/sub-paths.md" in told


@pytest.mark.parametrize("edge", ["asgi"])
def test_a_root_path_that_no_request_is_below_is_no_fault(site, caplog):
    """`FastAPI(root_path="/shop")` on a developer's machine, without its proxy."""
    app = site.app

    async def rooted(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/shop"}, receive, send)

    site.app = rooted
    assert site.raw("/private", headers=[*PROGRAM.items()]).status_code == 401
    assert [record for record in caplog.records if "prefix_" in record.getMessage()] == []


def test_the_prefix_is_that_of_all_redirect_uris_or_none(fx):
    def login_path(*uris: str, **options: Any) -> str:
        return XWMSConfig(**fx.options(redirect_uris=uris, **options)).login_path

    assert login_path(URI, "https://b.example/shop/xwms/validateToken") == "/shop/xwms/auth"
    assert login_path(URI, "https://b.example/xwms/validateToken") == "/xwms/auth"
    assert login_path("https://app.example/shop/callback") == "/xwms/auth"
    assert login_path("https://app.example/shop/callback", path_prefix="/shop") == "/shop/xwms/auth"
    assert login_path(URI, path_prefix="/") == "/xwms/auth"
    assert login_path(URI, login_path="/signin") == "/signin"
