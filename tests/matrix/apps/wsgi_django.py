"""Django under WSGI."""

import django_urls  # noqa: F401  the settings
from django.core.wsgi import get_wsgi_application

from xwms_auth.wsgi import XWMSAuth

app = XWMSAuth(get_wsgi_application())
