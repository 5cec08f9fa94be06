"""Lilya."""

from lilya.apps import Lilya
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Path, WebSocketPath
from lilya.websockets import WebSocket

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


async def home(request: Request):
    return PlainText(current_user(request.scope).display_name or "nobody")


async def private(request: Request):
    return PlainText(require_user(request.scope).display_name)


async def greet(websocket: WebSocket):
    user = require_user(websocket.scope)
    await websocket.accept()
    await websocket.send_text(user.display_name)
    await websocket.close()


app = XWMSAuthMiddleware(Lilya(routes=[Path("/", home), Path("/private", private), WebSocketPath("/ws", greet)]))
