"""Guards that are not in effect: `@login_required` above `@app.get` guards a function that nobody routes to.

The route has the function from below, without its guard, and the page is public without a word. A guard notes what it
was put around; when the first request comes, each edge shows which functions its routes have.

Knows: what was guarded, and how wrappers name what is inside them.
Must not: know a framework, or keep a function alive.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import cast
from weakref import WeakKeyDictionary, WeakSet

from ..base import events
from ..base.errors import ConfigError

MAX_WRAPPED = 32
"""Wrappers around one another that are looked through, outermost first."""

_guard_of: WeakKeyDictionary[object, str] = WeakKeyDictionary()
"""What a guard was put around, or around a wrapper of, and the guard's name."""

_guarded: WeakSet[object] = WeakSet()
"""What guards have made."""


def note_guard(view: object, guarded: object, guard: str) -> None:
    """Note that `guarded` is `view` with this guard."""
    _guarded.add(guarded)
    for inside in _chain(view):
        try:
            _guard_of[inside] = guard
        except TypeError:  # an object that cannot be referred to weakly
            continue


class GuardCheck:
    """Whether the routes of one application have the functions that its guards have made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems: list[str] | None = None
        self.settled = False
        """Whether there is nothing left to check: every request asks this, and few need more."""

    def check(self, views: Callable[[], Iterable[object]], *, debug: Callable[[], bool]) -> None:
        """Log, once, each function that is routed without its guard; raise `ConfigError` for them in debug mode.

        One that is routed with its guard as well may be open at one address on purpose: of that only the log tells.
        """
        if self._problems is None:
            with self._lock:
                if self._problems is None:
                    routed = list(views())
                    guarded = _with_guard(routed)
                    self._problems = [
                        said for view in _without(routed) if (said := _warn(view)) and id(view) not in guarded
                    ]
        self.settled = not self._problems
        if self._problems and debug():
            raise ConfigError(self._problems)


def _without(views: list[object]) -> list[object]:
    """Which of these functions stand among them without a guard that was put around them."""
    inside = {id(part) for view in views for part in list(_chain(view))[1:]}
    lost = {
        id(view): view
        for view in views
        # One that has a guard, and stands there with another one around it too, is there twice on purpose.
        if _is_known(view) and not (id(view) in inside and any(part in _guarded for part in _chain(view)))
    }
    return list(lost.values())


def _with_guard(views: list[object]) -> set[int]:
    """Whatever has a guard around it in one of these functions, by identity."""
    found: set[int] = set()
    for view in views:
        guarded = False
        for part in _chain(view):
            if guarded:
                found.add(id(part))
            guarded = guarded or part in _guarded
    return found


def _warn(view: object) -> str:
    guard, name = _guard_of[view], f"{getattr(view, '__module__', '?')}.{getattr(view, '__qualname__', view)}"
    events.warning("guard_not_in_effect", view=name, guard=guard)
    return f"@{guard} is not in effect on {name}: it must stand below the route's decorator, next to the function"


def _is_known(view: object) -> bool:
    try:
        return view in _guard_of
    except TypeError:  # not hashable, or not referable
        return False


def _chain(view: object) -> Iterator[object]:
    """A function and what it is a wrapper of."""
    for _ in range(MAX_WRAPPED):
        yield view
        if not hasattr(view, "__wrapped__"):
            return
        view = cast("object", view.__wrapped__)
