"""The same for FastAPI, for websockets, and for streams of many chunks."""

import time
from collections.abc import AsyncIterator
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any

import starlette.middleware.sessions
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import APIKeyCookie
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

import xwms_auth.fastapi
import xwms_auth.starlette
from xwms_auth.fastapi import CurrentUser

from .calls import CHUNKS
from .subjects import CONFIG, COOKIE, KEY, OURS, SUB, Subject, our_cookie, session_middleware_cookie

WEEK = 604_800

# FastAPI -------------------------------------------------------------------------------------------------------------


def bare_fastapi() -> Any:
    app = FastAPI()

    @app.get("/who")
    async def who() -> PlainTextResponse:
        return PlainTextResponse(SUB)

    return app


def our_fastapi() -> Any:
    app = FastAPI()
    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=CONFIG)

    @app.get("/who")
    async def who(user: CurrentUser) -> PlainTextResponse:
        return PlainTextResponse(user.sub)

    return app


def with_pyjwt() -> Any:
    """As FastAPI's tutorial has it, with the token in a cookie."""
    import jwt  # noqa: PLC0415

    async def person(token: Annotated[str, Depends(APIKeyCookie(name="token"))]) -> str:
        try:
            return str(jwt.decode(token, KEY, algorithms=["HS256"])["sub"])
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None

    app = FastAPI()

    @app.get("/who")
    async def who(sub: Annotated[str, Depends(person)]) -> PlainTextResponse:
        return PlainTextResponse(sub)

    return app


def pyjwt_cookie() -> str:
    import jwt  # noqa: PLC0415

    claims = {"sub": SUB, "name": "Ada Lovelace", "email": "ada@example.com", "exp": int(time.time()) + WEEK}
    return str(jwt.encode(claims, KEY, algorithm="HS256"))


def with_fastapi_users() -> Any:
    """As its documentation has it, with a person in memory in the place of a database."""
    from fastapi_users import BaseUserManager, FastAPIUsers  # noqa: PLC0415
    from fastapi_users.authentication import AuthenticationBackend, CookieTransport  # noqa: PLC0415

    class Person:
        id, email, hashed_password = SUB, "ada@example.com", "-"
        is_active = is_verified = True
        is_superuser = False

    class People:
        async def get(self, sub: str) -> Person:
            return Person()

    class Manager(BaseUserManager[Any, str]):
        def parse_id(self, value: Any) -> str:
            return str(value)

    async def people() -> AsyncIterator[People]:
        yield People()

    async def manager(database: Annotated[Any, Depends(people)]) -> AsyncIterator[Manager]:
        yield Manager(database)

    cookie = CookieTransport(cookie_name="fastapiusersauth")
    backend: Any = AuthenticationBackend(name="jwt", transport=cookie, get_strategy=_strategy)
    current = FastAPIUsers[Any, str](manager, [backend]).current_user(active=True)
    app = FastAPI()

    @app.get("/who")
    async def who(user: Annotated[Any, Depends(current)]) -> PlainTextResponse:
        return PlainTextResponse(user.id)

    return app


def _strategy() -> Any:
    from fastapi_users.authentication import JWTStrategy  # noqa: PLC0415

    return JWTStrategy(secret=KEY, lifetime_seconds=WEEK)


def fastapi_users_cookie() -> str:
    from fastapi_users.jwt import generate_jwt  # noqa: PLC0415

    return str(generate_jwt({"sub": SUB, "aud": ["fastapi-users:auth"]}, KEY, WEEK))


def fastapi_subjects() -> list[Subject]:
    found = [
        Subject(edge="FastAPI", name="bare", make=bare_fastapi, mint=our_cookie, cookie=COOKIE),
        OURS(edge="FastAPI", name="ours, CurrentUser", make=our_fastapi),
    ]
    if find_spec("jwt"):
        found.append(Subject(edge="FastAPI", name="PyJWT", make=with_pyjwt, mint=pyjwt_cookie, cookie="token"))
    if find_spec("fastapi_users"):
        users = partial(Subject, make=with_fastapi_users, mint=fastapi_users_cookie, cookie="fastapiusersauth")
        found.append(users(edge="FastAPI", name="fastapi-users"))
    return found


# websockets ----------------------------------------------------------------------------------------------------------


async def _say(websocket: WebSocket, text: str) -> None:
    await websocket.accept()
    await websocket.send_text(text)
    await websocket.close()


async def by_nobody(websocket: WebSocket) -> None:
    await _say(websocket, SUB)


async def by_websocket_user(websocket: WebSocket) -> None:
    await _say(websocket, websocket.user.sub or "nobody")


async def by_websocket_session(websocket: WebSocket) -> None:
    await _say(websocket, websocket.session["sub"] if websocket.session else "nobody")


def _socket_app(endpoint: Any) -> Starlette:
    return Starlette(routes=[WebSocketRoute("/who", endpoint), WebSocketRoute("/plain", by_nobody)])


# streams -------------------------------------------------------------------------------------------------------------


class Stream:
    """An ASGI application that answers in many chunks, and asks who is there before the first."""

    def __init__(self, who: Any) -> None:
        self.who = who

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sub = self.who(HTTPConnection(scope)) if scope["path"] == "/who" else SUB
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(CHUNKS):
            await send({"type": "http.response.body", "body": b"data: tick\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": sub.encode(), "more_body": False})


def _who_by_user(connection: HTTPConnection) -> str:
    return connection.user.sub or "nobody"


def _who_by_session(connection: HTTPConnection) -> str:
    return connection.session["sub"] if connection.session else "nobody"


def _three(edge: str, bare: Any, ours: Any, theirs: Any) -> list[Subject]:
    """The bare application, the middleware around `ours`, and SessionMiddleware around `theirs`."""
    middleware, sessions = xwms_auth.starlette.XWMSAuthMiddleware, starlette.middleware.sessions.SessionMiddleware
    peer = partial(Subject, mint=session_middleware_cookie, cookie="session")
    return [
        Subject(edge=edge, name="bare", make=bare, mint=our_cookie, cookie=COOKIE),
        OURS(edge=edge, name="ours", make=lambda: middleware(ours(), CONFIG)),
        peer(edge=edge, name="SessionMiddleware", make=lambda: sessions(theirs(), secret_key=KEY)),
    ]


def more_subjects() -> list[Subject]:
    sockets = [partial(_socket_app, one) for one in (by_nobody, by_websocket_user, by_websocket_session)]
    streams = [partial(Stream, one) for one in (lambda _: SUB, _who_by_user, _who_by_session)]
    return [*fastapi_subjects(), *_three("websocket", *sockets), *_three("stream", *streams)]
