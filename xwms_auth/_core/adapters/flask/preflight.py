"""CORS preflights in Flask: a guard answers them, where the route has an answer to `OPTIONS` and nothing else.

That is Flask's own automatic answer, to which Flask-CORS adds its headers in `after_request`, or the `options` method
of a `MethodView`. Whatever else would run, `before_request` functions and decorators among it, might show anybody what
it shows to people: a cache does. A function that takes `OPTIONS` among other methods stays guarded for that reason.
"""

from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app
from flask import views as flask_views
from flask.views import MethodView
from werkzeug.middleware.proxy_fix import ProxyFix

from ...http.preflight import has_own_options, is_preflight
from ..guard_check import chain

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_ANSWERED = "xwms_auth.preflight"
"""The key in the environment of a preflight whose `options` method is running, which may require a user itself."""


def is_routed_by_flask(inner: "WSGIApplication") -> bool:
    """Whether this is Flask's own `wsgi_app`: anything but `ProxyFix` may route a request to another application."""
    while isinstance(inner, ProxyFix):
        inner = inner.app
    return getattr(inner, "__func__", None) is Flask.wsgi_app


def answer(current: Request) -> Response | None:
    """Return the answer to the current request if it is a preflight; None if it is to be guarded as any other."""
    environ, rule = current.environ, current.url_rule
    asks_for = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    if rule is None or not is_preflight(current.method, origin=environ.get("HTTP_ORIGIN"), asks_for=asks_for):
        return None
    if getattr(rule, "provide_automatic_options", False) is True:
        return current_app.make_default_options_response()
    view = _view_of_options(current_app.view_functions.get(rule.endpoint))
    if view is None or _ANSWERED in environ:
        return None
    environ[_ANSWERED] = True
    return current_app.make_response(view(**(current.view_args or {})))


def _view_of_options(view: Any) -> Any:
    """Return the function, without its decorators, that calls the `options` method of a `MethodView`, if it does."""
    view_class = getattr(view, "view_class", None)
    if not (isinstance(view_class, type) and issubclass(view_class, MethodView) and has_own_options(view_class)):
        return None
    if view_class.dispatch_request is not MethodView.dispatch_request:
        return None
    *_, undecorated = chain(view)
    # What `as_view` has made; a decorator without `functools.wraps` would hide it.
    return undecorated if getattr(undecorated, "__globals__", None) is vars(flask_views) else None
