"""What the application is told of logins, logouts and accounts, on every door, and what an error in a hook does."""

from importlib import import_module
from typing import Any

import flask
import pytest

import xwms_auth.flask
import xwms_auth.wsgi
from tests.accounts.members_apps import APPS, FIELDS, Desk, Member, Members
from tests.accounts.test_linking import ADA, code_of
from tests.tools.site import LOGOUT
from xwms_auth import ConfigError, NotAllowed, XWMSConfig
from xwms_auth.accounts import (
    AccountCreated,
    AccountLinked,
    AppLogin,
    AsyncSQLAlchemyLinker,
    EmailChanged,
    Hooks,
    LoggedIn,
    LoggedOut,
    LoginRefused,
    SQLAlchemyLinker,
)

NAMES = ("login", "logout", "refused", "created", "linked", "email_changed")
SECRET_WORDS = "what nobody else may read"


@pytest.fixture(params=[*APPS, "flask with async hooks", "starlette with async hooks", "asgi with async hooks"])
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def members(tmp_path: Any) -> Members:
    return Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")


class Told:
    """Hooks that write down what they are told; those named raise an error afterwards."""

    def __init__(self, door: str, *, failing: tuple[str, ...] = (), error: Exception | None = None) -> None:
        self.events: list[Any] = []
        self._error = error or RuntimeError(SECRET_WORDS)
        made = {name: self._hook(name in failing, is_async="async" in door) for name in NAMES}
        self.hooks = Hooks(**made)

    def _hook(self, fails: bool, *, is_async: bool) -> Any:
        def hook(event: Any) -> None:
            self.events.append(event)
            if fails:
                raise self._error

        async def later(event: Any) -> None:
            hook(event)

        return later if is_async else hook

    def kinds(self) -> list[type]:
        return [type(event) for event in self.events]


def desk_of(door: str, members: Members, fx: Any, told: Told, **linking: Any) -> Desk:
    return Desk(door.partition(" ")[0], members, fx, hooks=told.hooks, **linking)


def test_each_event_is_told_once_and_in_order(door, members, fx):
    told = Told(door)
    desk = desk_of(door, members, fx, told)
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    assert told.kinds() == [AccountCreated, LoggedIn]
    assert (told.events[1].account, told.events[1].user.sub) == ("1", "1001")
    told.events.clear()
    visitor.post(LOGOUT)
    assert told.kinds() == [LoggedOut]
    told.events.clear()
    visitor.log_in("1001", **{**ADA, "email": "ada@new.example"})
    assert told.kinds() == [EmailChanged, LoggedIn]
    changed = told.events[0]
    assert (changed.account, changed.before, changed.after) == ("1", "ada@example.org", "ada@new.example")


def test_a_link_is_told(door, members, fx):
    told = Told(door)
    ada = members.add(name="Ada")
    visitor = desk_of(door, members, fx, told).visitor()
    visitor.log_in_as_before(ada)
    url, _, key = visitor.log_in("1001", link=True).headers["location"].partition("&confirm=")
    assert told.kinds() == []
    visitor.post(url, confirm=key)
    assert told.kinds() == [LoggedIn, AccountLinked]  # who is refused links nothing
    assert {event.account for event in told.events} == {str(ada)}


def test_a_refusal_is_told_with_its_code_and_cause(door, members, fx):
    told = Told(door)
    visitor = desk_of(door, members, fx, told, create=False).visitor()
    visitor.log_in("1001")
    (refused,) = told.events
    assert isinstance(refused, LoginRefused)
    assert (refused.code, refused.path) == ("not_allowed", "/xwms/validateToken")
    assert "sign-up" in refused.cause


def test_the_login_hook_can_refuse_and_nobody_is_signed_in(door, members, fx):
    told = Told(door, failing=("login",), error=NotAllowed("not on Sundays"))
    visitor = desk_of(door, members, fx, told).visitor()
    answer = visitor.log_in("1001", **ADA)
    assert code_of(answer) == (403, "not_allowed")
    assert "Sundays" not in answer.text
    assert visitor.get("/public").text == "nobody"


def test_a_login_hook_that_fails_lets_nobody_in(door, members, fx, caplog):
    told = Told(door, failing=("login",))
    visitor = desk_of(door, members, fx, told).visitor()
    answer = visitor.log_in("1001", **ADA)
    assert code_of(answer) == (500, "internal_error")
    assert SECRET_WORDS not in answer.text + caplog.text
    assert "test_hooks.py" in caplog.text  # where it failed
    assert visitor.get("/public").text == "nobody"


def test_an_error_in_another_hook_is_logged_and_changes_nothing(door, members, fx, caplog):
    others = tuple(name for name in NAMES if name != "login")
    told = Told(door, failing=others)
    visitor = desk_of(door, members, fx, told).visitor()
    assert visitor.log_in("1001", **ADA).status_code == 303
    assert visitor.account() == "1 Ada Lovelace"
    assert visitor.post(LOGOUT).status_code == 303
    assert visitor.account() is None
    assert caplog.text.count("hook_failed") == 2
    assert SECRET_WORDS not in caplog.text


def test_hooks_need_no_linker(door, fx):
    told = Told(door)
    config = XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken"))
    if door.startswith("flask"):
        app = flask.Flask(__name__)
        xwms_auth.flask.XWMSAuth(app, config, hooks=told.hooks)
        client = app.test_client()
        answer = client.post("/xwms/auth", base_url="https://app.example", headers={"Origin": "https://app.example"})
        token = fx.approve(answer.headers["location"].rpartition("/")[2])
        client.get("/xwms/validateToken", query_string={"token": token}, base_url="https://app.example")
        assert told.kinds() == [LoggedIn]
        assert told.events[0].account is None


def test_a_flask_hook_has_the_request_and_signals_are_sent(fx, members):
    seen: list[Any] = []
    app = flask.Flask(__name__)

    def login(event: LoggedIn) -> None:
        seen.append((flask.request.path, flask.current_app.name, event.account))

    config = XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken"))
    linker = SQLAlchemyLinker(Member, members.engine, fields=FIELDS)
    xwms_auth.flask.XWMSAuth(app, config, linker=linker, hooks=Hooks(login=login))

    def note(sender: Any, event: Any) -> None:
        seen.append((sender, type(event), flask.request.path))

    signals = (
        xwms_auth.flask.logged_in,
        xwms_auth.flask.logged_out,
        xwms_auth.flask.login_refused,
        xwms_auth.flask.account_created,
    )
    for signal in signals:
        signal.connect(note, app)
    client = app.test_client()
    here = {"base_url": "https://app.example", "headers": {"Origin": "https://app.example"}}
    token = fx.approve(client.post("/xwms/auth", **here).headers["location"].rpartition("/")[2], sub="1001")
    back = client.get("/xwms/validateToken", query_string={"token": token}, base_url="https://app.example")
    assert back.status_code == 303
    client.post("/xwms/logout", **here)
    client.get("/xwms/validateToken", base_url="https://app.example")
    callback = "/xwms/validateToken"
    assert seen == [
        (app, AccountCreated, callback),
        (callback, app.name, "1"),
        (app, LoggedIn, callback),
        (app, LoggedOut, "/xwms/logout"),
        (app, LoginRefused, callback),
    ]


@pytest.mark.parametrize("door", ["flask", "wsgi"])
def test_an_async_linker_is_refused_where_code_is_sync(door, fx, members):
    from sqlalchemy.ext.asyncio import create_async_engine

    config = XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken"))
    linker = AsyncSQLAlchemyLinker(Member, create_async_engine(members.async_url()))
    with pytest.raises(ConfigError, match="async"):
        APPS[door](config, linker)


@pytest.mark.parametrize("door", APPS)
def test_all_faults_of_what_a_door_is_given_are_told_at_once(door, fx):
    config = XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken"))
    wrong: Any = "no linker"
    options: Any = {"linker": wrong, "hooks": wrong, "app_login": AppLogin(url="https://evil.example/", who=repr)}
    set_up = {"flask": xwms_auth.flask.XWMSAuth, "wsgi": xwms_auth.wsgi.XWMSAuth}.get(door)
    set_up = set_up or import_module(f"xwms_auth.{door}").XWMSAuthMiddleware
    app: Any = flask.Flask(__name__)
    with pytest.raises(ConfigError) as caught:
        set_up(app, config, **options)
    assert len(caught.value.problems) == 3
