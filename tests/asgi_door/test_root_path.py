"""`protect="all"` and `root_path`: no reading of the two that is in use shows a guarded page.

Knows: how frameworks read `scope["path"]` and `scope["root_path"]`; READINGS are their own lines, in short.
Must not: look inside the package.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.tools.site import HTTPS_URI
from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware

BELOW_SHOP = "https://app.example/shop/xwms/validateToken"


def starlette(path: str, root: str, raw: str) -> str:
    return path[len(root) :] if path == root or path.startswith(root + "/") else path


def starlette_wsgi(path: str, root: str, raw: str) -> str:
    return path[len(root) :] if path == root or path.startswith(root.rstrip("/") + "/") else path


def litestar(path: str, root: str, raw: str) -> str:
    return path.split(root, maxsplit=1)[-1] if root else path


def quart(path: str, root: str, raw: str) -> str:
    return path.removeprefix(root)  # Django, Channels, NiceGUI's sockets and WsgiToAsgi too


def blacksheep(path: str, root: str, raw: str) -> str:
    return unquote(raw.removeprefix(root))


READINGS = [starlette, starlette_wsgi, litestar, quart, blacksheep]

ROOTS = ["/shop", "/shop/", "shop", "/", "/static", "/static/", "static", "/static//", "/st%61tic", "/static/s"]
ROOTS += ["/files", "//shop", "/shop/..", "/shop/xwms", "/../shop", "/s", "?", "/shop//", "/static/shop"]
PATHS = ["/static/a", "/secret", "/static/shop/secret", "/shop/static/a", "/shop/secret", "/shop/static/shop/secret"]
PATHS += ["/files/static/a", "/static/secret", "/static/static/a", "/staticsecret", "/static/asecret", "/shop", "/"]
PATHS += ["/shop/static/../secret", "/shop//static/a", "/shopstatic/a", "/static/?secret", "/static/a/static/secret"]


def guarded(fx: Any, app: Any, uri: str = HTTPS_URI) -> XWMSAuthMiddleware:
    return XWMSAuthMiddleware(app, XWMSConfig(**fx.options(redirect_uris=uri, protect="all", public="/static/*")))


def ask(app: Any, path: str, root: str, raw: str | None = None, kind: str = "http") -> bytes:
    """The body of the response; of a websocket nothing."""
    return asyncio.run(_asked(app, path, root, raw, kind))


async def _asked(app: Any, path: str, root: str, raw: str | None, kind: str) -> bytes:
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "https",
        "path": path,
        "raw_path": (quote(path) if raw is None else raw).encode(),
        "root_path": root,
        "query_string": b"",
        "headers": [(b"host", b"app.example"), (b"accept", b"application/json")],
        "client": ("192.0.2.1", 1),
        "server": ("app.example", 443),
        **({"method": "GET"} if kind == "http" else {"subprotocols": []}),
    }
    begun, sent = iter([kind]), list[Any]()

    async def receive() -> dict[str, Any]:
        if next(begun, None) is None:
            await asyncio.Event().wait()
        return {"type": "http.request"} if kind == "http" else {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return b"".join(message.get("body", b"") for message in sent)


def what_is_shown(fx: Any, uri: str, kind: str, *, raw: Callable[[str], str]) -> set[str]:
    """Each path that reaches an application of any reading although it is guarded there, with how it was asked for."""
    shown, public = set[str](), 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal public
        public += 1
        for reading in READINGS:
            routed = reading(scope["path"], scope["root_path"], scope["raw_path"].decode())
            if not ("/" + routed.lstrip("/")).startswith("/static/") or ".." in routed:
                shown.add(f"{reading.__name__}: {routed}, path {scope['path']}, root {scope['root_path']}")

    door = guarded(fx, app, uri)
    for root, path in itertools.product(ROOTS, PATHS):
        ask(door, path, root, raw(path), kind)
    assert public > 10
    return shown


@pytest.mark.parametrize("uri", [HTTPS_URI, BELOW_SHOP])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_hp_07_no_root_path_shows_a_guarded_page(fx, uri, kind):
    """HP-07"""
    assert what_is_shown(fx, uri, kind, raw=quote) == set()
    assert what_is_shown(fx, uri, kind, raw=lambda path: path.replace("sta", "st%61").replace("sh", "s%68")) == set()


@pytest.mark.parametrize(
    ("path", "root", "uri"),
    [
        ("/shop/static/a", "/shop", BELOW_SHOP),  # uvicorn, and any server behind a proxy that keeps the prefix
        ("/static/a", "/shop", BELOW_SHOP),  # hypercorn, granian, daphne, and a proxy that strips it
        ("/static/a", "/shop/", BELOW_SHOP),
        ("/static/a", "/shop", HTTPS_URI),  # FastAPI(root_path=…) without its proxy
        ("/static/a", "/", HTTPS_URI),
        ("/static/a", "", HTTPS_URI),
    ],
)
def test_what_is_public_stays_so_where_the_operator_named_the_prefix(fx, path, root, uri):
    assert ask(guarded(fx, PlainTextResponse("reached"), uri), path, root) == b"reached"


@pytest.mark.parametrize("root", ["", "/shop"])
def test_a_mount_says_itself_what_the_prefix_is(fx, root):
    """The redirect URI of another application on this host is not below the mount."""

    async def shown(request: Any) -> PlainTextResponse:
        return PlainTextResponse("reached")

    inner = guarded(fx, Starlette(routes=[Route("/{path:path}", shown)]), BELOW_SHOP)
    app = Starlette(routes=[Mount("/part", inner)])
    assert ask(app, f"{root}/part/static/a", root) == b"reached"
    assert ask(app, f"{root}/part/secret", root) != b"reached"
    assert ask(app, "/files/part/static/a", "/files") != b"reached"  # of a server that believes the visitor


def falcon_app() -> Any:
    from falcon.asgi import App

    async def page(req: Any, resp: Any, rest: str) -> None:
        resp.text = f"routed {req.path}"

    app = App()
    app.add_sink(page, r"/(?P<rest>.*)")
    return app


def litestar_app() -> Any:
    from litestar import Litestar, Request, get

    @get("/{rest:path}")
    async def page(request: Request[Any, Any, Any]) -> str:
        return f"routed {request.path_params['rest']}"

    return Litestar([page], logging_config=None)


def quart_app() -> Any:
    from quart import Quart

    app = Quart("root_path", static_folder=None)

    @app.get("/<path:rest>")
    async def page(rest: str) -> str:
        return f"routed /{rest}"

    return app


def blacksheep_app() -> Any:
    from blacksheep import Application

    app = Application()

    @app.router.get("/*")
    async def page(request: Any) -> str:
        return f"routed {request.url.path.decode()}"

    return app


@pytest.mark.more_packages
@pytest.mark.parametrize("make", [falcon_app, litestar_app, quart_app, blacksheep_app])
def test_hp_07_nor_does_one_on_a_real_framework(fx, make):
    """HP-07"""
    app, shown = make(), set[tuple[bytes, str, str]]()
    reached = 0
    for uri, around in itertools.product((HTTPS_URI, BELOW_SHOP), (lambda inner: inner, Wrapper)):
        door = guarded(fx, around(app), uri)
        for root, path in itertools.product(ROOTS, PATHS):
            answer = b""
            with suppress(Exception):  # BlackSheep's, for a path without a slash in front
                answer = ask(door, path, root)
            if b"routed " in answer:
                reached += 1
                if b"routed /static/" not in answer:
                    shown.add((answer, path, root))
    assert shown == set()
    assert reached > 20


class Wrapper:
    """A middleware of somebody else's."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
