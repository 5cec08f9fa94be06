"""The two grant types: authorization code with PKCE, and refresh token with rotation; and the ID token.

`domain/grants.py` decides whether a code or a token is valid.
"""
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingParameterType=false, reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false
# Authlib is only partly typed, and the types of its server are for any framework.

import re
from collections.abc import Mapping
from typing import Final

from authlib.oauth2 import OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidGrantError, InvalidRequestError, TokenMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDToken
from authlib.oidc.core.util import create_half_hash

from xwms_auth.sandbox.db.schema import Person
from xwms_auth.sandbox.domain import grants, signing
from xwms_auth.sandbox.oauth.authlib_models import HeldToken, SpentCode, grant_of
from xwms_auth.sandbox.oauth.claims import claims
from xwms_auth.sandbox.oauth.server import AUTH_METHODS, Request, Server

ID_TOKEN_LIFETIME: Final = 300.0  # seconds; it is for the login only, not a session

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # the base64url of a SHA-256


class RequiredPKCE(CodeChallenge):
    """PKCE for every client, also those with a secret, and only S256 (RFC 9700, section 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD: list[str] = ["S256"]  # noqa: RUF012  Authlib's

    def validate_code_challenge(self, grant: "CodeGrant", redirect_uri: str) -> None:
        """PKCE downgrade: refuse a request without a challenge, which Authlib would accept."""
        parameters = grant.request.payload.data
        if "code_challenge" not in parameters:
            raise InvalidRequestError("PKCE is required: the code_challenge is missing.")
        if parameters.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE is required with S256: the code_challenge_method is another.")
        if _CHALLENGE.fullmatch(parameters["code_challenge"]) is None:
            raise InvalidRequestError("The code_challenge is not the base64url of a SHA-256.")
        super().validate_code_challenge(grant, redirect_uri)


class CodeGrant(AuthorizationCodeGrant):
    """The authorization code grant; a code is redeemed once (RFC 6749, section 4.1)."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    request: Request
    server: Server

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: ClientMixin) -> str:
        """The redirect URI, which was checked before; Authlib's own error message would quote a foreign one."""
        redirect_uri = request.payload.redirect_uri if request.payload else ""
        if not client.check_redirect_uri(redirect_uri):
            raise InvalidRequestError("The redirect URI is not registered for this client.")
        return redirect_uri

    def query_authorization_code(self, code: str, client: ClientMixin) -> SpentCode | None:
        """The code, which this call spends."""
        found = grants.redeem_code(self.server.session, code, self.server.authenticated_client, now=self.server.now)
        if isinstance(found, str):
            self.server.reason = f"Refused: {found}."
            return None
        self.server.check_caller(found)
        return SpentCode(grant=found)

    def delete_authorization_code(self, authorization_code: SpentCode) -> None:
        """Does nothing: the code is kept, so that a replay is detected."""

    def authenticate_user(self, authorization_code: SpentCode) -> Person:
        """The person who granted it."""
        return authorization_code.grant.person

    def generate_token(
        self,
        user: object = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,  # noqa: FBT001, FBT002  Authlib's
    ) -> dict[str, str | int]:
        """Tokens for this scope; a refresh token only if `offline_access` was granted."""
        offline = include_refresh_token and "offline_access" in (scope or "").split()
        return super().generate_token(user, scope, grant_type, expires_in, offline)


class RefreshGrant(RefreshTokenGrant):
    """The refresh token grant; a refresh token is replaced at every use (RFC 9700, section 4.14.2)."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    request: Request
    server: Server

    def authenticate_refresh_token(self, refresh_token: str) -> HeldToken:
        """The refresh token, if it is valid and of this client. Raises `OAuth2Error`."""
        server = self.server
        found = grants.find_refresh_token(server.session, refresh_token, server.authenticated_client, now=server.now)
        if isinstance(found, str):
            server.reason = f"Refused: {found}."
            raise InvalidGrantError("The refresh token is invalid, expired or already used.")
        server.check_caller(found.grant)
        return HeldToken(token=found, session=server.session, now=server.now)

    def authenticate_user(self, refresh_token: HeldToken) -> Person:
        """The person who granted it."""
        return refresh_token.grant.person

    def revoke_old_credential(self, refresh_token: TokenMixin) -> None:
        """Mark it as used. All of this is one unit of work, so that two requests cannot use the same token."""
        if isinstance(refresh_token, HeldToken):
            refresh_token.token.spent_at = self.server.now


class IDToken(OpenIDToken):
    """Adds an ID token to tokens with the scope `openid` (OpenID Connect Core, section 2)."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def encode_id_token(self, token: Mapping[str, str | int], request: OAuth2Request) -> str:
        """The ID token; without the nonce after a refresh (section 12.2)."""
        server, grant = self._server, grant_of(request)
        at_hash = create_half_hash(str(token["access_token"]), signing.ALGORITHM) or b""
        payload: dict[str, object] = {
            "iss": server.issuer,
            "aud": grant.client.client_id,
            "azp": grant.client.client_id,
            "iat": int(server.now),
            "exp": int(server.now + ID_TOKEN_LIFETIME),
            "auth_time": int(grant.auth_time),
            "sid": grant.sid,
            "at_hash": at_hash.decode(),
            **claims(grant.person, str(token["scope"]), public_url=server.public_url),
        }
        if request.authorization_code and grant.nonce is not None:
            payload["nonce"] = grant.nonce
        return signing.sign(server.session, payload, kind="JWT", now=server.now)


def register(server: Server) -> None:
    """Register both grant types with the server."""
    id_token = IDToken(server)
    server.register_grant(CodeGrant, [RequiredPKCE(required=True), id_token])
    server.register_grant(RefreshGrant, [id_token])


def invalid(description: str, error: str = "invalid_request") -> OAuth2Error:
    """An OAuth error; the description must be ASCII without quotation marks."""
    return OAuth2Error(description, error=error)
