"""An application whose pages are its front end's: files as given, below a strict policy, and an API with a guard.

It has these routes besides:
  /api/me-too   who is there, for those who are signed in      /api/other   a 401 of the application's own
  /feed         a websocket that says who is there, and then what it hears
Knows: sockets, servers. Must not: know a test.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.browser.houses import House
from tests.browser.servers import Journal, listener, port_of, recording_asgi, serve_asgi
from tests.browser.visitor import CALLBACK
from tests.tools.clock import Clock
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings
from xwms_auth.starlette import XWMSAuthMiddleware, login_required, template_context

TYPES: Final = {"js": "text/javascript", "css": "text/css"}
TAG: Final = "<!-- xwms_login_script -->"
"""Where a page of `files` gets the script's tag."""


def policy(xwms: str) -> str:
    return (
        "default-src 'none'; script-src 'self'; connect-src 'self' http://127.0.0.1:*; img-src data:; "
        f"form-action 'self' {xwms}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def front_end(files: Mapping[str, str], config: XWMSConfig, clock: Clock, xwms: str) -> Any:
    @login_required
    async def me_too(request: Request) -> Response:
        return JSONResponse({"sub": request.user.sub, "body": (await request.body()).decode()})

    async def other(_request: Request) -> Response:
        return JSONResponse({"code": "other", "login_url": "/xwms/auth"}, 401, media_type="application/problem+json")

    @login_required
    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.user.name)
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect:
            pass

    async def file(request: Request) -> Response:
        path = request.url.path
        text, kind = files[path if path in files else "/"], TYPES.get(path.rpartition(".")[2], "text/html")
        if TAG in text:
            text = text.replace(TAG, template_context(request)["xwms_login_script"]())
        return Response(text, media_type=kind, headers={"Content-Security-Policy": policy(xwms)})

    app = Starlette(
        routes=[
            Route("/api/me-too", me_too, methods=["GET", "POST"]),
            Route("/api/other", other),
            WebSocketRoute("/feed", feed),
            Route("/{path:path}", file),
        ]
    )
    guarded = XWMSAuthMiddleware(app, config, clock=clock)
    # Outside, so that the page of another origin can read our 401.
    return CORSMiddleware(guarded, allow_origin_regex=r"http://(localhost|127\.0\.0\.1):\d+", allow_credentials=True)


@contextmanager
def serve_front_end(files: Mapping[str, str], *, clock: Clock | None = None) -> Iterator[House]:
    with listener() as sock:
        origin = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(origin + CALLBACK,))
        with SandboxServer(settings, port=0) as sandbox:
            config = XWMSConfig(
                client_id=settings.client_id,
                client_secret=settings.client_secret,
                redirect_uris=origin + CALLBACK,
                api_url=sandbox.api_url,
                session_secret="a session secret for the browser tests, long enough",
                session_store="memory://",
            )
            journal = Journal()
            app = front_end(files, config, clock or Clock(), sandbox.url)
            with serve_asgi(recording_asgi(app, journal), sock, None, websockets=True):
                yield House(origin, config, sandbox.url, journal)
