"""Programs as users write them. They are type-checked by mypy and pyright, never run."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated

import flask
from fastapi import FastAPI, WebSocket
from flask.views import MethodView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.asgi
import xwms_auth.starlette
from xwms_auth import (
    AccessToken,
    Address,
    AsyncXWMSClient,
    Country,
    Identity,
    NotApproved,
    Secret,
    StoredAddress,
    User,
    UserInfo,
    XWMSClient,
    XWMSConfig,
)
from xwms_auth.fastapi import BearerToken, CurrentUser, OptionalUser, XWMSAuthMiddleware, bearer_token
from xwms_auth.flask import XWMSAuth, current_token, current_user, login_required, token_required

config = XWMSConfig(
    client_id="id",
    client_secret=lambda: "secret",
    redirect_uris=["https://app.example/xwms/validateToken"],
    session_secret=[Secret("k" * 40)],
    session_idle=timedelta(hours=1),
    callback_token="same",
)

flask_app = flask.Flask(__name__)
XWMSAuth(flask_app, config)
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
