"""Sanic, under another server than its own."""

from sanic import Sanic, text

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Sanic("site")


@site.get("/")
async def home(request):
    return text(current_user(request.scope).display_name or "nobody")


@site.get("/private")
async def private(request):
    return text(require_user(request.scope).display_name)


@site.websocket("/ws")
async def greet(request, socket):
    await socket.send(require_user(request.scope).display_name)


app = XWMSAuthMiddleware(site)
