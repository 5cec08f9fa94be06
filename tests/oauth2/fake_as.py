"""A fake authorization server for attacks: it records every request as it came and misbehaves on demand.

A `FakeXWMS` (tests/tools/fake_xwms.py) that speaks OAuth 2.0 and OpenID Connect instead. It knows them from outside
only, and checks what a server has to: the client, the code's single use, its redirect URI and its PKCE challenge.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

from tests.oauth2.jwts import Key, at_hash, make_key, signed
from tests.tools.fake_xwms import CANARY, CLIENT_ID, REDIRECT_URI, FakeXWMS, person
from tests.tools.faults import Exchange, Reply, Request

DISCOVERY = "/.well-known/openid-configuration"
RFC8414 = "/.well-known/oauth-authorization-server"
TOKEN, USERINFO, JWKS, INTROSPECT = "/token", "/userinfo", "/jwks", "/introspect"


def document(body: object, status: int = 200, **headers: str | None) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps(body).encode(), headers=named)


class FakeAS(FakeXWMS):
    """`metadata` and `keys` may be changed at any time.

    `tokens` and `claims` are changes to the token answer and to the ID token; `forge` makes the ID token of its claims.
    What is changed to None is left out. With `refreshed_sub` a refresh brings an ID token of that person.
    """

    def __init__(self, *, path: str = "", algorithm: str = "ES256") -> None:
        super().__init__()
        self.path = path
        self.key = make_key(algorithm)
        self.keys = [self.key.jwk]
        self.checks_pkce = True
        self.refreshed_sub: str | None = None
        self.metadata: dict[str, object] = {}
        self.tokens: dict[str, object] = {}
        self.claims: dict[str, object] = {}
        self.forge: Callable[[dict[str, object]], object] | None = None
        self.asked: dict[str, dict[str, str]] = {}
        self.people: dict[str, dict[str, object]] = {}
        self.signed_in = ""
        self.given: dict[str, dict[str, object]] = {}

    def __enter__(self) -> "FakeAS":
        super().__enter__()
        self.issuer = self.url + self.path
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": self.url + TOKEN,
            "userinfo_endpoint": self.url + USERINFO,
            "jwks_uri": self.url + JWKS,
            "introspection_endpoint": self.url + INTROSPECT,
            "authorization_response_iss_parameter_supported": True,
        }
        return self

    def options(self, **changes: object) -> dict[str, Any]:
        usual = {"client_id": CLIENT_ID, "client_secret": CANARY, "redirect_uris": (REDIRECT_URI,)}
        usual |= {"flow": "oauth2", "issuer": self.issuer}
        return {**usual, "session_secret": "K3y-for-tests-0123456789-abcdefghij", **changes}

    # the person

    def consent(self, location: str, *, sub: str = "xwms-user-1234", **claims: object) -> dict[str, str]:
        """The person signs in and consents at this address; gives the query of the callback."""
        asked = dict(parse_qsl(urlsplit(location).query))
        code = secrets.token_urlsafe(32)
        self.asked[code] = asked
        self.people[code] = {**person(sub), **claims}
        return {"code": code, "state": asked.get("state", ""), "iss": self.issuer}

    # access tokens for APIs

    def give(self, **changes: object) -> str:
        """An opaque access token; `changes` are to what introspection says of it, None leaves out."""
        token, now = secrets.token_urlsafe(32), int(time.time())
        usual = {"active": True, "token_type": "Bearer", "client_id": CLIENT_ID, "sub": "xwms-user-1234"}
        usual |= {"scope": "read", "iss": self.issuer, "iat": now, "exp": now + 300}
        self.given[token] = {name: value for name, value in (usual | changes).items() if value is not None}
        return token

    def access_jwt(self, *, key: Key | None = None, header: dict[str, object] | None = None, **changes: object) -> str:
        """An access token as a JWT (RFC 9068) for the API `https://api.example`; None leaves out."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": "https://api.example", "sub": "xwms-user-1234", "client_id": "another-app"}
        usual |= {"scope": "read", "jti": secrets.token_urlsafe(8), "iat": now, "exp": now + 300}
        claims = {name: value for name, value in (usual | changes).items() if value is not None}
        return signed(key or self.key, claims, **{"typ": "at+jwt", **(header or {})})

    # how it answers

    def usual(self, at: Exchange) -> Reply:
        request = at.request
        path = urlsplit(request.target).path
        if path == DISCOVERY or path == RFC8414 + self.path:
            return document(self.metadata) if self.path == "" or path != DISCOVERY else document({}, 404)
        answers = {TOKEN: self._token, USERINFO: self._userinfo, JWKS: self._jwks, INTROSPECT: self._introspect}
        return answers[path](request) if path in answers else document({"error": "not_found"}, 404)

    def _jwks(self, request: Request) -> Reply:
        return document({"keys": self.keys}, Content_Type="application/jwk-set+json")

    def _introspect(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if self._client(request, form) != (CLIENT_ID, CANARY):
            return document({"error": "invalid_client"}, 401)
        return document(self.given.get(form["token"], {"active": False}))

    def _token(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if self._client(request, form) != (CLIENT_ID, CANARY):
            return document({"error": "invalid_client"}, 401)
        if form.get("grant_type") == "refresh_token":
            # It does not rotate: the refresh token goes on.
            if form["refresh_token"] != self.tokens.get("refresh_token"):
                return document({"error": "invalid_grant"}, 400)
            access_token = secrets.token_urlsafe(32)
            answer: dict[str, object] = {"access_token": access_token, "token_type": "Bearer", "expires_in": 300}
            if self.refreshed_sub is not None:
                answer["id_token"] = self.id_token({}, self.refreshed_sub, access_token)
            return document(answer)
        code = form.get("code", "")
        asked = self.asked.pop(code, None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return document({"error": "invalid_grant", "error_description": "<b>a code</b>"}, 400)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if self.checks_pkce and challenge.rstrip("=") != asked["code_challenge"]:
            return document({"error": "invalid_grant"}, 400)
        self.signed_in = code
        access_token = secrets.token_urlsafe(32)
        answer = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": asked.get("scope", ""),
        }
        if "openid" in asked.get("scope", "").split():
            answer["id_token"] = self.id_token(asked, str(self.people[code]["sub"]), access_token)
        answer |= self.tokens
        return document({name: value for name, value in answer.items() if value is not None})

    def id_token(self, asked: dict[str, str], sub: str, access_token: str) -> object:
        """The ID token for this login."""
        now = int(time.time())
        good = {"iss": self.issuer, "sub": sub, "aud": CLIENT_ID, "exp": now + 300, "iat": now}
        good |= {"nonce": asked.get("nonce"), "at_hash": at_hash(access_token, self.key.algorithm)}
        claims = {name: value for name, value in (good | self.claims).items() if value is not None}
        return signed(self.key, claims) if self.forge is None else self.forge(claims)

    def _userinfo(self, request: Request) -> Reply:
        if not "".join(request.all("Authorization")).startswith("Bearer "):
            return document({"error": "invalid_token"}, 401)
        return document(self.people[self.signed_in])

    @staticmethod
    def _client(request: Request, form: dict[str, str]) -> tuple[str | None, str | None]:
        given = "".join(request.all("Authorization"))
        if given.startswith("Basic "):
            client_id, _, secret = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
            return unquote_plus(client_id), unquote_plus(secret)
        return form.get("client_id"), form.get("client_secret")

    def forms(self) -> list[dict[str, str]]:
        """The bodies of the requests to the token endpoint."""
        return [dict(parse_qsl(request.body.decode())) for request in self.to(TOKEN)]

    def rotate(self, key: Key) -> None:
        """From now on another key signs."""
        self.key, self.keys = key, [key.jwk]
