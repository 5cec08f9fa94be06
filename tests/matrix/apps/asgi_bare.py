"""ASGI without a framework."""

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, refuse


async def site(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] != "/" and await refuse(scope, receive, send):
        return
    name = current_user(scope).display_name or "nobody"
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": name})
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": name.encode()})


app = XWMSAuthMiddleware(site)
