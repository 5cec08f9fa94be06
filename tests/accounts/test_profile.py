"""`refresh_profile`: the session and the account get what XWMS says now, when the application asks for it."""

from typing import Any

import flask
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.accounts.members_apps import FIELDS, Member, Members, Visitor, is_blocked
from tests.tools.fake_xwms import person
from tests.tools.faults import FAULTS, envelope
from tests.tools.site import CALLBACK, PROGRAM
from xwms_auth import XWMSConfig
from xwms_auth.accounts import EmailChanged, Hooks, SQLAlchemyLinker

CALL = "get/user/info"


def flask_app(config: XWMSConfig, **options: Any) -> Any:
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app, config, **options)
    app.add_url_rule("/refresh", "refresh", lambda: str(auth.refresh_profile().name))
    app.add_url_rule("/name", "name", lambda: str(xwms_auth.flask.current_user.name))
    return app


def wsgi_app(config: XWMSConfig, **options: Any) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        refreshes = environ["PATH_INFO"] == "/refresh"
        name = auth.refresh_profile(environ).name if refreshes else xwms_auth.wsgi.current_user.name
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(name).encode()]

    auth = xwms_auth.wsgi.XWMSAuth(app, config, **options)
    return auth


def starlette_app(config: XWMSConfig, **options: Any) -> Any:
    async def refresh(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str((await request.auth.refresh_profile()).name))

    async def name(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.user.name))

    app = Starlette(routes=[Route("/refresh", refresh), Route("/name", name)])
    return xwms_auth.starlette.XWMSAuthMiddleware(app, config, **options)


APPS = {"flask": flask_app, "wsgi": wsgi_app, "starlette": starlette_app}


@pytest.fixture(params=APPS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["cookie", "sqlite"])
def config(request: pytest.FixtureRequest, fx: Any, tmp_path: Any) -> XWMSConfig:
    store = "cookie" if request.param == "cookie" else f"sqlite:///{tmp_path / 'sessions.sqlite3'}"
    return XWMSConfig(**fx.options(redirect_uris=f"https://app.example{CALLBACK}"), session_store=store)


def now(fx: Any, **claims: object) -> None:
    fx.answer(CALL, envelope({"user": {**person("1001"), **claims}}))


def get(visitor: Visitor, path: str) -> httpx2.Response:
    return visitor.get(path, PROGRAM)


def test_the_session_has_the_new_name_from_then_on(door, config, fx):
    visitor = Visitor(APPS[door](config), door, fx)
    visitor.log_in("1001", name="Ada Lovelace")
    now(fx, name="Ada King")
    assert get(visitor, "/name").text == "Ada Lovelace"
    assert fx.calls(CALL) == 0  # nobody asks unless the application does
    assert get(visitor, "/refresh").text == "Ada King"
    assert get(visitor, "/name").text == "Ada King"
    assert fx.calls(CALL) == 1


def test_the_account_has_it_too_and_a_new_address_is_told(door, config, fx, tmp_path):
    members, told = Members(f"sqlite:///{tmp_path / 'members.sqlite3'}"), list[Any]()
    linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS)
    app = APPS[door](config, linker=linker, hooks=Hooks(email_changed=told.append))
    visitor = Visitor(app, door, fx)
    visitor.log_in("1001", name="Ada", email="ada@example.org", email_verified=True)
    now(fx, name="Ada King", email="ada@new.example", email_verified=True)
    assert get(visitor, "/refresh").text == "Ada King"
    assert (members.get(1).name, members.get(1).email) == ("Ada King", "ada@new.example")
    assert [type(event) for event in told] == [EmailChanged]
    assert members.count() == (1, 1)


def test_nobody_gets_an_account_by_it(door, config, fx, tmp_path):
    members = Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")
    linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS)
    visitor = Visitor(APPS[door](config, linker=linker), door, fx)
    visitor.log_in("1001", name="Ada")
    with members.session() as session:
        session.execute(linker.tables.identities.delete())
    now(fx, name="Ada King")
    assert get(visitor, "/refresh").text == "Ada King"
    assert members.count() == (1, 0)


def test_a_blocked_member_is_out(door, config, fx, tmp_path):
    members = Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")
    linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS, blocked=is_blocked)
    visitor = Visitor(APPS[door](config, linker=linker), door, fx)
    visitor.log_in("1001", name="Ada")
    members.change(1, blocked=True)
    now(fx, name="Ada King")
    assert get(visitor, "/refresh").json()["code"] == "not_allowed"
    assert get(visitor, "/name").text == "None"


def test_whoever_is_not_signed_in_is_sent_to_log_in(door, config, fx):
    answer = get(Visitor(APPS[door](config), door, fx), "/refresh")
    assert (answer.status_code, answer.json()["code"]) == (401, "login_required")


@pytest.mark.parametrize("fault", ["close", "200 html", "500 html", "empty"])
def test_what_xwms_does_not_say_is_an_error_and_the_session_goes_on(door, config, fx, fault):
    visitor = Visitor(APPS[door](config), door, fx)
    visitor.log_in("1001", name="Ada")
    fx.answer(CALL, FAULTS[fault])
    answer = get(visitor, "/refresh")
    assert answer.status_code >= 500
    assert answer.json()["code"].startswith("xwms_")
    assert get(visitor, "/name").text == "Ada"


def test_an_answer_about_somebody_else_changes_nothing(door, config, fx):
    visitor = Visitor(APPS[door](config), door, fx)
    visitor.log_in("1001", name="Ada")
    fx.answer(CALL, envelope({"user": {**person("666"), "name": "Mallory"}}))
    assert get(visitor, "/refresh").json()["code"] == "xwms_bad_answer"
    assert get(visitor, "/name").text == "Ada"
