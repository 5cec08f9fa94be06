"""A small API behind each edge, to be called with access tokens. `edge` is "flask", "asgi" or "fastapi".

/api/token   what the token is, and who is signed in beside it      /api/read   needs the scope read
/api/write   needs read and write                                   /who        needs a signed-in person
/api/cached  sets Cache-Control: public, max-age=60 and Vary: Accept
"""

from collections.abc import Mapping
from typing import Annotated, Any

import fastapi
import flask
import httpx2
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.clock import Clock
from tests.tools.site import Site
from xwms_auth import AccessToken, XWMSConfig

CACHED = {"Cache-Control": "public, max-age=60", "Vary": "Accept"}


def told(token: AccessToken, user: Any) -> dict[str, object]:
    return {
        "sub": token.sub,
        "client_id": token.client_id,
        "scopes": list(token.scopes),
        "expires_at": token.expires_at,
        "username": token.username,
        "acts_for_itself": token.acts_for_itself,
        "issuer": token.issuer,
        "identity": token.identity and list(token.identity),
        "user": user.sub,
    }


class APISite(Site):
    """The API over an authorization server."""

    def __init__(self, edge: str, server: Any, **options: Any) -> None:
        super().__init__(edge, server, **options)
        make = {"flask": flask_api, "asgi": starlette_api, "fastapi": fastapi_api}[edge]
        self.app = make(self.config, self.clock)

    def call(
        self, token: str | None = None, path: str = "/api/token", headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        """Call the API with this token as a program does."""
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.browser().get(path, {**sent, **(headers or {})}, **more)


def flask_api(config: XWMSConfig, clock: Clock) -> flask.Flask:
    from xwms_auth.flask import current_token, current_user, login_required, token_required

    app = flask.Flask(__name__)

    @app.get("/api/token")
    @token_required
    def token() -> Any:
        return flask.jsonify(told(current_token, current_user))

    @app.get("/api/read")
    @token_required(scopes=["read"])
    async def read() -> str:
        return f"read {current_token.sub}"

    @app.get("/api/write")
    @token_required(scopes="read write")
    def write() -> str:
        return "written"

    @app.post("/api/form")
    @token_required
    def form() -> bytes:
        return flask.request.get_data()

    @app.get("/api/cached")
    @token_required()
    def cached() -> Any:
        return flask.Response("cached", headers=CACHED)

    @app.get("/who")
    @login_required
    def who() -> str:
        return f"{current_user.sub}"

    xwms_auth.flask.XWMSAuth(app, config, clock=clock)
    return app


def starlette_api(config: XWMSConfig, clock: Clock) -> Any:
    from xwms_auth.starlette import current_token, current_user, login_required, token_required

    @token_required
    async def token(request: Request) -> Response:
        assert current_token(request) is request.auth.token
        assert (current_token.sub, current_token.identity) == (request.auth.token.sub, request.auth.token.identity)
        return JSONResponse(told(request.auth.token, request.user))

    @token_required(scopes=["read"])
    def read(request: Request) -> Response:
        return PlainTextResponse(f"read {current_token.sub}")

    @token_required(scopes="read write")
    class Write(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("written")

    @token_required
    async def form(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    @token_required()
    async def cached(request: Request) -> Response:
        return PlainTextResponse("cached", headers=CACHED)

    @login_required
    async def who(request: Request) -> Response:
        return PlainTextResponse(current_user(request).sub or "")

    endpoints = {"token": token, "read": read, "write": Write, "cached": cached}
    routes = [Route(f"/api/{name}", endpoint) for name, endpoint in endpoints.items()]
    app = Starlette(routes=[*routes, Route("/api/form", form, methods=["POST"]), Route("/who", who)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, clock=clock)


def fastapi_api(config: XWMSConfig, clock: Clock) -> fastapi.FastAPI:
    from xwms_auth.fastapi import BearerToken, CurrentUser, OptionalUser, bearer_token

    app = fastapi.FastAPI()
    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config, clock=clock)

    @app.get("/api/token")
    async def token(token: BearerToken, user: OptionalUser) -> dict[str, object]:
        return told(token, user or xwms_auth.Anonymous())

    @app.get("/api/read")
    def read(token: Annotated[AccessToken, bearer_token(scopes=["read"])]) -> Response:
        return PlainTextResponse(f"read {token.sub}")

    @app.get("/api/write", dependencies=[bearer_token(scopes="read write")])
    async def write() -> Response:
        return PlainTextResponse("written")

    @app.post("/api/form")
    async def form(token: BearerToken, request: Request) -> Response:
        return PlainTextResponse(await request.body())

    @app.get("/api/cached")
    async def cached(token: BearerToken) -> Response:
        return PlainTextResponse("cached", headers=CACHED)

    @app.get("/who")
    async def who(user: CurrentUser) -> Response:
        return PlainTextResponse(user.sub)

    return app
