"""What a way to log in has to be. `sign_token.py` and `oauth2.py` are the two there are.

`flow.py` and `callback.py` tell the story in the order that every login has: a browser is sent away with a pending
login, comes back, is recognised, and only then is anybody asked who it is. A provider fills in what its protocol says.

Knows: the questions that a protocol has to answer.
Must not: answer any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..base.effects import Steps
from ..base.errors import XWMSError
from ..base.models import Session, TokenSet, User
from ..config.context import Context
from ..http.messages import Request
from ..http.urls import RedirectURI
from .pending_login import PendingLogin


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStart:
    """Where to send the browser, and what the pending login has to remember.

    `expires_at` is in seconds since 1970, or None if the protocol sets no limit of its own.
    """

    url: str
    proof: str = field(repr=False)
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackParams:
    """What the query of a callback brought, in a possible form. Only the query counts.

    `credential` is the token or the code; `state`, `issuer` and `error` are what OAuth 2.0 sends beside it.
    """

    credential: str = field(repr=False)
    state: str = field(default="", repr=False)
    issuer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCallback:
    """A callback that passed every check. Only `callback._check_callback` makes one, and only this can be redeemed."""

    credential: str = field(repr=False)
    login: PendingLogin
    uri: RedirectURI


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginResult:
    """Who logged in, with what tokens if the protocol has any. `log_fields` is for the log: name to value.

    `proved_at` is as in `Session`.
    """

    user: User
    tokens: TokenSet | None = None
    proved_at: int | None = None
    log_fields: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutTokenClaims:
    """Somebody has logged out at XWMS: who, of which login (None for all of theirs), and the telling token's id."""

    sub: str
    sid: str | None
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingLogins:
    """The pending logins of this browser that a callback may belong to, the likeliest first.

    `exact` says that it certainly belongs to the one that is named. `own_copies` says that the same credential with the
    same login is a copy of this browser's own callback, and not perhaps somebody else's. `otherwise` is the login that
    it would have been taken for if its credential were not known to be another login's.
    """

    logins: tuple[PendingLogin, ...] = ()
    exact: bool = False
    own_copies: bool = False
    otherwise: PendingLogin | None = None


class Provider(Protocol):
    """One protocol of login. What it remembers between requests is in the `Context`."""

    @property
    def tokens(self) -> "TokenProvider | None":
        """What the protocol does with tokens; None for one that has none."""
        ...

    def confirmation_origins(self, context: Context, *, now: int) -> Steps[Sequence[str] | None]:
        """Origins that the page may lead to which asks for a click where the login did not begin on this site.

        None if no click is needed, because the protocol itself ties a callback to its login.
        """
        ...

    def start(self, context: Context, uri: RedirectURI, *, fresh: int | None, now: int) -> Steps[LoginStart]:
        """Begin a login that ends at this redirect URI.

        `fresh` demands, where the protocol can, that the person has logged in at XWMS in the last so many seconds.
        """
        ...

    def parse_callback(self, request: Request) -> CallbackParams:
        """Take the callback's query apart. Raises `TokenMissing` or `TokenMalformed`."""
        ...

    def matching_logins(
        self, context: Context, params: CallbackParams, logins: Sequence[PendingLogin], *, now: int
    ) -> Steps[MatchingLogins]:
        """The pending logins of this browser that the callback may belong to."""
        ...

    def check_sender(self, context: Context, request: Request, uri: RedirectURI) -> None:
        """Refuse, with `CrossSite`, a navigation that the protocol's own pages cannot have caused."""
        ...

    def invalidate(self, context: Context, uri: RedirectURI, params: CallbackParams, *, now: int) -> Steps[bool]:
        """The credential came to a browser it does not belong to: see to it that nobody can redeem it.

        True if XWMS has confirmed it, now or before.
        """
        ...

    def check_callback(
        self, context: Context, params: CallbackParams, matching: MatchingLogins, *, now: int
    ) -> Steps[XWMSError | None]:
        """The protocol's own checks before the credential is redeemed: what is wrong, which then ends an exact login.

        What it raises ends nothing.
        """
        ...

    def mismatch_error(self, params: CallbackParams) -> XWMSError:
        """What to say of a callback that belongs to none of the logins which this browser has under way."""
        ...

    def is_invalidated(self, context: Context, params: CallbackParams, *, now: int) -> Steps[bool]:
        """Whether the credential is not to be redeemed by anybody any more."""
        ...

    def needs_confirmation(self, context: Context, matching: MatchingLogins, *, now: int) -> Steps[bool]:
        """Whether the person has to be shown whom they are about to be before a session begins."""
        ...

    def redeem(self, context: Context, callback: CheckedCallback, *, now: int) -> Steps[LoginResult]:
        """Redeem the credential. An `APIError` that was not `sent` means that it is as good as before."""
        ...

    def revalidate(self, context: Context, session: Session, *, now: int) -> Steps[Session]:
        """Ask about a person who is signed in: the session with what is new. Raises what tells a no from a not now.

        A clear no is `NotApproved`, `NotFound`, `ClientDisabled`, `ClientUnknown` or `TokenRejected`.
        """
        ...


class TokenProvider(Protocol):
    """What a protocol answers besides that gives an application tokens of the person's."""

    def prepare_refresh(self, context: Context, *, now: int) -> Steps[None]:
        """Learn what `refresh` needs to know, so that it is one call."""
        ...

    def refresh(self, context: Context, tokens: TokenSet, *, sub: str, now: int) -> Steps[TokenSet]:
        """New tokens for old ones of this person.

        `TokenRejected` is final; any other `APIError` leaves the old ones as they are.
        """
        ...

    def revoke_tokens(self, context: Context, tokens: TokenSet, *, now: int) -> Steps[None]:
        """Have the server end tokens that nobody here will use. Never raises for what it answers."""
        ...

    def end_session(self, context: Context, session: Session, uri: RedirectURI, target: str, *, now: int) -> Steps[str]:
        """The person has logged out here: give back what the login was given. Returns where to send the browser."""
        ...

    def verify_logout_token(self, context: Context, logout_token: str, *, now: int) -> Steps[LogoutTokenClaims]:
        """Who has logged out, by a token that XWMS posted. Raises `TokenRejected` for one that is not XWMS's."""
        ...
