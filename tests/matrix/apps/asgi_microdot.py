"""Microdot under ASGI."""

from microdot.asgi import Microdot, with_websocket

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Microdot()


@site.get("/")
async def home(request):
    return current_user(request.asgi_scope).display_name or "nobody"


@site.get("/private")
async def private(request):
    return require_user(request.asgi_scope).display_name


@site.get("/ws")
@with_websocket
async def greet(request, socket):
    await socket.send(require_user(request.asgi_scope).display_name)


app = XWMSAuthMiddleware(site)
