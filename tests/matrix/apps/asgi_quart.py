"""Quart."""

from quart import Quart, request, websocket

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Quart(__name__)


@site.get("/")
async def home():
    return current_user(request.scope).display_name or "nobody"


@site.get("/private")
async def private():
    return require_user(request.scope).display_name


@site.websocket("/ws")
async def greet():
    user = require_user(websocket.scope)
    await websocket.accept()
    await websocket.send(user.display_name)


app = XWMSAuthMiddleware(site)
