"""One client's settings made ready for requests: which redirect URI a host means, the signers, the limits.

Knows: everything that is worked out once at start.
Must not: hold anything of a single request.
"""

from collections.abc import Sequence

from ..base import events
from ..base.errors import ConfigError, HostNotRegistered
from ..base.expiring import ExpiringMap
from ..base.lifetimes import Lifetimes
from ..base.rate_limit import TokenBucket
from ..base.secrets import Secret
from ..base.signing import Sealed, Signed
from ..http.cookies import HTTP, HTTPS, CookieNames
from ..http.messages import Request
from ..http.next_url import safe_next
from ..http.urls import RedirectURI
from .config import XWMSConfig
from .env import missing_session_secret
from .pending_revocations import PendingRevocations
from .refreshed_tokens import RefreshedTokens
from .server_metadata import ServerCache
from .validated_tokens import ValidatedTokens

START_RATE, START_BURST = 50, 100
"""Logins a process starts a second: each is a call to XWMS, so a flood here would be a flood there."""

SPEND_RATE, SPEND_BURST = 2, 3
"""Foreign tokens a process spends a second, at most five in any one; see `finish_login`."""


DEPARTURE_RATE, DEPARTURE_BURST = 2, 5
"""Logout tokens a second for which a process asks its authorization server who it is and what its keys are."""


_ALONE = (
    "fine with one process; several share nothing without XWMS_SESSION_STORE or XWMS_REVOCATION_STORE in SQLite or "
    "Redis, so that each knows only the logins and tokens it has seen itself, and a callback that is sent twice may "
    "sign nobody in"
)


class Site:
    """What the flow needs to know about the application it serves. Raises `ConfigError` without a session secret."""

    def __init__(self, config: XWMSConfig, *, session_keys: Sequence[Secret] = ()) -> None:
        keys = tuple(session_keys) or config.session_keys
        if not keys:
            raise ConfigError([missing_session_secret()])
        # One address may be the name of two ways to log in, whose people are not to be mixed up.
        way = "oauth2:" if config.flow == "oauth2" else ""
        audience = self.audience = f"{way}{config.client_id}@{config.issuer}"
        self.config = config
        self.seal = Signed(keys, purpose="session", audience=audience, sealed=True)
        self.records = Sealed(keys, purpose="record", audience=audience)
        # One flow never takes the pending logins of another. Sealed: OAuth's hold what nobody but us may read, and one
        # that waits for its person's word holds the person.
        self.pending = Sealed(keys, purpose=f"login/{config.flow}", audience=audience)
        self.forms = Signed(keys, purpose="logout-form", audience=audience)
        self.lifetimes = Lifetimes(idle=config.idle_seconds, absolute=config.lifetime_seconds)
        self.starts = TokenBucket(rate=START_RATE, burst=START_BURST)
        self.spends = TokenBucket(rate=SPEND_RATE, burst=SPEND_BURST)
        self.departures = TokenBucket(rate=DEPARTURE_RATE, burst=DEPARTURE_BURST)
        self.unsure = TokenBucket(rate=START_RATE, burst=START_BURST)
        self.strays = ExpiringMap()
        self.learned = False
        self.renewals = ExpiringMap()
        self.rechecks = ExpiringMap()
        self.server = ServerCache()
        self.known_tokens = ValidatedTokens()
        self.refreshed = RefreshedTokens()
        self.unrevoked = PendingRevocations()
        self.silences = ExpiringMap()
        self.departed = ExpiringMap()
        self.origins = frozenset(uri.origin for uri in config.registered)
        self.only = config.registered[0] if len(config.registered) == 1 else None
        self._by_host = {name: uri for uri in config.registered for name in uri.host_names}
        if any(uri.loopback for uri in config.registered) and any(not uri.loopback for uri in config.registered):
            # Somebody can start a login here for the loopback address, and a victim's approval then ends on the
            # victim's own machine, where nobody spends the token.
            events.warning("loopback_beside_public", hint="list only the redirect URIs that this deployment serves")
        if config.session_store == "cookie" and not config.revocation_store:
            # On a developer's machine there is one process, and nothing to be warned of.
            say = events.info if all(uri.loopback for uri in config.registered) else events.warning
            say("each_process_by_itself", hint=_ALONE)
        self._public = frozenset(path for path in config.public if not path.endswith("/*"))
        self._public_below = tuple(path.removesuffix("*") for path in config.public if path.endswith("/*"))

    def knows_server(self, now: int) -> bool:
        """Whether nothing has to be asked of the authorization server before one of its tokens can be judged."""
        metadata = self.config.metadata or self.server.metadata(now)
        return metadata is not None and self.server.keys(now) is not None

    def uri_for(self, host: str) -> RedirectURI | None:
        """The redirect URI that serves this Host header: the only one, or the one on that host, or None.

        The host picks among what is registered. It never becomes part of anything.
        """
        return self.only or self._by_host.get(host.lower())

    def require_uri(self, request: Request) -> RedirectURI:
        """The same for a request that cannot go on without."""
        uri = self.uri_for(request.header("host") or "")
        if uri is None:
            raise HostNotRegistered(f"no redirect URI is on the host {(request.header('host') or '')[:100]!r}")
        return uri

    def is_own(self, path: str, host: str) -> bool:
        """Whether a path is one of our routes. A callback path counts on the host it is registered for."""
        if path not in self.config.own_paths:
            return False
        uri = self.uri_for(host)
        return uri is None or path == uri.path or path not in self.config.callback_paths

    def is_public(self, path: str) -> bool:
        """Whether anybody may see this path under `protect="all"`. Only plain paths can match; odd ones never do."""
        if path in self._public:
            return True
        return path.startswith(self._public_below) and _is_plain(path)

    def next_of(self, request: Request) -> str | None:
        """Where the request asks to go afterwards, by the `next` rule; None where it asks for nothing good."""
        asked = request.parameters("next")
        return safe_next(asked[0], own_paths=self.config.own_paths) if len(asked) == 1 else None


def names_for(uri: RedirectURI) -> CookieNames:
    """The names of our cookies where this redirect URI is served."""
    return HTTPS if uri.secure else HTTP


def _is_plain(path: str) -> bool:
    """No part of the path that a server, a proxy and an application might resolve differently."""
    segments = [segment.partition(";")[0] for segment in path.split("/")]
    return "//" not in path and "\\" not in path and "%" not in path and not {".", ".."}.intersection(segments)
