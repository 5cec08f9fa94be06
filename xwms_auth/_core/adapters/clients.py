"""Several clients in one application: the host of a request selects the client.

Each client has an application of its own around the same inner one: context, store, provider and paths. One more serves
the hosts at which no client is registered. It is called first, and passes a request for a registered host on before it
has done anything; so an application with a single client has nothing to select.

Host header injection: the host only selects, and never becomes part of a URL.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import fields
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

from ...stores import open_store
from ...stores.records import OpenedForClient
from ..base.crypto.digests import new_key
from ..base.dataclass import dataclass
from ..base.errors import ConfigError, HostNotRegistered
from ..base.models import Secret
from ..base.store_protocols import SessionStore
from ..config.config import XWMSConfig
from ..config.context import Context
from ..config.state import ProcessState

if TYPE_CHECKING:
    from .served_app import ServedApp

Configs = XWMSConfig | Sequence[XWMSConfig]
"""What a door takes: the config of its client, or those of several."""

A = TypeVar("A")
S = TypeVar("S", bound="ServedApp")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnknownHost(Context):
    """The context of requests for a host at which none of the clients is registered: nobody is signed in there.

    It has no redirect URI, so no cookie is read, and keys that no client has. Its config is that of the first client,
    for error pages and the path of a login link; nothing that decides who may see what comes from it.
    """

    clients: tuple[Context, ...]

    @classmethod
    def beside(cls, clients: Sequence[Context]) -> "UnknownHost":
        """Return the context for all hosts but those of these clients."""
        # Loaded when an application is set up, as in `Context.of`.
        from ..base.crypto.sealing import Sealed  # noqa: PLC0415
        from ..base.crypto.signing import Signed  # noqa: PLC0415

        config = copy(clients[0].config)
        # What a developer is told of: the hosts that there are.
        registered = tuple(uri for client in clients for uri in client.config.registered)
        object.__setattr__(config, "registered", registered)
        # Nothing of the first client: it need not be known at every host.
        for name in ("site_name", "site_logo", "locale"):
            object.__setattr__(config, name, "")
        object.__setattr__(config, "pages", ())
        keys, audience = (Secret(new_key()),), new_key()
        values = {field.name: getattr(clients[0], field.name) for field in fields(Context)}
        values |= {
            "config": config,
            "audience": audience,
            "session_sealer": Sealed(keys, purpose="session", audience=audience),
            "record_sealer": Sealed(keys, purpose="record", audience=audience),
            "login_sealer": Sealed(keys, purpose="login", audience=audience),
            "form_signer": Signed(keys, purpose="logout-form", audience=audience),
            "origins": frozenset(),
            "trusted_origins": frozenset(),
            "only_uri": None,
            "uris_by_host": {},
            "missing": ("a redirect URI on the host of the request",),
            "state": ProcessState(),
        }
        return cls(**values, clients=tuple(clients))

    @property
    def own_paths(self) -> frozenset[str]:
        """The paths of all clients: no token that comes to the wrong host may reach the application."""
        return frozenset[str]().union(*(client.own_paths for client in self.clients))

    @property
    def protects_all(self) -> bool:
        """Whether any client protects everything: then so does this, because nobody knows whose page is asked for."""
        return any(client.protects_all for client in self.clients)

    def is_own_route(self, path: str, host: str) -> bool:
        return path in self.own_paths

    def is_public(self, path: str) -> bool:
        """Whether a path is public for every client that protects all others, such as one for health checks."""
        return all(client.is_public(path) for client in self.clients if client.protects_all)

    def fault(self) -> HostNotRegistered:
        return HostNotRegistered("none of the clients has a redirect URI on the host of this request")


class NoStore:
    """The store at an unknown host. Whatever it is asked for is refused: there are no sessions that could be meant."""

    loads_at_once = True

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise HostNotRegistered("none of the clients has a redirect URI on the host of this request")

    create = load = recall = renew = drop = list = revoke = revoke_all = revoke_client = claim = release = _refuse


def store_of(context: Context, *, is_async: bool = False) -> SessionStore:
    """Return the store of a client, sync or async; at an unknown host one that refuses everything."""
    return (
        cast("SessionStore", NoStore()) if isinstance(context, UnknownHost) else open_store(context, is_async=is_async)
    )


def as_configs(config: Configs) -> tuple[XWMSConfig, ...]:
    """Return the configs that a door was given. Raises `ConfigError` if there are none, or something else is in it."""
    if isinstance(config, XWMSConfig):
        return (config,)
    if not config:
        raise ConfigError(["the list of configs is empty; an application needs one for each of its clients"])
    if not all(isinstance(one, XWMSConfig) for one in config):
        raise ConfigError(["the list of configs has something in it that is not an XWMSConfig"])
    return tuple(config)


def require_tokens(config: Configs) -> None:
    """Raise `ConfigError` if no client has access tokens. Where only some have, the others refuse each call."""
    configs = as_configs(config)
    next((one for one in configs if one.flow == "oauth2"), configs[0]).require_tokens()


def serve_clients(config: Configs, make: Callable[[Context], A]) -> tuple[Context, dict[str, A]]:
    """Return the context that a door serves itself, and for each registered host the application that `make` returns.

    With a single config that is its context, and no host is looked at. With a list it is that of unknown hosts.
    Raises `ConfigError` with the faults of all configs at once.
    """
    configs = as_configs(config)
    if isinstance(config, XWMSConfig):
        return Context.of(config), {}
    faults = _clashes(configs)
    contexts: list[Context] = []
    for one in configs:
        try:
            contexts.append(Context.of(one))
        except ConfigError as error:
            faults += [fault for fault in error.problems if fault not in faults]
    if faults:
        raise ConfigError(faults)
    by_host: dict[str, A] = {}
    for context in contexts:
        served = make(context)
        for uri in context.config.registered:
            by_host |= dict.fromkeys(uri.host_names, served)
    return UnknownHost.beside(contexts), by_host


def _clashes(configs: Sequence[XWMSConfig]) -> list[str]:
    """What several clients may not share.

    Cross-client confusion: whatever one of them accepts would count for the other too.
    """
    # A placeholder is not a clash: nobody can log in with it.
    complete = [one for one in configs if not one.missing]
    faults = [
        f"XWMS_REDIRECT_URI (redirect_uris): the host {host} is in several configs; it selects one of them"
        for host in _repeated(uri.netloc for one in complete for uri in one.registered)
    ]
    faults += [
        f"XWMS_CLIENT_ID (client_id): {client_id} is in several configs; write one, with all of its redirect_uris"
        for client_id, _, _ in _repeated((one.client_id, one.issuer, one.flow) for one in complete)
    ]
    # With sign-token it is a name, which could be given to two servers.
    pairs = {(one.issuer, one.api_url) for one in complete if one.flow == "sign-token"}
    faults += [
        f"XWMS_ISSUER (issuer): {issuer} is in several configs with different api_url, whose people it would mix up"
        for issuer in _repeated(issuer for issuer, _ in sorted(pairs))
    ]
    # A browser sends its cookies to every port of a host.
    faults += [
        f"XWMS_COOKIE_TAG (cookie_tag): {tag} is in several configs with the host {host}; leave it out"
        for host, tag in _repeated(
            pair for one in complete for pair in {(uri.host, one.cookie_tag) for uri in one.registered}
        )
    ]
    for name in ("session_store", "revocation_store"):
        options: list[object] = [getattr(one, name) for one in complete]
        # Such an object keeps sessions without knowing whose they are. One of ours is opened for each client.
        own = [one for one in options if not isinstance(one, str | Secret | OpenedForClient)]
        if len({id(one) for one in own}) < len(own):
            faults.append(
                f"{name}: one object is in several configs, which would share their sessions; give each its own"
            )
    return faults


T = TypeVar("T", bound="tuple[str, ...] | str")


def _repeated(values: Iterable[T]) -> list[T]:
    """Return the values that come more than once, in their order."""
    seen: dict[T, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    return [value for value, count in seen.items() if count > 1]


def client_at(served: S, clients: Mapping[str, S], host: str) -> S:
    """Return the application of the client that is registered at this host, as in its redirect URI, with the port.

    Raises ValueError if there is none.
    """
    known = clients or dict.fromkeys(served.context.uris_by_host, served)
    if (found := known.get(host.lower())) is None:
        raise ValueError(f"no client is registered at the host {host!r}; these are known: {', '.join(sorted(known))}")
    return found


def client_of(served: S, clients: Mapping[str, S], within: "ServedApp | None", *, asked: str) -> S:
    """Return the application of the client of a request. `within` is what serves the request, or None outside of one.

    Raises `HostNotRegistered` at an unknown host, and RuntimeError where it is open which client is meant: `asked`
    names what was asked for.
    """
    if not clients:
        return served
    if within is not None:
        if served.serves_same_client(within):
            raise served.context.fault()
        for client in clients.values():
            if client.serves_same_client(within):
                return client
    raise RuntimeError(
        f"{asked} is ambiguous outside a request: this application has several clients, at {', '.join(sorted(clients))}"
    )
