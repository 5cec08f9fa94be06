"""pyop, which is a library, behind Flask routes as its example has them: `python pyop_server.py PORT CLIENT`."""

import json
import sys
from typing import Any
from urllib.parse import urlencode

from Cryptodome.PublicKey import RSA
from flask import Flask, Response, jsonify, redirect, request, session
from jwkest.jwk import RSAKey
from oic.oic.message import ProviderConfigurationResponse
from pyop.authz_state import AuthorizationState
from pyop.exceptions import InvalidAccessToken, InvalidClientAuthentication, OAuthError
from pyop.provider import Provider
from pyop.subject_identifier import HashBasedSubjectIdentifierFactory
from pyop.userinfo import Userinfo

PORT, METADATA = int(sys.argv[1]), json.loads(sys.argv[2])
ISSUER = f"http://127.0.0.1:{PORT}"

app = Flask(__name__)
app.secret_key = "for-tests"
people = {"ada": {"name": "Name of ada", "email": "ada@example.org", "email_verified": True}}
state = AuthorizationState(
    HashBasedSubjectIdentifierFactory("salt"), access_token_lifetime=50, refresh_token_lifetime=3600,
    refresh_token_threshold=3600,
)  # fmt: skip
# It takes https issuers only, which the other servers of this machine are not either.
ProviderConfigurationResponse.verify = lambda self, **more: True
client = {**METADATA, "response_types": ["code"], "subject_type": "public"}
provider = Provider(
    RSAKey(key=RSA.generate(2048), kid="key-1", use="sig", alg="RS256"),
    {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "userinfo_endpoint": f"{ISSUER}/userinfo",
        "end_session_endpoint": f"{ISSUER}/logout",
        "jwks_uri": f"{ISSUER}/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
    },
    state,
    {METADATA["client_id"]: client},
    Userinfo(people),
)


@app.get("/.well-known/openid-configuration")
def configuration() -> Any:
    return jsonify(provider.provider_configuration.to_dict())


@app.get("/jwks")
def jwks() -> Any:
    return jsonify(provider.jwks)


@app.route("/authorize", methods=["GET", "POST"])
def authorize() -> Any:
    asked = provider.parse_authentication_request(urlencode(request.args), request.headers)
    if request.method == "GET":
        return '<form method="post"><input name="login"><button>Sign in</button></form>'
    session["sub"] = request.form["login"]
    answer = provider.authorize(asked, session["sub"])
    return redirect(answer.request(asked["redirect_uri"], False))


@app.post("/token")
def token() -> Any:
    try:
        return jsonify(provider.handle_token_request(request.get_data().decode(), request.headers).to_dict())
    except InvalidClientAuthentication:
        return jsonify(error="invalid_client"), 401
    except OAuthError as error:
        return jsonify(error=error.oauth_error, error_description=str(error)), 400


@app.route("/userinfo", methods=["GET", "POST"])
def userinfo() -> Any:
    try:
        return jsonify(provider.handle_userinfo_request(request.get_data().decode(), request.headers).to_dict())
    except InvalidAccessToken as error:
        return jsonify(error="invalid_token", error_description=str(error)), 401


@app.get("/logout")
def logout() -> Any:
    session.clear()
    back = request.args.get("post_logout_redirect_uri", "")
    return redirect(back) if back in METADATA["post_logout_redirect_uris"] else Response("Signed out.")


print(ISSUER, flush=True)
app.run("127.0.0.1", PORT)
