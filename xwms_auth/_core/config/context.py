"""The context of one client, derived once from its config: signers, lifetimes, and the redirect URI of each host.

Immutable, and holds nothing of a single request. What the process remembers is in `state`.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Self

from ..base import events
from ..base.crypto.digests import derived, identity_digest, new_key
from ..base.dataclass import dataclass
from ..base.errors import ConfigError, HostNotRegistered, XWMSError
from ..base.models import Identity, Secret
from ..base.session import Lifetimes, Session
from ..http.messages import CookieNames, Request, set_cookie
from ..http.next_url import safe_next
from ..http.urls import RedirectURI, is_plain
from .config import XWMSConfig
from .env import missing_session_secret
from .state import ProcessState

if TYPE_CHECKING:
    from ..base.crypto.sealing import Sealed
    from ..base.crypto.signing import Signed

_SINGLE_PROCESS_HINT = (
    "fine with one process; several processes need XWMS_SESSION_STORE or XWMS_REVOCATION_STORE in SQLite or Redis: "
    "without one, each knows only the logins and tokens that it has seen itself, and a callback that is sent twice may "
    "sign nobody in"
)

_FORGOTTEN_HINT = (
    "revocation_store is memory://, which is one process's and is lost with it, so a restart or another worker brings "
    "sessions back that were ended; name SQLite, Redis or a database. If a revocation store has lost its data, "
    "XWMS_SESSIONS_VALID_AFTER ends every session from before"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Context:
    """What a flow needs to know about the application that it serves. `Context.of` creates one."""

    config: XWMSConfig
    issuer: str
    """Of the people who log in here. A plain string, unlike the config's."""

    audience: str
    """Part of every signature, so that values of another client or another flow are not accepted."""

    session_sealer: "Sealed"
    record_sealer: "Sealed"
    login_sealer: "Sealed"
    form_signer: "Signed"
    log_key: Secret
    """Names people in the log. From the first session secret, so all processes and restarts give the same names."""

    lifetimes: Lifetimes
    origins: frozenset[str]
    """The origins of all redirect URIs."""

    trusted_origins: frozenset[str | None]
    """Further origins of this application."""

    https_names: CookieNames
    http_names: CookieNames
    only_uri: RedirectURI | None
    """The redirect URI, if there is exactly one."""

    uris_by_host: Mapping[str, RedirectURI]
    public_paths: frozenset[str]
    public_prefixes: tuple[str, ...]
    missing: tuple[str, ...]
    """Settings without which nobody can log in. There are none unless `allow_missing_settings` is set."""

    state: ProcessState = field(default_factory=ProcessState)

    @classmethod
    def of(cls, config: XWMSConfig, *, is_told: bool = False) -> Self:
        """Derive the context of a config. Raises `ConfigError` without a session secret.

        `is_told` is for another context of a config, whose doubtful settings the log has told already.
        """
        # OpenSSL and itsdangerous are loaded when an application is set up, not before.
        from ..base.crypto.sealing import Sealed  # noqa: PLC0415
        from ..base.crypto.signing import Signed  # noqa: PLC0415

        keys, missing = config.session_keys, config.missing
        if not keys:
            if not config.allow_missing_settings:
                raise ConfigError([missing_session_secret()])
            keys, missing = (Secret(new_key()),), (*missing, missing_session_secret())
        if not is_told:
            _tell(config, missing)
        # Both flows may have the same issuer, and their users must not be mixed up.
        prefix = "oauth2:" if config.flow == "oauth2" else ""
        audience = f"{prefix}{config.client_id}@{config.issuer}"
        return cls(
            config=config,
            issuer=str(config.issuer),
            audience=audience,
            session_sealer=Sealed(keys, purpose="session", audience=audience),
            record_sealer=Sealed(keys, purpose="record", audience=audience),
            # One flow never accepts the pending logins of another. Encrypted: those of OAuth contain the seed of state
            # and verifier, and those that wait for a confirmation contain the user.
            login_sealer=Sealed(keys, purpose=f"login/{config.flow}", audience=audience),
            form_signer=Signed(keys, purpose="logout-form", audience=audience),
            log_key=Secret(derived(keys[0].reveal(), "log-key")),
            lifetimes=Lifetimes(
                idle=config.idle_seconds, absolute=config.lifetime_seconds, valid_after=config.valid_after_seconds
            ),
            origins=frozenset(uri.origin for uri in config.registered),
            trusted_origins=frozenset(config.trusted_origins),
            https_names=CookieNames.of(config.cookie_tag, secure=True),
            http_names=CookieNames.of(config.cookie_tag, secure=False),
            # No redirect URI: then no cookie is read either, and nobody is signed in.
            only_uri=config.registered[0] if len(config.registered) == 1 and not missing else None,
            uris_by_host={} if missing else {name: uri for uri in config.registered for name in uri.host_names},
            missing=missing,
            public_paths=frozenset(path for path in config.public if not path.endswith("/*")),
            public_prefixes=tuple(path.removesuffix("*") for path in config.public if path.endswith("/*")),
            state=ProcessState(logins_per_address=config.logins_per_address),
        )

    @property
    def own_paths(self) -> frozenset[str]:
        """The paths that may be one of our routes; `is_own_route` decides by the host too."""
        return self.config.own_paths

    @property
    def protects_all(self) -> bool:
        """Whether everything requires a login, except what is public."""
        return self.config.protect == "all"

    def log_name(self, identity: Identity) -> str:
        """The name of a person in the log, 12 URL-safe characters: tells people apart without identifying them.

        Enumeration: a `sub` may be a small number, so whoever has the log could try all of them if it had no key.
        """
        return derived(self.log_key.reveal(), f"log-name/{identity_digest(identity)}")[:12]

    def fault(self) -> XWMSError:
        """The error of whatever requires a login while something is `missing`."""
        return ConfigError(self.missing)

    def require_settings(self) -> None:
        """Raise `fault()` if settings are missing."""
        if self.missing:
            raise self.fault()

    def knows_server(self, now: int) -> bool:
        """Whether metadata and keys are at hand, so that a token can be validated without a call to the server."""
        server = self.state.server
        return bool(self.config.metadata or server.metadata.get(now)) and server.keys.get(now) is not None

    def redirect_uri_for(self, host: str) -> RedirectURI | None:
        """Return the redirect URI for this Host header: the only one, the one on that host, or None.

        Host header injection: the host only selects among the registered URIs, and never becomes part of a URL.
        """
        return self.only_uri or self.uris_by_host.get(host.lower())

    def require_redirect_uri(self, request: Request) -> RedirectURI:
        """Return the redirect URI for this request. Raises `HostNotRegistered` if there is none."""
        uri = self.redirect_uri_for(request.header("host") or "")
        if uri is None:
            raise HostNotRegistered(f"no redirect URI is on the host {(request.header('host') or '')[:100]!r}")
        return uri

    def is_own_route(self, path: str, host: str) -> bool:
        """Whether a path is one of our routes. A callback path is one only on the host that it is registered for."""
        if path not in self.config.own_paths:
            return False
        uri = self.redirect_uri_for(host)
        return uri is None or path == uri.path or path not in self.config.callback_paths

    def is_public(self, path: str) -> bool:
        """Whether a path is public under `protect="all"`. A path that can be read in several ways never is."""
        if path in self.public_paths:
            return True
        return path.startswith(self.public_prefixes) and is_plain(path)

    def names_for(self, uri: RedirectURI) -> CookieNames:
        """Return the names of our cookies for this redirect URI."""
        return self.https_names if uri.secure else self.http_names

    def session_cookie(self, uri: RedirectURI, handle: str, session: Session, *, now: int) -> str:
        """Return the Set-Cookie value that keeps this handle in the browser as long as the session may live.

        Until the absolute limit: a store may extend the idle limit without a cookie, and both are enforced here.
        """
        names, age = self.names_for(uri), self.lifetimes.longest(session) - now
        return set_cookie(names.session, handle, secure=names.secure, max_age=max(1, age))

    def next_url(self, request: Request) -> str | None:
        """Return the validated `next` parameter of the request; None if it is missing, repeated or not valid."""
        values = request.parameters("next")
        return self.safe_next(values[0]) if len(values) == 1 else None

    def safe_next(self, value: str) -> str | None:
        """Return where a login or logout may lead, ready for a Location header; None if it may not."""
        return safe_next(value, own_paths=self.config.own_paths, origins=self.config.trusted_origins)

    def trusts(self, origin: str | None) -> bool:
        """Whether this Origin header is one of the trusted origins."""
        return origin in self.trusted_origins


def _tell(config: XWMSConfig, missing: tuple[str, ...]) -> None:
    """Log what an operator should know of the settings."""
    if missing:
        events.warning("settings_missing", settings="; ".join(missing), hint="until then nobody can log in")
    if config.path_prefix:
        events.info("path_prefix", prefix=config.path_prefix)
    if config.unused_issuer:
        events.info("issuer_not_used", hint="with flow=sign-token an issuer counts if it is on the host of api_url")
    _warn_of_loopback(config)
    _warn_of_plain_http(config)
    _warn_of_several_processes(config)
    if config.valid_after_seconds:
        events.info("sessions_valid_after", time=str(config.sessions_valid_after))


def _warn_of_loopback(config: XWMSConfig) -> None:
    if any(uri.loopback for uri in config.registered) and any(not uri.loopback for uri in config.registered):
        # Anybody can start a login here for the loopback address. If a victim approves it, the token goes to the
        # victim's own machine, where nobody redeems it.
        events.warning("loopback_beside_public", hint="list only the redirect URIs that this deployment serves")


def _warn_of_plain_http(config: XWMSConfig) -> None:
    named = [("redirect_uris", uri) for uri in config.registered] + [("api_url", config.api)]
    if plain := {name for name, url in named if url.scheme == "http" and not url.loopback}:
        # Whoever is on the path reads the client secret and every login.
        events.warning("insecure_allow_http", where=" ".join(sorted(plain)), hint="for development only")


def _warn_of_several_processes(config: XWMSConfig) -> None:
    if config.session_store == "cookie" and not config.revocation_store:
        # On a developer's machine there is one process, so this is no warning.
        log = events.info if all(uri.loopback for uri in config.registered) else events.warning
        log("each_process_by_itself", hint=_SINGLE_PROCESS_HINT)
    if config.revocation_store == "memory://":
        events.warning("revocations_forgotten", hint=_FORGOTTEN_HINT)
