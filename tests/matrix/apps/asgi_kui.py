"""Kuí."""

from kui.asgi import Kui, PlainTextResponse, request

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Kui()


@site.router.http.get("/")
async def home():
    return PlainTextResponse(current_user(request._scope).display_name or "nobody")


@site.router.http.get("/private")
async def private():
    return PlainTextResponse(require_user(request._scope).display_name)


app = XWMSAuthMiddleware(site)
