"""Several clients in one application: each with a linker of its own, or one for all."""

from typing import Any

import flask
import httpx2
import pytest

import xwms_auth.flask
import xwms_auth.wsgi
from tests.accounts.members_apps import FIELDS, Member, Members
from tests.tools.several import config_for
from tests.tools.site import CALLBACK, FROM_ELSEWHERE
from xwms_auth import ConfigError
from xwms_auth.accounts import SQLAlchemyLinker

HOSTS = ("a.example", "b.example")


def member_at(host: str, app: Any, fx: Any, sub: str) -> str:
    client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url=f"https://{host}")
    started = client.post("/xwms/auth", headers={"Origin": f"https://{host}"})
    token = fx.approve(started.headers["location"].rpartition("/")[2], sub=sub, name=f"{sub} at {host}")
    assert client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE).status_code == 303
    return client.get("/account").text


@pytest.fixture
def databases(tmp_path: Any) -> list[Members]:
    return [Members(f"sqlite:///{tmp_path / f'{name}.sqlite3'}") for name in "ab"]


def app_of(fx: Any, linker: Any) -> flask.Flask:
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app, [config_for(fx, host) for host in HOSTS], linker=linker)
    app.add_url_rule("/account", "account", lambda: f"{auth.account().name}")
    return app


def test_each_client_has_a_linker_of_its_own(fx, databases):
    linkers = {
        config_for(fx, host).client_id: SQLAlchemyLinker(Member, members.engine, fields=FIELDS)
        for host, members in zip(HOSTS, databases, strict=True)
    }
    app = app_of(fx, linkers)
    assert member_at("a.example", app, fx, "1001") == "1001 at a.example"
    assert [members.count() for members in databases] == [(1, 1), (0, 0)]
    assert member_at("b.example", app, fx, "1001") == "1001 at b.example"
    assert [members.count() for members in databases] == [(1, 1), (1, 1)]


def test_one_linker_serves_all_clients_of_one_issuer(fx, databases):
    members = databases[0]
    app = app_of(fx, SQLAlchemyLinker(Member, members.engine, fields=FIELDS))
    for host in HOSTS:
        assert member_at(host, app, fx, "1001") == f"1001 at {host}"
    assert members.count() == (1, 1)


def test_a_linker_for_a_client_that_there_is_not_is_told(fx, databases):
    linker = SQLAlchemyLinker(Member, databases[0].engine)
    with pytest.raises(ConfigError, match="nobody's"):
        app_of(fx, {"nobody's": linker})
