"""The ways to know who is there that are compared: ours, those of others, and a bare route that does not ask.

Each has two routes: `/who` says who is signed in, `/plain` answers with a constant. Every session holds the same
person, except Flask-Login's, which holds the id only, as it is meant to be used.
"""

import json
import logging
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flask
import flask_login
import itsdangerous
import starlette.middleware.sessions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from xwms_auth import User, XWMSConfig
from xwms_auth._core.base.crypto.digests import new_key
from xwms_auth._core.base.session import Session
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

from .calls import BROWSER, HOST

logging.getLogger("xwms_auth").addHandler(logging.NullHandler())  # hints about the settings are no part of a table

SUB = "xwms-user-1234"
KEY = "benchmark-only-0123456789abcdef-0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One way to know who is there. `make` gives a new application, `mint` a new good session cookie for it."""

    edge: str
    name: str
    make: Callable[[], Any]
    mint: Callable[[], str]
    cookie: str
    remembers: bool = False
    """Whether it keeps anything between requests, so that a cookie can be new to it only once."""


# ours ----------------------------------------------------------------------------------------------------------------

CONFIG = XWMSConfig(
    client_id="benchmark",
    client_secret="benchmark-secret",
    redirect_uris=f"https://{HOST}/xwms/validateToken",
    session_secret=KEY,
)
COOKIE = f"__Host-xwms_session_{CONFIG.cookie_tag}"
PERSON = User(
    issuer=CONFIG.issuer,
    sub=SUB,
    name="Ada Lovelace",
    given_name="Ada",
    family_name="Lovelace",
    email="ada@example.com",
    email_verified=True,
    picture="https://xwms.nl/pictures/1234.png",
)
CLAIMS = PERSON.claims()  # what the other sessions hold: the same person
ELSEWHERE = open_store(Context.of(CONFIG))  # the process that signed the person in


def our_cookie() -> str:
    now = int(time.time())
    session = Session(id=new_key(), user=PERSON, started_at=now, seen_at=now)
    handle = ELSEWHERE.create(session, until=now + 86_400, now=now)
    assert isinstance(handle, str)
    return handle


async def plain(request: Request) -> Response:
    return PlainTextResponse(SUB)


def our_asgi(endpoint: Callable[[Request], Awaitable[Response]], config: XWMSConfig = CONFIG) -> Any:
    return xwms_auth.starlette.XWMSAuthMiddleware(_starlette(endpoint), config)


def _starlette(endpoint: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/who", endpoint), Route("/plain", plain)])


def our_flask(view: Callable[[], str], config: XWMSConfig = CONFIG) -> flask.Flask:
    app = _flask("ours", view)
    xwms_auth.flask.XWMSAuth(app, config)
    return app


def _flask(name: str, view: Callable[[], str]) -> flask.Flask:
    app = flask.Flask(name)
    app.add_url_rule("/who", "who", view)
    app.add_url_rule("/plain", "plain", lambda: SUB)
    return app


async def by_request_user(request: Request) -> Response:
    return PlainTextResponse(request.user.sub or "nobody")


async def by_current_user(request: Request) -> Response:
    return PlainTextResponse(xwms_auth.starlette.current_user.sub or "nobody")


def by_flask_current_user() -> str:
    return xwms_auth.flask.current_user.sub or "nobody"


# Functions of their own: one that is guarded in one application must not be a plain route of another.


@xwms_auth.starlette.login_required
async def guarded(request: Request) -> Response:
    return PlainTextResponse(request.user.sub)


@xwms_auth.flask.login_required
def flask_guarded() -> str:
    return xwms_auth.flask.current_user.sub


# the others ----------------------------------------------------------------------------------------------------------


def bare_asgi() -> Any:
    return _starlette(plain)


async def by_session(request: Request) -> Response:
    return PlainTextResponse(request.session["sub"] if request.session else "nobody")


def session_middleware() -> Any:
    return starlette.middleware.sessions.SessionMiddleware(_starlette(by_session), secret_key=KEY)


def session_middleware_cookie() -> str:
    return itsdangerous.TimestampSigner(KEY).sign(b64encode(json.dumps(CLAIMS).encode())).decode()


def bare_flask() -> flask.Flask:
    return _flask("bare", lambda: SUB)


def flask_session() -> flask.Flask:
    app = _flask("session", lambda: flask.session.get("sub") or "nobody")
    app.secret_key = KEY
    return app


def flask_session_cookie() -> str:
    app = flask.Flask("session")
    app.secret_key = KEY
    serializer = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return str(serializer.dumps(CLAIMS))


class Member(flask_login.UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    def __init__(self, sub: str) -> None:
        self.id = sub


def with_flask_login() -> flask.Flask:
    user = flask_login.current_user
    app = _flask("flask-login", lambda: user.id if user.is_authenticated else "nobody")
    app.secret_key = KEY
    flask_login.LoginManager(app).user_loader(Member)
    app.add_url_rule("/login", "login", lambda: str(flask_login.login_user(Member(SUB))))
    return app


def flask_login_cookie() -> str:
    answer = with_flask_login().test_client().get("/login", headers=BROWSER, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    return answer.headers["Set-Cookie"].partition(";")[0].removeprefix("session=")


OURS = partial(Subject, mint=our_cookie, cookie=COOKIE, remembers=True)
SUBJECTS = (
    Subject(edge="ASGI", name="bare", make=bare_asgi, mint=our_cookie, cookie=COOKIE),
    OURS(edge="ASGI", name="ours, request.user", make=partial(our_asgi, by_request_user)),
    OURS(edge="ASGI", name="ours, current_user", make=partial(our_asgi, by_current_user)),
    OURS(edge="ASGI", name="ours, @login_required", make=partial(our_asgi, guarded)),
    Subject(
        edge="ASGI", name="SessionMiddleware", make=session_middleware, mint=session_middleware_cookie, cookie="session"
    ),
    Subject(edge="Flask", name="bare", make=bare_flask, mint=our_cookie, cookie=COOKIE),
    OURS(edge="Flask", name="ours, current_user", make=partial(our_flask, by_flask_current_user)),
    OURS(edge="Flask", name="ours, @login_required", make=partial(our_flask, flask_guarded)),
    Subject(edge="Flask", name="Flask session", make=flask_session, mint=flask_session_cookie, cookie="session"),
    Subject(edge="Flask", name="Flask-Login", make=with_flask_login, mint=flask_login_cookie, cookie="session"),
)
