"""CORS preflights: the `OPTIONS` requests with which browsers ask whether a page of another origin may send a request.

They never carry cookies or tokens, so a guard that refuses them refuses every request that they ask about. Yet anybody
can send one: whatever runs without its guard because of this must be nothing but an answer to `OPTIONS`.
"""


def is_preflight(method: str, *, origin: object, asks_for: object) -> bool:
    """Whether this is a CORS preflight: a request with an `Origin` and an `Access-Control-Request-Method`."""
    return method == "OPTIONS" and bool(origin) and bool(asks_for)
