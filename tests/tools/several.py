"""One application for several clients, behind each edge, and browsers to visit it with at each client's host.

It has these routes:
  /, /health "home" and "up", never ask who is there   /who    the sub; whoever is not signed in is refused
  /hello  the sub, or "nobody"                     /require  the same, by `require_user`
  /revoke ends all sessions of the person          /count  how many sessions the person has
  /token  the access token                         /form   the form of the logout, not on WSGI
  /client the client id of the request's settings, on WSGI and ASGI; on Flask where its login begins
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import flask
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.tools.clock import Clock
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM
from xwms_auth import XWMSConfig

EDGES = ("flask", "wsgi", "asgi")


class Several:
    """The application. `auth` is what was made of the configs: an `XWMSAuth` or the middleware."""

    def __init__(self, edge: str, configs: Any, **options: Any) -> None:
        self.edge = edge
        self.clock = Clock()
        self.app, self.auth = APPS[edge](configs, clock=self.clock, **options)

    def visitor(self, host: str) -> "Visitor":
        return Visitor(self, host)


class Visitor:
    """A browser with a jar of its own, at one host. It follows no redirect by itself."""

    def __init__(self, several: Several, host: str) -> None:
        base = f"https://{host}"
        if several.edge == "asgi":
            self.client: httpx2.Client = TestClient(several.app, base_url=base, follow_redirects=False)
        else:
            self.client = httpx2.Client(transport=httpx2.WSGITransport(several.app), base_url=base)

    def get(self, path: str, headers: dict[str, str] = PROGRAM, **more: Any) -> httpx2.Response:
        return self.client.get(path, headers=headers, **more)

    def post(self, path: str, headers: dict[str, str] = FROM_HERE, **more: Any) -> httpx2.Response:
        return self.client.post(path, headers=headers, **more)

    def start(self, path: str = LOGIN) -> str:
        """Start a login; gives where the person signs in."""
        answer = self.get(path, FROM_HERE)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def come_back(self, token: str, path: str = CALLBACK) -> httpx2.Response:
        return self.get(path, FROM_ELSEWHERE, params={"token": token})

    def log_in(self, fx: Any, sub: str, *, path: str = LOGIN, callback: str = CALLBACK) -> httpx2.Response:
        token = urlsplit(self.start(path)).path.rpartition("/")[2]
        return self.come_back(fx.approve(token, sub=sub), callback)

    def who(self) -> str | None:
        answer = self.get("/who")
        assert answer.status_code in (200, 401), answer.text
        return answer.text if answer.status_code == 200 else None

    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self.client.cookies.jar}


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a problem document."""
    return answer.status_code, answer.json()["code"]


def flask_app(configs: Any, *, clock: Callable[[], float], **options: Any) -> Any:
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(clock=clock, **options)
    user = xwms_auth.flask.current_user

    def revoke() -> str:
        auth.sessions.revoke_all(str(user.sub))
        return "revoked"

    pages: dict[str, Callable[[], str]] = {
        "/": lambda: "home",
        "/health": lambda: "up",
        "/hello": lambda: str(user.sub or "nobody"),
        "/who": xwms_auth.flask.login_required(lambda: str(user.sub)),
        "/require": lambda: xwms_auth.flask.require_user().sub,
        "/revoke": revoke,
        "/count": lambda: str(len(auth.sessions.list(str(user.sub)))),
        "/client": lambda: xwms_auth.flask.xwms_login_url(next="/"),
        "/token": auth.access_token,
        "/form": lambda: str(xwms_auth.flask.xwms_logout_form()),
    }
    for path, page in pages.items():
        app.add_url_rule(path, path, page)
    auth.init_app(app, configs)
    return app, auth


def wsgi_app(configs: Any, *, clock: Callable[[], float], **options: Any) -> Any:
    user = xwms_auth.wsgi.current_user

    def page(text: Callable[[Any], str]) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            body = text(environ).encode()
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]

        return app

    def revoke(_: Any) -> str:
        auth.sessions.revoke_all(str(user.sub))
        return "revoked"

    pages = {
        "/": page(lambda _: "home"),
        "/health": page(lambda _: "up"),
        "/hello": page(lambda _: str(user.sub or "nobody")),
        "/who": xwms_auth.wsgi.login_required(page(lambda _: str(user.sub))),
        "/require": page(lambda environ: xwms_auth.wsgi.require_user(environ).sub),
        "/revoke": page(revoke),
        "/count": page(lambda _: str(len(auth.sessions.list(str(user.sub))))),
        "/client": page(lambda _: auth.config.client_id),
        "/token": page(lambda environ: auth.access_token(environ)),
    }

    def routed(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] in pages:
            return pages[environ["PATH_INFO"]](environ, start_response)
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    auth = xwms_auth.wsgi.XWMSAuth(routed, configs, clock=clock, **options)
    return auth, auth


def asgi_app(configs: Any, *, clock: Callable[[], float], **options: Any) -> Any:
    def page(text: Callable[[Request], Any]) -> Any:
        async def endpoint(request: Request) -> PlainTextResponse:
            found = text(request)
            return PlainTextResponse(found if isinstance(found, str) else await found)

        return endpoint

    async def revoke(request: Request) -> str:
        await request.auth.sessions.revoke_all(str(request.user.sub))
        return "revoked"

    async def count(request: Request) -> str:
        return str(len(await auth.sessions.list(str(request.user.sub))))

    pages = {
        "/": page(lambda _: "home"),
        "/health": page(lambda _: "up"),
        "/hello": page(lambda request: str(request.user.sub or "nobody")),
        "/who": xwms_auth.starlette.login_required(page(lambda request: str(request.user.sub))),
        "/require": page(lambda request: xwms_auth.starlette.require_user(request).sub),
        "/revoke": page(revoke),
        "/count": page(count),
        "/client": page(lambda _: auth.config.client_id),
        "/token": page(lambda request: request.auth.access_token()),
        "/form": page(lambda request: str(xwms_auth.starlette.template_context(request)["xwms_logout_form"]())),
    }
    app = Starlette(routes=[Route(path, endpoint) for path, endpoint in pages.items()])
    auth = xwms_auth.starlette.XWMSAuthMiddleware(app, configs, clock=clock, **options)
    return auth, auth


APPS = {"flask": flask_app, "wsgi": wsgi_app, "asgi": asgi_app}


def config_for(fx: Any, host: str, **changes: Any) -> XWMSConfig:
    """The config of a client with the name and the host."""
    usual = {"client_id": host.partition(".")[0], "redirect_uris": f"https://{host}{CALLBACK}"}
    return XWMSConfig(**fx.options(**{**usual, **changes}))
