"""canaille with SQLite and one person: `python canaille_server.py PORT CLIENT`."""

import datetime
import json
import sys
from tempfile import mkdtemp

from authlib.common.security import generate_token
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.oidc import provider
from joserfc.jwk import RSAKey
from waitress import serve

PORT, METADATA = int(sys.argv[1]), json.loads(sys.argv[2])
# Authlib's own lifetimes, of ten days.
BearerTokenGenerator.GRANT_TYPES_EXPIRES_IN.update(authorization_code=50, refresh_token=50)
# Its access tokens have no `jti`: those of one second are equal, and the older, rotated one is found first.
provider.generate_access_token = lambda client, grant_type, user, scope: generate_token(48)
app = create_app(
    {
        "SECRET_KEY": "for-tests",
        "SERVER_NAME": f"127.0.0.1:{PORT}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"ENABLE_REGISTRATION": False},
        "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{mkdtemp()}/canaille.sqlite3", "AUTO_MIGRATE": True},
        "CANAILLE_OIDC": {
            "ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)],
            # Without an ID token it sends people back to these only.
            "TRUSTED_DOMAINS": ["app.example"],
        },
    }
)
with app.app_context(), Backend.instance.session():
    person = models.User(
        user_name="ada", formatted_name="Name of ada", family_name="Lovelace", emails=["ada@example.org"],
    )  # fmt: skip
    Backend.instance.save(person)
    Backend.instance.set_user_password(person, "correct horse battery staple")
    client = models.Client(
        client_id=METADATA["client_id"],
        client_secret=METADATA["client_secret"],
        client_id_issued_at=datetime.datetime.now(datetime.UTC),
        client_name="Support desk",
        client_uri="https://app.example",
        redirect_uris=METADATA["redirect_uris"],
        post_logout_redirect_uris=METADATA["post_logout_redirect_uris"],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=["openid", "profile", "email", "offline_access"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(client)
    # Without an audience of its own, no token may be introspected.
    client.audience = [client]
    Backend.instance.save(client)

print(f"http://127.0.0.1:{PORT}", flush=True)
serve(app, host="127.0.0.1", port=PORT, _quiet=True)
