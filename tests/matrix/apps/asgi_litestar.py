"""Litestar."""

from litestar import Litestar, MediaType, Request, WebSocket, get, websocket

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


@get("/", media_type=MediaType.TEXT, sync_to_thread=False)
def home(request: Request) -> str:
    return current_user(request.scope).display_name or "nobody"


@get("/private", media_type=MediaType.TEXT, sync_to_thread=False)
def private(request: Request) -> str:
    return require_user(request.scope).display_name


@websocket("/ws")
async def greet(socket: WebSocket) -> None:
    user = require_user(socket.scope)
    await socket.accept()
    await socket.send_text(user.display_name)
    await socket.close()


app = XWMSAuthMiddleware(Litestar([home, private, greet]))
