"""`XWMSConfig`: the options, with their units and defaults. The environment is read only by `from_env`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..base.dataclass import dataclass
from ..base.errors import ConfigError
from ..base.models import Secret
from ..base.store_protocols import RevocationStore, SessionStore
from ..base.texts.page_content import PageFunction, PageName
from ..http.urls import ParsedURL, RedirectURI
from .env import (
    CallbackToken,
    ClientAuth,
    Flow,
    IntrospectedType,
    Protect,
    RecheckPolicy,
    TokenValidation,
    missing_session_secret,
    read_options,
)
from .misspelt import misspelt
from .secret_sources import Fetch, SecretSource
from .server.metadata import Metadata
from .validation import Validator

C = TypeVar("C", bound="XWMSConfig")


class _RaisesLast(type):
    """Raises `ConfigError` only after `__init__` has returned.

    Otherwise a crash reporter that records local variables would find the client secret as an argument of `__init__`
    in the traceback.
    """

    if not TYPE_CHECKING:  # so that type checkers use the signature of `__init__`

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                config = super().__call__(*args, **kwargs)
            finally:
                del args, kwargs
            if config.faults:
                raise ConfigError(config.faults)
            return config


@dataclass(frozen=True, kw_only=True)
class XWMSConfig(metaclass=_RaisesLast):
    """The settings of one client. Raises `ConfigError` with all problems at once.

    Where an option takes several values, a single one may be given without the list.
    """

    client_id: str
    """The client id from the Clients section of the XWMS dashboard."""

    client_secret: str | Secret | SecretSource | Fetch = field(repr=False)
    """The client secret, or a callable that fetches it, on ASGI also an async one. What it returns is kept, and fetched
    again when XWMS refuses it. It is sent to XWMS only, never to a browser."""

    redirect_uris: str | Sequence[str]
    """One or several callback URLs, exactly as registered with XWMS. Their paths are the callback routes."""

    domain: str = ""
    """The domain or domain id of the client at XWMS. Default: the host of the first redirect URI."""

    api_url: str = "https://xwms.nl/api/"
    """The URL of the XWMS API. Plain http only on loopback, for the sandbox."""

    session_secret: str | Secret | Sequence[str | Secret] = field(default=(), repr=False)
    """One or several keys of at least 32 bytes for our cookies: the first signs, all verify."""

    session_store: str | Secret | SessionStore = field(default="cookie", repr=False)
    """`cookie`: the cookie is the encrypted session, no infrastructure. `sqlite:///path`: for processes on one machine.
    `redis://…`, `rediss://…`, `unix://…`: for many machines. `memory://`: in this process, for tests. Or your own
    store. A URL that may contain a password is kept as a `Secret`."""

    revocation_store: str | Secret | RevocationStore = field(default="", repr=False)
    """With the cookie store: where revocations are kept, so that a session can be ended elsewhere. Default: none."""

    session_idle: timedelta | float = timedelta(days=1)
    """How long a session lives without a request. A timedelta or seconds."""

    session_lifetime: timedelta | float = timedelta(days=7)
    """How long a session lives at most. A timedelta or seconds."""

    sessions_valid_after: datetime | float | str = ""
    """Every session that began before this time is over, in every store: for an administrator, after a leak. A datetime
    with a time zone, the same as ISO text, or seconds since 1970. Default: none."""

    recheck: timedelta | float = 0.0
    """How often a session in use is checked with XWMS. A timedelta or seconds; 0 is never."""

    recheck_policy: RecheckPolicy = "end"
    """What happens at a re-check if access was withdrawn, or the client disabled or deleted: `end` or `keep` the
    session."""

    websocket_recheck: timedelta | float = timedelta(minutes=1)
    """How often an open websocket behind a guard is looked at again. It is closed with 4401 when its session has ended.
    A timedelta or seconds; 0 is never."""

    path_prefix: str = ""
    """The prefix below which browsers see the application, such as `/shop`: the defaults of the paths that follow begin
    with it. Default: what the redirect URIs have before `/xwms/validateToken`. `/` is none."""

    login_path: str = ""
    """The path that starts a login. Default: `/xwms/auth`, the route in XWMS's own documentation."""

    logout_path: str = ""
    """The path that ends the session (POST). Default: `/xwms/logout`."""

    me_path: str = ""
    """The path that tells scripts who is signed in. Default: `/xwms/me`."""

    backchannel_path: str = ""
    """With `oauth2`: the path to which XWMS posts logout tokens. Enter it in the client's settings at XWMS. Default:
    `/xwms/backchannel-logout`."""

    after_login: str = ""
    """The path to go to after a login without `next`, or a URL on one of `trusted_origins`. Default: `/`."""

    after_logout: str = ""
    """The path to go to after a logout. Default: `/`."""

    protect: Protect = "marked"
    """`marked`: only marked routes require a login. `all`: everything except the `public` paths does."""

    public: str | Sequence[str] = ()
    """With `protect="all"`: exact paths, or prefixes that end in `/*`, that do not require a login."""

    callback_token: CallbackToken = "either"
    """Whether the callback's token is the one that `sign-token` returned. `same` and `fresh` are stricter than
    `either`."""

    confirm_person: bool = False
    """Login CSRF: ask the user to confirm who they are before the session begins, if the callback's token does not
    prove whose login it is. Always on once `either` has learned that; this option is for `fresh`."""

    login_origins: str | Sequence[str] = ()
    """Origins of XWMS's login page. Default: the API's own host and its subdomains."""

    timeout: timedelta | float = 8.0
    """Deadline for a whole call to XWMS. A timedelta or seconds; XWMS's SDKs wait ten."""

    max_slow_calls: int = 3
    """How many calls to XWMS in one process may take longer than a second. A worker waits for each of them."""

    logins_per_address: int = 600
    """How many logins one client address may start within about a minute, in one process; 0 for no such limit."""

    flow: Flow = "sign-token"
    """How to log in: XWMS's own `sign-token`, or `oauth2`, the authorization code flow with PKCE."""

    issuer: str = ""
    """The issuer: one half of every identity. With `oauth2` the issuer identifier of the authorization server, exactly
    as the server writes it. With `sign-token` the name of the XWMS that `api_url` leads to; default: `api_url`. One of
    another server than that of `api_url` is not used there."""

    discovery_url: str = ""
    """With `oauth2`: the URL of the server's discovery document, if it is not below the issuer. The document must name
    the issuer all the same."""

    scopes: str | Sequence[str] = "openid profile email"
    """With `oauth2`: the scopes to request. With `openid` the ID token says who logged in, otherwise userinfo."""

    client_auth: ClientAuth = "client_secret_basic"
    """With `oauth2`: how the client authenticates to the token endpoint, in a header or in the body."""

    provider_logout: bool = True
    """With `oauth2`: whether a logout here continues to the server's own, if its metadata have an endpoint for it."""

    id_token_hint: bool = False
    """With `oauth2`: whether a logout sends the login's ID token on to the server, which some demand. It may have the
    person's name, and gets into the history of the browser and the logs of the server."""

    authorization_endpoint: str = ""
    """With `oauth2`: the authorization endpoint. With it, all that a login needs must be set: no discovery then."""

    token_endpoint: str = ""
    """With `oauth2`: the token endpoint."""

    userinfo_endpoint: str = ""
    """With `oauth2`: the userinfo endpoint. This and the last three complete or replace the discovery document's."""

    jwks_uri: str = ""
    """With `oauth2`: the URL of the keys that verify ID tokens. Required if the scope `openid` is requested."""

    revocation_endpoint: str = ""
    """With `oauth2`: the token revocation endpoint."""

    introspection_endpoint: str = ""
    """With `oauth2`: the token introspection endpoint."""

    end_session_endpoint: str = ""
    """With `oauth2`: the logout endpoint of the authorization server."""

    token_validation: TokenValidation = "introspection"
    """With `oauth2`: how access tokens that are sent to an API of this application are validated. `introspection` asks
    the server, so that a revoked token stops working within half a minute; `jwt` checks the server's signature."""

    introspection_token_type: IntrospectedType = "required"
    """With `introspection`: `optional` for a server whose answers have no `token_type`, if it calls only access tokens
    active, and never a refresh token or an ID token."""

    audience: str = ""
    """With `oauth2`: the name of this API in access tokens (`aud`). Required with `jwt`. Default: with `introspection`,
    only tokens of this client are accepted."""

    site_name: str = ""
    """The site's name, which our pages show. Default: the host of the redirect URI."""

    site_logo: str = ""
    """The path of an image on this site, which our pages show above the name. Default: none."""

    pages: Mapping[PageName, PageFunction] | tuple[()] = field(default=(), repr=False, hash=False)
    """In code only: functions that make a document of the application's own for a page of ours, by its name: `error`,
    `confirm`, `person`, `link`, `proof`, `leading`. None of them may be async."""

    login_params: str | Sequence[str] = "ui_locales"
    """Which parameters of a login any link may set: `ui_locales`, `prompt`, `login_hint`, `acr_values`, or `none` of
    them. The application's own code may set all."""

    locale: str = ""
    """The language of our pages and buttons: nl, en, ar, bn, de, es, id, pt, ru or zh. Default: what the visitor's
    browser asks for among these (`Accept-Language`), otherwise English."""

    redact_access_logs: bool = True
    """Whether the server's access log shows … instead of the token, the code and the state of a callback."""

    leak_guard: bool = False
    """Refuse to send a response that has the client secret or a session secret in it. For development and tests."""

    debug: bool = False
    """Explain in error pages and problem documents what is wrong and what to change. For development only."""

    trusted_origins: str | Sequence[str] = ()
    """Further origins of this application, such as a front end's. Compared exactly. Their pages may open websockets,
    post the logout and read `me_path`, and `next` and `after_login` may be an absolute URL there."""

    cookie_tag: str = ""
    """1 to 16 of `a-z 0-9`, a part of the cookies' names. Default: derived from the client, so that two clients on one
    host leave each other alone. Set it to separate two applications of one client."""

    insecure_allow_http: bool = False
    """Allow plain http on hosts that cannot be public, such as a name in a container network. For development only."""

    allow_missing_settings: bool = False
    """Let the application start although required settings are missing, for commands and builds that log nobody in.
    Every login, protected page and call to XWMS is then an error."""

    # Derived from the options by the validator. Not options.
    faults: tuple[str, ...] = field(init=False, repr=False, compare=False)
    missing: tuple[str, ...] = field(init=False, repr=False, compare=False)
    secret_source: Secret | SecretSource = field(init=False, repr=False, compare=False)
    session_keys: tuple[Secret, ...] = field(init=False, repr=False, compare=False)
    registered: tuple[RedirectURI, ...] = field(init=False, repr=False, compare=False)
    metadata: Metadata | None = field(init=False, repr=False, compare=False)
    named_endpoints: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    unused_issuer: str = field(init=False, repr=False, compare=False)
    openid: bool = field(init=False, repr=False, compare=False)
    api: ParsedURL = field(init=False, repr=False, compare=False)
    idle_seconds: int = field(init=False, repr=False, compare=False)
    lifetime_seconds: int = field(init=False, repr=False, compare=False)
    valid_after_seconds: int = field(init=False, repr=False, compare=False)
    recheck_seconds: int = field(init=False, repr=False, compare=False)
    websocket_recheck_seconds: int = field(init=False, repr=False, compare=False)
    timeout_seconds: float = field(init=False, repr=False, compare=False)
    style_path: str = field(init=False, repr=False, compare=False)
    script_path: str = field(init=False, repr=False, compare=False)
    plain_script_path: str = field(init=False, repr=False, compare=False)
    own_paths: frozenset[str] = field(init=False, repr=False, compare=False)
    callback_paths: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Validator(self).validate()

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, *, session_secret_required: bool = False, **overrides: Any
    ) -> Self:
        """Read the `XWMS_…` variables, from `os.environ` unless a mapping is given.

        `overrides` are options as in `XWMSConfig(…)`, and take precedence over their variables.
        """
        mapping = os.environ if environ is None else environ
        config = _read(cls, mapping, overrides, session_secret_required=session_secret_required)
        del environ, mapping, overrides
        return _checked(config)

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], *, session_secret_required: bool = False, **overrides: Any
    ) -> Self:
        """Read the same names from any mapping, for instance Flask's `app.config`.

        Text is split at white space for an option that is a list, and parsed as a number for one in seconds.
        `session_secret_required` makes a missing session secret a `ConfigError`.
        `overrides` are options as in `XWMSConfig(…)`, and take precedence over those of the mapping.
        """
        config = _read(cls, mapping, overrides, session_secret_required=session_secret_required)
        # This frame must not hold a secret in clear text when an error is raised: see _RaisesLast.
        del mapping, overrides
        return _checked(config)

    def require_tokens(self) -> None:
        """Raise `ConfigError` where there can be no access tokens: only `flow="oauth2"` has some."""
        if self.flow != "oauth2" and not self.missing:
            raise ConfigError(
                ["XWMS_FLOW (flow) is sign-token, which has no access tokens; a view that needs one needs oauth2"]
            )


def _read(
    cls: type[C], mapping: Mapping[str, Any], overrides: Mapping[str, Any], *, session_secret_required: bool
) -> C | TypeError:
    """A config with its own faults and those of the mapping, without raising them."""
    known = {option.name for option in fields(cls) if option.init}
    if unknown := sorted(overrides.keys() - known):
        return TypeError(f"{cls.__name__} has no option called {', '.join(unknown)}")
    faults: list[str] = []
    options = {**read_options(mapping, faults, without=overrides), **overrides}
    has_secret = options.get("session_secret") or mapping.get("XWMS_SESSION_SECRET_FILE")
    if session_secret_required and not has_secret and options.get("allow_missing_settings") is not True:
        faults.append(missing_session_secret())
    config: C = type.__call__(cls, **options)
    faults += config.faults
    if names := misspelt(mapping):
        # Beside a missing setting it is probably the reason; alone it may be a variable of the application.
        faults += names if faults else ()
        from ..base import events  # noqa: PLC0415  it loads logging, which a program may do without

        events.warning("unknown_settings", names="; ".join(names))
    object.__setattr__(config, "faults", tuple(faults))
    return config


def _checked(config: C | TypeError) -> C:
    if isinstance(config, TypeError):
        raise config
    if config.faults:
        raise ConfigError(config.faults)
    return config
