"""The command `routes`: every route and websocket of an application, and the guard of each.

Runs no view: it reads what the framework routes, and what the guards have noted of themselves.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from xwms_auth._core.adapters.asgi.bearer import MAX_NESTED
from xwms_auth._core.adapters.guard_check import GUARD, chain, guards_of
from xwms_auth._core.base.errors import ConfigError
from xwms_auth._core.config.config import XWMSConfig
from xwms_auth._core.config.context import Context
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.cli.loading import AppNotFound, load_app

_MISSING_SETTINGS = "XWMS_ALLOW_MISSING_SETTINGS=1 lets an application start without them, for commands such as this"


class Route(NamedTuple):
    """A route: its methods, its path as the framework writes it, its guards, and the name of its function."""

    methods: str
    path: str
    guards: tuple[str, ...]
    endpoint: str
    is_public: bool = False


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--fail-on-unguarded", is_flag=True, help="Exit with 1 if a route has no guard and is not public.")
@click.option(
    "--public",
    "public",
    metavar="PATH",
    multiple=True,
    help="A path that needs no guard, or a prefix that ends in /*; may be repeated.",
)
def routes(*, target: str, fail_on_unguarded: bool, public: tuple[str, ...]) -> None:
    """List every route of an application, and its guard."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = [_with_public(route, public) for route in routes_of(load_app(target))]
    except AppNotFound as error:
        raise click.ClickException(str(error)) from None
    except ConfigError as error:
        raise click.ClickException(f"{error}\n{_MISSING_SETTINGS}") from None
    click.echo("\n".join(_table(found)))
    unguarded = [route for route in found if not route.guards and not route.is_public]
    if unguarded:
        paths = ", ".join(sorted({route.path for route in unguarded}))
        click.echo(f"Without a guard, and not named as public: {paths}", err=True)
    if unguarded and fail_on_unguarded:
        raise SystemExit(1)


def routes_of(app: Any) -> list[Route]:
    """The routes of a Flask application, or of one of Starlette or FastAPI. Raises `AppNotFound` for any other."""
    if hasattr(app, "url_map") and hasattr(app, "view_functions"):
        found = list(_of_flask(app))
    elif inner := _with_routes(app):
        contexts = contexts_of(app)
        found = [_protected(route, contexts) for route in _of_starlette(inner, "")]
    else:
        kind = type(app).__name__
        raise AppNotFound(f"the routes of {kind} are not known: only those of Flask, Starlette and FastAPI")
    return sorted(found, key=lambda route: (route.path, route.methods))


def _table(found: list[Route]) -> Iterator[str]:
    rows = [("METHODS", "PATH", "GUARD", "FUNCTION")]
    rows += [
        (route.methods, route.path, ", ".join(route.guards) or ("public" if route.is_public else "-"), route.endpoint)
        for route in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]])


def _with_public(route: Route, public: Iterable[str]) -> Route:
    names = any(
        route.path == path or (path.endswith("/*") and route.path.startswith(path.removesuffix("*"))) for path in public
    )
    return route._replace(is_public=route.is_public or names)


def _name(view: object) -> str:
    *_, inner = chain(view)
    return f"{getattr(inner, '__module__', '?')}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"


# Flask.


def _of_flask(app: Any) -> Iterator[Route]:
    from xwms_auth._core.adapters.flask.app import PUBLIC  # noqa: PLC0415  needs Flask

    contexts = _of_extension(app)
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        guards = list(_before(app, rule.endpoint)) + list(guards_of(view))
        is_files = rule.endpoint == "static" and getattr(view, "__module__", "").startswith("flask.")
        is_marked = getattr(view, PUBLIC, False) is True or is_files
        is_public, guard = _by_settings(contexts, str(rule.rule))
        if guard and not is_marked and not is_public:
            guards.insert(0, guard)
        is_public = is_public or is_marked
        methods = ",".join(sorted(set(rule.methods or ()) - {"HEAD", "OPTIONS"}))
        yield Route(methods, str(rule.rule), tuple(guards), _name(view), is_public)


def flask_configs(app: Any) -> list[XWMSConfig]:
    """The config of each client of a Flask application. Raises `AppNotFound` if it has no login."""
    return [context.config for context in _of_extension(app)]


def _of_extension(app: Any) -> list[Context]:
    served = app.extensions.get("xwms_auth")
    if served is None:
        raise AppNotFound("this Flask application has no XWMSAuth")
    return [one.context for one in served.clients.values()] or [served.context]


def _before(app: Any, endpoint: str) -> Iterator[str]:
    """The guards among the functions that are called before the view: of the application and of its blueprints."""
    parts = endpoint.split(".")[:-1]
    scopes = [None, *(".".join(parts[: place + 1]) for place in range(len(parts)))]
    for scope in scopes:
        for function in app.before_request_funcs.get(scope, ()):
            yield from guards_of(function)


# Starlette and FastAPI.


def _with_routes(app: Any) -> Any:
    """The application that has routes, inside of middlewares."""
    for _ in range(MAX_NESTED):
        if isinstance(getattr(app, "routes", None), list):
            return app
        app = getattr(app, "app", None)
    return None


def contexts_of(app: Any) -> list[Context]:
    """The settings of each client of the outermost middleware. Raises `AppNotFound` if there is none."""
    if hasattr(app, "build_middleware_stack"):
        app = getattr(app, "middleware_stack", None) or app.build_middleware_stack()
    found = list[Context]()
    for _ in range(MAX_NESTED):
        if isinstance(app, XWMSAuthMiddleware):
            contexts = [Context.of(config, is_told=True) for config in app.configs]
            if not found or _strict(contexts) > _strict(found):  # of several around each other, the strictest
                found = contexts
        app = getattr(app, "app", None)
    if not found:
        raise AppNotFound("this application has no XWMSAuthMiddleware")
    return found


def _strict(contexts: list[Context]) -> int:
    return sum(one.config.protect == "all" for one in contexts)


def _by_settings(contexts: list[Context], path: str) -> tuple[bool, str | None]:
    """Whether a path is public by the settings of every client, and what guards it by those of every client."""
    is_strict = _strict(contexts) == len(contexts)
    is_open = is_strict and any(_may_be_public(one, path) for one in contexts)
    return all(one.is_public(path) for one in contexts), "protect=all" if is_strict and not is_open else None


def _may_be_public(context: Context, template: str) -> bool:
    """Whether a path of this route can be public: with a value of a parameter, or with or without its last slash."""
    fixed = re.split(r"[<{]", template, maxsplit=1)[0]
    if fixed == template:
        return (
            context.is_public(template) or context.is_public(template.rstrip("/")) or context.is_public(template + "/")
        )
    named = (*context.public_paths, *context.public_prefixes)
    return any(one.startswith(fixed) or fixed.startswith(one) for one in named)


def _protected(route: Route, contexts: list[Context]) -> Route:
    if route.is_public:
        return route
    is_public, guard = _by_settings(contexts, route.path)
    if is_public:
        return route._replace(is_public=True)
    return route if guard is None else route._replace(guards=(guard, *route.guards))


def _of_starlette(app: Any, prefix: str, overridden: frozenset[object] = frozenset()) -> Iterator[Route]:
    overridden |= frozenset(getattr(app, "dependency_overrides", None) or ())
    for route in cast("list[Any]", getattr(app, "routes", [])):
        path = prefix + getattr(route, "path", "")
        endpoint = getattr(route, "endpoint", None)
        if endpoint is None:
            included = getattr(route, "include_context", None)  # of a router that FastAPI includes by reference
            path += getattr(included, "prefix", "")
            inner = _with_routes(getattr(route, "app", None) or getattr(route, "original_router", None))
            if inner is not None:
                around = tuple(_of_depends(getattr(included, "dependencies", ()), overridden))
                for one in _of_starlette(inner, path, overridden):
                    yield one._replace(guards=tuple(dict.fromkeys((*around, *one.guards))))
            else:
                yield Route("MOUNT", f"{path}/*", (), _name(getattr(route, "app", route)), is_public=_is_files(route))
            continue
        methods = getattr(route, "methods", None)
        shown = "WEBSOCKET" if methods is None and "WebSocket" in type(route).__name__ else "ANY"
        if methods:
            shown = ",".join(sorted(set(methods) - {"HEAD", "OPTIONS"})) or "OPTIONS"
        view = getattr(endpoint, "dispatch", endpoint) if isinstance(endpoint, type) else endpoint
        guards = (*guards_of(view), *_of_dependencies(getattr(route, "dependant", None), overridden))
        is_own = _name(endpoint).startswith("fastapi.applications.FastAPI.setup.")  # its own pages about the API
        yield Route(shown, path, tuple(dict.fromkeys(guards)), _name(endpoint), is_public=is_own)


def _is_files(route: object) -> bool:
    app: Any = getattr(route, "app", None)
    return type(app).__module__ == "starlette.staticfiles" and type(app).__name__ == "StaticFiles"


def _of_depends(depends: Any, overridden: frozenset[object]) -> Iterator[str]:
    """The guards among what a router is included with."""
    for one in cast("list[Any]", depends or ()):
        name = getattr(one.dependency, GUARD, None)
        if isinstance(name, str) and one.dependency not in overridden:
            yield name


def _of_dependencies(dependant: Any, overridden: frozenset[object]) -> Iterator[str]:
    for one in cast("list[Any]", getattr(dependant, "dependencies", None) or []):
        if one.call in overridden:
            continue  # a test's or an application's own stands for it
        name = getattr(one.call, GUARD, None)
        if isinstance(name, str):
            yield name
        yield from _of_dependencies(one, overridden)
