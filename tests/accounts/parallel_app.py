"""The application of a member's first login, for several processes: `/account` gives the member's id.

`MEMBERS_URL` is the database, which has its tables already: for Flask of a sync driver, for ASGI of an async one.
"""

import os
import sys
from typing import Any

import flask
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.accounts.members_apps import FIELDS, Member, patience_of
from tests.stores.people_app import serve
from xwms_auth.accounts import AsyncSQLAlchemyLinker, SQLAlchemyLinker

URL = os.environ.get("MEMBERS_URL", "")


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(
        app, linker=SQLAlchemyLinker(Member, create_engine(URL, connect_args=patience_of(URL)), fields=FIELDS)
    )
    app.add_url_rule("/account", "account", lambda: str(auth.account().id))
    return app


def asgi_app() -> Any:
    linker = AsyncSQLAlchemyLinker(Member, create_async_engine(URL, connect_args=patience_of(URL)), fields=FIELDS)

    async def account(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str((await xwms_auth.starlette.current_account(request, linker)).id))

    app = Starlette(routes=[Route("/account", account)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, linker=linker)


if __name__ == "__main__":
    serve(asgi_app(), int(sys.argv[1]))
