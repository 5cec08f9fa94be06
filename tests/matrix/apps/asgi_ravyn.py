"""Ravyn, which was called Esmerald."""

from ravyn import Gateway, Ravyn, Request, get

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


@get()
async def home(request: Request) -> str:
    return current_user(request.scope).display_name or "nobody"


@get()
async def private(request: Request) -> str:
    return require_user(request.scope).display_name


app = XWMSAuthMiddleware(Ravyn(routes=[Gateway("/", handler=home), Gateway("/private", handler=private)]))
