"""Falcon under WSGI."""

import falcon

from xwms_auth.wsgi import XWMSAuth, current_user, require_user


class Home:
    def on_get(self, request, response):
        response.text = current_user(request.env).display_name or "nobody"


class Private:
    def on_get(self, request, response):
        response.text = require_user(request.env).display_name


api = falcon.App()
api.add_route("/", Home())
api.add_route("/private", Private())
app = XWMSAuth(api)
