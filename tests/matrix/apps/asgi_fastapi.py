"""FastAPI; MATRIX_ROOT_PATH is its `root_path`, MATRIX_MOUNT the path below which an outer application mounts it."""

import os

from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse

from xwms_auth.fastapi import CurrentUser, OptionalUser, XWMSAuthMiddleware

site = FastAPI(root_path=os.environ.get("MATRIX_ROOT_PATH", ""))
site.add_middleware(XWMSAuthMiddleware)


@site.get("/", response_class=PlainTextResponse)
def home(user: OptionalUser) -> str:
    return user.display_name if user else "nobody"


@site.get("/private", response_class=PlainTextResponse)
def private(user: CurrentUser) -> str:
    return user.display_name


@site.websocket("/ws")
async def greet(websocket: WebSocket, user: CurrentUser) -> None:
    await websocket.accept()
    await websocket.send_text(user.display_name)
    await websocket.close()


app = site
if mount := os.environ.get("MATRIX_MOUNT"):
    app = FastAPI()
    app.mount(mount, site)
