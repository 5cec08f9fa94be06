"""Detection of guards that are not in effect, such as `@login_required` above `@app.get`.

In that order the route has the unguarded function, and the page is public without any warning. So each guard notes the
function that it wraps, and at the first request the adapter checks the functions of its routes.

Functions are referenced weakly, so that none is kept alive.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import cast
from weakref import WeakKeyDictionary

from ..base import events
from ..base.errors import ConfigError

GUARD = "_xwms_auth_guard"
"""The attribute of a dependency of FastAPI that lets nobody else in: the name of the guard."""

MAX_WRAPPED = 32
"""Most nested wrappers that are searched, from the outermost."""

_guard_of: WeakKeyDictionary[object, str] = WeakKeyDictionary()
"""The name of the guard around each function, whether the guard wraps it directly or through other wrappers."""

_guarded: WeakKeyDictionary[object, str] = WeakKeyDictionary()
"""The functions that guards have returned, and the name of each guard."""


def note_guard(view: object, guarded: object, guard: str) -> None:
    """Note that `guarded` is `view` wrapped by this guard."""
    _guarded[guarded] = guard
    for wrapped in chain(view):
        try:
            _guard_of[wrapped] = guard
        except TypeError:  # an object that cannot be weakly referenced
            continue


def guards_of(view: object) -> tuple[str, ...]:
    """Return the names of the guards around a function, from the outermost."""
    return tuple(_guarded[part] for part in chain(view) if _is_guarded(part))


def _is_guarded(part: object) -> bool:
    try:
        return part in _guarded
    except TypeError:  # not hashable
        return False


class GuardCheck:
    """Checks that the routes of an application have the functions that its guards have returned."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems: list[str] | None = None
        self.settled = False
        """Whether there is nothing left to check. Read at every request."""

    def check(self, views: Callable[[], Iterable[object]], *, debug: Callable[[], bool]) -> None:
        """Log once each function that is routed without its guard; in debug mode, also raise `ConfigError`.

        A function that is also routed with its guard may be public at one URL on purpose: it is only logged.
        """
        if self.settled:
            return
        unguarded: list[object] = []
        with self._lock:
            if self._problems is None:
                routed = list(views())
                guarded = _ids_with_guard(routed)
                unguarded = _without_guard(routed)
                self._problems = [_problem(view) for view in unguarded if id(view) not in guarded]
        # Not within the lock: a handler of the log may wait for a socket.
        for view in unguarded:
            events.warning("guard_not_in_effect", view=_name(view), guard=_guard_of[view])
        self.settled = not self._problems
        if self._problems and debug():
            raise ConfigError(self._problems)


def _without_guard(views: list[object]) -> list[object]:
    """Return those of these functions that are routed without the guard that wraps them elsewhere."""
    wrapped = {id(part) for view in views for part in list(chain(view))[1:]}
    unguarded = {
        id(view): view
        for view in views
        # A function with a guard that is also routed inside another guard is routed twice on purpose.
        if _has_guard(view) and not (id(view) in wrapped and any(map(_is_guarded, chain(view))))
    }
    return list(unguarded.values())


def _ids_with_guard(views: list[object]) -> set[int]:
    """Return the `id()` of every function that a guard wraps in one of these functions."""
    found: set[int] = set()
    for view in views:
        guarded = False
        for part in chain(view):
            if guarded:
                found.add(id(part))
            guarded = guarded or _is_guarded(part)
    return found


def _name(view: object) -> str:
    return f"{getattr(view, '__module__', '?')}.{getattr(view, '__qualname__', view)}"


def _problem(view: object) -> str:
    where = "it must stand below the route's decorator, next to the function"
    return f"@{_guard_of[view]} is not in effect on {_name(view)}: {where}"


def _has_guard(view: object) -> bool:
    try:
        return view in _guard_of
    except TypeError:  # not hashable
        return False


def chain(view: object) -> Iterator[object]:
    """Yield a function, and the functions that it wraps, from the outermost."""
    for _ in range(MAX_WRAPPED):
        yield view
        if not hasattr(view, "__wrapped__"):
            return
        view = cast("object", view.__wrapped__)
