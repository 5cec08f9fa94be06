"""What frameworks make of a path below an ASGI `root_path`, and whether it is public in all of their readings.

Knows how Starlette, Litestar, Quart, Django, BlackSheep, Falcon, Sanic and the wrappers of WSGI applications read the
two. They agree only where `root_path` is plain and the path begins with it, and daphne takes it from a request header.
"""

from collections.abc import Iterator
from urllib.parse import unquote

from ...config.context import Context
from ...http.urls import is_below, is_plain
from ..guard_check import MAX_WRAPPED
from .messages import Scope, header_of

_FOREIGN = frozenset(("falcon", "sanic", "quart"))
"""Packages of applications that do not take `root_path` off as the ASGI specification has it."""


def foreign_readers(app: object) -> frozenset[str]:
    """Which of these packages this application, or one further inside, is of, as far as that can be known."""
    found = set[str]()
    for _ in range(MAX_WRAPPED):
        found.update(one.__module__.partition(".")[0] for one in type(app).__mro__)
        app = getattr(app, "app", None)
    return _FOREIGN & found


def is_public(scope: Scope, context: Context, *, foreign: frozenset[str]) -> bool:
    """Whether the path is public however the application reads it. `foreign` is what `foreign_readers` returns."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root:
        return context.is_public(path)
    if "quart" in foreign and (path == root or not path.startswith(root)):
        return False  # Quart makes a space of such a path, which a route for everything takes
    is_plain_prefix = is_below(path, root) and _is_trusted(scope, root, context)
    readings = [path.removeprefix(root)] if is_plain_prefix else [*_readings(path, root)]
    raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
    if raw:  # BlackSheep takes the prefix off before it decodes, and finds it there only as it is written
        readings.append(_with_slash(_decoded(raw.removeprefix(root.encode("utf-8", "surrogateescape")))))
    if "falcon" in foreign or "sanic" in foreign:  # they route the whole path
        readings += [path, _decoded(raw)] if raw else [path]
    return all(map(context.is_public, readings))


def _is_trusted(scope: Scope, root: str, context: Context) -> bool:
    """Whether `root_path` is plain, and a mount's or a prefix of our own redirect URI, whoever sent it."""
    if not root.startswith("/") or root.endswith("/") or not is_plain(root):
        return False
    # Starlette adds the prefixes of mounts to `root_path`, and keeps the server's own.
    named: str = scope.get("app_root_path", root)
    if not named:
        return True
    uri = context.redirect_uri_for(header_of(scope, b"host", ", "))
    return uri is not None and is_below(uri.path, named) and is_below(root, named)


def _readings(path: str, root: str) -> Iterator[str]:
    """What any framework may route, with the slash in front that most of them add."""
    yield path
    for prefix in {root, "/" + root.strip("/")}:
        # Litestar splits anywhere; Django, Quart and others cut at the front, also in the middle of a segment; the
        # WSGI wrapper of Starlette looks for the prefix without its slashes and cuts the length of all.
        for rest in (path.split(prefix, 1)[-1], path[len(prefix) :] if path.startswith(prefix.rstrip("/")) else path):
            yield _with_slash(rest)


def _with_slash(rest: str) -> str:
    return rest if rest.startswith("/") else "/" + rest


def _decoded(raw: bytes) -> str:
    return unquote(raw.decode("latin-1"))
