"""An OpenID provider with Authlib's server, as its documentation has it: `python authlib_server.py PORT CLIENT`.

CLIENT is a client's metadata as JSON. All is in memory, and everybody who types a name is that person.
"""

import json
import sys
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oidc.core import OpenIDCode as OIDCode
from authlib.oidc.core import UserInfo
from authlib.oidc.rpinitiated import EndSessionEndpoint
from flask import Flask, jsonify, redirect, request, session
from joserfc.jwk import KeySet, RSAKey

PORT, METADATA = int(sys.argv[1]), json.loads(sys.argv[2])
ISSUER = f"http://127.0.0.1:{PORT}"
LIFETIME = 50
KEY = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
KEYS = KeySet([KEY])

app = Flask(__name__)
app.secret_key = "for-tests"
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": LIFETIME, "refresh_token": LIFETIME}
codes: dict[str, "Code"] = {}
tokens: list["Token"] = []


class Person:
    def __init__(self, sub: str) -> None:
        self.sub = sub

    def get_user_id(self) -> str:
        return self.sub


class Client(ClientMixin):
    client_id = METADATA["client_id"]
    client_metadata = METADATA

    def get_client_id(self) -> str:
        return str(self.client_id)

    def get_default_redirect_uri(self) -> str:
        return str(METADATA["redirect_uris"][0])

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in METADATA["redirect_uris"]

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(client_secret == METADATA["client_secret"])

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {"authorization_code", "refresh_token"}


class Code(AuthorizationCodeMixin):
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None

    def get_authorization_details(self) -> None:
        return None


class Token(TokenMixin):
    def __init__(self, values: dict[str, Any], sub: str) -> None:
        self.values, self.sub, self.at, self.revoked = values, sub, int(time.time()), False

    def check_client(self, client: ClientMixin) -> bool:
        return True

    def get_scope(self) -> str:
        return str(self.values.get("scope", ""))

    def get_expires_in(self) -> int:
        return LIFETIME

    def is_expired(self) -> bool:
        return time.time() > self.at + LIFETIME

    def is_revoked(self) -> bool:
        return self.revoked

    def get_user(self) -> Person:
        return Person(self.sub)

    def get_client(self) -> ClientMixin:
        return Client()


def token_of(text: str, *names: str) -> Token | None:
    return next((token for token in tokens if any(token.values.get(name) == text for name in names)), None)


class CodeGrant(grants.AuthorizationCodeGrant):
    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        codes[code] = Code(
            code=code, sub=request.user.sub, redirect_uri=request.payload.redirect_uri, scope=request.payload.scope,
            nonce=data.get("nonce"), auth_time=int(time.time()), code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )  # fmt: skip

    def query_authorization_code(self, code: str, client: ClientMixin) -> Code | None:
        return codes.get(code)

    def delete_authorization_code(self, authorization_code: Any) -> None:
        codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code: Any) -> Person:
        return Person(authorization_code.sub)


class RefreshGrant(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        found = token_of(refresh_token, "refresh_token")
        return found if found is not None and not found.revoked else None

    def authenticate_user(self, refresh_token: Any) -> Person:
        return Person(refresh_token.sub)

    def revoke_old_credential(self, refresh_token: Any) -> None:
        refresh_token.revoked = True


class OpenIDCode(OIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def get_jwt_config(self, grant: Any, client: Any = None) -> dict[str, Any]:
        return {"key": KEY, "alg": "RS256", "iss": ISSUER, "exp": 300, "kid": KEY.kid}

    def resolve_client_private_key(self, client: Any) -> Any:
        return KEY

    def generate_user_info(self, user: Any, scope: str) -> UserInfo:
        return UserInfo(sub=user.sub, name=f"Name of {user.sub}")


class Revocation(RevocationEndpoint):
    def query_token(self, token_string: str, token_type_hint: str) -> Token | None:
        return token_of(token_string, "access_token", "refresh_token")

    def revoke_token(self, token: Any, request: Any) -> None:
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    def check_permission(self, token: Any, client: Any, request: Any) -> bool:
        return True

    def query_token(self, token_string: str, token_type_hint: str) -> Token | None:
        return token_of(token_string, "access_token")

    def introspect_token(self, token: Any) -> dict[str, Any]:
        return {
            "active": True, "client_id": Client.client_id, "token_type": "Bearer", "scope": token.get_scope(),
            "sub": token.sub, "iss": ISSUER, "iat": token.at, "exp": token.at + LIFETIME,
        }  # fmt: skip


class EndSession(EndSessionEndpoint):
    def get_server_jwks(self) -> Any:
        return KEYS

    def is_post_logout_redirect_uri_legitimate(self, request: Any, redirect_uri: str, client: Any, *more: Any) -> bool:
        return redirect_uri in METADATA["post_logout_redirect_uris"]

    def end_session(self, end_session_request: Any) -> None:
        session.clear()


class Validator(BearerTokenValidator):
    def authenticate_token(self, token_string: str) -> Token | None:
        return token_of(token_string, "access_token")


server = AuthorizationServer(
    app,
    query_client=lambda client_id: Client() if client_id == Client.client_id else None,
    save_token=lambda values, request: tokens.append(Token(values, request.user.sub)),
)
server.register_grant(CodeGrant, [OpenIDCode(require_nonce=True), CodeChallenge(required=True)])
server.register_grant(RefreshGrant)
for endpoint in (Revocation, Introspection, EndSession):
    server.register_endpoint(endpoint)
protect = ResourceProtector()
protect.register_token_validator(Validator())


@app.get("/.well-known/openid-configuration")
def configuration() -> Any:
    endpoints = {
        "authorization_endpoint": "/authorize", "token_endpoint": "/token", "userinfo_endpoint": "/userinfo",
        "jwks_uri": "/jwks", "revocation_endpoint": "/revoke", "introspection_endpoint": "/introspect",
        "end_session_endpoint": "/logout",
    }  # fmt: skip
    return jsonify({"issuer": ISSUER, **{name: ISSUER + path for name, path in endpoints.items()}})


@app.get("/jwks")
def jwks() -> Any:
    return jsonify(KEYS.as_dict(private=False))


@app.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    if request.method == "GET":
        return '<form method="post"><input name="login"><button>Sign in</button></form>'
    session["sub"] = request.form["login"]
    return redirect(request.full_path.partition("?")[2])


@app.route("/authorize", methods=["GET", "POST"])
def authorize() -> Any:
    if "sub" not in session:
        return redirect(f"/sign-in?{request.full_path}")
    try:
        grant = server.get_consent_grant(end_user=Person(session["sub"]))
    except OAuth2Error as error:
        return server.handle_error_response(request, error)
    if request.method == "GET":
        return '<form method="post"><button>Allow</button></form>'
    return server.create_authorization_response(grant_user=Person(session["sub"]), grant=grant)


@app.post("/token")
def token() -> Any:
    return server.create_token_response()


@app.post("/revoke")
def revoke() -> Any:
    return server.create_endpoint_response(Revocation.ENDPOINT_NAME)


@app.post("/introspect")
def introspect() -> Any:
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@app.route("/userinfo", methods=["GET", "POST"])
@protect("openid")
def userinfo() -> Any:
    return jsonify({"sub": current_token.sub, "name": f"Name of {current_token.sub}"})


@app.route("/logout", methods=["GET", "POST"])
def logout() -> Any:
    asked = server.validate_endpoint_request(EndSession.ENDPOINT_NAME)
    if asked.needs_confirmation and request.method == "GET":
        return '<form method="post"><button>Sign out</button></form>'
    return server.create_endpoint_response(EndSession.ENDPOINT_NAME, asked) or "Signed out."


print(ISSUER, flush=True)
app.run("127.0.0.1", PORT)
