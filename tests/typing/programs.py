"""Programs as users write them. They are type-checked by mypy and pyright, never run."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import flask
import httpx2
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from flask.views import MethodView
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from sqlalchemy.orm import Session as DatabaseSession
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import xwms_auth.asgi
import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from xwms_auth import (
    AccessToken,
    Address,
    AsyncXWMSClient,
    AsyncXWMSSessions,
    Country,
    EndReason,
    Health,
    Identity,
    NotApproved,
    Secret,
    SessionInfo,
    StoredAddress,
    User,
    UserInfo,
    XWMSClient,
    XWMSConfig,
    XWMSSessions,
)
from xwms_auth.accounts import (
    AppLogin,
    AsyncSQLAlchemyLinker,
    EmailChanged,
    Hooks,
    Linker,
    LoggedIn,
    SQLAlchemyLinker,
)
from xwms_auth.fastapi import (
    BearerToken,
    CurrentUser,
    OptionalUser,
    XWMSAuthMiddleware,
    bearer_token,
    current_account,
    fresh_user,
    require_user,
)
from xwms_auth.flask import XWMSAuth, current_token, current_user, login_required, token_required, xwms_login_url
from xwms_auth.stores import Session, SessionStore
from xwms_auth.stores.sqlalchemy import SQLAlchemyStore
from xwms_auth.testing import LocalXWMS, LoginFailed, local_xwms

config = XWMSConfig(
    client_id="id",
    client_secret=lambda: "secret",
    redirect_uris=["https://app.example/xwms/validateToken"],
    session_secret=[Secret("k" * 40)],
    session_idle=timedelta(hours=1),
    callback_token="same",
)

flask_app = flask.Flask(__name__)
auth = XWMSAuth(flask_app, config)
XWMSAuth().init_app(flask_app)


@flask_app.get("/")
@login_required
def home() -> str:
    if not isinstance(current_user, User):
        return "nobody"
    identity: Identity = current_user.identity
    return f"{identity.sub} {current_user.display_name}"


@login_required()
async def later(number: int) -> str:
    return f"{number}"


number_is_kept = later(number=1)


@flask_app.get("/api/tickets")
@token_required(scopes=["read"])
async def tickets() -> dict[str, str | None]:
    identity: Identity | None = current_token.identity
    return {"program": current_token.client_id, "person": identity.sub if identity else None}


@token_required
def ticket(number: int) -> str:
    return f"{number} {' '.join(current_token.scopes)}"


one_ticket: str = ticket(number=1)


class Tickets(MethodView):
    decorators = [token_required, token_required(scopes="read write")]


@login_required(fresh=timedelta(minutes=5))
def delete_account(sure: bool) -> str:
    return "gone" if sure else "kept"


freshness_keeps_the_arguments: str = delete_account(sure=True)


class Page(MethodView):
    decorators = [login_required]

    def get(self) -> str:
        return current_user.name or "?"


@xwms_auth.starlette.login_required
async def endpoint(request: Request) -> Response:
    user = xwms_auth.starlette.current_user(request)
    return PlainTextResponse(user.sub if user.is_authenticated else "nobody")


@xwms_auth.starlette.login_required
class Endpoint(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("ok")


@xwms_auth.starlette.token_required(scopes=["read"])
async def api(request: Request) -> Response:
    token: AccessToken = xwms_auth.starlette.current_token(request)
    ends: int | None = xwms_auth.starlette.current_token.expires_at
    return PlainTextResponse(f"{token.client_id} {ends}")


@xwms_auth.starlette.token_required
class API(HTTPEndpoint):
    pass


@xwms_auth.starlette.login_required(fresh=300)
async def fresh_endpoint(request: Request) -> Response:
    return PlainTextResponse(request.user.sub)


@xwms_auth.starlette.login_required(fresh=timedelta(minutes=5))
class FreshEndpoint(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return await fresh_endpoint(request)


starlette_app = xwms_auth.asgi.XWMSAuthMiddleware(Starlette(routes=[Route("/", endpoint), Route("/e", Endpoint)]))

fastapi_app = FastAPI()
fastapi_app.add_middleware(XWMSAuthMiddleware, config=config)


@fastapi_app.get("/me")
async def me(user: CurrentUser) -> dict[str, str | None]:
    return {"sub": user.sub, "email": user.verified_email}


@fastapi_app.get("/maybe")
def maybe(user: OptionalUser) -> str:
    return user.display_name if user else "nobody"


@fastapi_app.get("/api/any")
async def any_token(token: BearerToken) -> str | None:
    return token.sub


@fastapi_app.get("/api/read")
def reads(token: Annotated[AccessToken, bearer_token(scopes=["read"])]) -> tuple[str, ...]:
    return token.scopes


@fastapi_app.delete("/me")
async def delete_me(user: Annotated[User, fresh_user(timedelta(minutes=5))]) -> str:
    return user.sub


@fastapi_app.websocket("/ws")
async def ws(websocket: WebSocket, user: CurrentUser) -> None:
    await websocket.accept()
    await websocket.send_text(user.sub)


def sync_api() -> User:
    with XWMSClient(config) as client:
        ticket = client.sign_token("https://app.example/xwms/validateToken")
        return client.verify_token(ticket.token, "https://app.example/xwms/validateToken")


async def async_api() -> str | None:
    async with AsyncXWMSClient(config) as client:
        return (await client.info()).name


def sync_resources(sub: str) -> tuple[str | None, list[str]]:
    with XWMSClient(config) as client:
        countries: tuple[Country, ...] = client.countries()
        titles = [project.title for project in client.projects() if project.published_at is not None]
        book = client.addresses(sub)
        stored: StoredAddress = book.create(Address(street="Markt", country=countries[0].short_name))
        book.update(stored.id, replace(stored, city="Delft"))
        book.delete(stored.id)
        details = stored.country_details
        return details.name if details else stored.country, titles


async def async_resources(sub: str) -> tuple[date | None, list[str | None]]:
    async with AsyncXWMSClient(config) as client:
        await client.countries()
        await client.projects()
        book = client.addresses(sub)
        for stored in await book.list():
            await book.update(stored.id, Address(phone=""))
            await book.delete(stored.id)
        await book.create(Address(type="home"))
        try:
            info: UserInfo = await client.user_info(sub, socials=False)
        except NotApproved:
            return None, []
        user: User = info
        return info.birth_date, [user.verified_email, *(profile.url for profile in info.socials)]


@flask_app.get("/as-in-flask-login")
def as_in_flask_login() -> str:
    key: str | None = current_user.get_id()
    if isinstance(current_user, User):
        key = one_key(current_user)
    return f"{key} {current_user.is_anonymous and not current_user.is_active}"


def one_key(user: User) -> str:
    return user.get_id()


@flask_app.get("/why")
def why() -> str:
    ending: EndReason | None = current_user.signed_out
    return ending.detail if ending is not None else "logged in, or never here"


def times(sessions: Sequence[SessionInfo]) -> list[tuple[str, datetime, datetime, str]]:
    return [(one.id, one.started_at, one.seen_at, one.device or "?") for one in sessions if not one.is_current]


@flask_app.post("/devices/end")
@login_required
def end_devices() -> str:
    if not isinstance(current_user, User):
        return "nobody"
    times(auth.sessions.list(current_user.sub))
    ended: bool = auth.sessions.revoke(flask.request.form["id"], sub=current_user.sub)
    auth.sessions.revoke_all(current_user.sub)
    return f"{ended}"


@xwms_auth.starlette.login_required
async def end_all(request: Request) -> Response:
    sessions: AsyncXWMSSessions = request.auth.sessions
    times(await sessions.list(request.user.sub))
    ended: bool = await sessions.revoke("id", sub=request.user.sub)
    await sessions.revoke_all(request.user.sub)
    return PlainTextResponse(f"{ended} {request.user.signed_out}")


async def outside_of_a_request(sub: str) -> int:
    await starlette_app.sessions.revoke_client()
    return len(await starlette_app.sessions.list(sub))


def script(sub: str) -> None:
    sessions = XWMSSessions(config)
    for one in sessions.list(sub):
        sessions.revoke(one.id)
    sessions.revoke_client()


async def async_script(sub: str) -> tuple[SessionInfo, ...]:
    return await AsyncXWMSSessions(config).list(sub)


class PlainStore:
    """A store of somebody's own, in plain code."""

    def create(self, session: Session, *, until: int, now: int) -> str:
        return session.id

    def load(self, handle: str, *, now: int) -> Session | EndReason | None:
        return EndReason.REVOKED if handle else None

    def recall(self, handle: str, *, now: int) -> Session | None:
        return None

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None:
        return handle

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None:
        pass

    def list(self, identity: Identity, *, now: int) -> Sequence[Session]:
        return ()

    def revoke(self, session_id: str, *, now: int) -> bool:
        return False

    def revoke_all(self, identity: Identity, *, now: int) -> None:
        pass

    def revoke_client(self, *, now: int) -> None:
        pass

    def claim(self, name: str, *, until: int, now: int) -> bool:
        return True

    def release(self, name: str) -> None:
        pass


class AsyncStore(PlainStore):
    """The same where looking up is awaited; its other methods may stay plain."""

    async def load(self, handle: str, *, now: int) -> Session | EndReason | None:  # type: ignore[override]  # another colour
        return None


async_store: SessionStore = AsyncStore()
engines: list[Engine | AsyncEngine] = [
    create_engine("postgresql+psycopg://a"),
    create_async_engine("mysql+aiomysql://a"),
]
for engine in engines:
    database = SQLAlchemyStore(engine)
    XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", session_store=database)
    XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", revocation_store=database)
plain = XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", session_store=PlainStore())
checked = XWMSConfig(
    client_id="id",
    client_secret="s",
    redirect_uris="https://a.example/cb",
    revocation_store="redis://localhost",
    recheck=timedelta(minutes=15),
    recheck_policy="keep",
)


@xwms_auth.wsgi.login_required(fresh=timedelta(minutes=5))
def wsgi_page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    person: User = xwms_auth.wsgi.require_user(environ)
    anybody = xwms_auth.wsgi.current_user(environ)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{person.sub} {anybody.is_authenticated} {wsgi_auth.access_token(environ)}".encode()]


def no_person(environ: WSGIEnvironment, problem: dict[str, object]) -> WSGIApplication | None:
    return None


wsgi_auth = xwms_auth.wsgi.XWMSAuth(xwms_auth.wsgi.login_required(wsgi_page), config, unauthorized=no_person)
wsgi_app: WSGIApplication = wsgi_auth
wsgi_devices: tuple[SessionInfo, ...] = wsgi_auth.sessions.list("sub")


@flask_app.get("/open")
@xwms_auth.flask.public
def open_to_all(number: int = 1) -> str:
    return f"{number}"


still_takes_a_number: str = open_to_all(number=2)


@flask_app.get("/required")
def required() -> str:
    person: User = xwms_auth.flask.require_user()
    return person.sub


async def required_on_starlette(request: Request) -> Response:
    person: User = xwms_auth.starlette.require_user(request)
    return PlainTextResponse(person.sub)


guarded_router = APIRouter(dependencies=[Depends(require_user)])


@guarded_router.get("/required")
async def required_on_fastapi(person: Annotated[User, Depends(require_user)]) -> str:
    return person.sub


async def asgi_page(scope: Scope, receive: Receive, send: Send) -> None:
    if await xwms_auth.asgi.refuse(scope, receive, send):
        return
    person: User = xwms_auth.asgi.require_user(scope)
    await PlainTextResponse(f"{person.sub} {xwms_auth.asgi.current_user(scope).is_authenticated}")(scope, receive, send)


asgi_app = xwms_auth.asgi.XWMSAuthMiddleware(asgi_page, config)

two_clients = [config, replace(config, client_id="other", redirect_uris="https://b.example/xwms/validateToken")]
XWMSAuth(flask_app, two_clients)
auth.init_app(flask_app, tuple(two_clients))
of_one_client: XWMSSessions = auth.sessions_at("app.example")
of_one_client_in_wsgi: XWMSSessions = xwms_auth.wsgi.XWMSAuth(wsgi_page, two_clients).sessions_at("app.example")
of_one_client_in_asgi: AsyncXWMSSessions = xwms_auth.asgi.XWMSAuthMiddleware(asgi_page, two_clients).sessions_at(
    "b.example"
)
starlette_of_two = Starlette()
starlette_of_two.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=two_clients)
FastAPI().add_middleware(XWMSAuthMiddleware, two_clients)


# Accounts: the application's own class comes back, on every door.


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


def new_member(user: User) -> Member:
    return Member(name=user.display_name)


def invited(user: User, session: DatabaseSession) -> bool:
    return user.verified_email is not None and session.is_active


seen: list[str] = []


def greet(event: LoggedIn) -> None:
    seen.extend([event.user.display_name, event.account or ""])


async def note(event: EmailChanged) -> None:
    seen.extend([event.before, event.after])


members = SQLAlchemyLinker(
    Member,
    create_engine("sqlite://"),
    fields={"name": lambda user: user.name},
    new=new_member,
    invited=invited,
    domains=["example.org"],
    blocked=lambda member: member.name is None,
)
shared = SQLAlchemyLinker(Member, scoped_session(sessionmaker()), fields={"name": "display_name"})
async_members = AsyncSQLAlchemyLinker(Member, create_async_engine("sqlite+aiosqlite://"), link_by_email="name")
linkers: Sequence[Linker[Member]] = [members, shared, async_members]
hooks = Hooks(login=greet, email_changed=note)
own_login = AppLogin(url="/login", who=lambda request: 1)

with_accounts = XWMSAuth(flask.Flask(__name__), linker=members, app_login=own_login, hooks=hooks)
around = xwms_auth.wsgi.XWMSAuth(lambda environ, start: [], config, linker={"id": shared})


def flask_account() -> str | None:
    member: Member = with_accounts.account()
    return member.name or with_accounts.current_account.name


def wsgi_account(environ: WSGIEnvironment) -> str | None:
    return around.account(environ).name


async def starlette_account(request: Request) -> str | None:
    member: Member = await xwms_auth.starlette.current_account(request, async_members)
    return member.name


async def asgi_account(scope: Scope) -> str | None:
    return (await xwms_auth.asgi.current_account(scope, members)).name


async def get_session() -> AsyncSession:
    return async_sessionmaker()()


CurrentMember = Annotated[Member, current_account(async_members, session=get_session)]
OptionalMember = Annotated[Member | None, current_account(async_members, optional=True)]


async def fastapi_account(member: CurrentMember, perhaps: OptionalMember) -> str | None:
    return perhaps.name if perhaps else member.name


def settings_page(user: User) -> list[str]:
    members.unlink(1, user.identity, allow_last=True)
    return [one.identity.sub for one in members.identities(1)]


async def refreshed() -> str:
    return with_accounts.refresh_profile().display_name


# --- parameters of a login, and health ---


@login_required(fresh=300, acr_values=["strong"], prompt="login", ui_locales="nl")
def payments() -> str:
    return xwms_login_url(next="/", prompt=["login", "consent"], login_hint="anna@example.org")


@xwms_auth.starlette.login_required(ui_locales=["nl", "en"])
async def payments_async(request: Request) -> Response:
    health: Health = await request.auth.health(timeout=1)
    return PlainTextResponse(str(health.as_dict()))


@xwms_auth.wsgi.login_required(login_hint="anna", scopes=["a"])
def payments_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return []


FreshUser = Annotated[User, fresh_user(300, acr_values="strong")]


async def health_of(auth: XWMSAuth, middleware: xwms_auth.asgi.XWMSAuthMiddleware) -> tuple[bool, str, datetime | None]:
    sync: Health = auth.health()
    return sync.ok and (await middleware.health()).store_reachable, sync.circuit, sync.last_success


# --- tests of applications ---


def a_test_with_the_plugin(xwms: LocalXWMS, app: flask.Flask) -> tuple[dict[str, object], XWMSConfig, list[str]]:
    client = app.test_client()
    user: User = xwms.login(client, sub="1001", name="Anna", email=None, verified=False, scopes=["openid"])
    cookie: dict[str, object] = xwms.session_cookie(sub=user.sub, https=True)
    config: XWMSConfig = xwms.config(session_store="memory://", session_idle=600)
    xwms.clock.advance(timedelta(days=1))
    with xwms.fail("timeout", endpoint="sign-token", times=2):
        paths: list[str] = [call.path for call in xwms.calls]
    xwms.logout(client)
    return cookie, config, paths


async def an_async_test(client: httpx2.AsyncClient) -> str | None:
    with local_xwms() as xwms:
        try:
            user: User = await xwms.alogin(client)
            await xwms.alogout(client)
        except LoginFailed as failed:
            return failed.code
        return user.name
