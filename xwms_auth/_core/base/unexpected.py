"""Errors that are not ours: of Python, of a library, of an application's own store.

Never logs their message, which may quote a token, a cookie or a name.
"""

import traceback
from collections.abc import Iterator

from . import events
from .errors import InternalError, XWMSError

_PACKAGE = __file__.rpartition("_core")[0]

MAX_CAUSES = 5
"""Errors that are followed from one to the one behind it."""


def internal_error(error: BaseException) -> XWMSError:
    """Log where an error comes from, and return the one to answer with. One of ours is returned as it is."""
    if isinstance(error, XWMSError):
        return error
    chain = list(_chain(error))
    # The lines of source, without the values that they had.
    events.unexpected("".join(f"{_name(one)}\n{''.join(traceback.format_tb(one.__traceback__))}" for one in chain))
    return InternalError(", because of ".join(f"{_name(one)} {place_of(one)}" for one in chain))


def place_of(error: BaseException) -> str:
    """Where an error was raised: a file, a line and a function."""
    notes: list[str] = getattr(error, "__notes__", [])
    return notes[-1] if notes else place_in_code(error)


def place_in_code(error: BaseException) -> str:
    """The same without the notes of the error: those of an error of the application's may quote anything."""
    return next(reversed(_places(error)), "at an unknown place")


def place_in_function(error: BaseException) -> str:
    """Where an error was raised, and, if that is in a library, which line of the application's function called it."""
    inner = [place for place in _places(error) if not place.startswith(f"at {_PACKAGE}")]
    if not inner:
        return place_in_code(error)
    return inner[-1] if len(inner) == 1 else f"{inner[-1]}, called {inner[0]}"


def _places(error: BaseException) -> list[str]:
    """From the outermost to the innermost."""
    frames = traceback.walk_tb(error.__traceback__)
    return [f"at {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in frames]


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _name(error: BaseException) -> str:
    return type(error).__qualname__
