"""Muffin."""

from muffin import Application, ResponseText

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Application()


@site.route("/")
async def home(request):
    return ResponseText(current_user(request.scope).display_name or "nobody")


@site.route("/private")
async def private(request):
    return ResponseText(require_user(request.scope).display_name)


app = XWMSAuthMiddleware(site)
