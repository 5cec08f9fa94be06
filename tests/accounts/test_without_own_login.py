"""Accounts of an application that has no login of its own, and faults of what a door is given."""

from importlib import import_module
from typing import Any

import flask
import pytest
from starlette.applications import Starlette

import xwms_auth.flask
import xwms_auth.starlette
import xwms_auth.wsgi
from tests.accounts.members_apps import APPS, FIELDS, ORIGIN, Member, Members, Visitor
from tests.accounts.test_linking import code_of
from tests.tools.site import CALLBACK
from xwms_auth import ConfigError, XWMSConfig
from xwms_auth.accounts import AppLogin, Hooks, SQLAlchemyLinker


@pytest.fixture
def config(fx: Any) -> XWMSConfig:
    return XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}{CALLBACK}"))


def set_up_of(door: str) -> Any:
    modules = {"flask": xwms_auth.flask.XWMSAuth, "wsgi": xwms_auth.wsgi.XWMSAuth}
    return modules.get(door) or import_module(f"xwms_auth.{door}").XWMSAuthMiddleware


@pytest.mark.parametrize("door", ["flask", "starlette"])
def test_whoever_is_signed_in_by_xwms_may_link_a_second_identity_and_nobody_else_may(door, config, fx, tmp_path):
    members = Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")
    app: Any = flask.Flask(__name__) if door == "flask" else Starlette()
    served = set_up_of(door)(app, config, linker=SQLAlchemyLinker(Member, members.engine, fields=FIELDS))
    visitor = Visitor(app if door == "flask" else served, door, fx)
    nobody = visitor.post("/xwms/auth", link="1")
    assert code_of(nobody) == (409, "nobody_to_link")
    visitor.log_in("1001")
    url, _, key = visitor.log_in("1002", link=True).headers["location"].partition("&confirm=")
    assert visitor.post(url, confirm=key).status_code == 303
    assert [members.owner_of(sub) for sub in ("1001", "1002")] == [1, 1]


@pytest.mark.parametrize("door", APPS)
@pytest.mark.parametrize(
    ("own_login", "told"),
    [("no login", "not an AppLogin"), (AppLogin(url="/own-login", who=repr), "app_login= needs linker=")],
)
def test_a_login_of_its_own_that_cannot_be_asked_is_a_fault(door, config, own_login, told):
    app: Any = flask.Flask(__name__)
    with pytest.raises(ConfigError) as caught:
        set_up_of(door)(app, config, app_login=own_login)
    assert any(told in problem for problem in caught.value.problems)


class Later:
    """Can be awaited, and is no coroutine."""

    def __await__(self) -> Any:
        yield


async def later(event: object) -> None:
    raise AssertionError("nobody awaits it")


@pytest.mark.parametrize("hook", [later, lambda event: Later()], ids=["coroutine", "another awaitable"])
def test_an_async_hook_of_a_wsgi_application_lets_nobody_in(hook, config, fx, caplog):
    """It would have refused nobody."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"somebody" if xwms_auth.wsgi.current_user else b"nobody"]

    visitor = Visitor(xwms_auth.wsgi.XWMSAuth(app, config, hooks=Hooks(login=hook)), "wsgi", fx)
    assert code_of(visitor.log_in("1001")) == (500, "internal_error")
    assert visitor.get("/").text == "nobody"
    assert "TypeError" in caplog.text
