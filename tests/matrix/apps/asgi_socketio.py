"""python-socketio in front of a Starlette application."""

import socketio
from asgi_starlette import site

app = socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"), site)
