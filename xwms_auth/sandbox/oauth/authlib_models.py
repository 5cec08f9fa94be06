"""Adapters from the sandbox's clients, codes and tokens to Authlib's models (`authlib.oauth2.rfc6749.models`)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Client, Grant, Token
from xwms_auth.sandbox.domain import approvals, grants
from xwms_auth.sandbox.domain.request_checks import Caller, Refused, check_redirect_url

GRANT_TYPES: Final = ("authorization_code", "refresh_token")
RESPONSE_TYPES: Final = ("code",)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClient(ClientMixin):
    """A client. `caller` has the domain of the request; None if it does not matter."""

    client: Client
    caller: Caller | None = None

    def __repr__(self) -> str:
        return f"KnownClient({self.client.client_id!r})"

    def get_client_id(self) -> str:
        """The public client id."""
        return self.client.client_id

    def get_default_redirect_uri(self) -> str:
        """None: every request must have a redirect URI, which is compared with the registered ones."""
        return ""

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """The part of the scope that is enabled for the client, without duplicates."""
        requested = scope.split() if isinstance(scope, str) else scope
        return still_enabled(self.client, " ".join(dict.fromkeys(requested)))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether the redirect URI is registered and usable."""
        if self.caller is None:
            return False
        try:
            check_redirect_url(self.caller, redirect_uri)
        except Refused:
            return False
        return True

    def check_response_type(self, response_type: str) -> bool:
        """Whether the response type is supported: only `code` is."""
        return response_type in RESPONSE_TYPES

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the grant type is supported."""
        return grant_type in GRANT_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentCode(AuthorizationCodeMixin):
    """A code that has just been redeemed, and is spent even if the request fails."""

    grant: Grant

    @property
    def code_challenge(self) -> str:
        """The challenge that the verifier must match."""
        return self.grant.code_challenge

    @property
    def code_challenge_method(self) -> str:
        """Always S256."""
        return "S256"

    def get_redirect_uri(self) -> str:
        """The redirect URI that the code was sent to."""
        return self.grant.redirect_uri

    def get_scope(self) -> str:
        """The granted scope, without scopes that are no longer enabled for the client."""
        return still_enabled(self.grant.client, self.grant.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken(TokenMixin):
    """An access token or refresh token, with its state at `now`."""

    token: Token
    session: Session
    now: float

    @property
    def grant(self) -> Grant:
        """The login that it was issued for."""
        return self.token.grant

    def get_scope(self) -> str:
        """The scope of the token, without scopes that are no longer enabled for the client."""
        return still_enabled(self.grant.client, self.token.scope)

    def check_client(self, client: ClientMixin) -> bool:
        """Whether it was issued to this client."""
        return self.grant.client.client_id == client.get_client_id()

    def is_expired(self) -> bool:
        """Whether it has expired."""
        return self.token.expires_at <= self.now

    def is_revoked(self) -> bool:
        """Whether it is no longer valid for another reason."""
        return bool(grants.why_over(self.session, self.token, now=self.now))


def still_enabled(client: Client, scope: str) -> str:
    """The scope without scopes that are no longer enabled for the client."""
    enabled = (*approvals.OPENID_SCOPES, *approvals.scopes_of(client))
    return " ".join(each for each in scope.split() if each in enabled)


def grant_of(request: OAuth2Request) -> Grant:
    """The login whose code or refresh token a request has redeemed."""
    redeemed = request.authorization_code or request.refresh_token
    if not isinstance(redeemed, SpentCode | HeldToken):
        raise TypeError("Nothing has been redeemed.")
    return redeemed.grant
