"""The application itself, in this process: whether it serves the callbacks, and how its middlewares stand."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import httpx2

from xwms_auth._core.adapters.asgi.bearer import MAX_NESTED
from xwms_auth._core.adapters.wsgi.app import WSGIApp
from xwms_auth._core.config.config import XWMSConfig
from xwms_auth._core.http.urls import RedirectURI
from xwms_auth.cli.doctor.findings import Finding, fault, ok, skipped, warning
from xwms_auth.cli.loading import interface_of
from xwms_auth.cli.login_check import NAVIGATION_HEADERS, code_in
from xwms_auth.cli.routes import contexts_of, flask_configs
from xwms_auth.wsgi import XWMSAuth as WSGIAuth


def configs_of(app: Any) -> list[XWMSConfig]:
    """The config of each client of the application. Raises `AppNotFound` if it has no login."""
    if isinstance(app, WSGIAuth):
        return list(app.configs)
    if hasattr(app, "url_map"):
        return flask_configs(app)
    return [context.config for context in contexts_of(app)]


def of_application(app: Any, target: str, configs: list[XWMSConfig]) -> Iterator[Finding]:
    """What the application answers at its own routes, and in which order its middlewares stand."""
    is_asgi = interface_of(app, target=target) == "asgi"
    for config in configs:
        for uri in config.registered:
            response = asyncio.run(_ask_asgi(app, uri)) if is_asgi else _ask_wsgi(app, uri)
            if is_asgi and isinstance(response, Exception):
                text = f"{type(response).__name__} at {uri.path} in the application, whose lifespan was not started"
                yield skipped("callback", f"{text}: use --live")
            else:
                yield _of_callback(uri, response)
    yield from _of_middlewares(app)
    if hasattr(app, "wsgi_app") and any(uri.secure for config in configs for uri in config.registered):
        yield _of_addresses(app.wsgi_app)


def _of_addresses(app: Any) -> Finding:
    """Whether the addresses of visitors get past a proxy; behind none, and with a server that does it, they do."""
    outside = itertools.takewhile(lambda one: not isinstance(one, WSGIApp), _chain(app))
    if any(getattr(one, "x_for", 0) for one in outside):
        return ok("client address", "ProxyFix takes it from X-Forwarded-For")
    text = "no ProxyFix with x_for: behind a proxy all visitors have its address, and share one budget of logins"
    remedy = "behind one proxy set app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1): see docs/client-addresses.md"
    return warning("client address", text, remedy)


def _of_callback(uri: RedirectURI, response: httpx2.Response | Exception) -> Finding:
    subject = "callback"
    if isinstance(response, Exception):
        text = f"the application fails at {uri.path}: {type(response).__name__}"
        return fault(subject, text, "open the page, and read the traceback in the log")
    if code_in(response) == "token_missing":
        return ok(subject, f"the application serves {uri.uri}")
    text = f"the application does not serve {uri.uri}: it answered {response.status_code} {code_in(response)}".rstrip()
    return fault(
        subject, text, "is something in front of the login, such as a mount or a middleware that answers first?"
    )


def _ask_wsgi(app: Any, uri: RedirectURI) -> httpx2.Response | Exception:
    transport = httpx2.WSGITransport(app=app)
    with httpx2.Client(transport=transport, base_url=uri.origin, headers=NAVIGATION_HEADERS) as client:
        try:
            return client.get(uri.path)
        except Exception as error:  # noqa: BLE001  the application's own: told, not raised
            return error


async def _ask_asgi(app: Any, uri: RedirectURI) -> httpx2.Response | Exception:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=uri.origin, headers=NAVIGATION_HEADERS) as client:
        try:
            return await client.get(uri.path)
        except Exception as error:  # noqa: BLE001  as above
            return error


def _of_middlewares(app: Any) -> Iterator[Finding]:
    if hasattr(app, "wsgi_app") and hasattr(app, "url_map"):
        chain = _chain(app.wsgi_app)
        inside = itertools.dropwhile(lambda one: not isinstance(one, WSGIApp), chain)
        if any(type(one).__name__ == "ProxyFix" for one in inside):
            remedy = "set app.wsgi_app = ProxyFix(app.wsgi_app, …) after XWMSAuth(app)"
            yield warning("middlewares", "ProxyFix stands inside of the login, which reads no prefix from it", remedy)
        return
    names = [getattr(each.cls, "__name__", "?") for each in getattr(app, "user_middleware", ())]
    ours = next((place for place, name in enumerate(names) if name == "XWMSAuthMiddleware"), None)
    if ours is None:
        return
    if "CORSMiddleware" in names[ours:]:
        text = "CORSMiddleware stands inside of XWMSAuthMiddleware: pages of other origins cannot read our 401"
        yield warning("middlewares", text, "add CORSMiddleware after XWMSAuthMiddleware, so that it is outside")
    else:
        yield ok("middlewares", f"from the outside: {', '.join(names)}")


def _chain(app: Any) -> Iterator[Any]:
    """An application of WSGI and what is inside of it, as far as the usual names of attributes tell."""
    for _ in range(MAX_NESTED):
        owner = getattr(app, "__self__", app)
        yield owner
        app = next((inner for name in ("_inner", "app", "_app") if (inner := getattr(owner, name, None))), None)
        if app is None:
            break
