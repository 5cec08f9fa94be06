"""The application's own parts of a login, as the doors call them: its linker, its hooks and its own login."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, cast

from ..accounts.hooks import Event, Hooks, LoggedIn
from ..accounts.linker import AppLogin, Linker
from ..base.dataclass import dataclass
from ..base.errors import ConfigError
from ..config.config import XWMSConfig
from ..config.context import Context
from ..http.next_url import safe_next

A = TypeVar("A")
R = TypeVar("R")

Call = Callable[[Callable[..., Any], tuple[object, ...]], Any]
"""Calls a function of the application."""


Linkers: TypeAlias = Linker[A] | Mapping[str, Linker[A]]
"""The linker of an application, or one for each of its clients, by `client_id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Generic[A]):
    """What a door is given of the application."""

    linker: Linkers[A] | None = None
    hooks: Hooks | None = None
    app_login: AppLogin | None = None

    def linker_of(self, context: Context) -> Linker[A] | None:
        """The linker of a client."""
        return self.linker.get(context.config.client_id) if isinstance(self.linker, Mapping) else self.linker

    def of_client(self, context: Context) -> "ClientParts":
        """What belongs to one client."""
        return ClientParts(linker=self.linker_of(context), hooks=self.hooks, app_login=self.app_login)

    def check(self, configs: Sequence[XWMSConfig], *, in_sync_code: bool = False) -> None:
        """Raise `ConfigError` with every fault at once."""
        faults = list[str]()
        if isinstance(self.linker, Mapping):
            unknown = sorted(self.linker.keys() - {config.client_id for config in configs})
            faults += [
                f"linker= has one for {client_id}, which is no client_id of the configs" for client_id in unknown
            ]
            linkers: Sequence[object] = list(self.linker.values())
        else:
            linkers = [] if self.linker is None else [self.linker]
        for linker in linkers:
            if not isinstance(linker, Linker):
                faults.append("linker= is not a Linker of xwms_auth.accounts")
            elif in_sync_code and is_async(linker.sign_in):
                faults.append("linker= is async, and WSGI is not: use SQLAlchemyLinker with a sync engine")
        if self.hooks is not None and not isinstance(self.hooks, Hooks):
            faults.append("hooks= is not a Hooks of xwms_auth.accounts")
        if self.app_login is not None:
            if not isinstance(self.app_login, AppLogin):
                faults.append("app_login= is not an AppLogin of xwms_auth.accounts")
            elif "#" in self.app_login.url or safe_next(self.app_login.url, own_paths=()) != self.app_login.url:
                faults.append("the url of app_login is not a path on this site")
            if self.linker is None:
                faults.append("app_login= needs linker=, which links what XWMS says to the accounts of that login")
        if faults:
            raise ConfigError(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientParts:
    """What one client has of the application."""

    linker: Linker[Any] | None = None
    hooks: Hooks | None = None
    app_login: AppLogin | None = None

    @property
    def are_none(self) -> bool:
        """Whether there is nothing to call."""
        return self.linker is None and self.hooks is None


class DoorApplication:
    """The application, as one request reaches it. `request` is what `AppLogin.who` gets.

    `call` calls its functions, and `tell` the hooks that only hear of something.
    """

    __slots__ = ("_call", "_parts", "_request", "_tell")

    def __init__(
        self, parts: ClientParts, call: Call, request: Callable[[], object], *, tell: Call | None = None
    ) -> None:
        self._parts, self._call, self._request, self._tell = parts, call, request, tell or call

    @property
    def linker(self) -> Linker[Any] | None:
        return self._parts.linker

    @property
    def app_login(self) -> AppLogin | None:
        return self._parts.app_login

    def call(self, function: Callable[..., R | Awaitable[R]], *args: object) -> R | Awaitable[R]:
        return cast("R", self._call(function, args))

    def tell(self, event: Event) -> object:
        hooks = self._parts.hooks
        hook = None if hooks is None else hooks.of(event)
        if hook is None:
            return None
        # Denial of service: anybody can have requests refused, and must not take the threads in which people log in.
        call = self._call if isinstance(event, LoggedIn) else self._tell
        return call(hook, (event,))

    def who(self) -> object:
        app_login = self._parts.app_login
        return None if app_login is None else self._call(app_login.who, (self._request(),))


def call_sync(function: Callable[..., Any], args: tuple[object, ...]) -> Any:
    """Call a function of a WSGI application, which may not be async."""
    result = function(*args)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"{getattr(function, '__qualname__', function)} is async, and a WSGI application is not")
    return result


async def call_async(function: Callable[..., Any], args: tuple[object, ...], *, tells: bool = False) -> Any:
    """Call a function of an ASGI application: one that is not async in a thread, so that it does not block the loop.

    With `tells` the thread is one of those that are for hooks which only hear of something.
    """
    if is_async(function):
        return await function(*args)
    from .threads import run_in_thread  # noqa: PLC0415  anyio is loaded by who needs it

    result = await run_in_thread(function, args, tells=tells)
    return await result if inspect.isawaitable(result) else result


async def tell_async(function: Callable[..., Any], args: tuple[object, ...]) -> Any:
    """Call a hook of an ASGI application that only hears of something."""
    return await call_async(function, args, tells=True)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function is async, also a method or an object with an async `__call__`."""
    called = getattr(type(function), "__call__", None)  # noqa: B004  its kind is asked, not whether it is there
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
