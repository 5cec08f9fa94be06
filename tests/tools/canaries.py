"""Searches every response of the doors and of the sandbox, and every log line at DEBUG, for secrets, in the whole run.

A plugin of pytest (tests/conftest.py). A secret is what any config of a test has as client or session secret; it may be
nowhere. A token is what came back in a callback, what the package holds as one, or what a cookie of ours has. It may be
in no log line and no response, but a cookie in its Set-Cookie, an ID token in the address of a logout, and an
access token that the application has asked for in a body of its own. A test that sends one on purpose is marked
`@pytest.mark.leaks("why")`. Must not: change what it looks at, or ask XWMS or a source of secrets.
"""

import base64
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast
from urllib.parse import parse_qs

import flask
import pytest

from xwms_auth._core.adapters.asgi.state import ASGIRequestState
from xwms_auth._core.adapters.wsgi.app import WSGIApp
from xwms_auth._core.adapters.wsgi.state import WSGIRequestState
from xwms_auth._core.base.crypto.leak_patterns import LeakPatterns
from xwms_auth._core.base.models import Secret
from xwms_auth._core.config import secret_sources
from xwms_auth._core.config.config import XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware

MARK = "leaks"
SHORTEST_SECRET, SHORTEST_TOKEN = 12, 20
"""Characters. Shorter ones are words of the tests."""

FEWEST_CHARACTERS = 6
"""Different ones in a secret. Fewer, as in a key of forty times the same, are found in junk that tests send."""

MOST_SECRETS, MOST_TOKENS = 12, 24
"""The newest are looked for: those of a test, and of the fixtures around it."""

CLIENTS = ("httpx", "httpcore", "h11", "hpack", "urllib3", "websockets.client")
"""Loggers of the browsers of the tests, which log what they send and get. Secrets may not be there either."""

WIRES = ("uvicorn.error", "websockets.server")
"""Loggers of servers, which at DEBUG have every header of a websocket. Secrets may not be there either."""

_HAS_DIGIT = re.compile(r"\d")
"""A long text without one is a word of a test, such as a host."""

_OUR_COOKIE = re.compile(rb"((?:__Host-)?xwms_(?:session|login)_\w+)=([\w.~-]+)")


class Canaries:
    """What is looked for, and what has been found. Thread-safe, because servers answer in threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.secrets: OrderedDict[str, LeakPatterns | None] = OrderedDict()
        self.tokens: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()
        self.handed_out: set[str] = set()
        """Access tokens that an application has asked for, which it may put into a body of its own."""

        self.public: set[str] = set()
        """Client IDs, which are in many answers."""

        self.found: list[str] = []
        self.figures = dict.fromkeys(("responses", "log lines", "secrets", "tokens and cookies"), 0)
        self.is_off = False

    def learn_secret(self, value: str) -> None:
        with self._lock:
            if len(value) >= SHORTEST_SECRET and len(set(value)) >= FEWEST_CHARACTERS:
                self.figures["secrets"] += value not in self.secrets
                self.secrets.setdefault(value)
                self.secrets.move_to_end(value)
                if self.tokens.pop(value, None) is not None:
                    self.figures["tokens and cookies"] -= 1
                while len(self.secrets) > MOST_SECRETS:
                    self.secrets.popitem(last=False)

    def learn_token(self, value: str) -> None:
        with self._lock:
            if len(value) < SHORTEST_TOKEN or value in self.public or not _HAS_DIGIT.search(value):
                return
            if value not in self.tokens and value not in self.secrets:
                self.figures["tokens and cookies"] += 1
                self.tokens[value] = ()
                while len(self.tokens) > MOST_TOKENS:
                    self.tokens.popitem(last=False)

    def search(self, data: bytes, where: str, *, tokens: bool = True, is_body: bool = False) -> None:
        """Note what is in the data."""
        if self.is_off or len(data) < SHORTEST_SECRET:
            return
        with self._lock:
            for value, compiled in self.secrets.items():
                patterns = self.secrets[value] = compiled or LeakPatterns(Secret(value))
                self.found.extend(f"a secret is in {where}, {leak.form}" for leak in patterns.find(data))
            if tokens:
                for value, known in self.tokens.items():
                    if is_body and value in self.handed_out:
                        continue
                    forms = self.tokens[value] = known or tuple(_forms_of(value.encode("utf-8", "surrogatepass")))
                    if any(form in data for form in forms):
                        self.found.append(f"a token or cookie is in {where}: {value[:4]}…")


def _forms_of(value: bytes) -> Iterator[bytes]:
    """A token as it is, in hexadecimal and in base64. Its characters need no escapes."""
    yield value
    yield value.hex().encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value)
        yield encoded[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]


canaries = Canaries()


# --- what is configured ---


def _watch_configs() -> None:
    check, init = XWMSConfig.__post_init__, Secret.__init__

    @wraps(check)
    def checked(self: XWMSConfig) -> None:
        if isinstance(name := cast("object", self.client_id), str):
            canaries.public.add(name)
            canaries.tokens.pop(name, None)
        check(self)
        for key in getattr(self, "session_keys", ()):
            canaries.learn_secret(key.reveal())
        if isinstance(source := getattr(self, "secret_source", None), Secret):
            canaries.learn_secret(source.reveal())

    @wraps(init)
    def made(self: Secret, value: str | Secret) -> None:
        init(self, value)
        if isinstance(value, str) and " " not in value and "://" not in value:
            canaries.learn_token(value)

    fault = secret_sources.header_fault

    @wraps(fault)
    def fetched(secret: Secret) -> str | None:
        canaries.learn_secret(secret.reveal())
        return fault(secret)

    XWMSConfig.__post_init__ = checked
    Secret.__init__ = made
    secret_sources.header_fault = fetched


def _watch_access_tokens() -> None:
    of_wsgi, of_asgi = WSGIRequestState.access_token, ASGIRequestState.access_token

    @wraps(of_wsgi)
    def asked(self: WSGIRequestState) -> str:
        canaries.handed_out.add(token := of_wsgi(self))
        return token

    @wraps(of_asgi)
    async def asked_async(self: ASGIRequestState) -> str:
        canaries.handed_out.add(token := await of_asgi(self))
        return token

    WSGIRequestState.access_token = asked
    ASGIRequestState.access_token = asked_async


# --- what is sent ---


def _asked(query: str) -> None:
    """Tokens of a callback may be in no response, and in no log."""
    if "token=" in query or "code=" in query:
        for name, values in parse_qs(query).items():
            if name in ("token", "code"):
                for value in values:
                    canaries.learn_token(value)


def _check_headers(headers: Iterable[tuple[bytes, bytes]], where: str) -> None:
    """The cookie where it is set, and an ID token that a logout hands to the server, are where they may be."""
    canaries.figures["responses"] += 1
    others: list[bytes] = []
    for name, value in headers:
        if name.lower() == b"set-cookie" and (cookie := _OUR_COOKIE.search(value)) is not None:
            canaries.search(value[: cookie.start(2)] + value[cookie.end(2) :], f"{where}: Set-Cookie")
            canaries.search(cookie[2], f"{where}: a cookie", tokens=False)
            canaries.learn_token(cookie[2].decode())
        else:
            others.append(name + b": " + value)
    # The login's own token goes along to the server of which it is, where the option for that is on.
    block = re.sub(rb"(?<=id_token_hint=)[\w.-]+", b"", b"\n\n".join(others))
    canaries.search(block, f"{where}: the headers")


class _Body:
    """Pieces of a body as the server gets them, each searched with the end of the one before."""

    def __init__(self, where: str, chunks: Iterable[bytes] = ()) -> None:
        self._where, self._chunks, self._kept = where, chunks, b""

    def look(self, piece: bytes) -> None:
        canaries.search(self._kept + piece, f"{self._where}: the body", is_body=True)
        self._kept = (self._kept + piece)[-2000:]

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.look(chunk)
            yield chunk

    def close(self) -> None:
        getattr(self._chunks, "close", lambda: None)()


def _watch_wsgi() -> None:
    call = WSGIApp.__call__

    @wraps(call)
    def called(self: WSGIApp, environ: Any, start_response: Any) -> Any:
        if canaries.is_off or "tests.canaries" in environ:
            return call(self, environ, start_response)
        environ["tests.canaries"] = True
        _asked(environ.get("QUERY_STRING", ""))
        where = f"the response to {environ['REQUEST_METHOD']} {environ.get('PATH_INFO')}"

        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            headers = list(headers)
            _check_headers(((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers), where)
            return start_response(status, headers, *exc_info)

        chunks = call(self, environ, start)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(chunks, list | tuple):
            _Body(where).look(b"".join(chunks))
        elif not (isinstance(wrapper, type) and isinstance(chunks, wrapper)):
            return _Body(where, chunks)
        return chunks

    WSGIApp.__call__ = called


def is_of_a_client(middleware: XWMSAuthMiddleware) -> bool:
    """Whether this serves one of several clients. What it sends goes through the middleware that it belongs to."""
    return type(middleware).__name__ == "_Client"


def _watch_asgi() -> None:
    call = XWMSAuthMiddleware.__call__

    @wraps(call)
    async def called(self: XWMSAuthMiddleware, scope: Any, receive: Any, send: Any) -> None:
        if canaries.is_off or scope["type"] not in ("http", "websocket") or is_of_a_client(self):
            await call(self, scope, receive, send)
            return
        _asked(scope.get("query_string", b"").decode("latin-1"))
        where = f"the response to {scope.get('method', 'websocket')} {scope['path']}"
        body = _Body(where)

        async def sending(message: Any) -> None:
            if message["type"].endswith(("response.start", "websocket.accept")):
                if "headers" in message:
                    message = {**message, "headers": list(message["headers"])}
                    _check_headers(message["headers"], where)
            elif piece := message.get("body") or message.get("bytes") or message.get("text"):
                body.look(piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else bytes(piece))
            await send(message)

        await call(self, scope, receive, sending)

    XWMSAuthMiddleware.__call__ = called


def _sent_by_sandbox(app: flask.Flask, response: flask.Response, **_: Any) -> None:
    """The sandbox issues tokens and shows them to whom they belong, so only the secrets are looked for."""
    if app.import_name.startswith("xwms_auth.sandbox") and not canaries.is_off:
        canaries.figures["responses"] += 1
        where = f"the sandbox's response to {flask.request.path}"
        for name, value in response.headers:
            canaries.search(f"{name}: {value}".encode("utf-8", "surrogateescape"), f"{where}: {name}", tokens=False)
        if response.is_sequence:
            canaries.search(response.get_data(), f"{where}: the body", tokens=False)


class _Log(logging.Handler):
    """Every record, with its traceback and what else it was given."""

    def emit(self, record: logging.LogRecord) -> None:
        canaries.figures["log lines"] += 1
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  a record of a library or a test that fits no format
            text = f"{record.msg} {record.args}"
        is_wire = record.name.startswith(CLIENTS) or (record.name in WIRES and record.levelno == logging.DEBUG)
        canaries.search(text.encode("utf-8", "surrogatepass"), f"the log {record.name}", tokens=not is_wire)


# --- the plugin ---


class Watch:
    """The hooks of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._total = dict.fromkeys(canaries.figures, 0)
        config.addinivalue_line("markers", f"{MARK}(why): sends or logs a secret on purpose")
        _watch_configs()
        _watch_access_tokens()
        _watch_wsgi()
        _watch_asgi()
        flask.request_finished.connect(_sent_by_sandbox)
        logging.getLogger().addHandler(_Log())
        logging.getLogger().setLevel(logging.DEBUG)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """A test sees of the log what it saw before: from WARNING on, unless it asks `caplog` for more."""
        plugin: Any = self._config.pluginmanager.get_plugin("logging-plugin")
        for handler in () if plugin is None else (plugin.caplog_handler, plugin.report_handler):
            handler.setLevel(logging.WARNING)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        mark = item.get_closest_marker(MARK)
        if mark is not None and not (mark.args and isinstance(mark.args[0], str)):
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{MARK} needs a reason")
        canaries.is_off = mark is not None
        canaries.tokens.clear()
        canaries.handed_out.clear()
        try:
            return (yield)
        finally:
            canaries.is_off = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        result = yield
        found, canaries.found = canaries.found, []
        if found:
            pytest.fail("\n".join(dict.fromkeys(found)), pytrace=False)
        return result

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["canaries"] = canaries.figures

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        for name, count in getattr(node, "workeroutput", {}).get("canaries", {}).items():
            self._total[name] += count

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        figures = {name: count + canaries.figures[name] for name, count in self._total.items()}
        terminalreporter.write_line("searched: " + ", ".join(f"{count} {name}" for name, count in figures.items()))


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is found meanwhile, for a test of this module itself."""
    before, canaries.found = canaries.found, []
    found = canaries.found
    try:
        yield found
    finally:
        canaries.found = before
