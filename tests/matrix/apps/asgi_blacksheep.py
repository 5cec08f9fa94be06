"""BlackSheep."""

from blacksheep import Application, Request, WebSocket, text

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = Application()


@site.router.get("/")
async def home(request: Request):
    return text(current_user(request.scope).display_name or "nobody")


@site.router.get("/private")
async def private(request: Request):
    return text(require_user(request.scope).display_name)


@site.router.ws("/ws")
async def greet(websocket: WebSocket):
    user = require_user(websocket.scope)
    await websocket.accept()
    await websocket.send_text(user.display_name)
    await websocket.close()


app = XWMSAuthMiddleware(site)
