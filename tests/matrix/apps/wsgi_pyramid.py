"""Pyramid."""

from pyramid.config import Configurator
from pyramid.response import Response

from xwms_auth.wsgi import XWMSAuth, current_user, require_user


def home(request):
    return Response(current_user(request.environ).display_name or "nobody", content_type="text/plain")


def private(request):
    return Response(require_user(request.environ).display_name, content_type="text/plain")


config = Configurator()
for name, view in (("home", home), ("private", private)):
    config.add_route(name, "/" if name == "home" else f"/{name}")
    config.add_view(view, route_name=name)
app = XWMSAuth(config.make_wsgi_app())
