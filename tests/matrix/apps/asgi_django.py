"""Django under ASGI."""

import django_urls  # noqa: F401  the settings
from django.core.asgi import get_asgi_application

from xwms_auth.asgi import XWMSAuthMiddleware

app = XWMSAuthMiddleware(get_asgi_application())
