"""A template that asks a person for what there is not: an error while the application is in debug mode.

Jinja takes an attribute that does not exist for false, so `{% if not current_user.is_guest %}` shows everybody what is
for members.

Knows: Jinja's modules by name, and whom to ask for the debug mode.
Must not: change what plain code gets, or load a framework.
"""

from collections.abc import Callable
from inspect import currentframe
from typing import NoReturn

in_debug_mode: list[Callable[[], bool]] = []
"""Each edge's answer to whether an application of its own is being served in debug mode now."""

_PASSING_ON = (__name__, "xwms_auth.models", "xwms_auth.asgi_seat", "werkzeug.local")
"""The modules through which it comes here that somebody asks."""


def missing(person: object, name: str) -> object:
    """What somebody gets who asks for an attribute that a person does not have. Raises AttributeError for code.

    A template in debug mode gets something of Jinja's that only `is defined` and `default` may look at.
    """
    if name.startswith(("_", "jinja_")) or not _is_template_asking() or not any(asked() for asked in in_debug_mode):
        _raise(person, name)
    from jinja2 import StrictUndefined  # noqa: PLC0415  it is Jinja that asks

    known = ", ".join(known for known in dir(type(person)) if not known.startswith("_"))
    return StrictUndefined(
        f"a template asks the current user for {name!r}, which there is not, and Jinja would take it for false; "
        f"there are: {known}",
        name=name,
    )


def _raise(person: object, name: str) -> NoReturn:
    raise AttributeError(f"{type(person).__name__!r} object has no attribute {name!r}", name=name, obj=person)


def _is_template_asking() -> bool:
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__") in _PASSING_ON:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("jinja2.")
