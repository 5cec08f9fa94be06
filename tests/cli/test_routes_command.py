"""`xwms-auth routes`: every route of an application with its guard, and a failure where one has none."""

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from xwms_auth.cli.commands import xwms_auth

FLASK = """
from flask import Blueprint, Flask
from flask.views import MethodView
from xwms_auth.flask import XWMSAuth, login_required, public, require, token_required

app = Flask(__name__)
staff = Blueprint("staff", __name__)

@staff.before_request
@login_required
def members_only():
    pass

@staff.get("/staff")
def report():
    return ""

@app.get("/open")
def open_page():
    return ""

@app.get("/mine")
@login_required
def mine():
    return ""

@app.post("/admin")
@require(role="admin")
@login_required
async def admin():
    return ""

class Profile(MethodView):
    decorators = [login_required]
    def get(self):
        return ""

app.add_url_rule("/profile", view_func=Profile.as_view("profile"))

@app.get("/about")
@public
def about():
    return ""

app.register_blueprint(staff)
XWMSAuth(app)
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from xwms_auth.starlette import XWMSAuthMiddleware, login_required, require

async def home(request):
    return PlainTextResponse("")

@login_required
async def mine(request):
    return PlainTextResponse("")

@login_required
async def feed(websocket):
    pass

@require(role="admin")
class Admin(HTTPEndpoint):
    async def get(self, request):
        return PlainTextResponse("")

inner = Starlette(routes=[Route("/deep", mine, methods=["GET", "POST"])])
routes = [Route("/", home), WebSocketRoute("/feed", feed), Route("/admin", Admin), Mount("/part", inner)]
app = XWMSAuthMiddleware(Starlette(routes=[*routes, Mount("/static", StaticFiles(directory="."))]))
"""

FASTAPI = """
from typing import Annotated
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from xwms_auth import User
from xwms_auth.fastapi import BearerToken, CurrentUser, OptionalUser, XWMSAuthMiddleware, require, require_user

app = FastAPI()
part = APIRouter(prefix="/part", dependencies=[Depends(require_user)])

@app.get("/")
async def home(user: OptionalUser) -> str:
    return ""

@app.get("/mine")
async def mine(user: CurrentUser) -> str:
    return ""

async def through(user: CurrentUser) -> str:
    return user.sub

@app.get("/through")
async def indirect(sub: Annotated[str, Depends(through)]) -> str:
    return ""

@app.post("/admin")
async def admin(user: Annotated[User, require(role="admin")]) -> str:
    return ""

@app.get("/api")
async def api(token: BearerToken) -> str:
    return ""

@part.get("/report")
async def report() -> str:
    return ""

@app.websocket("/feed")
async def feed(socket: WebSocket, user: CurrentUser) -> None:
    pass

app.include_router(part)
app.add_middleware(XWMSAuthMiddleware)
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write an application and list its routes: the exit code, the table as a dictionary, and standard error."""

    def listed(code: str, *options: str, **environment: str) -> tuple[int, dict[str, str], str]:
        (tmp_path / "listed_app.py").write_text(code, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(sys.modules, "listed_app", raising=False)
        monkeypatch.setattr(sys, "path", sys.path.copy())
        environ = {
            "XWMS_CLIENT_ID": "id",
            "XWMS_CLIENT_SECRET": "secret",
            "XWMS_REDIRECT_URI": "http://localhost:5000/xwms/validateToken",
            "XWMS_SESSION_SECRET": "K3y-for-tests-0123456789-abcdefghij",
            **environment,
        }
        apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click 8.1
        done = CliRunner(env=environ, **apart).invoke(xwms_auth, ["routes", "listed_app:app", *options])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        _, *lines = done.stdout.splitlines() or [""]
        rows = [line.split(maxsplit=2) for line in lines]
        return (
            done.exit_code,
            {f"{methods} {path}": rest.rpartition("  ")[0].strip() for methods, path, rest in rows},
            done.stderr,
        )

    return listed


def test_flask(routes):
    status, found, _ = routes(FLASK)
    assert found == {
        "GET /about": "public",
        "POST /admin": "require, login_required",
        "GET /mine": "login_required",
        "GET /open": "-",
        "GET /profile": "login_required",
        "GET /staff": "login_required",
        "GET /static/<path:filename>": "public",
    }
    assert status == 0


def test_starlette(routes):
    _, found, _ = routes(STARLETTE)
    assert found == {
        "GET /": "-",
        "ANY /admin": "require",
        "WEBSOCKET /feed": "login_required",
        "GET,POST /part/deep": "login_required",
        "MOUNT /static/*": "public",
    }


@pytest.mark.more_packages  # token_required needs Authlib
def test_fastapi(routes):
    _, found, _ = routes(FASTAPI, XWMS_FLOW="oauth2", XWMS_ISSUER="https://as.example")
    own = {
        path: found.pop(path) for path in ("GET /docs", "GET /docs/oauth2-redirect", "GET /openapi.json", "GET /redoc")
    }
    assert set(own.values()) == {"public"}
    assert found == {
        "GET /": "-",
        "POST /admin": "require",
        "GET /api": "bearer_token",
        "WEBSOCKET /feed": "require_user",
        "GET /mine": "require_user",
        "GET /part/report": "require_user",
        "GET /through": "require_user",
    }


OAUTH = {"XWMS_FLOW": "oauth2", "XWMS_ISSUER": "https://as.example"}


@pytest.mark.parametrize(
    ("code", "flow"),
    [
        pytest.param(FLASK, {}, id="flask"),
        pytest.param(STARLETTE, {}, id="starlette"),
        pytest.param(FASTAPI, OAUTH, id="fastapi", marks=pytest.mark.more_packages),
    ],
)
def test_it_fails_where_a_route_has_no_guard_unless_it_is_named_as_public(routes, code, flow):
    status, _, told = routes(code, "--fail-on-unguarded", **flow)
    assert status == 1
    assert "Without a guard" in told
    named = ("--public", "/open", "--public", "/")
    assert routes(code, "--fail-on-unguarded", *named, **flow)[0] == 0


@pytest.mark.parametrize("code", [FLASK, STARLETTE], ids=["flask", "starlette"])
def test_where_all_is_protected_only_what_is_public_has_no_guard(routes, code):
    status, found, _ = routes(code, "--fail-on-unguarded", XWMS_PROTECT="all", XWMS_PUBLIC="/open /part/*")
    assert status == 0
    unguarded = {path for path, guard in found.items() if guard == "public"}
    assert unguarded <= {"GET /about", "GET /open", "GET /static/<path:filename>", "MOUNT /static/*"}
    assert any(guard.startswith("protect=all") for guard in found.values())


TWO = """
from xwms_auth import XWMSConfig
configs = [
    XWMSConfig(
        client_id=name, client_secret="s", redirect_uris=f"https://{name}.example/xwms/validateToken",
        session_secret="K3y-for-tests-0123456789-abcdefghij", protect=protect,
    )
    for name, protect in (("a", "all"), ("b", PROTECT))
]
"""


@pytest.mark.parametrize(("protect", "status"), [("marked", 1), ("all", 0)])
@pytest.mark.parametrize("kind", ["flask", "fastapi"])
def test_with_several_clients_a_route_is_guarded_if_it_is_at_each_of_them(routes, kind, protect, status):
    code = FLASK.replace("XWMSAuth(app)\n", "XWMSAuth(app, configs)\n")
    if kind == "fastapi":
        code = FASTAPI.replace("XWMSAuthMiddleware)\n", "XWMSAuthMiddleware, config=configs)\n")
        code = code.replace("token: BearerToken", "user: CurrentUser")
    found = routes(TWO.replace("PROTECT", repr(protect)) + code, "--fail-on-unguarded")
    assert found[0] == status
    assert {guard for path, guard in found[1].items() if path in ("GET /", "GET /open")} == (
        {"-"} if protect == "marked" else {"protect=all"}
    )


@pytest.mark.parametrize("code", [FLASK, STARLETTE])
def test_what_the_log_says_of_the_settings_it_says_once(routes, code, caplog):
    caplog.set_level("INFO", logger="xwms_auth")
    uri = "https://app.example/shop/xwms/validateToken"
    assert routes(code, XWMS_REDIRECT_URI=uri)[0] == 0
    told = [line.split()[0] for line in caplog.messages]
    assert sorted(told) == ["each_process_by_itself", "path_prefix"]


def test_missing_settings_are_told_with_the_way_on(routes):
    status, _, told = routes(FLASK, XWMS_CLIENT_ID="")
    assert status == 1
    assert "XWMS_CLIENT_ID" in told
    assert "XWMS_ALLOW_MISSING_SETTINGS=1" in told
    assert routes(FLASK, XWMS_CLIENT_ID="", XWMS_ALLOW_MISSING_SETTINGS="1")[0] == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("app = 5", "are not known"),
        ("import flask\napp = flask.Flask(__name__)", "no XWMSAuth"),
        ("from starlette.applications import Starlette\napp = Starlette()", "no XWMSAuthMiddleware"),
        ("other = 5", "has no 'app'"),
    ],
)
def test_what_has_no_routes_is_told(routes, code, reason):
    status, _, told = routes(code)
    assert status == 1
    assert reason in told
