"""The interface of a login protocol. `sign_token.py` and `oauth2/code_flow.py` are the two implementations.

`login/routes.py` and `login/callback.py` run the steps in the order that every login has: the browser is sent away with
a pending login, comes back, is recognised, and only then is XWMS asked who the person is. A provider implements the
steps that depend on its protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from ..base.dataclass import dataclass
from ..base.effects import Steps
from ..base.errors import XWMSError
from ..base.models import Identity, TokenSet, User
from ..base.session import Session
from ..config.context import Context
from ..http.login_params import LoginParams
from ..http.messages import Request
from ..http.urls import RedirectURI
from .pending_login import PendingLogin


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStart:
    """Where to send the browser, and what the pending login has to keep.

    `expires_at` is in seconds since 1970, or None if the protocol sets no limit of its own.
    """

    url: str
    proof: str = field(repr=False)
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackParams:
    """The well-formed parameters of a callback, from its query only.

    `credential` is the token or the code; `state`, `issuer` and `error` are what OAuth 2.0 sends with it.
    """

    credential: str = field(repr=False)
    state: str = field(default="", repr=False)
    issuer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCallback:
    """A callback that passed every check. Only `_redeem` in `login/callback.py` creates one, and only this can
    be redeemed.
    """

    credential: str = field(repr=False)
    login: PendingLogin
    uri: RedirectURI


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginResult:
    """Who logged in, and with which tokens if the protocol has any.

    `log_fields` are fields of the log entry. `proved_at` is as in `Session`.
    """

    user: User
    tokens: TokenSet | None = None
    proved_at: int | None = None
    log_fields: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutTokenClaims:
    """A logout at XWMS: who, from which login, and the id of the logout token.

    Without `sid` it is from all of the person's logins; without `sub` from the login that `sid` names. One is there.
    """

    sub: str | None
    sid: str | None
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingLogins:
    """The pending logins of this browser that a callback may belong to, the likeliest first.

    `exact`: the callback certainly belongs to the login in `logins`, or to none. `own_copies`: the same credential with
    the same login can only be a copy of this browser's own callback, not one of somebody else's. `otherwise`: the login
    that would have matched if the credential were not known to be another login's.
    """

    logins: tuple[PendingLogin, ...] = ()
    exact: bool = False
    own_copies: bool = False
    otherwise: PendingLogin | None = None


class Provider(Protocol):
    """A login protocol. Its state between requests is in the `Context`."""

    @property
    def tokens(self) -> "TokenProvider | None":
        """What the protocol does with tokens; None if it has none."""
        ...

    def confirmation_origins(self, context: Context, *, now: int) -> Steps[Sequence[str] | None]:
        """Origins that the confirmation page may lead to. It asks for a click if the login did not begin on this site.

        None if no click is needed, because the protocol itself binds a callback to its login.
        """
        ...

    def start(
        self, context: Context, uri: RedirectURI, *, fresh: int | None, params: LoginParams, now: int
    ) -> Steps[LoginStart]:
        """Start a login that returns to this redirect URI.

        `fresh` requires, if the protocol can, that the person logged in at XWMS within that many seconds. `params` are
        passed on as far as the protocol knows them.
        """
        ...

    def parse_callback(self, request: Request) -> CallbackParams:
        """Parse the callback's query. Raises `TokenMissing` or `TokenMalformed`."""
        ...

    def matching_logins(
        self, context: Context, params: CallbackParams, logins: Sequence[PendingLogin], *, now: int
    ) -> Steps[MatchingLogins]:
        """The pending logins of this browser that the callback may belong to."""
        ...

    def check_sender(self, context: Context, request: Request, uri: RedirectURI) -> None:
        """Raise `CrossSite` for a navigation that the protocol's own pages cannot have caused."""
        ...

    def invalidate(
        self, context: Context, uri: RedirectURI, params: CallbackParams, *, address: object, now: int
    ) -> Steps[bool]:
        """Make sure that nobody can redeem a credential that came to a browser it does not belong to.

        `address` is that of the request (`Request.address`), for a rate limit.
        True if XWMS has confirmed the credential, now or before.
        """
        ...

    def check_callback(
        self, context: Context, params: CallbackParams, matching: MatchingLogins, *, now: int
    ) -> Steps[XWMSError | None]:
        """The protocol's own checks before the credential is redeemed.

        A returned error ends the matching logins; an exception ends none.
        """
        ...

    def mismatch_error(self, params: CallbackParams) -> XWMSError:
        """The error for a callback that belongs to none of this browser's pending logins."""
        ...

    def is_invalidated(self, context: Context, params: CallbackParams, *, now: int) -> Steps[bool]:
        """Whether the credential was invalidated, so that nobody may redeem it."""
        ...

    def needs_confirmation(self, context: Context, matching: MatchingLogins, *, now: int) -> Steps[bool]:
        """Whether the person has to confirm which account they log in to before a session begins (login CSRF)."""
        ...

    def redeem(self, context: Context, callback: CheckedCallback, *, now: int) -> Steps[LoginResult]:
        """Redeem the credential. After an `APIError` that was not `sent` it is still valid."""
        ...

    def revalidate(self, context: Context, session: Session, *, now: int) -> Steps[Session]:
        """Ask XWMS about a person who is signed in, and return the session with current data.

        `NotApproved`, `NotFound`, `ClientDisabled`, `ClientUnknown` and `TokenRejected` mean that the person no longer
        has access; any other error means that XWMS could not tell now.
        """
        ...


class TokenProvider(Protocol):
    """What a protocol that issues tokens for the person implements in addition."""

    def prepare_refresh(self, context: Context, *, now: int) -> Steps[None]:
        """Fetch what `refresh` needs, so that `refresh` is a single call."""
        ...

    def refresh(self, context: Context, tokens: TokenSet, *, sub: str, now: int) -> Steps[TokenSet]:
        """Exchange this person's tokens for new ones.

        `TokenRejected` is final; after any other `APIError` the old tokens are unchanged.
        """
        ...

    def revoke_tokens(self, context: Context, tokens: TokenSet, *, of: Identity, now: int) -> Steps[None]:
        """Revoke a person's tokens that will not be used any more. Never raises because of the server's response."""
        ...

    def revoke_pending(self, context: Context, *, now: int) -> Steps[None]:
        """Revoke a few of the tokens that were given up (`ProcessState.give_up`). Never raises because of the server's
        response."""
        ...

    def end_session(self, context: Context, session: Session, uri: RedirectURI, target: str, *, now: int) -> Steps[str]:
        """Log out at the server too: revoke the login's tokens. Returns where to send the browser."""
        ...

    def verify_logout_token(self, context: Context, logout_token: str, *, now: int) -> Steps[LogoutTokenClaims]:
        """Verify a logout token that XWMS posted. Raises `TokenRejected` if it is not one of XWMS's."""
        ...
