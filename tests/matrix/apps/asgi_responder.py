"""Responder."""

import responder

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = responder.API(secret_key="not used here, and long enough")


@site.route("/")
async def home(request, response):
    response.text = current_user(request._starlette.scope).display_name or "nobody"


@site.route("/private")
async def private(request, response):
    response.text = require_user(request._starlette.scope).display_name


app = XWMSAuthMiddleware(site)
