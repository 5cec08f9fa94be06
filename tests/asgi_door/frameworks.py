"""One small application in each ASGI framework, and what it answers with and without the middleware around it.

`differences(name)` runs one. As a program (`python -m tests.asgi_door.frameworks NAME…`) it prints them as JSON, for
frameworks that change the process: Django's settings, Sanic's registry, NiceGUI's one application.

Every application has these routes, if its framework can: /plain, /json, /redirect, /cookies (two, with a
Content-Security-Policy), /stream, /empty (204), /file, /missing, /fails, and POST /echo.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import HTTPS_URI, Site, alive
from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware

OURS = {b"vary", b"cache-control", b"set-cookie"}
CSP = "default-src 'self'"
COOKIES = {"a": "1", "b": "2"}
FILE = Path(__file__).with_name("file.txt")


class Boom(Exception):
    pass


async def pieces() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


# --- the applications; each framework is imported by its own function -------------------------------------------------


def starlette_routes() -> list[Any]:
    from starlette.responses import (
        FileResponse,
        JSONResponse,
        PlainTextResponse,
        RedirectResponse,
        Response,
        StreamingResponse,
    )
    from starlette.routing import Route

    async def cookies(request: Any) -> Response:
        response = PlainTextResponse("cookies", headers={"Content-Security-Policy": CSP})
        for name, value in COOKIES.items():
            response.set_cookie(name, value)
        return response

    async def fails(request: Any) -> Response:
        raise Boom

    async def echo(request: Any) -> Response:
        return Response(await request.body())

    return [
        Route("/plain", lambda request: PlainTextResponse("plain")),
        Route("/json", lambda request: JSONResponse({"a": 1})),
        Route("/redirect", lambda request: RedirectResponse("/plain")),
        Route("/cookies", cookies),
        Route("/stream", lambda request: StreamingResponse(pieces())),
        Route("/empty", lambda request: Response(status_code=204)),
        Route("/file", lambda request: FileResponse(FILE)),
        Route("/fails", fails),
        Route("/echo", echo, methods=["POST"]),
    ]


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.gzip import GZipMiddleware

    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    return Starlette(routes=starlette_routes(), middleware=[Middleware(GZipMiddleware), Middleware(Passing)])


def fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI(routes=starlette_routes())

    @app.get("/model")
    def model() -> dict[str, int]:
        return {"a": 1}

    return app


def litestar() -> Any:
    from litestar import Litestar, MediaType, Request, Response, get, post
    from litestar.datastructures import Cookie
    from litestar.response import File, Redirect, Stream

    @get("/plain", media_type=MediaType.TEXT)
    async def plain() -> str:
        return "plain"

    @get("/json")
    async def data() -> dict[str, int]:
        return {"a": 1}

    @get("/redirect")
    async def redirect() -> Redirect:
        return Redirect("/plain")

    @get("/cookies")
    async def cookies() -> Response[str]:
        made = [Cookie(key=name, value=value) for name, value in COOKIES.items()]
        return Response("cookies", headers={"Content-Security-Policy": CSP}, cookies=made)

    @get("/stream")
    async def stream() -> Stream:
        return Stream(pieces)

    @get("/empty", status_code=204)
    async def empty() -> None: ...

    @get("/file")
    async def file() -> File:
        return File(FILE)

    @get("/fails")
    async def fails() -> None:
        raise Boom

    @post("/echo")
    async def echo(request: Request[Any, Any, Any]) -> bytes:
        return await request.body()

    return Litestar([plain, data, redirect, cookies, stream, empty, file, fails, echo], logging_config=None)


def quart() -> Any:
    from quart import Quart, Response, jsonify, redirect, request, send_file

    app = Quart(__name__)

    @app.get("/plain")
    async def plain() -> Any:
        return "plain"

    @app.get("/json")
    async def data() -> Any:
        return jsonify(a=1)

    @app.get("/redirect")
    async def redirected() -> Any:
        return redirect("/plain")

    @app.get("/cookies")
    async def cookies() -> Any:
        response = Response("cookies", headers={"Content-Security-Policy": CSP})
        for name, value in COOKIES.items():
            response.set_cookie(name, value)
        return response

    @app.get("/stream")
    async def stream() -> Any:
        return pieces()

    @app.get("/empty")
    async def empty() -> Any:
        return "", 204

    @app.get("/file")
    async def file() -> Any:
        return await send_file(FILE)

    @app.get("/fails")
    async def fails() -> Any:
        raise Boom

    @app.post("/echo")
    async def echo() -> Any:
        return await request.get_data()

    return app


def falcon() -> Any:
    import falcon as framework
    import falcon.asgi

    def plain(request: Any, response: Any) -> None:
        response.text = "plain"

    def data(request: Any, response: Any) -> None:
        response.media = {"a": 1}

    def redirect(request: Any, response: Any) -> None:
        raise framework.HTTPFound("/plain")

    def cookies(request: Any, response: Any) -> None:
        response.set_header("Content-Security-Policy", CSP)
        for name, value in COOKIES.items():
            response.set_cookie(name, value)

    def stream(request: Any, response: Any) -> None:
        response.stream = pieces()

    def empty(request: Any, response: Any) -> None:
        response.status = 204

    def fails(request: Any, response: Any) -> None:
        raise Boom

    async def echo(request: Any, response: Any) -> None:
        response.data = await request.bounded_stream.read()

    class Page:
        def __init__(self, page: Callable[[Any, Any], None]) -> None:
            self._page = page

        async def on_get(self, request: Any, response: Any) -> None:
            self._page(request, response)

    class Echo:
        async def on_post(self, request: Any, response: Any) -> None:
            await echo(request, response)

    app = falcon.asgi.App()
    for page in (plain, redirect, cookies, stream, empty, fails):
        app.add_route(f"/{page.__name__}", Page(page))
    app.add_route("/json", Page(data))
    app.add_route("/echo", Echo())
    app.add_static_route("/file", str(FILE.parent), fallback_filename=FILE.name)
    return app


def blacksheep() -> Any:
    from blacksheep import Application, Content, Cookie, Request, Response, file, json, redirect, text
    from blacksheep.contents import StreamedContent
    from blacksheep.server.routing import Router

    app = Application(router=Router())

    @app.router.get("/plain")
    async def plain() -> Response:
        return text("plain")

    @app.router.get("/json")
    async def data() -> Response:
        return json({"a": 1})

    @app.router.get("/redirect")
    async def redirected() -> Response:
        return redirect("/plain")

    @app.router.get("/cookies")
    async def cookies() -> Response:
        response = text("cookies")
        response.add_header(b"Content-Security-Policy", CSP.encode())
        for name, value in COOKIES.items():
            response.set_cookie(Cookie(name, value))
        return response

    @app.router.get("/stream")
    async def stream() -> Response:
        return Response(200, content=StreamedContent(b"text/plain", pieces))

    @app.router.get("/empty")
    async def empty() -> Response:
        return Response(204)

    @app.router.get("/file")
    async def the_file() -> Response:
        return file(str(FILE), "text/plain")

    @app.router.get("/fails")
    async def fails() -> Response:
        raise Boom

    @app.router.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(200, content=Content(b"text/plain", await request.read() or b""))

    return app


def django() -> Any:
    from django.conf import settings

    middleware = ["django.middleware.security.SecurityMiddleware", "django.middleware.gzip.GZipMiddleware"]
    settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], MIDDLEWARE=middleware)
    import django as framework
    from django.core.asgi import get_asgi_application
    from django.http import (
        FileResponse,
        HttpResponse,
        HttpResponseRedirect,
        JsonResponse,
        StreamingHttpResponse,
    )
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    framework.setup()

    async def cookies(request: Any) -> Any:
        response = HttpResponse("cookies", headers={"Content-Security-Policy": CSP})
        for name, value in COOKIES.items():
            response.set_cookie(name, value)
        return response

    async def fails(request: Any) -> Any:
        raise Boom

    async def stream(request: Any) -> Any:
        return StreamingHttpResponse(pieces())

    globals()["urlpatterns"] = [
        path("plain", lambda request: HttpResponse("plain")),
        path("json", lambda request: JsonResponse({"a": 1})),
        path("redirect", lambda request: HttpResponseRedirect("/plain")),
        path("cookies", cookies),
        path("stream", stream),
        path("empty", lambda request: HttpResponse(status=204)),
        path("file", lambda request: FileResponse(FILE.open("rb"))),
        path("fails", fails),
        path("echo", csrf_exempt(lambda request: HttpResponse(request.body))),
    ]
    return get_asgi_application()


def sanic() -> Any:
    from sanic import Sanic, empty, file, json, raw, redirect, text

    app = Sanic("conformance", configure_logging=False)

    @app.get("/plain")
    async def plain(request: Any) -> Any:
        return text("plain")

    @app.get("/json")
    async def data(request: Any) -> Any:
        return json({"a": 1})

    @app.get("/redirect")
    async def redirected(request: Any) -> Any:
        return redirect("/plain")

    @app.get("/cookies")
    async def cookies(request: Any) -> Any:
        response = text("cookies", headers={"Content-Security-Policy": CSP})
        for name, value in COOKIES.items():
            response.add_cookie(name, value)
        return response

    @app.get("/stream")
    async def stream(request: Any) -> None:
        response = await request.respond(content_type="text/plain")
        async for piece in pieces():
            await response.send(piece)
        await response.eof()

    @app.get("/empty")
    async def nothing(request: Any) -> Any:
        return empty()

    @app.get("/file")
    async def the_file(request: Any) -> Any:
        return await file(FILE)

    @app.get("/fails")
    async def fails(request: Any) -> Any:
        raise Boom

    @app.post("/echo")
    async def echo(request: Any) -> Any:
        return raw(request.body)

    return app


def nicegui() -> Any:
    from fastapi import FastAPI
    from nicegui import ui

    from xwms_auth.starlette import current_user, login_required  # noqa: F401  an import must not hinder it

    app = FastAPI(routes=starlette_routes())

    @ui.page("/page")
    def page() -> None:
        ui.label("hello")

    ui.run_with(app)
    return app


FRAMEWORKS: dict[str, Callable[[], Any]] = {
    made.__name__: made for made in (starlette, fastapi, litestar, quart, falcon, blacksheep, django, sanic, nicegui)
}
REQUESTS = [
    *(("GET", path) for path in ("/plain", "/json", "/redirect", "/cookies", "/stream", "/empty", "/file", "/fails")),
    *(("GET", path) for path in ("/missing", "/model", "/page", "/file/any")),
    ("HEAD", "/plain"),
    ("HEAD", "/stream"),
    ("OPTIONS", "/plain"),
    ("DELETE", "/plain"),
    ("POST", "/echo"),
]


# --- bare and wrapped -------------------------------------------------------------------------------------------------


async def answer(app: Any, method: str, path: str, cookie: str) -> tuple[list[Any], str | None]:
    """The messages of one answer, and the name of the error."""
    headers = [("host", "app.example"), ("cookie", cookie), ("accept-encoding", "gzip"), ("content-length", "4")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("app.example", 443),
        "state": {},
        "extensions": {"http.response.pathsend": {}, "http.response.trailers": {}},
    }
    sent: list[Any] = []
    asked = iter([{"type": "http.request", "body": b"echo", "more_body": False}])
    done = asyncio.Event()

    async def receive() -> Any:
        if (message := next(asked, None)) is not None:
            return message
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        copied = dict(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            done.set()
        if "headers" in copied:
            pairs = [(bytes(name), bytes(value)) for name, value in copied["headers"]]
            copied["headers"] = [pair for pair in pairs if pair[0].lower() not in (b"date", b"x-request-id")]
        sent.append(copied)

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001  an error is an outcome here
        return sent, type(error).__name__
    return sent, None


def without_ours(sent: list[Any], own: list[Any]) -> list[Any]:
    left = [dict(message) for message in sent]
    for message, bare in zip(left, own, strict=False):
        count = len(bare.get("headers", ()))
        if count and {name for name, _ in message["headers"][count:]} <= OURS:
            message["headers"] = message["headers"][:count]
    return left


def outline(sent: list[Any]) -> list[Any]:
    """What stays the same of a page that is made anew for every visitor."""
    return [(one["type"], one.get("status"), [name for name, _ in one.get("headers", ())]) for one in sent]


async def compared(app: Any, config: XWMSConfig, cookies: list[str], *, has_lifespan: bool) -> dict[str, Any]:
    wrapped = XWMSAuthMiddleware(app, config)
    found: dict[str, Any] = {"answers": 0, "differences": []}
    async with alive(app) if has_lifespan else nullcontext():
        for (method, path), cookie in itertools.product(REQUESTS, cookies):
            own, error = await answer(app, method, path, cookie)
            sent, raised = await answer(wrapped, method, path, cookie)
            left: list[Any] = without_ours(sent, own)
            # Two answers in a row may be the same by chance, as where Django puts a name of random length into gzip.
            if left != own and any([(await answer(app, method, path, cookie))[0] != own for _ in range(4)]):
                own, left = outline(own), outline(left)
            found["answers"] += 1
            if (left, raised) != (own, error):
                found["differences"].append(f"{method} {path}: {own!r} {error} became {left!r} {raised}")
    return found


def differences(name: str) -> dict[str, Any]:
    """How many answers were compared, and which differ."""
    with FakeXWMS() as fx:
        site = Site("asgi", fx, redirect_uris=HTTPS_URI)
        browser = site.browser()
        browser.log_in()
        session = "; ".join(f"{key}={value}" for key, value in browser.cookies().items())
        made, cookies = FRAMEWORKS[name](), ["a=b", session]
        return asyncio.run(compared(made, site.config, cookies, has_lifespan=name != "django"))


if __name__ == "__main__":
    print(json.dumps({name: differences(name) for name in sys.argv[1:]}))  # noqa: T201
