"""Clients, codes and tokens, as Authlib asks about them.

Knows: the names of Authlib's questions (`authlib.oauth2.rfc6749.models`), and where the sandbox has the answers.
Must not: decide anything by itself.
"""

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
    """A client. `caller` says for which of its domains it asks; None where that is of no matter."""

    client: Client
    caller: Caller | None = None

    def __repr__(self) -> str:
        return f"KnownClient({self.client.client_id!r})"

    def get_client_id(self) -> str:
        """Its public name."""
        return self.client.client_id

    def get_default_redirect_uri(self) -> str:
        """None: every request has to name one, so that there is something to compare."""
        return ""

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """What of the scope is enabled for the client, each once."""
        asked = scope.split() if isinstance(scope, str) else scope
        return still_enabled(self.client, " ".join(dict.fromkeys(asked)))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether a login may end there."""
        if self.caller is None:
            return False
        try:
            check_redirect_url(self.caller, redirect_uri)
        except Refused:
            return False
        return True

    def check_response_type(self, response_type: str) -> bool:
        """Whether it may ask for this; a code and nothing else."""
        return response_type in RESPONSE_TYPES

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether it may redeem this."""
        return grant_type in GRANT_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentCode(AuthorizationCodeMixin):
    """A code that was just redeemed, and is spent whatever comes of it."""

    grant: Grant

    @property
    def code_challenge(self) -> str:
        """What the verifier has to match."""
        return self.grant.code_challenge

    @property
    def code_challenge_method(self) -> str:
        """How: there is one way."""
        return "S256"

    def get_redirect_uri(self) -> str:
        """Where it was sent."""
        return self.grant.redirect_uri

    def get_scope(self) -> str:
        """What the person allowed, as far as it is still enabled for the client."""
        return still_enabled(self.grant.client, self.grant.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken(TokenMixin):
    """An access token or refresh token, as it is `now`."""

    token: Token
    session: Session
    now: float

    @property
    def grant(self) -> Grant:
        """The login that it came of."""
        return self.token.grant

    def get_scope(self) -> str:
        """What it allows, as far as that is still enabled for the client."""
        return still_enabled(self.grant.client, self.token.scope)

    def check_client(self, client: ClientMixin) -> bool:
        """Whether it is this client's."""
        return self.grant.client.client_id == client.get_client_id()

    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.token.expires_at <= self.now

    def is_revoked(self) -> bool:
        """Whether anything else has ended it."""
        return bool(grants.why_over(self.session, self.token, now=self.now))


def still_enabled(client: Client, scope: str) -> str:
    """The scope without what has been taken away from the client since."""
    enabled = (*approvals.OPENID_SCOPES, *approvals.scopes_of(client))
    return " ".join(each for each in scope.split() if each in enabled)


def grant_of(request: OAuth2Request) -> Grant:
    """The login whose code or refresh token a request has redeemed."""
    redeemed = request.authorization_code or request.refresh_token
    if not isinstance(redeemed, SpentCode | HeldToken):
        raise TypeError("Nothing has been redeemed.")
    return redeemed.grant
