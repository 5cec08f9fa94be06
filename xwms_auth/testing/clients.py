"""The test clients that can sign in, as one: a request goes in, an answer comes out.

Imports no framework and no client: each is known by what it can do.
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from .._core.base.dataclass import dataclass

T = TypeVar("T")

WEBSOCKET_HOST = "testserver"
"""The host to which Starlette's `TestClient` opens websockets, whatever its own is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request. `path` has the query; `form` makes it a form."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None = None


class Answer(NamedTuple):
    """The response to it."""

    status: int
    location: str
    text: str


class Browser(Protocol):
    """A test client. `origin` is where it is, such as `http://testserver`; `roots` may lead to its application."""

    origin: str
    roots: tuple[object, ...]

    def send(self, ask: Ask) -> Answer | Awaitable[Answer]:
        """Send a request, with the client's cookies, without following a redirect."""
        ...

    def cookie(self, name: str) -> str | None:
        """The value of a cookie that the client will send; None if it has none, or asking the application is cheap."""
        ...

    def share_cookie(self, name: str, websocket_name: str) -> None:
        """Let the client send this cookie with its websockets too, by the name that it has there."""
        ...


class WerkzeugBrowser:
    """Werkzeug's test client, which Flask's is."""

    def __init__(self, client: Any, base_url: str | None) -> None:
        self._client = client
        self.roots: tuple[object, ...] = (client.application,)
        found: object = getattr(client.application, "config", None)
        config = cast("dict[str, Any]", found) if isinstance(found, dict) else {}  # Flask's
        scheme, host = config.get("PREFERRED_URL_SCHEME") or "http", config.get("SERVER_NAME") or "localhost"
        self.origin = _origin_of(base_url or f"{scheme}://{host}")

    def send(self, ask: Ask) -> Answer:
        # With the whole path and a base without one: APPLICATION_ROOT would come twice.
        response = self._client.open(
            ask.path,
            method=ask.method,
            headers=dict(ask.headers),
            data=ask.form,
            base_url=f"{self.origin}/",
            follow_redirects=False,
        )
        return Answer(response.status_code, response.headers.get("Location", ""), response.get_data(as_text=True))

    def cookie(self, name: str) -> str | None:
        return None

    def share_cookie(self, name: str, websocket_name: str) -> None:
        """It opens no websockets."""


class HTTPXBrowser:
    """A client of httpx or httpx2, sync or async, such as Starlette's and FastAPI's `TestClient`."""

    def __init__(self, client: Any, base_url: str | None) -> None:
        self._client = client
        base = base_url or str(client.base_url)
        if not urlsplit(base).netloc:
            raise ValueError("the client has no base_url, so nobody knows where it is: give login one")
        self.origin = _origin_of(base)
        # httpx tells nobody which application its transport calls.
        mounts: Mapping[object, object] = getattr(client, "_mounts", None) or {}
        app, transport = getattr(client, "app", None), getattr(client, "_transport", None)
        self.roots: tuple[object, ...] = (app, transport, *mounts.values())

    def send(self, ask: Ask) -> Answer | Awaitable[Answer]:
        sent = self._client.request(
            ask.method, f"{self.origin}{ask.path}", headers=dict(ask.headers), data=ask.form, follow_redirects=False
        )
        return _awaited(sent) if inspect.isawaitable(sent) else _answer_of(sent)

    def cookie(self, name: str) -> str | None:
        host = urlsplit(self.origin).hostname
        found = [one for one in self._client.cookies.jar if one.name == name and one.domain in (host, f"{host}.local")]
        return found[0].value if len(found) == 1 else None

    def share_cookie(self, name: str, websocket_name: str) -> None:
        """It opens no websockets."""


class StarletteBrowser(HTTPXBrowser):
    """The `TestClient` of Starlette and FastAPI.

    It starts an event loop and a thread for each request, and goes to and fro between two threads for each message. So
    the requests of a login are made in one loop, with the client's own headers and cookies.
    """

    def in_its_loop(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Call an async function in the event loop of the client's lifespan; without one in a loop of its own."""
        client = self._client
        if client.portal is not None:
            in_lifespan: T = client.portal.call(function, *args)
            return in_lifespan
        from anyio.from_thread import start_blocking_portal  # noqa: PLC0415  only such a client needs it

        with start_blocking_portal(**client.async_backend) as portal:
            return portal.call(function, *args)

    async def send(self, ask: Ask) -> Answer:
        client = self._client
        request = client.build_request(ask.method, f"{self.origin}{ask.path}", headers=dict(ask.headers), data=ask.form)
        status, headers, body = await asgi_request(
            client.app, request, state=dict(getattr(client, "app_state", {})), root_path=_root_path_of(client)
        )
        # The response of the client's own library, which keeps its cookies.
        library: Any = sys.modules[type(client.cookies).__module__.partition(".")[0]]
        response = library.Response(status, headers=headers, content=body, request=request)
        client.cookies.extract_cookies(response)
        return _answer_of(response)

    def share_cookie(self, name: str, websocket_name: str) -> None:
        if urlsplit(self.origin).hostname == WEBSOCKET_HOST:
            return
        domain = f"{WEBSOCKET_HOST}.local"  # as http.cookiejar calls a host without a dot
        for cookie in list(self._client.cookies.jar):
            if cookie.name == websocket_name and cookie.domain == domain:
                self._client.cookies.jar.clear(domain, cookie.path, websocket_name)
        found = [cookie for cookie in self._client.cookies.jar if cookie.name == name]
        if found:
            self._client.cookies.set(websocket_name, found[0].value, domain=domain)


async def asgi_request(
    app: Any, request: Any, *, state: dict[str, Any], root_path: str
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Send a request of httpx to an ASGI application, and return status, headers and body."""
    url, body = request.url, request.read()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("testclient", 50000),
        "server": (url.host, url.port or {"http": 80, "https": 443}[url.scheme]),
        "state": state,
    }
    messages: list[dict[str, Any]] = []
    is_read = False

    async def receive() -> dict[str, Any]:
        nonlocal is_read
        is_read, was_read = True, is_read
        return {"type": "http.disconnect"} if was_read else {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start = next(message for message in messages if message["type"] == "http.response.start")
    sent = [message.get("body", b"") for message in messages if message["type"] == "http.response.body"]
    return start["status"], list(start["headers"]), b"".join(sent)


def _root_path_of(client: Any) -> str:
    root_path = getattr(getattr(client, "_transport", None), "root_path", "")
    return root_path if isinstance(root_path, str) else ""


async def _awaited(sent: Awaitable[Any]) -> Answer:
    return _answer_of(await sent)


def _answer_of(response: Any) -> Answer:
    return Answer(response.status_code, response.headers.get("location", ""), response.text)


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is not the address of a site, such as http://localhost")
    default = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default)}"


def browser_of(client: object, base_url: str | None) -> Browser:
    """Return the client as a browser. Raises TypeError for one that cannot sign in."""
    if _has(client, _OF_WERKZEUG):
        return WerkzeugBrowser(client, base_url)
    if _has(client, _OF_STARLETTE):
        return StarletteBrowser(client, base_url)
    if _has(client, _OF_HTTPX):
        return HTTPXBrowser(client, base_url)
    raise TypeError(
        f"{type(client).__name__} is not a test client that can sign in: those are Flask's, the TestClient of "
        "Starlette and FastAPI, and clients of httpx2 and httpx"
    )


_OF_WERKZEUG, _OF_HTTPX = ("open", "application"), ("request", "base_url", "cookies")
_OF_STARLETTE = ("app", "portal", "async_backend", "websocket_connect", "build_request")


def _has(client: object, names: tuple[str, ...]) -> bool:
    return all(hasattr(client, name) for name in names)


def is_client(one: object) -> bool:
    """Whether this is a test client, and not an application."""
    return _has(one, _OF_WERKZEUG) or _has(one, _OF_HTTPX)


def is_async(client: object) -> bool:
    """Whether a client has to be awaited."""
    return inspect.iscoroutinefunction(getattr(client, "request", None))


# What wraps an application calls it by one of these names.
_NAMES = """
    app _app application _application wsgi_app asgi_app asgi_handler inner _inner _served clients _clients _transport
    transport middleware_stack router routes mounts __wrapped__ __self__ __func__ func
""".split()
_MAX_SEARCHED = 2000


def everything_in(roots: tuple[object, ...]) -> Iterator[object]:
    """Yield these objects and what they wrap, the outermost first: middleware, mounted applications, closures.

    Builds the middleware of a Starlette application, as its first request would.
    """
    known, waiting = set[int](), [*roots]
    while waiting and len(known) < _MAX_SEARCHED:
        found = waiting.pop(0)
        if found is None or isinstance(found, type | str | bytes | int | float) or id(found) in known:
            continue
        known.add(id(found))
        yield found
        waiting += _within(found)


def _within(found: Any) -> list[object]:
    if isinstance(found, Mapping):
        return list(cast("Mapping[object, object]", found).values())
    if isinstance(found, list | tuple):
        return list(cast("Sequence[object]", found))
    if inspect.isfunction(found):
        cells = [cell.cell_contents for cell in found.__closure__ or () if _is_filled(cell)]
        return [getattr(found, "__wrapped__", None), *(cell for cell in cells if callable(cell))]
    try:
        if getattr(found, "middleware_stack", found) is None and callable(
            getattr(found, "build_middleware_stack", None)
        ):
            found.middleware_stack = found.build_middleware_stack()
        return [getattr(found, name, None) for name in _NAMES]
    except RuntimeError:  # a proxy to something that is not there
        return []


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
