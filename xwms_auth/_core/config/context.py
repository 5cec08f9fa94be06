"""What is worked out once from the settings of one client: which redirect URI a host means, signers, limits.

Knows: everything that is the same for every request.
Must not: change, or hold anything of a single request. What a process remembers is its `state`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from ..base import events
from ..base.errors import ConfigError, HostNotRegistered
from ..base.lifetimes import Lifetimes
from ..base.secrets import Secret
from ..base.signing import Sealed, Signed
from ..http.cookies import HTTP, HTTPS, CookieNames
from ..http.messages import Request
from ..http.next_url import safe_next
from ..http.urls import RedirectURI
from .config import XWMSConfig
from .env import missing_session_secret
from .state import ProcessState

_ALONE = (
    "fine with one process; several share nothing without XWMS_SESSION_STORE or XWMS_REVOCATION_STORE in SQLite or "
    "Redis, so that each knows only the logins and tokens it has seen itself, and a callback that is sent twice may "
    "sign nobody in"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Context:
    """What a flow needs to know about the application it serves. `Context.of` makes one."""

    config: XWMSConfig
    audience: str
    """Tells this client's values from those of every other client and every other way to log in."""

    session_signer: Signed
    record_sealer: Sealed
    login_sealer: Sealed
    form_signer: Signed
    lifetimes: Lifetimes
    origins: frozenset[str]
    """The origins of all redirect URIs."""

    only_uri: RedirectURI | None
    """The one redirect URI, where there are not several."""

    uris_by_host: Mapping[str, RedirectURI]
    public_paths: frozenset[str]
    public_prefixes: tuple[str, ...]
    state: ProcessState = field(default_factory=ProcessState)

    @classmethod
    def of(cls, config: XWMSConfig, *, session_keys: Sequence[Secret] = ()) -> Self:
        """Work it out. Raises `ConfigError` without a session secret."""
        keys = tuple(session_keys) or config.session_keys
        if not keys:
            raise ConfigError([missing_session_secret()])
        _warn_of_loopback(config)
        _warn_of_several_processes(config)
        # One address may be the name of two ways to log in, whose people are not to be mixed up.
        way = "oauth2:" if config.flow == "oauth2" else ""
        audience = f"{way}{config.client_id}@{config.issuer}"
        return cls(
            config=config,
            audience=audience,
            session_signer=Signed(keys, purpose="session", audience=audience, sealed=True),
            record_sealer=Sealed(keys, purpose="record", audience=audience),
            # One flow never takes the pending logins of another. Sealed: OAuth's hold what nobody but us may read, and
            # one that waits for its person's confirmation holds the person.
            login_sealer=Sealed(keys, purpose=f"login/{config.flow}", audience=audience),
            form_signer=Signed(keys, purpose="logout-form", audience=audience),
            lifetimes=Lifetimes(idle=config.idle_seconds, absolute=config.lifetime_seconds),
            origins=frozenset(uri.origin for uri in config.registered),
            only_uri=config.registered[0] if len(config.registered) == 1 else None,
            uris_by_host={name: uri for uri in config.registered for name in uri.host_names},
            public_paths=frozenset(path for path in config.public if not path.endswith("/*")),
            public_prefixes=tuple(path.removesuffix("*") for path in config.public if path.endswith("/*")),
        )

    def knows_server(self, now: int) -> bool:
        """Whether nothing has to be asked of the authorization server before one of its tokens can be judged."""
        server = self.state.server
        return bool(self.config.metadata or server.metadata(now)) and server.keys(now) is not None

    def redirect_uri_for(self, host: str) -> RedirectURI | None:
        """The redirect URI that serves this Host header: the only one, or the one on that host, or None.

        The host picks among what is registered. It never becomes part of anything.
        """
        return self.only_uri or self.uris_by_host.get(host.lower())

    def require_redirect_uri(self, request: Request) -> RedirectURI:
        """The same for a request that cannot go on without."""
        uri = self.redirect_uri_for(request.header("host") or "")
        if uri is None:
            raise HostNotRegistered(f"no redirect URI is on the host {(request.header('host') or '')[:100]!r}")
        return uri

    def is_own_route(self, path: str, host: str) -> bool:
        """Whether a path is one of our routes. A callback path counts on the host it is registered for."""
        if path not in self.config.own_paths:
            return False
        uri = self.redirect_uri_for(host)
        return uri is None or path == uri.path or path not in self.config.callback_paths

    def is_public(self, path: str) -> bool:
        """Whether anybody may see this path under `protect="all"`. Only plain paths can match; odd ones never do."""
        if path in self.public_paths:
            return True
        return path.startswith(self.public_prefixes) and _is_plain(path)

    def next_url(self, request: Request) -> str | None:
        """Where the request asks to go afterwards, by the `next` rule; None where it asks for nothing good."""
        asked = request.parameters("next")
        return safe_next(asked[0], own_paths=self.config.own_paths) if len(asked) == 1 else None


def _warn_of_loopback(config: XWMSConfig) -> None:
    if any(uri.loopback for uri in config.registered) and any(not uri.loopback for uri in config.registered):
        # Somebody can start a login here for the loopback address, and a victim's approval then ends on the victim's
        # own machine, where nobody spends the token.
        events.warning("loopback_beside_public", hint="list only the redirect URIs that this deployment serves")


def _warn_of_several_processes(config: XWMSConfig) -> None:
    if config.session_store == "cookie" and not config.revocation_store:
        # On a developer's machine there is one process, and nothing to be warned of.
        say = events.info if all(uri.loopback for uri in config.registered) else events.warning
        say("each_process_by_itself", hint=_ALONE)


def names_for(uri: RedirectURI) -> CookieNames:
    """The names of our cookies where this redirect URI is served."""
    return HTTPS if uri.secure else HTTP


def _is_plain(path: str) -> bool:
    """No part of the path that a server, a proxy and an application might resolve differently."""
    segments = [segment.partition(";")[0] for segment in path.split("/")]
    return "//" not in path and "\\" not in path and "%" not in path and not {".", ".."}.intersection(segments)
