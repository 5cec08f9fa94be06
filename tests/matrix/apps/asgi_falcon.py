"""Falcon under ASGI."""

from falcon.asgi import App

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


class Home:
    async def on_get(self, request, response):
        response.text = current_user(request.scope).display_name or "nobody"


class Private:
    async def on_get(self, request, response):
        response.text = require_user(request.scope).display_name


class Greet:
    async def on_websocket(self, request, socket):
        user = require_user(request.scope)
        await socket.accept()
        await socket.send_text(user.display_name)
        await socket.close()


api = App()
api.add_route("/", Home())
api.add_route("/private", Private())
api.add_route("/ws", Greet())
app = XWMSAuthMiddleware(api)
