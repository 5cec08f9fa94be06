"""django-oauth-toolkit in a project of one file: `python django_server.py PORT CLIENT`."""

import json
import sys
from tempfile import mkdtemp
from typing import Any

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings

PORT, METADATA = int(sys.argv[1]), json.loads(sys.argv[2])
ISSUER = f"http://127.0.0.1:{PORT}/o"
PEM = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

FORM = '<form method="post">{% csrf_token %}{{ form }}<button>Sign in</button></form>'
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{mkdtemp()}/db.sqlite3"}},
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider",
    ],
    LOGIN_URL="/login",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": 50,
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": ISSUER,
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": PEM,
        "PKCE_REQUIRED": True,
        "SCOPES": {
            "openid": "openid", "profile": "profile", "email": "email",
            "offline_access": "refresh", "introspection": "introspection",
        },
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="for-tests",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    USE_TZ=True,
)  # fmt: skip
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from waitress import serve  # noqa: E402


class Login(LoginView):
    def render_to_response(self, context: Any, **more: Any) -> HttpResponse:
        return HttpResponse(engines["django"].from_string(FORM).render(context, self.request))


urlpatterns = [
    path("login", Login.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

call_command("migrate", verbosity=0)
User.objects.create_user("ada", "ada@example.org", "a-password")
Application.objects.create(
    client_id=METADATA["client_id"],
    client_secret=METADATA["client_secret"],
    redirect_uris=" ".join(METADATA["redirect_uris"]),
    post_logout_redirect_uris=" ".join(METADATA["post_logout_redirect_uris"]),
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    algorithm=Application.RS256_ALGORITHM,
    name="Support desk",
)
print(ISSUER, flush=True)
serve(get_wsgi_application(), host="127.0.0.1", port=PORT, _quiet=True)
