from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from xwms_auth.starlette import XWMSAuthMiddleware, require_user


async def home(request):
    return PlainTextResponse(f"Hello {require_user(request).display_name}")


app = Starlette(routes=[Route("/", home)])
app.add_middleware(XWMSAuthMiddleware)
