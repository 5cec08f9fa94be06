"""Connexion, whose handlers come from an OpenAPI document."""

import json
from pathlib import Path
from tempfile import mkdtemp

from connexion import AsyncApp, request

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


async def home():
    return current_user(request.scope).display_name or "nobody", 200, {"Content-Type": "text/plain"}


async def private(page=None):
    return require_user(request.scope).display_name, 200, {"Content-Type": "text/plain"}


def operation(name):
    answers = {"200": {"description": "who", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {"get": {"operationId": f"{__name__}.{name}", "responses": answers}}


document = {
    "openapi": "3.0.0",
    "info": {"title": "site", "version": "1"},
    "paths": {"/": operation("home"), "/private": operation("private")},
}
folder = Path(mkdtemp())
(folder / "openapi.json").write_text(json.dumps(document))
site = AsyncApp(__name__, specification_dir=str(folder))
site.add_api("openapi.json")
app = XWMSAuthMiddleware(site)
