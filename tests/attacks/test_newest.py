"""Attacks on what was merged last: the named issuer, the XWMS of tests, `xwms-auth routes`, and accounts again.

Each test tells what must happen. Those that fail show what a review has found.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import flask
import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import String, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route as StarletteRoute
from starlette.testclient import TestClient

from xwms_auth import User, XWMSConfig
from xwms_auth._core.config.context import Context
from xwms_auth.accounts import SQLAlchemyLinker
from xwms_auth.cli import local_key
from xwms_auth.cli.routes import Route, routes_of
from xwms_auth.fastapi import XWMSAuthMiddleware, require_user
from xwms_auth.flask import XWMSAuth
from xwms_auth.starlette import XWMSAuthMiddleware as StarletteMiddleware
from xwms_auth.testing import local_xwms
from xwms_auth.testing.lending import Loan

API = "https://xwms.nl/api/"
SECRET = "K3y-for-tests-0123456789-abcdefghij"


def config_at(origin: str = "https://a.example", **options: Any) -> XWMSConfig:
    known: dict[str, Any] = {"client_id": "id", "client_secret": "secret", "session_secret": SECRET, **options}
    return XWMSConfig(redirect_uris=f"{origin}/xwms/validateToken", **known)


def shown(app: Any, endpoint: str) -> list[Route]:
    return [route for route in routes_of(app) if route.endpoint.endswith(endpoint)]


# --- the named issuer


@pytest.mark.parametrize(
    "other", ["https://sandbox.xwms.nl/api/", "https://xwms.nl:8443/api/", "https://xwms.nl/sandbox/api/"]
)
def test_a_config_that_is_copied_to_another_xwms_does_not_take_the_identities_along(other):
    """Nobody has named an issuer: what the first config has derived must not count as given for the second."""
    known = config_at(api_url=API)
    assert known.issuer == API
    assert replace(known, api_url=other).issuer == other


def test_a_config_that_is_copied_to_another_local_xwms_does_not_either():
    first = config_at("http://localhost:5000", api_url="http://127.0.0.1:8800/api/")
    assert replace(first, api_url="http://127.0.0.1:9900/api/").issuer == "http://127.0.0.1:9900/api/"


def test_sessions_of_two_xwms_with_one_name_are_two():
    """Staging asks a sandbox below the real host. Even with one secret, its sessions must not count elsewhere."""
    named = {"issuer": "https://xwms.nl"}
    real, sandbox = config_at(**named), config_at(**named, api_url="https://sandbox.xwms.nl/api/")
    assert real.api_url != sandbox.api_url
    assert Context.of(real).audience != Context.of(sandbox).audience


def test_a_server_below_the_real_ones_host_does_not_name_its_people_after_the_real_one():
    """A name above the API's host is that of somebody else, who may have an XWMS of their own there."""
    sandbox = config_at(api_url="https://sandbox.xwms.nl/api/", issuer=API)
    assert sandbox.issuer == "https://sandbox.xwms.nl/api/"


# --- the XWMS of a test


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that are looked up, none of which exists."""
    hosts = list[str]()

    def refuse(host: Any, *_: object, **__: object) -> Any:
        hosts.append(str(host))
        raise socket.gaierror(socket.EAI_NONAME, "not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return hosts


def test_a_discovery_url_in_the_environment_leads_no_test_to_the_network(asked, monkeypatch):
    monkeypatch.setenv("XWMS_FLOW", "oauth2")
    monkeypatch.setenv("XWMS_DISCOVERY_URL", "https://as.example/.well-known/openid-configuration")
    with local_xwms() as xwms:
        app = flask.Flask(__name__)
        XWMSAuth(app, xwms.config())
        with suppress(Exception):
            xwms.login(app.test_client())
    assert asked == []


def test_nor_does_one_in_the_settings_of_an_application_that_is_joined(asked):
    app = flask.Flask(__name__)
    XWMSAuth(app, config_at(flow="oauth2", issuer="https://as.example", discovery_url="https://as.example/d"))
    with local_xwms() as xwms, suppress(Exception):
        xwms.login(app.test_client(), base_url="https://a.example")
    assert asked == []


def parts_of(served: Any) -> tuple[Any, ...]:
    limit = served.context.state.login_starts
    return served.context, served.clock, served.serve_route, served.store, served.runtime, limit


def app_of(*configs: XWMSConfig) -> Any:
    app = flask.Flask(__name__)
    XWMSAuth(app, configs[0] if len(configs) == 1 else list(configs))
    return app


def test_the_limit_of_logins_is_given_back_at_unknown_hosts_too():
    app = app_of(config_at(client_id="a"), config_at("https://b.example", client_id="b"))
    served = app.extensions["xwms_auth"]
    before = parts_of(served)
    with local_xwms() as xwms:
        xwms.login(app.test_client(), base_url="https://a.example")
    assert parts_of(served) == before


def test_an_error_while_a_test_ends_does_not_leave_its_settings_in_the_environment(monkeypatch):
    app, environment = app_of(config_at()), dict(os.environ)

    def fail(_: object) -> None:
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt), local_xwms() as xwms:  # noqa: PT012  it is raised at the end
            xwms.join(app)
            monkeypatch.setattr(Loan, "give_back", fail)
        assert dict(os.environ) == environment
    finally:
        os.environ.clear()
        os.environ.update(environment)


# --- what a list of routes says


def included(prefix: str, path: str, **options: Any) -> Any:
    router = APIRouter()

    @router.get(path)
    async def report() -> str:
        return "report"

    app = FastAPI(docs_url=None, openapi_url=None, redoc_url=None)
    app.include_router(router, prefix=prefix)
    app.add_middleware(XWMSAuthMiddleware, config=config_at(**options))
    return app


def test_a_router_that_is_included_below_a_public_prefix_is_not_shown_as_guarded():
    app = included("/open", "/report", protect="all", public=("/open/*",))
    assert TestClient(app, base_url="https://a.example").get("/open/report").status_code == 200
    (route,) = shown(app, "report")
    assert route.path == "/open/report"
    assert not route.guards
    assert route.is_public


def test_the_front_page_of_an_included_router_is_not_that_of_the_application():
    """Otherwise `--public /` lets the open page /admin/ pass `--fail-on-unguarded`."""
    (route,) = shown(included("/admin", "/"), "report")
    assert route.path == "/admin/"


def test_dependencies_of_an_inclusion_are_guards():
    router = APIRouter()

    @router.get("/report")
    async def report() -> str:
        return "report"

    app = FastAPI()
    app.include_router(router, dependencies=[Depends(require_user)])
    app.add_middleware(XWMSAuthMiddleware, config=config_at())
    assert TestClient(app, base_url="https://a.example").get("/report").status_code == 401
    (route,) = shown(app, "report")
    assert route.guards == ("require_user",)


def test_a_dependency_that_is_overridden_guards_nothing():
    app = FastAPI()

    @app.get("/report")
    async def report(_user: Annotated[Any, Depends(require_user)]) -> str:
        return "report"

    app.dependency_overrides[require_user] = lambda: None
    app.add_middleware(XWMSAuthMiddleware, config=config_at())
    assert TestClient(app, base_url="https://a.example").get("/report").status_code == 200
    (route,) = shown(app, "report")
    assert not route.guards


def flask_pages(config: Any) -> Any:
    app = flask.Flask(__name__)

    @app.get("/report")
    def report() -> str:
        return "report"

    @app.get("/<tenant>/admin")
    def admin(tenant: str) -> str:
        return tenant

    @app.get("/<page>")
    def page(page: str) -> str:
        return page

    @app.get("/slash/", strict_slashes=False)
    def slash() -> str:
        return "slash"

    XWMSAuth(app, config)
    return app


def starlette_pages(config: Any) -> Any:
    async def report(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("report")

    async def admin(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("admin")

    async def page(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("page")

    found = {"/report": report, "/{tenant}/admin": admin, "/{page}": page}
    return StarletteMiddleware(Starlette(routes=[StarletteRoute(*one) for one in found.items()]), config=config)


MAKERS = pytest.mark.parametrize("make", [flask_pages, starlette_pages])


def status_of(app: Any, path: str) -> int:
    if isinstance(app, flask.Flask):
        return app.test_client().get(path, base_url="https://a.example").status_code
    return TestClient(app, base_url="https://a.example").get(path).status_code


@MAKERS
def test_a_page_that_is_public_at_one_of_two_clients_is_not_shown_as_guarded(make: Callable[[Any], Any]):
    open_here = config_at(client_id="a", protect="all", public=("/report",))
    app = make([open_here, config_at("https://b.example", client_id="b", protect="all")])
    assert status_of(app, "/report") == 200
    (route,) = shown(app, "report")
    assert not route.guards


@MAKERS
@pytest.mark.parametrize(
    ("public", "path", "name"), [("/open/*", "/open/admin", "admin"), ("/about", "/about", "page")]
)
def test_a_route_with_a_parameter_is_not_guarded_where_a_value_of_it_is_public(make, public, path, name):
    """Whoever asks for /open/admin chooses `open` as the tenant, and needs no login."""
    app = make(config_at(protect="all", public=(public,)))
    assert status_of(app, path) == 200
    (route,) = shown(app, f".{name}")
    assert not route.guards


def test_a_route_without_strict_slashes_is_not_guarded_where_its_other_path_is_public():
    app = flask_pages(config_at(protect="all", public=("/slash",)))
    assert status_of(app, "/slash") == 200
    (route,) = shown(app, ".slash")
    assert not route.guards


def test_a_page_does_not_become_public_by_the_name_of_its_endpoint():
    app = flask.Flask(__name__, static_folder=None)
    app.add_url_rule("/report", "static", lambda: "report")
    XWMSAuth(app, config_at())
    assert status_of(app, "/report") == 200
    (route,) = routes_of(app)
    assert not route.is_public


def test_a_page_does_not_become_public_by_the_name_of_its_module():
    """Such as `fastapi.…` in a namespace package; FastAPI's own pages are known by what they are."""
    app = FastAPI(docs_url=None, openapi_url=None, redoc_url=None)

    async def report() -> str:
        return "report"

    report.__module__ = "fastapi.reports"
    app.add_api_route("/report", report)
    app.add_middleware(XWMSAuthMiddleware, config=config_at())
    (route,) = shown(app, "report")
    assert not route.is_public


# --- the key of development


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_in_place_of_the_key_does_not_hang_the_command(tmp_path: Path):
    os.mkfifo(tmp_path / "development-key", 0o600)
    code = f"from pathlib import Path; from {local_key.__name__} import _kept_key; _kept_key(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], timeout=5, check=False, capture_output=True)


# --- accounts


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owners_of_newest"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(String(100), unique=True)
    name: Mapped[str | None]


def person(sub: str, **claims: Any) -> User:
    return User(issuer=API, sub=sub, **claims)


@pytest.fixture
def owners(tmp_path: Path) -> Any:
    engine = create_engine(f"sqlite:///{tmp_path / 'owners.sqlite3'}")
    linker = SQLAlchemyLinker(Owner, engine, fields={"name": "name"})
    Base.metadata.create_all(engine)
    return SimpleNamespace(engine=engine, linker=linker, sessions=sessionmaker(engine))


def test_an_identity_goes_with_an_account_that_sqlite_replaces(owners):
    """INSERT OR REPLACE deletes a row without its triggers, unless `PRAGMA recursive_triggers` is on.

    The number of the row is given to the next account, which the old identity must not open.
    """
    owners.linker.sign_in(person("1001", name="Ada"))
    gone = owners.linker.sign_in(person("2002", name="Bob"))
    with owners.sessions() as session:
        session.execute(text("UPDATE owners_of_newest SET email = 'b@example.org' WHERE id = 2"))
        replacing = "INSERT OR REPLACE INTO owners_of_newest (id, email, name) VALUES (77, 'b@example.org', 'Bob')"
        session.execute(text(replacing))
        session.execute(text("DELETE FROM owners_of_newest WHERE id = 77"))
        newcomer = Owner(name="Carol, by the application's own sign-up")
        session.add(newcomer)
        session.commit()
        assert str(newcomer.id) == gone.key
    assert owners.linker.find(person("2002").identity) is None


def test_an_identity_goes_with_an_account_whose_table_was_made_anew(owners):
    """As Alembic does on SQLite (batch mode): the trigger goes with the old table. The sign-up is closed."""
    owners.linker.sign_in(person("1001", name="Ada"))
    owners.linker.sign_in(person("2002", name="Bob"))
    with owners.engine.begin() as connection:
        connection.execute(text("CREATE TABLE made_anew (id INTEGER PRIMARY KEY, email VARCHAR(100), name VARCHAR)"))
        connection.execute(text("INSERT INTO made_anew SELECT id, email, name FROM owners_of_newest"))
        connection.execute(text("DROP TABLE owners_of_newest"))
        connection.execute(text("ALTER TABLE made_anew RENAME TO owners_of_newest"))
    later = SQLAlchemyLinker(Owner, owners.engine, fields={"name": "name"}, create=False)
    with owners.sessions() as session:
        session.execute(text("DELETE FROM owners_of_newest WHERE id = 2"))
        session.add(Owner(name="Carol, by the application's own sign-up"))
        session.commit()
    assert later.find(person("2002").identity) is None


def test_a_function_for_new_accounts_that_returns_one_of_somebody_gives_it_to_nobody(owners):
    """Such as `lambda user: Owner.query.filter_by(email=user.email).first() or Owner(…)`, with an unproved address."""
    known = owners.linker.sign_in(person("1001", name="Ada"))
    session = Session(owners.engine)
    finding = SQLAlchemyLinker(Owner, lambda: session, new=lambda _user: session.get(Owner, int(known.key)))
    with suppress(Exception):
        finding.sign_in(person("6666", email="ada@example.org", email_verified=False))
    session.close()
    assert owners.linker.find(person("6666").identity) is None
    assert owners.linker.find(person("1001").identity) is not None
