"""Panther, guarded by `require_user` on its request's scope."""

from panther import Panther
from panther.app import API
from panther.request import Request
from panther.response import PlainTextResponse

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


@API()
async def home(request: Request):
    return PlainTextResponse(current_user(request.scope).display_name or "nobody")


@API()
async def private(request: Request):
    return PlainTextResponse(require_user(request.scope).display_name)


app = XWMSAuthMiddleware(Panther(__name__, configs=__name__, urls={"/": home, "private/": private}))
