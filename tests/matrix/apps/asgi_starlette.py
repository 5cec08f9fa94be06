"""Starlette; with MATRIX_MOUNT below that path of an outer application."""

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from xwms_auth.starlette import XWMSAuthMiddleware, login_required


def home(request):
    return PlainTextResponse(request.user.display_name or "nobody")


@login_required
def private(request):
    return PlainTextResponse(request.user.display_name)


@login_required
async def greet(websocket):
    await websocket.accept()
    await websocket.send_text(websocket.user.display_name)
    await websocket.close()


routes = [Route("/", home), Route("/private", private), WebSocketRoute("/ws", greet)]
site = Starlette(routes=routes, middleware=[Middleware(XWMSAuthMiddleware)])
mount = os.environ.get("MATRIX_MOUNT")
app = Starlette(routes=[Mount(mount, site)]) if mount else site
