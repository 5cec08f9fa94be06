"""An application with members of its own behind every door: a table, a login of its own, and pages that ask for them.

The routes: /account   the id and the name of the member who is there
            /public    "somebody" or "nobody", and never asks for the account
The own login is a cookie `own` with a member's id: real ones are the application's concern.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx2
from fastapi import Depends, FastAPI
from sqlalchemy import Engine, String, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.asgi
import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN
from xwms_auth import XWMSConfig
from xwms_auth.accounts import AppLogin, AsyncSQLAlchemyLinker, SQLAlchemyLinker, identities_of

ORIGIN = "https://app.example"
FIELDS = {"name": "display_name", "email": "verified_email", "picture": "picture"}


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(200), unique=True)
    picture: Mapped[str | None] = mapped_column(String(1000))
    blocked: Mapped[bool] = mapped_column(default=False)


identities = identities_of(Member)


def is_blocked(member: Member) -> bool:
    return member.blocked


def member_of(session: Session, key: int) -> Member:
    member = session.get(Member, key)
    assert member is not None
    return member


def patience_of(url: str) -> dict[str, Any]:
    """Arguments with which a driver waits for a SQLite that is busy: as long as a busy machine may take."""
    return {"timeout": 30} if url.startswith("sqlite") else {}


class Members:
    """The database, as a test reads and writes it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, poolclass=NullPool, connect_args=patience_of(url))
        Base.metadata.drop_all(self.engine)  # a server may have those of another test
        Base.metadata.create_all(self.engine)

    def async_url(self) -> str:
        return self.url.replace("sqlite://", "sqlite+aiosqlite://")

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(self.engine) as session, session.begin():
            yield session

    def add(self, **values: Any) -> int:
        with self.session() as session:
            member = Member(**values)
            session.add(member)
            session.flush()
            return member.id

    def change(self, key: int, **values: Any) -> None:
        with self.session() as session:
            member = member_of(session, key)
            for name, value in values.items():
                setattr(member, name, value)

    def get(self, key: int) -> Member:
        with Session(self.engine, expire_on_commit=False) as session:
            return member_of(session, key)

    def count(self) -> tuple[int, int]:
        """How many members, and how many identities."""
        with self.session() as session:
            members = session.scalar(select(func.count()).select_from(Member))
            return members or 0, session.scalar(select(func.count()).select_from(identities)) or 0

    def owner_of(self, sub: str) -> int | None:
        with self.session() as session:
            return session.scalar(select(identities.c.account).where(identities.c.sub == sub))


def own_cookie(header: str) -> str | None:
    morsel = SimpleCookie(header).get("own")
    return None if morsel is None else morsel.value


def told(member: Member) -> str:
    return f"{member.id} {member.name}"


def flask_app(config: XWMSConfig, linker: Any, **options: Any) -> Any:
    app = flask.Flask(__name__)
    own = AppLogin(url="/own-login", who=lambda request: request.cookies.get("own"))
    auth = xwms_auth.flask.XWMSAuth(app, config, linker=linker, app_login=own, **options)

    @app.get("/account")
    def account() -> str:
        assert auth.current_account.id == auth.account().id
        return told(auth.account())

    @app.get("/public")
    def public() -> str:
        return "somebody" if xwms_auth.flask.current_user else "nobody"

    return app


def wsgi_app(config: XWMSConfig, linker: Any, **options: Any) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/account":
            text = told(auth.account(environ))
        else:
            text = "somebody" if xwms_auth.wsgi.current_user else "nobody"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    own = AppLogin(url="/own-login", who=lambda environ: own_cookie(environ.get("HTTP_COOKIE", "")))
    auth = xwms_auth.wsgi.XWMSAuth(app, config, linker=linker, app_login=own, **options)
    return auth


def starlette_app(config: XWMSConfig, linker: Any, **options: Any) -> Any:
    async def account(request: Request) -> PlainTextResponse:
        return PlainTextResponse(told(await xwms_auth.starlette.current_account(request, linker)))

    def public(request: Request) -> PlainTextResponse:
        return PlainTextResponse("somebody" if request.user.is_authenticated else "nobody")

    own = AppLogin(url="/own-login", who=lambda request: request.cookies.get("own"))
    app = Starlette(routes=[Route("/account", account), Route("/public", public)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, linker=linker, app_login=own, **options)


def fastapi_app(config: XWMSConfig, linker: Any, **options: Any) -> Any:
    app = FastAPI()
    session = None
    if isinstance(linker, AsyncSQLAlchemyLinker):
        sessions = async_sessionmaker(create_async_engine(options.pop("async_url"), poolclass=NullPool))

        async def get_session() -> AsyncIterator[AsyncSession]:
            async with sessions() as opened:
                yield opened

        session = get_session
    current_member = xwms_auth.fastapi.current_account(linker, session=session)
    perhaps = xwms_auth.fastapi.current_account(linker, session=session, optional=True)

    @app.get("/account")
    async def account(
        member: Annotated[Member, current_member],
        again: Annotated[Member | None, perhaps],
        db: Annotated[Any, Depends(session or (lambda: None))],
    ) -> Any:
        assert again is member
        assert db is None or member in db
        return PlainTextResponse(told(member))

    @app.get("/public")
    async def public(request: Request) -> Any:
        return PlainTextResponse("somebody" if request.user.is_authenticated else "nobody")

    async def who(request: Any) -> Any:
        return request.cookies.get("own")

    own = AppLogin(url="/own-login", who=who)
    app.add_middleware(xwms_auth.fastapi.XWMSAuthMiddleware, config=config, linker=linker, app_login=own, **options)
    return app


def asgi_app(config: XWMSConfig, linker: Any, **options: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/account":
            text = told(await xwms_auth.asgi.current_account(scope, linker))
        else:
            text = "somebody" if scope["user"].is_authenticated else "nobody"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    def who(scope: Any) -> str | None:
        return own_cookie(dict(scope["headers"]).get(b"cookie", b"").decode())

    own = AppLogin(url="/own-login", who=who)
    return xwms_auth.asgi.XWMSAuthMiddleware(app, config, linker=linker, app_login=own, **options)


APPS: dict[str, Callable[..., Any]] = {
    "flask": flask_app,
    "wsgi": wsgi_app,
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "asgi": asgi_app,
}
DOORS = (*APPS, "starlette async", "fastapi async", "asgi async")


class Visitor:
    """A browser at the application."""

    def __init__(self, app: Any, door: str, fx: Any) -> None:
        self.fx = fx
        if door in ("flask", "wsgi"):
            self.client: httpx2.Client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN)
        else:
            self.client = TestClient(app, base_url=ORIGIN, follow_redirects=False)

    def get(self, url: str, headers: Any = FROM_HERE) -> httpx2.Response:
        return self.client.get(url, headers=dict(headers))

    def post(self, url: str, **form: str) -> httpx2.Response:
        return self.client.post(url, headers={**FROM_HERE, "Origin": ORIGIN}, data=form)

    def log_in_as_before(self, key: int) -> None:
        """By the application's own login."""
        self.client.cookies.set("own", str(key), domain="app.example")

    def start(self, **form: str) -> str:
        """Begin a login by the button, which gives sign-token's token."""
        answer = self.post(LOGIN, **form)
        assert answer.status_code == 302, answer.text
        return urlsplit(answer.headers["location"]).path.rpartition("/")[2]

    def come_back(self, token: str) -> httpx2.Response:
        return self.client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE)

    def log_in(self, sub: str, *, link: bool = False, **claims: Any) -> httpx2.Response:
        """The whole way to XWMS and back; the answer to the callback."""
        token = self.fx.approve(self.start(**({"link": "1"} if link else {})), sub=sub, **claims)
        return self.come_back(token)

    def account(self) -> str | None:
        """What /account says; None if nobody is signed in."""
        answer = self.get("/account")
        if answer.status_code in (302, 401):
            return None
        assert answer.status_code == 200, answer.text
        return answer.text


class Desk:
    """The application on one door, over a database. Options go to the linker."""

    def __init__(
        self,
        door: str,
        members: Members,
        fx: Any,
        *,
        hooks: Any = None,
        config: Any = None,
        clock: Any = None,
        **linking: Any,
    ) -> None:
        self.door, _, is_async = door.partition(" ")
        self.members, self.fx = members, fx
        options: dict[str, Any] = {"fields": FIELDS, "blocked": is_blocked, **linking}
        config = config or XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}{CALLBACK}"))
        given = {"hooks": hooks, "clock": clock}
        more: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if is_async:
            engine = create_async_engine(members.async_url(), poolclass=NullPool, connect_args=patience_of(members.url))
            self.linker: Any = AsyncSQLAlchemyLinker(Member, engine, **options)
            if self.door == "fastapi":
                more["async_url"] = members.async_url()
        else:
            self.linker = SQLAlchemyLinker(Member, members.engine, **options)
        self.app = APPS[self.door](config, self.linker, **more)

    def visitor(self) -> Visitor:
        return Visitor(self.app, self.door, self.fx)


def way_to_own_login(answer: httpx2.Response) -> str:
    """Where the page that asks for a proof leads back to, after the application's own login."""
    start = answer.text.index('href="/own-login?') + len('href="')
    url = answer.text[start : answer.text.index('"', start)].replace("&amp;", "&")
    return parse_qs(urlsplit(url).query)["next"][0]
