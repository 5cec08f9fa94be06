"""The token endpoints: revocation (RFC 7009), introspection (RFC 7662), and userinfo with a Bearer token.

A client never learns anything about a token that was not issued to it.
"""
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingParameterType=false, reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false
# Authlib is only partly typed, and the types of its server are for any framework.

from collections.abc import Mapping, Sequence
from typing import Final

from authlib.oauth2 import OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import (
    ClientMixin,
    MissingAuthorizationError,
    ResourceProtector,
    UnsupportedTokenTypeError,
)
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Response

from xwms_auth.sandbox.domain import grants
from xwms_auth.sandbox.domain.request_checks import Refused, check_address, check_switches
from xwms_auth.sandbox.oauth.authlib_models import HeldToken
from xwms_auth.sandbox.oauth.claims import claims, extra_fields
from xwms_auth.sandbox.oauth.grant_types import invalid
from xwms_auth.sandbox.oauth.server import AUTH_METHODS, REALM, Request, Server


class _OwnTokens:
    """Looks up a token of the authenticated client; the token_type_hint is ignored, so an unknown one is no error."""

    server: Server

    def check_params(self, request: OAuth2Request, client: ClientMixin) -> None:
        """Refuse a request without a token."""
        if not request.form.get("token"):
            raise invalid("The token is missing.")

    def query_token(self, token_string: str, token_type_hint: str | None) -> HeldToken | None:
        """The token, whatever its state; None if it is not known or another client's."""
        found = grants.find_token(self.server.session, token_string)
        if found is None:
            self.server.reason = "The token is not known."
            return None
        if found.grant.client_pk != self.server.authenticated_client.id:
            self.server.reason = "The token is another client's."
            return None
        self.server.domain = found.grant.domain
        return HeldToken(token=found, session=self.server.session, now=self.server.now)


class Revocation(_OwnTokens, RevocationEndpoint):
    """Revokes a token, and with a refresh token its whole family. 200 also for an unknown token."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def revoke_token(self, token: HeldToken, request: OAuth2Request) -> None:
        """Revoke it."""
        if token.token.kind == "refresh":
            grants.end(token.grant, now=self.server.now)
        else:
            token.token.spent_at = token.token.spent_at or self.server.now


class Introspection(_OwnTokens, IntrospectionEndpoint):
    """Introspects a client's own token. For any other, unknown, revoked or expired token only `active: false`."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def check_permission(self, token: HeldToken, client: ClientMixin, request: OAuth2Request) -> bool:
        """Whether it is the client's own, and valid."""
        if over := grants.why_over(self.server.session, token.token, now=self.server.now):
            self.server.reason = f"Not active: {over}."
        return token.check_client(client) and not over

    def introspect_token(self, token: HeldToken) -> Mapping[str, object]:
        """The introspection response."""
        grant, row = token.grant, token.token
        return {
            "active": True,
            "scope": token.get_scope(),
            "client_id": grant.client.client_id,
            "token_type": "Bearer" if row.kind == "access" else "refresh_token",
            "sub": grant.person.sub,
            "aud": grant.client.client_id,
            "iss": self.server.issuer,
            "iat": int(row.issued_at),
            "exp": int(row.expires_at),
            "sid": grant.sid,
        }


class _AccessTokens(BearerTokenValidator):
    """Finds access tokens for userinfo."""

    def __init__(self, server: Server, ip: str | None) -> None:
        super().__init__(realm=REALM)
        self._server = server
        self._ip = ip

    def authenticate_token(self, token_string: str) -> HeldToken | None:
        """The access token, if it is valid and may be used from this IP address."""
        server = self._server
        found = grants.find_token(server.session, token_string)
        if found is None or found.kind != "access":
            server.reason = "The access token is not known."
            return None
        server.client, server.domain = found.grant.client, found.grant.domain
        over = grants.why_over(server.session, found, now=server.now)
        try:
            check_switches(server.domain, purpose="api")
            check_address(server.domain, self._ip)
        except Refused as refused:
            over = over or refused.reason.rstrip(".")
        if over:
            server.reason = f"Refused: {over}."
            return None
        return HeldToken(token=found, session=server.session, now=server.now)


def userinfo(server: Server, request: Request, *, ip: str | None) -> Response:
    """The claims that the token's scopes allow, or an error response (RFC 6750, section 3.1)."""
    protector = ResourceProtector()
    protector.register_token_validator(_AccessTokens(server, ip))
    try:
        token: HeldToken = protector.validate_request(["openid"], request)  # type: ignore[no-untyped-call]  # Authlib's
    except (MissingAuthorizationError, UnsupportedTokenTypeError):
        # Without a token the response has no error code (RFC 6750, section 3.1).
        server.reason = "The call has no Bearer token."
        return server.handle_response(401, "", [("WWW-Authenticate", f'Bearer realm="{REALM}"')])
    except OAuth2Error as error:
        return server.handle_error_response(request, error)
    person, scope = token.grant.person, token.get_scope()
    body = {**claims(person, scope, public_url=server.public_url), **extra_fields(person, scope)}
    return server.handle_response(200, body, _JSON_HEADERS)


_JSON_HEADERS: Final[Sequence[tuple[str, str]]] = (("Content-Type", "application/json"),)


def register(server: Server) -> None:
    """Register both endpoints with the server."""
    server.register_endpoint(Revocation)
    server.register_endpoint(Introspection)
