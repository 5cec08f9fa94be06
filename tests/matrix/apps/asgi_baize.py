"""BáiZé."""

from baize.asgi import PlainTextResponse, Router, request_response

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user


@request_response
async def home(request):
    return PlainTextResponse(current_user(request._scope).display_name or "nobody")


@request_response
async def private(request):
    return PlainTextResponse(require_user(request._scope).display_name)


app = XWMSAuthMiddleware(Router(("/", home), ("/private", private)))
