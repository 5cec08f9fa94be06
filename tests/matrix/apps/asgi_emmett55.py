"""Emmett55, guarded by path: its requests show no scope."""

from emmett55 import App

from xwms_auth import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware, current_user

site = App(__name__)


@site.route("/", methods="get")
async def home():
    return current_user.display_name or "nobody"


@site.route("/private", methods="get")
async def private():
    return current_user.display_name


app = XWMSAuthMiddleware(site, XWMSConfig.from_env(protect="all", public=["/"]))
