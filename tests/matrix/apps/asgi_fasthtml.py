"""FastHTML."""

from fasthtml.common import FastHTML, P

from xwms_auth.asgi import XWMSAuthMiddleware, current_user, require_user

site = FastHTML(secret_key="not used here")


@site.route("/")
def home(request):
    return P(current_user(request.scope).display_name or "nobody")


@site.route("/private")
def private(request):
    return P(require_user(request.scope).display_name)


app = XWMSAuthMiddleware(site)
