"""Every option, once: `XWMSConfig`.

Knows: names, units, defaults and why they are so.
Must not: read a request, or touch the network. The environment is read only when `from_env` is called.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..base.errors import ConfigError
from ..base.secrets import Secret, SecretSource
from ..base.store_protocols import RevocationStore, SessionStore
from ..http.urls import Address, RedirectURI
from .env import (
    CallbackToken,
    ClientAuth,
    Flow,
    Protect,
    RecheckPolicy,
    TokenValidation,
    missing_session_secret,
    read_options,
)
from .server_metadata import Metadata
from .validation import Validator

C = TypeVar("C", bound="XWMSConfig")


class _RaisesLast(type):
    """Raises a config's faults only after `__init__` has returned.

    A crash reporter that records local variables would otherwise find the client secret as an argument of the
    `__init__` frame in the very traceback that complains about it.
    """

    if not TYPE_CHECKING:  # type checkers keep reading the signature of `__init__`

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                made = super().__call__(*args, **kwargs)
            finally:
                del args, kwargs
            if made.faults:
                raise ConfigError(made.faults)
            return made


@dataclass(frozen=True, kw_only=True)
class XWMSConfig(metaclass=_RaisesLast):
    """The settings of one client. Raises `ConfigError` with all faults at once.

    Each field says what it is, its unit and why its default is what it is. A list of one may be given without the list.
    """

    client_id: str
    """The client id from the Clients section of the XWMS dashboard."""

    client_secret: str | Secret | SecretSource | Callable[[], str | Secret] = field(repr=False)
    """The client secret, or a callable that fetches it. Sent to XWMS only, never to a browser."""

    redirect_uris: str | Sequence[str]
    """One or several callback addresses, byte for byte as registered with XWMS. Their paths are the callback routes."""

    domain: str = ""
    """The domain or domain id that XWMS knows the client by. Default: the host of the first redirect URI."""

    api_url: str = "https://xwms.nl/api/"
    """Where the XWMS API is. Plain http only on loopback, for the sandbox."""

    session_secret: str | Secret | Sequence[str | Secret] = field(default=(), repr=False)
    """One or several keys of at least 32 bytes for our cookies: the first signs, all verify."""

    session_store: str | Secret | SessionStore = field(default="cookie", repr=False)
    """`cookie`: the sealed session is the cookie, no infrastructure. `sqlite:///path`: for processes on one machine.
    `redis://…`, `rediss://…`, `unix://…`: for many machines. `memory://`: in this process, for tests. Or your own.
    An address that may hold a password is kept as a `Secret`."""

    revocation_store: str | Secret | RevocationStore = field(default="", repr=False)
    """With the cookie store: where revocations are kept, so that a session can be ended elsewhere. Default: nowhere."""

    session_idle: timedelta | float = timedelta(days=1)
    """How long a session lives without a request. A timedelta or seconds."""

    session_lifetime: timedelta | float = timedelta(days=7)
    """How long a session lives at the most. A timedelta or seconds."""

    recheck: timedelta | float = 0.0
    """How often a session in use is checked with XWMS. A timedelta or seconds; 0 is never."""

    recheck_policy: RecheckPolicy = "end"
    """What a withdrawn access, or a disabled or deleted client, means at a re-check: `end` or `keep` the session."""

    login_path: str = "/xwms/auth"
    """Where a login starts. The default is the route of XWMS's own documentation."""

    logout_path: str = "/xwms/logout"
    """Where a session ends (POST)."""

    me_path: str = "/xwms/me"
    """Where scripts ask who is signed in."""

    backchannel_path: str = "/xwms/backchannel-logout"
    """With `oauth2`: where XWMS posts that somebody has logged out there. Name it in the client's settings at XWMS."""

    after_login: str = "/"
    """Where a login without a `next` ends."""

    after_logout: str = "/"
    """Where a logout ends."""

    protect: Protect = "marked"
    """`marked`: only routes that ask for it need a login. `all`: everything but the `public` paths does."""

    public: str | Sequence[str] = ()
    """With `protect="all"`: exact paths, or prefixes that end in `/*`, that anybody may see."""

    callback_token: CallbackToken = "either"
    """Is the callback's token the one `sign-token` returned? `same` and `fresh` are stricter than `either`."""

    confirm_person: bool = False
    """Show whom somebody is about to be before a session begins, wherever the callback's token does not tell whose
    login it is. Always so once `either` has learned; this is for `fresh`."""

    login_origins: str | Sequence[str] = ()
    """Origins XWMS's login page may be on. Default: the API's own host and its subdomains."""

    timeout: timedelta | float = 8.0
    """Deadline of one whole call to XWMS. A timedelta or seconds; XWMS's SDKs wait ten."""

    flow: Flow = "sign-token"
    """How to log in: XWMS's own `sign-token`, or `oauth2`, the authorization code with PKCE."""

    issuer: str = ""
    """Who vouches for people: half of everybody's identity. With `oauth2` the authorization server, to the byte as it
    writes itself; with `sign-token` always `api_url`."""

    scopes: str | Sequence[str] = "openid profile email"
    """With `oauth2`: what to ask for. With `openid` among them the ID token says who logged in, otherwise userinfo."""

    client_auth: ClientAuth = "client_secret_basic"
    """With `oauth2`: how the client secret travels to the token endpoint, in a header or in the body."""

    provider_logout: bool = True
    """With `oauth2`: whether a logout here goes on to the server's own, where its metadata name one."""

    authorization_endpoint: str = ""
    """With `oauth2`: where people are sent. Whoever names one endpoint names all: nothing is discovered then."""

    token_endpoint: str = ""
    """With `oauth2`: where codes become tokens."""

    userinfo_endpoint: str = ""
    """With `oauth2`: who an access token belongs to. Required where `openid` is not asked for."""

    jwks_uri: str = ""
    """With `oauth2`: the keys that ID tokens are signed with. Required where `openid` is asked for."""

    revocation_endpoint: str = ""
    """With `oauth2`: where tokens are revoked."""

    introspection_endpoint: str = ""
    """With `oauth2`: where a token is asked about."""

    end_session_endpoint: str = ""
    """With `oauth2`: where the session at the authorization server ends."""

    token_validation: TokenValidation = "introspection"
    """With `oauth2`: how the access tokens are checked that are brought to an API of this application. `introspection`
    asks the server, so that a revoked one ends within half a minute; `jwt` checks the server's signature."""

    audience: str = ""
    """With `oauth2`: what this API is called in access tokens (`aud`). Required with `jwt`. Default: with
    `introspection`, only tokens of this client count."""

    redact_access_logs: bool = True
    """Whether the server's access log shows … in place of the token, the code and the state of a callback."""

    debug: bool = False
    """Tell on error pages, and in problem documents, what is wrong and what to change. For development only."""

    insecure_allow_http: bool = False
    """Allow plain http on hosts that cannot be public, such as a name in a container network. For development only."""

    # What the options mean, worked out once. Not options.
    faults: tuple[str, ...] = field(init=False, repr=False, compare=False)
    secret_source: SecretSource = field(init=False, repr=False, compare=False)
    session_keys: tuple[Secret, ...] = field(init=False, repr=False, compare=False)
    registered: tuple[RedirectURI, ...] = field(init=False, repr=False, compare=False)
    metadata: Metadata | None = field(init=False, repr=False, compare=False)
    openid: bool = field(init=False, repr=False, compare=False)
    api: Address = field(init=False, repr=False, compare=False)
    idle_seconds: int = field(init=False, repr=False, compare=False)
    lifetime_seconds: int = field(init=False, repr=False, compare=False)
    recheck_seconds: int = field(init=False, repr=False, compare=False)
    timeout_seconds: float = field(init=False, repr=False, compare=False)
    own_paths: frozenset[str] = field(init=False, repr=False, compare=False)
    callback_paths: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Validator(self).judge()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, session_secret_required: bool = False) -> Self:
        """Read the `XWMS_…` variables, from `os.environ` unless a mapping is given."""
        made = _read(cls, os.environ if environ is None else environ, session_secret_required=session_secret_required)
        del environ
        return _faultless(made)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, session_secret_required: bool = False) -> Self:
        """Read the same names from any mapping, for instance Flask's `app.config`.

        Text is split at white space where a list is meant and read as a number where seconds are meant.
        `session_secret_required` adds a fault where no session secret is given.
        """
        made = _read(cls, mapping, session_secret_required=session_secret_required)
        # Nothing that holds a secret in clear may stay in this frame: see _RaisesLast.
        del mapping
        return _faultless(made)

    def require_tokens(self) -> None:
        """Raise `ConfigError` where there can be no access tokens: only `flow="oauth2"` has some."""
        if self.flow != "oauth2":
            raise ConfigError(
                ["XWMS_FLOW (flow) is sign-token, which has no access tokens; a view that needs one needs oauth2"]
            )


def _read(cls: type[C], mapping: Mapping[str, Any], *, session_secret_required: bool) -> C:
    """A config with its own faults and those of the mapping together, not yet raised."""
    faults: list[str] = []
    options = read_options(mapping, faults)
    if session_secret_required and not options.get("session_secret"):
        faults.append(missing_session_secret())
    made: C = type.__call__(cls, **options)
    object.__setattr__(made, "faults", (*faults, *made.faults))
    return made


def _faultless(config: C) -> C:
    if config.faults:
        raise ConfigError(config.faults)
    return config
