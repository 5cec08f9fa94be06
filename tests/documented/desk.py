"""The FastAPI application of which docs/testing.md and docs/how-to.md speak."""

from fastapi import FastAPI, WebSocket

from xwms_auth.fastapi import CurrentUser, XWMSAuthMiddleware

app = FastAPI()
app.add_middleware(XWMSAuthMiddleware)


@app.get("/")
async def home(user: CurrentUser) -> dict[str, str]:
    return {"hello": user.display_name}


@app.websocket("/chat")
async def chat(websocket: WebSocket, user: CurrentUser) -> None:
    await websocket.accept()
    await websocket.send_text(f"Hello {user.display_name}")
    await websocket.receive()
