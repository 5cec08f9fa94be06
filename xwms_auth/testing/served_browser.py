"""A browser without a client: it asks the login of an application directly, for the cookie of its session."""

import asyncio
import threading
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit
from wsgiref.util import setup_testing_defaults

from .._core.accounts.application import Application
from .._core.adapters.application import DoorApplication, call_async
from .._core.adapters.served_app import ServedApp
from .._core.adapters.wsgi.state import WSGIServedApp
from .._core.base.effects import Steps, arun, run
from .._core.http.messages import Request, Response
from .clients import Answer, Ask


class ServedBrowser:
    """A browser at this origin. `cookies` are those that it has got."""

    def __init__(self, served: ServedApp, origin: str) -> None:
        self.origin = origin
        self.roots: tuple[object, ...] = ()
        self.cookies: dict[str, str] = {}
        self._served = served

    def send(self, ask: Ask) -> Answer:
        served, parts = self._served, urlsplit(f"{self.origin}{ask.path}")
        request = Request(
            method=ask.method,
            path=parts.path,
            query=parts.query,
            target=ask.path,
            scheme=parts.scheme,
            headers={"host": parts.netloc, **{name.lower(): value for name, value in ask.headers.items()}},
            cookie="; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            form=ask.form or {},
        )
        application = self._application(request)
        steps = served.serve_route(
            served.context, served.provider, request, now=int(served.clock()), application=application
        )
        response = _performed(steps, served)
        for name, value in response.header_list():
            if name == "Set-Cookie":
                self._keep(value)
        location = next((value for name, value in response.headers if name == "Location"), "")
        return Answer(response.status, location, response.body)

    def cookie(self, name: str) -> str | None:
        return None

    def share_cookie(self, name: str, websocket_name: str) -> None:
        """It opens no websockets."""

    def _keep(self, set_cookie: str) -> None:
        for name, morsel in SimpleCookie(set_cookie).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value

    def _application(self, request: Request) -> Application | None:
        """The application's own parts of a login, such as its linker, which makes an account for a new person."""
        served = self._served
        if served.parts.are_none:
            return None
        if isinstance(served, WSGIServedApp):
            environ: dict[str, Any] = {"PATH_INFO": request.path, "HTTP_HOST": request.headers["host"]}
            setup_testing_defaults(environ)
            return served.application_of(environ)
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": request.path,
            "headers": [],
            "query_string": b"",
        }
        return DoorApplication(served.parts, call_async, lambda: scope)


def _performed(steps: Steps[Response], served: ServedApp) -> Response:
    if isinstance(served, WSGIServedApp):
        return run(steps, served.runtime)
    found: list[Response | BaseException] = []

    def perform() -> None:
        try:
            found.append(asyncio.run(arun(steps, served.runtime)))
        except BaseException as error:  # noqa: BLE001  raised below
            found.append(error)

    # In a thread: the test itself may run in an event loop.
    thread = threading.Thread(target=perform)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]
