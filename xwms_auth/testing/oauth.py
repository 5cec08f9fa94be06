"""The plain login of OAuth 2.0 and OpenID Connect, answered from memory.

The sandbox needs twenty milliseconds for a login, and a quarter of a second to be made. So what a login asks for when
nothing is wrong is answered here, with the sandbox's own metadata, claims and key: discovery, key set, code with PKCE,
ID token, userinfo, and the revocation at the logout. Whatever else is asked, and all that has to be refused, is the
sandbox's, which is told of each login and each token first (`Grants.granted`).
"""

import functools
import json
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from .._core.io.in_process import LocalCall
from ..sandbox.domain import approvals, grants, signing
from ..sandbox.domain.urls import with_query
from ..sandbox.oauth import metadata
from ..sandbox.oauth.claims import claims
from ..sandbox.oauth.grant_types import ID_TOKEN_LIFETIME
from .calls import Reply
from .people import Approval

_PARAMETERS: Final = {
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    "prompt", "max_age",
}  # fmt: skip
"""Those of a plain authorization request. The sandbox answers one with any other."""

ACCESS_LIFETIME: Final = 300.0
"""Seconds that an access token is valid."""


@functools.cache
def signing_key() -> signing.Key:
    """The key of this process, because making one takes longer than a hundred logins."""
    return signing.new_key()


@dataclass(slots=True, kw_only=True)
class Token:
    """A token of a grant."""

    kind: grants.Kind
    value: str
    issued_at: float
    lifetime: float
    is_revoked: bool = False


@dataclass(slots=True, kw_only=True)
class Granted:
    """What a person has granted a client: the code, and the tokens that were issued for it."""

    client_id: str
    given: Approval
    scope: str
    nonce: str | None
    at: float
    redirect_uri: str
    code: str
    challenge: str
    sid: str
    tokens: list[Token]
    is_ended: bool = False


class Grants:
    """The logins of the XWMS at this origin. `clock` is its time."""

    def __init__(self, origin: str, clock: Callable[[], float]) -> None:
        self.granted: list[Granted] = []
        self._origin, self._clock = origin, clock

    def authorize(self, url: str, given: Approval, redirect_uris: Callable[[str], set[str]]) -> str | None:
        """Log a person in at the authorization endpoint, and return the URL of the callback. None: ask the sandbox.

        `redirect_uris` are those that are registered for a client.
        """
        parts = urlsplit(url)
        sent = parse_qsl(parts.query, keep_blank_values=True)
        asked = dict(sent)
        scopes = granted_scopes(asked.get("scope", "").split(), given)
        is_plain = (
            parts.path == metadata.AUTHORIZE
            and len(asked) == len(sent)
            and asked.keys() <= _PARAMETERS
            and asked.get("response_type") == "code"
            and asked.get("redirect_uri") in redirect_uris(asked.get("client_id", ""))
            and asked.get("code_challenge_method") == "S256"
            and len(asked.get("code_challenge", "")) == 43
            and asked.get("prompt", "login") in ("login", "consent")
            and asked.get("max_age", "0").isdecimal()
            and {*scopes} <= {*approvals.OPENID_SCOPES, *approvals.SCOPES}
            and "openid" in scopes
        )
        if not is_plain:
            return None
        granted = Granted(
            client_id=asked["client_id"],
            given=given,
            scope=" ".join(scopes),
            nonce=asked.get("nonce"),
            at=self._clock(),
            redirect_uri=asked["redirect_uri"],
            code=secrets.token_urlsafe(32),
            challenge=asked["code_challenge"],
            sid=secrets.token_urlsafe(16),
            tokens=[],
        )
        self.granted.append(granted)
        state = {"state": asked["state"]} if "state" in asked else {}
        return with_query(granted.redirect_uri, {"code": granted.code, **state, "iss": self._origin})

    def answer(self, call: LocalCall, secret_of: Callable[[str], str | None]) -> Reply | None:
        """Answer a call of a plain login; None for one that the sandbox has to answer.

        `secret_of` is the secret of a client, or None if there is no such client.
        """
        path = urlsplit(call.url).path
        if call.method == "GET" and path in ("/.well-known/openid-configuration", metadata.JWKS):
            is_key_set = path == metadata.JWKS
            return _json(
                signing.public_set(signing_key())
                if is_key_set
                else metadata.document(self._origin, public_url=self._origin)
            )
        if path == metadata.USERINFO:
            return self._userinfo(call)
        if path not in (metadata.TOKEN, metadata.REVOKE):
            return None
        form = _form_of(call)
        client_id = None if form is None else _client_of(call, form, secret_of)
        if form is None or client_id is None:
            return None
        return self._redeem(form, client_id) if path == metadata.TOKEN else self._revoke(form, client_id)

    def _redeem(self, form: Mapping[str, str], client_id: str) -> Reply | None:
        granted = next((one for one in self.granted if one.code == form.get("code")), None)
        now = self._clock()
        digest = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        is_plain = (
            granted is not None
            and form.get("grant_type") == "authorization_code"
            and granted.client_id == client_id
            and not granted.tokens
            and not granted.is_ended
            and now < granted.at + grants.CODE_LIFETIME
            and form.get("redirect_uri") == granted.redirect_uri
            and compare_digest(digest, granted.challenge)
        )
        if granted is None or not is_plain:
            return None
        access = Token(kind="access", value=secrets.token_urlsafe(32), issued_at=now, lifetime=ACCESS_LIFETIME)
        granted.tokens.append(access)
        tokens: dict[str, object] = {
            "token_type": "Bearer",
            "access_token": access.value,
            "expires_in": int(ACCESS_LIFETIME),
            "scope": granted.scope,
            "id_token": self._id_token(granted, access.value, now=now),
        }
        if "offline_access" in granted.scope.split():
            refresh = Token(
                kind="refresh", value=secrets.token_urlsafe(32), issued_at=now, lifetime=grants.REFRESH_LIFETIME
            )
            granted.tokens.append(refresh)
            tokens["refresh_token"] = refresh.value
        return _json(tokens)

    def _id_token(self, granted: Granted, access: str, *, now: float) -> str:
        half = urlsafe_b64encode(sha256(access.encode()).digest()[:16]).rstrip(b"=").decode()
        payload: dict[str, object] = {
            "iss": self._origin,
            "aud": granted.client_id,
            "azp": granted.client_id,
            "iat": int(now),
            "exp": int(now + ID_TOKEN_LIFETIME),
            "auth_time": int(granted.at),
            "sid": granted.sid,
            "at_hash": half,
            **claims(granted.given.person, granted.scope, public_url=self._origin),
        }
        if granted.nonce is not None:
            payload["nonce"] = granted.nonce
        return signing.sign_with(signing_key(), payload, kind="JWT")

    def _userinfo(self, call: LocalCall) -> Reply | None:
        kind, _, value = call.headers.get("authorization", "").partition(" ")
        found = self._find(value)
        if kind != "Bearer" or found is None:
            return None
        granted, token = found
        is_valid = token.kind == "access" and not token.is_revoked and not granted.is_ended
        # The extra fields of a person are in the sandbox's address book.
        if not is_valid or self._clock() >= token.issued_at + token.lifetime or "userinfo" in granted.scope.split():
            return None
        return _json(claims(granted.given.person, granted.scope, public_url=self._origin))

    def _revoke(self, form: Mapping[str, str], client_id: str) -> Reply | None:
        found = self._find(form.get("token", ""))
        if found is None or found[0].client_id != client_id:
            return None
        granted, token = found
        token.is_revoked = True
        granted.is_ended = granted.is_ended or token.kind == "refresh"
        return _json({})

    def _find(self, value: str) -> tuple[Granted, Token] | None:
        return next(((one, token) for one in self.granted for token in one.tokens if token.value == value), None)


def granted_scopes(asked: list[str], given: Approval) -> list[str]:
    """The scopes that the person approves of those that are asked for; without `openid` there would be no login."""
    return [one for one in dict.fromkeys(asked) if given.scopes is None or one in ("openid", *given.scopes)]


def _form_of(call: LocalCall) -> Mapping[str, str] | None:
    """The form of a call; None if a parameter is there twice."""
    pairs = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


def _client_of(call: LocalCall, form: Mapping[str, str], secret_of: Callable[[str], str | None]) -> str | None:
    """The client that has authenticated in one of the two ways; None if it has not."""
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if header := call.headers.get("authorization"):
        kind, _, encoded = header.partition(" ")
        try:
            pair = b64decode(encoded, validate=True).decode()
        except ValueError:
            return None
        if kind != "Basic" or secret or client_id:
            return None
        client_id, secret = (unquote_plus(part) for part in (*pair.split(":", 1), "")[:2])
    expected = secret_of(client_id)
    return client_id if expected and compare_digest(expected.encode(), secret.encode()) else None


def _json(document: Mapping[str, object]) -> Reply:
    return Reply(
        200, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], json.dumps(document).encode()
    )
