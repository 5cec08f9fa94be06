"""Importing the app that ``module:app`` names, and detecting whether it is WSGI or ASGI.

This module imports no framework and no server, and does not catch what the app's own module raises.
"""

import importlib
import inspect
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeAlias

Interface: TypeAlias = Literal["wsgi", "asgi"]


class AppNotFound(Exception):
    """``module:app`` does not name an app; the text is one line for the user."""


def load_app(target: str) -> Any:
    """The object that ``module:attribute`` names; for a function without required arguments, its result.

    Raises `AppNotFound`. Exceptions of the module itself are not caught, so that their traceback is shown.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise AppNotFound(f"{target!r} is not module:app, for example app:app")
    if module_name.endswith(".py"):
        raise AppNotFound(f"{target!r} names a file: write {module_name.removesuffix('.py')}:{attribute}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        # The module itself or its package is missing; any other missing module is an error of the app.
        if not f"{module_name}.".startswith(f"{missing.name}."):
            raise
        raise AppNotFound(f"there is no module {module_name!r} in {Path.cwd()}") from None
    try:
        found = attrgetter(attribute)(module)
    except AttributeError:
        raise AppNotFound(f"module {module_name!r} has no {attribute!r}") from None
    is_factory = inspect.isfunction(found) and _required_arguments(found) == 0
    return found() if is_factory else found


def interface_of(app: Any, *, target: str) -> Interface:
    """``asgi`` if the app takes scope, receive and send; ``wsgi`` if it takes environ and start_response."""
    match _required_arguments(app):
        case 3:
            return "asgi"
        case 2:
            return "wsgi"
        case _:
            kind = f"the class {app.__name__}" if inspect.isclass(app) else f"of type {type(app).__name__}"
            raise AppNotFound(f"{target!r} is neither a Flask nor an ASGI app: it is {kind}")


def _required_arguments(app: Any) -> int | None:
    """The number of required positional arguments; ``None`` for a class or an object that is not callable."""
    if inspect.isclass(app) or not callable(app):
        return None
    try:
        parameters = inspect.signature(app).parameters.values()
    except ValueError:
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional and each.default is each.empty for each in parameters)
