"""Flama."""

from flama import Flama, http

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Flama()


@site.route("/", methods=["GET"])
def home(request: http.Request):
    return http.PlainTextResponse(current_user(request.scope).display_name or "nobody")


@site.route("/private", methods=["GET"])
def private(request: http.Request):
    return http.PlainTextResponse(require_user(request.scope).display_name)


app = XWMSAuthMiddleware(site)
