"""CORS preflights: the `OPTIONS` requests with which browsers ask whether a page of another origin may send a request.

They never carry cookies or tokens, so a guard that refuses them refuses every request that they ask about. Yet anybody
can send one, so a guard lets none pass: it gives the answer to `OPTIONS` itself, and nothing else of the application
runs. The method is that by which the framework dispatches, which a method override may have changed.
"""

_OTHER_METHODS = ("get", "head", "post", "put", "patch", "delete", "trace", "query")


def is_preflight(method: str, *, origin: object, asks_for: object) -> bool:
    """Whether this is a CORS preflight: a request with an `Origin` and an `Access-Control-Request-Method`."""
    return method == "OPTIONS" and bool(origin) and bool(asks_for)


def has_own_options(view: type) -> bool:
    """Whether this class has a method for `OPTIONS` that is not also the one for another: `options = get` is a page."""
    options = getattr(view, "options", None)
    shared = any(getattr(view, name, None) is options for name in _OTHER_METHODS)
    return getattr(options, "__name__", "") == "options" and not shared
