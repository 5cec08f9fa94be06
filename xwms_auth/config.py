"""Every option, once.

Knows: names, units, defaults, where each option comes from, and all that can be wrong with it.
Must not: read a request, or touch the network. The environment is read only when `from_env` is called.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, get_args

from .errors import ConfigError
from .redirects import (
    Address,
    RedirectURI,
    check_route_path,
    parse_api_url,
    parse_origin,
    parse_redirect_uri,
    safe_next,
)
from .secret import FixedSecret, Secret, SecretFromCallable, SecretFromFile, SecretSource, header_fault

CallbackToken = Literal["either", "same", "fresh"]
Protect = Literal["marked", "all"]
Flow = Literal["sign-token"]

MIN_SESSION_SECRET = 32
"""Bytes. 256 bits of key material, so that the signature is not the weakest part."""

MAX_LIFETIME = timedelta(days=400)
"""Browsers keep no cookie longer (RFC 6265bis 5.5)."""

MAX_TIMEOUT = 60.0
"""Seconds. A worker that waits longer for XWMS is lost to everybody else."""

ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "client_id": ("XWMS_CLIENT_ID",),
    "client_secret": ("XWMS_CLIENT_SECRET",),
    "redirect_uris": ("XWMS_REDIRECT_URI",),
    "domain": ("XWMS_DOMAIN", "XWMS_CLIENT_DOMAIN"),
    "api_url": ("XWMS_API_URI", "XWMS_API_URL"),
    "session_secret": ("XWMS_SESSION_SECRET",),
    "session_store": ("XWMS_SESSION_STORE",),
    "session_idle": ("XWMS_SESSION_IDLE",),
    "session_lifetime": ("XWMS_SESSION_LIFETIME",),
    "login_path": ("XWMS_LOGIN_PATH",),
    "logout_path": ("XWMS_LOGOUT_PATH",),
    "me_path": ("XWMS_ME_PATH",),
    "after_login": ("XWMS_AFTER_LOGIN",),
    "after_logout": ("XWMS_AFTER_LOGOUT",),
    "protect": ("XWMS_PROTECT",),
    "public": ("XWMS_PUBLIC",),
    "callback_token": ("XWMS_CALLBACK_TOKEN",),
    "login_origins": ("XWMS_LOGIN_ORIGINS",),
    "timeout": ("XWMS_TIMEOUT",),
    "flow": ("XWMS_FLOW",),
}
"""Field to names in the environment, the current name first, older ones after it."""

_LISTS = ("redirect_uris", "session_secret", "public", "login_origins")
_SECONDS = ("session_idle", "session_lifetime", "timeout")


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

    Each field says what it is, its unit and why its default is what it is. Lists may be given as one string.
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

    session_store: str = field(default="cookie", repr=False)
    """`cookie`: the sealed session is the cookie, no infrastructure. `memory://`: in this process, for tests."""

    session_idle: timedelta | float = timedelta(days=1)
    """How long a session lives without a request. A timedelta or seconds."""

    session_lifetime: timedelta | float = timedelta(days=7)
    """How long a session lives at the most. A timedelta or seconds."""

    login_path: str = "/xwms/auth"
    """Where a login starts. The default is the route of XWMS's own documentation."""

    logout_path: str = "/xwms/logout"
    """Where a session ends (POST)."""

    me_path: str = "/xwms/me"
    """Where scripts ask who is signed in."""

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

    login_origins: str | Sequence[str] = ()
    """Origins XWMS's login page may be on. Default: the API's own host and its subdomains."""

    timeout: timedelta | float = 8.0
    """Deadline of one whole call to XWMS. A timedelta or seconds; XWMS's SDKs wait ten."""

    flow: Flow = "sign-token"
    """How to log in. Only XWMS's own sign-token login in this version."""

    insecure_allow_http: bool = False
    """Allow plain http on hosts that cannot be public, such as a name in a container network. For development only."""

    # What the options mean, worked out once. Not options.
    faults: tuple[str, ...] = field(init=False, repr=False, compare=False)
    secret_source: SecretSource = field(init=False, repr=False, compare=False)
    session_keys: tuple[Secret, ...] = field(init=False, repr=False, compare=False)
    registered: tuple[RedirectURI, ...] = field(init=False, repr=False, compare=False)
    api: Address = field(init=False, repr=False, compare=False)
    idle_seconds: int = field(init=False, repr=False, compare=False)
    lifetime_seconds: int = field(init=False, repr=False, compare=False)
    timeout_seconds: float = field(init=False, repr=False, compare=False)
    own_paths: frozenset[str] = field(init=False, repr=False, compare=False)
    callback_paths: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _Judge(self).judge()

    @property
    def issuer(self) -> str:
        """The XWMS that vouches for people: half of everybody's identity."""
        return self.api_url

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


def _read(cls: type[C], mapping: Mapping[str, Any], *, session_secret_required: bool) -> C:
    """A config with its own faults and those of the mapping together, not yet raised."""
    faults: list[str] = []
    options = _options(mapping, faults)
    if session_secret_required and not options.get("session_secret"):
        faults.append(missing_session_secret())
    made: C = type.__call__(cls, **options)
    object.__setattr__(made, "faults", (*faults, *made.faults))
    return made


def _faultless(config: C) -> C:
    if config.faults:
        raise ConfigError(config.faults)
    return config


def missing_session_secret() -> str:
    """The fault to report where an edge needs a session secret and has none."""
    return "XWMS_SESSION_SECRET (session_secret) is missing; make one with: xwms-auth secret"


def _options(mapping: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"client_id": "", "client_secret": "", "redirect_uris": ()}
    for name, variables in ENVIRONMENT.items():
        value = next((mapping[variable] for variable in variables if mapping.get(variable) not in (None, "")), None)
        if value is None:
            continue
        if isinstance(value, str) and name in _LISTS:
            value = value.split()
        elif isinstance(value, str) and name in _SECONDS:
            try:
                value = float(value)
            except ValueError:
                faults.append(f"{variables[0]} ({name}) is not a number of seconds")
                continue
        options[name] = value
    file = mapping.get("XWMS_CLIENT_SECRET_FILE")
    if file:
        if options["client_secret"]:
            faults.append("XWMS_CLIENT_SECRET and XWMS_CLIENT_SECRET_FILE are both set; keep one")
        options["client_secret"] = SecretFromFile(file)
    return options


class _Judge:
    """Judges a config field by field and fills in what the fields mean. Collects faults instead of raising."""

    def __init__(self, config: XWMSConfig) -> None:
        self.config = config
        self.faults: list[str] = []
        self.client_secret = Secret("")

    def set(self, name: str, value: object) -> None:
        object.__setattr__(self.config, name, value)

    def fault(self, name: str, reason: str) -> None:
        variable = ENVIRONMENT.get(name, (name,))[0]
        self.faults.append(f"{variable} ({name}) {reason}" if variable != name else f"{name} {reason}")

    def judge(self) -> None:
        self.client()
        self.addresses()
        self.keys()
        self.times()
        self.routes()
        self.choices()
        self.set("faults", tuple(self.faults))

    def client(self) -> None:
        if not isinstance(self.config.client_id, str) or not self.config.client_id:
            self.fault("client_id", "is missing; find it in the Clients section of the XWMS dashboard")
        elif header_fault(Secret(self.config.client_id)) or len(self.config.client_id) > 255:
            self.fault("client_id", "has characters that cannot be part of a client id")
        given: object = self.config.client_secret
        source: SecretSource = FixedSecret(Secret(""))
        if isinstance(given, SecretSource):
            source = given
        elif isinstance(given, str | Secret):
            source = FixedSecret(Secret(given))
        elif callable(given):
            source = SecretFromCallable(cast("Callable[[], str | Secret]", given))
        else:
            self.fault("client_secret", "is neither text nor a callable")
        self.set("client_secret", source)
        self.set("secret_source", source)
        if isinstance(source, FixedSecret) and isinstance(given, str | Secret):
            if not source():
                self.fault("client_secret", "is missing; it was shown once when the client was created")
            elif reason := header_fault(source()):
                self.fault("client_secret", reason)
            self.client_secret = source()
        elif isinstance(source, SecretFromFile):
            try:
                self.client_secret = source()
            except ConfigError as error:
                self.faults.extend(error.problems)

    def addresses(self) -> None:
        config = self.config
        allow_http = config.insecure_allow_http is True
        self.set("redirect_uris", _as_tuple(config.redirect_uris))
        registered: list[RedirectURI] = []
        if not config.redirect_uris:
            self.fault("redirect_uris", "is missing; use the callback address registered with XWMS")
        for number, uri in enumerate(config.redirect_uris, 1):
            try:
                registered.append(parse_redirect_uri(_text(uri), allow_http=allow_http))
            except ValueError as error:
                self.fault("redirect_uris", f"number {number} {error}")
        if len({uri.uri for uri in registered}) != len(registered):
            self.fault("redirect_uris", "names one address twice")
        if len({(uri.scheme, uri.netloc) for uri in registered}) != len(registered):
            self.fault("redirect_uris", "has two addresses on one host; the host is what picks among them")
        if allow_http and any(uri.secure for uri in registered):
            self.fault("insecure_allow_http", "is set beside an https redirect URI; it is for development only")
        self.set("registered", tuple(registered))
        try:
            self.set("api", parse_api_url(_text(config.api_url), allow_http=allow_http))
            self.set("api_url", config.api.origin + config.api.path)
        except ValueError as error:
            self.fault("api_url", str(error))
        self.set("login_origins", _as_tuple(config.login_origins))
        for origin in config.login_origins:
            try:
                parse_origin(_text(origin))
            except ValueError as error:
                self.fault("login_origins", f"has an entry that {error}")
        if not config.domain and registered:
            self.set("domain", registered[0].host)
        domain: object = config.domain
        if domain and (not isinstance(domain, str) or header_fault(Secret(domain)) or "/" in domain):
            self.fault("domain", "is not a plain domain or domain id; leave out https:// and any path")

    def keys(self) -> None:
        given: object = self.config.session_secret
        entries = (given,) if isinstance(given, str | Secret | bytes) else _as_tuple(given)
        keys: list[Secret] = []
        for entry in entries:
            plain = entry.decode("latin-1") if isinstance(entry, bytes) else entry
            if isinstance(plain, str | Secret):
                keys.append(Secret(plain))
            else:
                self.fault("session_secret", "has an entry that is not text")
        self.set("session_secret", tuple(keys))
        self.set("session_keys", tuple(keys))
        if any(len(key.reveal().encode("utf-8", "surrogatepass")) < MIN_SESSION_SECRET for key in keys):
            self.fault(
                "session_secret", f"has a key shorter than {MIN_SESSION_SECRET} bytes; make one with: xwms-auth secret"
            )
        elif any(_is_repetitive(key.reveal()) for key in keys):
            self.fault("session_secret", "has a key that anybody could guess; make one with: xwms-auth secret")
        if self.client_secret and self.client_secret in keys:
            self.fault("session_secret", "is the client secret; the two must differ, make one with: xwms-auth secret")

    def times(self) -> None:
        for name, target in (("session_idle", "idle_seconds"), ("session_lifetime", "lifetime_seconds")):
            seconds = _seconds(getattr(self.config, name))
            if seconds is None or not 1 <= seconds <= MAX_LIFETIME.total_seconds():
                self.fault(name, f"must be a time between 1 second and {MAX_LIFETIME.days} days")
            else:
                self.set(name, timedelta(seconds=seconds))
                self.set(target, int(seconds))
        timeout = _seconds(self.config.timeout)
        if timeout is None or not 0 < timeout <= MAX_TIMEOUT:
            self.fault("timeout", f"must be more than 0 and at most {MAX_TIMEOUT:.0f} seconds")
        else:
            self.set("timeout", timeout)
            self.set("timeout_seconds", timeout)

    def routes(self) -> None:
        config = self.config
        names = ("login_path", "logout_path", "me_path")
        for name in names:
            try:
                check_route_path(_text(getattr(config, name)))
            except ValueError as error:
                self.fault(name, str(error))
        callbacks = frozenset(uri.path for uri in config.registered)
        routes = [getattr(config, name) for name in names if isinstance(getattr(config, name), str)]
        if len({*routes, *callbacks}) != len(routes) + len(callbacks):
            self.fault("login_path", "and logout_path, me_path and the redirect URIs' paths must all differ")
        self.set("callback_paths", callbacks)
        self.set("own_paths", callbacks | set(routes))
        for name in ("after_login", "after_logout"):
            target = getattr(config, name)
            if not isinstance(target, str) or safe_next(target, own_paths=config.own_paths) != target:
                self.fault(name, 'is not a path on this site such as "/welcome", or it is one of the login routes')
        self.set("public", _as_tuple(config.public))
        for path in config.public:
            plain = path.removesuffix("*") if isinstance(path, str) and path.endswith("/*") else path
            if not isinstance(plain, str) or not plain.startswith("/") or "*" in plain:
                self.fault("public", "has an entry that is neither an exact path nor a prefix that ends in /*")

    def choices(self) -> None:
        config = self.config
        for name, choices in (("callback_token", CallbackToken), ("protect", Protect)):
            if getattr(config, name) not in get_args(choices):
                self.fault(name, "must be one of: " + ", ".join(get_args(choices)))
        if config.flow not in get_args(Flow):
            self.fault("flow", "must be sign-token; other flows are not part of this version")
        if config.session_store not in ("cookie", "memory://"):
            self.fault("session_store", "must be one of: cookie, memory://; other stores are not part of this version")
        if not isinstance(config.insecure_allow_http, bool):
            self.fault("insecure_allow_http", "must be True or False")


def _is_repetitive(key: str) -> bool:
    """A key of few characters, or of one piece repeated (a string is inside its own double only if it repeats)."""
    return len(set(key)) < 8 or key in (key + key)[1:-1]


def _as_tuple(value: object) -> tuple[object, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return (value,) if value else ()
    return tuple(cast("Sequence[object]", value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text")
    return value


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        seconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
