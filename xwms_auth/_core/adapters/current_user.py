"""The user of a request: `scope["user"]` of ASGI, and `current_user` for the current request, of ASGI or WSGI."""

from collections.abc import Callable
from typing import Any, cast

from ..base.models import USER_FIELDS, Anonymous, User, anonymous
from .request_state import RequestState, current_request_state


class OutsideRequest(RuntimeError, AttributeError):
    """A proxy has no value here. Also an AttributeError, which tools that look at every attribute expect."""


def _same(user: User | Anonymous) -> User | Anonymous:
    return user


class LazyUser:
    """Behaves like the `User` or `Anonymous` of the request. Once read, the response depends on it."""

    __slots__ = ("_request_state",)
    __dataclass_fields__ = User.__dataclass_fields__  # for `asdict()`, which FastAPI uses to serialize it

    def __init__(self, request_state: RequestState[Any]) -> None:
        self._request_state = request_state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request_state.user(), name)

    @property
    def __class__(self) -> type:  # so that isinstance() tells a User from an Anonymous
        return type(self._request_state.user())

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("the class of a user cannot be changed")

    def __eq__(self, other: object) -> bool:
        # `type` and not `isinstance`, which would use the class of the user.
        theirs = cast("LazyUser", other)._request_state.user() if issubclass(type(other), LazyUser) else other
        return self._request_state.user() == theirs

    def __bool__(self) -> bool:
        return bool(self._request_state.user())

    def __hash__(self) -> int:
        return hash(self._request_state.user())

    def __repr__(self) -> str:
        return repr(self._request_state.user())

    def __reduce_ex__(self, protocol: object) -> Any:
        # A copy is a copy of the user, which may be kept after the request.
        return (_same, (self._request_state.user(),))


def _forwarded(name: str) -> property:
    def read(lazy: LazyUser) -> Any:
        return getattr(lazy._request_state.user(), name)  # pyright: ignore[reportPrivateUsage]  a part of the class above

    return property(read)


# The most used attributes: the same values as from `__getattr__`, in half the time.
for _name in (*USER_FIELDS, "is_authenticated", "is_anonymous", "is_active", "display_name", "identity", "signed_out"):
    setattr(LazyUser, _name, _forwarded(_name))


class _Outside:
    """Stands in for the state of a request outside of one."""

    def user(self) -> Anonymous:
        return anonymous(None)


_OUTSIDE = _Outside()


class FoundUserProxy(LazyUser):
    """The user of the request whose state `find` returns; nobody if it returns None.

    A `LocalProxy` of werkzeug's does the same for any object, in four times the time.
    """

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[], RequestState[Any] | None]) -> None:
        self._find = find

    @property
    def _request_state(self) -> RequestState[Any] | _Outside:  # type: ignore[override]  # as in CurrentUserProxy
        return self._find() or _OUTSIDE

    def _get_current_object(self) -> User | Anonymous:
        """Return the user as a plain object, as a `LocalProxy` does."""
        return self._request_state.user()


class CurrentUserProxy(LazyUser):
    """`current_user`: the user of the current request; `current_user(request)` returns that of any request.

    `state_of` returns the state of what it is called with.

    Outside of a request nobody is signed in, so that tools which look at every object (doctest, mock, pydoc) may.
    """

    __slots__ = ("_state_of",)

    def __init__(self, state_of: Callable[[Any], RequestState[Any]]) -> None:
        self._state_of = state_of

    @property
    def _request_state(self) -> RequestState[Any] | _Outside:  # type: ignore[override]  # looked up each time, where LazyUser keeps one
        request_state = current_request_state.get(None)
        # A task that outlives its request must not keep acting as the user of that request.
        return _OUTSIDE if request_state is None or request_state.finished else request_state

    def __call__(self, request: Any) -> User | Anonymous:
        """Return the user of this request or websocket, as a plain object that may be kept."""
        return self._state_of(request).user()
