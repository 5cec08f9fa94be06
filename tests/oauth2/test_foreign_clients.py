"""The local XWMS as a server for clients that were not made for it: what it says must satisfy what they check.

panva's openid-client on Node, which is certified; Authlib's Flask client; requests-oauthlib. mod_auth_openidc of Apache
is in test_apache_client.py.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import authlib.integrations.flask_client
import flask
import pytest
import requests_oauthlib

from tests.oauth2.local_as import LocalAS
from tests.tools.clock import Clock
from tests.tools.requires import missing, program
from tests.tools.site import HTTPS_URI

pytestmark = pytest.mark.more_packages
HERE = Path(__file__).parent
HOME = "https://app.example/"
SCOPE = "openid profile email offline_access"


@pytest.fixture
def server() -> Iterator[LocalAS]:
    with LocalAS(Clock()) as local:
        yield local


@pytest.fixture
def http_is_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauthlib takes https only, and so does not take this machine."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def endpoint(server: LocalAS, name: str) -> str:
    document: dict[str, str] = server.http.get("/.well-known/openid-configuration").json()
    return document[name]


def callback(server: LocalAS, location: str) -> str:
    """The person consents at this address; gives the address where their browser comes back."""
    return f"{HTTPS_URI}?{urlencode(server.consent(location))}"


def test_openid_client_logs_in_refreshes_revokes_and_logs_out(server):
    node = program("node")
    if not (HERE / "node_modules" / "openid-client").is_dir():
        missing("openid-client (npm ci --prefix tests/oauth2)")
    known = {"issuer": server.server.url, "client_id": server.settings.client_id, "redirect_uri": HTTPS_URI}
    known |= {"client_secret": server.settings.client_secret, "post_logout_redirect_uri": HOME}
    command = [node, "client.mjs", json.dumps(known)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=HERE, text=True, **pipes) as client:
        location = client.stdout.readline().strip()
        assert location, client.stderr.read()
        said, errors = client.communicate(f"{callback(server, location)}\n", timeout=30)
    assert said, errors
    got = json.loads(said)
    assert (got["userinfo"]["sub"], got["userinfo"]["name"]) == ("1001", "Anna de Vries")
    assert got["refreshed"]
    assert got["refreshed_sub"] in {None, "1001"}
    assert got["active"] == [True, False]
    assert server.http.get(got["logout"]).headers["location"] == f"{HOME}?state=a-state"


def authlib_app(server: LocalAS) -> flask.Flask:
    """An application as Authlib's documentation has it."""
    app = flask.Flask(__name__)
    app.secret_key = "for-tests"
    renewed = []
    oauth = authlib.integrations.flask_client.OAuth(app)
    oauth.register(
        "local",
        server_metadata_url=f"{server.server.url}/.well-known/openid-configuration",
        client_id=server.settings.client_id,
        client_secret=server.settings.client_secret,
        update_token=lambda token, **old: renewed.append(token),
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
    )

    @app.get("/login")
    def login() -> flask.Response:
        return oauth.local.authorize_redirect(HTTPS_URI, prompt="consent")

    @app.get("/xwms/validateToken")
    def back() -> flask.Response:
        token = oauth.local.authorize_access_token()
        # One that has ended is refreshed first.
        userinfo = oauth.local.userinfo(token={**token, "expires_at": 1})
        [new] = renewed
        return flask.jsonify(id_token=token["userinfo"], userinfo=userinfo, new=new, old=token["access_token"])

    return app


def test_authlibs_client_logs_in_and_refreshes(server):
    browser = authlib_app(server).test_client()
    location = browser.get("/login", base_url=HOME).headers["location"]
    answer = browser.get(callback(server, location))
    assert answer.status_code == 200, answer.text
    got = answer.get_json()
    assert got["id_token"]["sub"] == got["userinfo"]["sub"] == "1001"
    assert got["userinfo"]["name"] == "Anna de Vries"
    assert got["new"]["access_token"] != got["old"]


@pytest.mark.usefixtures("http_is_https")
def test_requests_oauthlib_logs_in_refreshes_and_revokes(server):
    client = requests_oauthlib.OAuth2Session(
        server.settings.client_id, redirect_uri=HTTPS_URI, scope=SCOPE.split(), pkce="S256"
    )
    location, _ = client.authorization_url(endpoint(server, "authorization_endpoint"), prompt="consent")
    secret = server.settings.client_secret
    url = endpoint(server, "token_endpoint")
    token = client.fetch_token(url, authorization_response=callback(server, location), client_secret=secret)
    userinfo = client.get(endpoint(server, "userinfo_endpoint"))
    assert (userinfo.status_code, userinfo.json()["sub"]) == (200, "1001")
    renewed = client.refresh_token(url, auth=(server.settings.client_id, secret))
    assert renewed["access_token"] != token["access_token"]
    assert server.is_active(renewed["access_token"])
    form = {"token": renewed["refresh_token"]}
    auth = (server.settings.client_id, secret)
    assert client.post(endpoint(server, "revocation_endpoint"), data=form, auth=auth).status_code == 200
    assert not server.is_active(renewed["access_token"])
