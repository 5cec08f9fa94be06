"""canaille with all in memory and one person: `python canaille_server.py PORT CLIENT`."""

import datetime
import json
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from waitress import serve

PORT, METADATA = int(sys.argv[1]), json.loads(sys.argv[2])

app = create_app(
    {
        "SECRET_KEY": "for-tests",
        "SERVER_NAME": f"127.0.0.1:{PORT}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"ENABLE_REGISTRATION": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)]},
    }
)
# Authlib's default is ten days.
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": 50, "refresh_token": 50}

with app.app_context(), Backend.instance.session():
    person = models.User(
        user_name="ada", formatted_name="Name of ada", family_name="Lovelace", emails=["ada@example.org"],
        password="correct horse battery staple",
    )  # fmt: skip
    Backend.instance.save(person)
    client = models.Client(
        client_id=METADATA["client_id"],
        client_secret=METADATA["client_secret"],
        client_id_issued_at=datetime.datetime.now(datetime.timezone.utc),
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
