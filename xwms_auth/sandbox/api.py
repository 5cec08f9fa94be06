"""The API of a local XWMS: `info`, `sign-token` and `sign-token-verify`, as XWMS documents them.

Judges requests and speaks the envelope; keeps nothing itself, and shows no pages.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from flask import Blueprint, Response, request

from xwms_auth.sandbox.answers import API_PREFIX, Refusal, success
from xwms_auth.sandbox.store import Client, MemoryStore, SignIn, sha256_of

# An unknown client id is compared too, so that its answer takes as long as that of a known one.
_NOBODY: Final = Client(
    client_id="", secret_sha256=sha256_of(secrets.token_urlsafe(32)), domain="", redirect_uris=frozenset()
)
_ENDPOINTS: Final = ("info", "sign-token", "sign-token-verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The three calls. `public_url` is the sandbox's own address without a last slash; `token_lifetime` in seconds."""

    store: MemoryStore
    clock: Callable[[], float]
    public_url: str
    token_lifetime: float

    def blueprint(self) -> Blueprint:
        """The routes below /api/."""
        api = Blueprint("api", __name__, url_prefix=API_PREFIX)
        api.add_url_rule("/info", view_func=self.info, methods=["GET"])
        api.add_url_rule("/sign-token", view_func=self.sign_token, methods=["POST"])
        api.add_url_rule("/sign-token-verify", view_func=self.sign_token_verify, methods=["POST"])
        return api

    def info(self) -> Response:
        """Who answers here; open to everybody."""
        endpoints = {name: f"{self.public_url}{API_PREFIX}/{name}" for name in _ENDPOINTS}
        return success(
            "Welcome to the local XWMS.",
            {
                "application": {
                    "name": "XWMS sandbox",
                    "description": "A local XWMS for development.",
                    "version": "sandbox",
                    "locale": "en",
                    "timezone": "UTC",
                    "time": _iso(self.clock()),
                },
                "client": {"ip": request.remote_addr, "user_agent": request.headers.get("User-Agent")},
                "api": {"documentation": "https://xwms.nl/", "endpoints": endpoints},
            },
        )

    def sign_token(self) -> Response:
        """Begin a login: a token, and the address of the page where the person says who they are."""
        client = self._calling_client()
        redirect_url = _required_text(_json_object(), "redirect_url")
        if redirect_url not in client.redirect_uris:
            raise Refusal(422, "The redirect URL is not registered for this client.")
        now = self.clock()
        expires_at = now + self.token_lifetime
        token = secrets.token_urlsafe(32)
        sign_in = SignIn(client_id=client.client_id, redirect_url=redirect_url, expires_at=expires_at)
        self.store.begin(token, sign_in, now=now)
        return success(
            "The sign token was created.",
            {
                "client_id": client.client_id,
                "token": token,
                "email": None,
                "expires_at": _iso(expires_at),
                "url": f"{self.public_url}/sign-in/{token}",
            },
        )

    def sign_token_verify(self) -> Response:
        """Say once whom a token stands for; `redirect_url`, which XWMS's SDKs send along, is accepted and not used."""
        client = self._calling_client()
        body = _json_object()
        token = _required_text(body, "token")
        if body.get("redirect_url") is not None:
            _required_text(body, "redirect_url")
        person = self.store.redeem(token, client_id=client.client_id, now=self.clock())
        if person is None:
            raise Refusal(401, "The token is invalid, expired or already used.")
        return success("The token was verified.", person.claims(picture=f"{self.public_url}/static/person.png"))

    def _calling_client(self) -> Client:
        client = self.store.client(request.headers.get("X-Client-Id", "")) or _NOBODY
        if not client.has_secret(request.headers.get("X-Client-Secret", "")):
            raise Refusal(401, "Invalid client credentials.")
        if not client.enabled:
            raise Refusal(403, "The client is disabled.")
        if request.headers.get("X-Client-Domain") != client.domain:
            raise Refusal(403, "The domain is not allowed for this client.")
        return client


def _json_object() -> dict[str, object]:
    if not request.is_json:
        raise Refusal(415, "The Content-Type must be application/json.")
    try:
        body: object = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not JSON.") from None
    if not isinstance(body, dict):
        raise Refusal(422, "The request body must be a JSON object.")
    return cast("dict[str, object]", body)


def _required_text(body: dict[str, object], field: str) -> str:
    value = body.get(field)
    if value is None or value == "":
        raise Refusal(422, f"The {field} field is required.")
    if not isinstance(value, str):
        raise Refusal(422, f"The {field} field must be a string.")
    return value


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
