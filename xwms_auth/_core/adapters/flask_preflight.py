"""CORS preflights in Flask: they pass every guard where what answers them is an answer to `OPTIONS` and nothing else.

That is Flask's own automatic answer, to which Flask-CORS adds its headers, or the `options` method of a `MethodView`. A
function that takes `OPTIONS` among other methods might show anybody what it shows to people, so it stays guarded.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app, request
from flask.views import MethodView
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from ..http.preflight import is_preflight
from .guard_check import chain

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_ANSWERED = "xwms_auth.preflight"
"""The key in the environment of a preflight that is being answered ahead of its view."""


def passes(environ: "WSGIEnvironment", app: Flask, inner: "WSGIApplication") -> bool:
    """Whether this is such a preflight, before Flask has routed it.

    Not if there is anything but `ProxyFix` inside, which might route it to another application.
    """
    if not _is_preflight(environ):
        return False
    while isinstance(inner, ProxyFix):
        inner = inner.app
    if getattr(inner, "__func__", None) is not type(app).wsgi_app:
        return False
    try:
        adapter = app.create_url_adapter(app.request_class(environ, populate_request=False))
        return adapter is not None and _is_for_options_only(app, adapter.match(return_rule=True)[0])
    except HTTPException:
        return False


def has_passed(current: Request) -> bool:
    """Whether the current request, which Flask has routed, is such a preflight."""
    return _is_preflight(current.environ) and _is_for_options_only(current_app, current.url_rule)


def answer(
    guarded: object, unguarded: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Any:
    """Return what a guarded function gives for such a preflight: None if it is a `before_request` function.

    What that does is for the user whom its guard requires.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    if arguments or keywords or any(part is guarded for part in chain(view)):
        return current_app.ensure_sync(unguarded)(*arguments, **keywords)
    return None


def answer_ahead(current: Request) -> Response | None:
    """Return what answers such a preflight; None for any other request, and within that answer itself.

    For what cannot let a request go on without its user.
    """
    if current.environ.get(_ANSWERED) or not has_passed(current):
        return None
    current.environ[_ANSWERED] = True
    return current_app.make_response(current_app.dispatch_request())


def _is_preflight(environ: "WSGIEnvironment") -> bool:
    if environ["REQUEST_METHOD"] != "OPTIONS":
        return False
    origin, asks_for = environ.get("HTTP_ORIGIN"), environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    return is_preflight("OPTIONS", origin=origin, asks_for=asks_for)


def _is_for_options_only(app: Flask, rule: Any) -> bool:
    if getattr(rule, "provide_automatic_options", False) is True:
        return True
    view_class = getattr(app.view_functions.get(getattr(rule, "endpoint", "")), "view_class", None)
    return isinstance(view_class, type) and issubclass(view_class, MethodView) and hasattr(view_class, "options")
