"""The pages of the two Django applications, and their settings."""

import os

from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50, USE_X_FORWARDED_HOST=True)
if os.environ.get("MATRIX_MOUNT"):
    settings.FORCE_SCRIPT_NAME = os.environ["MATRIX_MOUNT"]


def guards(request):
    """`current_user` and `require_user` of the door that this request came by, and what they take."""
    if hasattr(request, "scope"):
        from xwms_auth import asgi as door

        return door, request.scope
    from xwms_auth import wsgi as door

    return door, request.environ


def home(request):
    door, raw = guards(request)
    return HttpResponse(door.current_user(raw).display_name or "nobody")


def private(request):
    door, raw = guards(request)
    return HttpResponse(door.require_user(raw).display_name)


urlpatterns = [path("", home), path("private", private)]
