"""NiceGUI pages in a FastAPI application."""

from fastapi import FastAPI, Request
from nicegui import ui

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = FastAPI()


@ui.page("/")
def home(request: Request):
    ui.label(current_user(request.scope).display_name or "nobody")


@ui.page("/private")
def private(request: Request):
    ui.label(require_user(request.scope).display_name)


ui.run_with(site, storage_secret="not used here")
app = XWMSAuthMiddleware(site)
