"""Applications as their developers write them, without a setting that is about tests."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from xwms_auth import User
from xwms_auth.fastapi import CurrentUser, OptionalUser, XWMSAuthMiddleware, require_user
from xwms_auth.flask import XWMSAuth, current_user, login_required
from xwms_auth.starlette import XWMSAuthMiddleware as StarletteMiddleware


def flask_app(config: Any = None, **options: Any) -> Flask:
    app = Flask("shop")
    app.secret_key = "the-key-of-the-application-itself-0123456789"
    XWMSAuth(app, config, **options)

    @app.get("/")
    @login_required
    def home() -> str:
        return current_user.display_name

    @app.get("/why")
    def why() -> str:
        return str(current_user.signed_out)

    return app


def fastapi_app(**options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(XWMSAuthMiddleware, **options)

    @app.get("/")
    async def home(user: CurrentUser) -> str:
        return user.display_name

    @app.get("/maybe")
    async def maybe(user: OptionalUser) -> str | None:
        return user.sub if user else None

    @app.get("/depends")
    async def depends(user: Annotated[User, Depends(require_user)]) -> str:
        return user.sub

    @app.websocket("/ws")
    async def chat(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        await websocket.send_text(user.display_name)
        await websocket.close()

    return app


def starlette_app(**options: Any) -> Starlette:
    async def home(request: Request) -> JSONResponse:
        return JSONResponse(request.user.sub if request.user.is_authenticated else None)

    app = Starlette(routes=[Route("/", home), Mount("/inner", app=Starlette(routes=[Route("/", home)]))])
    app.add_middleware(StarletteMiddleware, **options)
    return app
