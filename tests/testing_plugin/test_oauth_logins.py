"""A login with OAuth 2.0 is answered from memory as the sandbox would, which knows of it when it is asked more."""

import asyncio
import json
import secrets
import sys
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from flask import Flask
from starlette.testclient import TestClient

from tests.testing_plugin.applications import fastapi_app, flask_app
from xwms_auth import XWMSClient, XWMSConfig
from xwms_auth._core.io.in_process import LocalCall
from xwms_auth.flask import XWMSAuth
from xwms_auth.testing import LocalXWMS, local_xwms, sandbox_app

pytestmark = pytest.mark.more_packages

MINUTES = 60


class Relying:
    """A client of OAuth that is not ours: it sends what it is told to, and returns what it gets."""

    def __init__(self, xwms: LocalXWMS, config: XWMSConfig, *, in_header: bool = True) -> None:
        self.xwms, self.config, self.in_header = xwms, config, in_header
        self.uri = config.registered[0].uri
        self.verifier = secrets.token_urlsafe(32)

    def code(self, scope: str, **more: str) -> str:
        digest = sha256(self.verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self.uri,
            "scope": scope,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **more,
        }
        back = urlsplit(self.xwms.approve(f"{self.xwms.url}/oauth/authorize?{urlencode(parameters)}"))
        answer = {name: values[0] for name, values in parse_qs(back.query).items()}
        assert f"{back.scheme}://{back.netloc}{back.path}" == self.uri
        assert (answer["state"], answer["iss"]) == ("the-state", self.xwms.url)
        return answer["code"]

    def ask(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        sent = {"content-type": "application/x-www-form-urlencoded", **headers}
        form = dict(form or {})
        if form:
            secret = self.config.secret_source().reveal()
            if self.in_header:
                sent["authorization"] = f"Basic {b64encode(f'{self.config.client_id}:{secret}'.encode()).decode()}"
            else:
                form = {"client_id": self.config.client_id, "client_secret": secret, **form}
        call = LocalCall(
            method="POST" if form else "GET",
            url=f"{self.xwms.url}{path}",
            headers=sent,
            body=urlencode(form).encode(),
            max_reply=1_000_000,
            timeout=5,
        )
        response = self.xwms.answer(call)
        return response.status, json.loads(response.body or b"{}")

    def redeem(self, code: str, more: Mapping[str, str] = MappingProxyType({})) -> tuple[int, dict[str, Any]]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.uri,
            "code_verifier": self.verifier,
        }
        return self.ask("/oauth/token", form | more)

    def is_active(self, token: str) -> bool:
        status, told = self.ask("/oauth/introspect", {"token": token})
        assert status == 200
        return told["active"]


@pytest.fixture
def client(xwms: LocalXWMS) -> Relying:
    return Relying(xwms, xwms.config(flow="oauth2"))


def claims_of(id_token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload = (json.loads(urlsafe_b64decode(f"{part}==")) for part in id_token.split(".")[:2])
    return header, payload


def everything(xwms: LocalXWMS, scope: str, *, in_header: bool) -> list[object]:
    """What a login is told, without what is random."""
    client = Relying(xwms, xwms.config(flow="oauth2"), in_header=in_header)
    status, tokens = client.redeem(client.code(scope))
    assert status == 200, tokens
    access = tokens.pop("access_token")
    assert len(tokens.pop("refresh_token", access)) == len(access)
    header, payload = claims_of(tokens.pop("id_token"))
    half = sha256(access.encode()).digest()[:16]
    assert payload.pop("at_hash") == urlsafe_b64encode(half).rstrip(b"=").decode()
    assert len(payload.pop("sid")) == 22
    issued, logged_in, ends = (payload.pop(name) for name in ("iat", "auth_time", "exp"))
    assert xwms.clock() - 60 < logged_in <= issued <= xwms.clock()
    keys = client.ask("/oauth/jwks")[1]["keys"]
    assert [key["kid"] for key in keys] == [header.pop("kid")]
    return [
        client.ask("/.well-known/openid-configuration"),
        [sorted(key) for key in keys],
        tokens,
        header,
        payload,
        ends - issued,
        client.ask("/oauth/userinfo", authorization=f"Bearer {access}"),
        client.is_active(access),
    ]


@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize(
    "scope", ["openid", "openid profile email", "openid offline_access profile useraddresses", "openid userinfo"]
)
def test_memory_answers_as_the_sandbox_does(scope, in_header):
    told = []
    for is_sandbox in (False, True):
        with local_xwms() as xwms:
            if is_sandbox:  # it answers everything after the first call that memory does not know
                Relying(xwms, xwms.config()).is_active("unknown")
            told.append(everything(xwms, scope, in_header=in_header))
    assert told[0] == told[1]


def test_the_sandbox_knows_the_tokens_of_a_login_from_memory(client: Relying):
    _, tokens = client.redeem(client.code("openid offline_access"))
    status, fresh = client.ask(
        "/oauth/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    )
    assert status == 200
    assert [client.is_active(one["access_token"]) for one in (tokens, fresh)] == [True, True]
    client.xwms.clock.advance(6 * MINUTES)
    assert not client.is_active(tokens["access_token"])


def test_a_code_from_memory_works_at_the_sandbox(client: Relying):
    code = client.code("openid")
    assert not client.is_active("unknown")
    assert client.redeem(code)[0] == 200


def test_a_code_that_is_used_twice_ends_the_login(client: Relying):
    code = client.code("openid")
    _, tokens = client.redeem(code)
    status, refused = client.redeem(code)
    assert (status, refused["error"]) == (400, "invalid_grant")
    assert not client.is_active(tokens["access_token"])


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_that_is_revoked_is_revoked_at_the_sandbox_too(kind, client: Relying):
    _, tokens = client.redeem(client.code("openid offline_access"))
    assert client.ask("/oauth/revoke", {"token": tokens[kind]})[0] == 200
    bearer = f"Bearer {tokens['access_token']}"
    assert client.ask("/oauth/userinfo", authorization=bearer)[0] == 401
    assert not client.is_active(tokens[kind])


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"redirect_uri": "http://localhost/elsewhere"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": "unknown"}, "invalid_grant"),
    ],
    ids=str,
)
def test_what_is_wrong_at_the_token_endpoint_is_refused(more, error, client: Relying):
    code = client.code("openid")
    status, refused = client.redeem(code, more)
    assert (status, refused["error"]) == (400, error)
    if "code" not in more and "grant_type" not in more:
        assert client.redeem(code)[0] == 400  # it was tried once


def test_a_wrong_secret_and_an_old_code_are_refused(client: Relying):
    code = client.code("openid")
    wrong = b64encode(f"{client.config.client_id}:wrong".encode()).decode()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": client.uri}
    call = LocalCall(
        method="POST",
        url=f"{client.xwms.url}/oauth/token",
        headers={"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {wrong}"},
        body=urlencode({**form, "code_verifier": client.verifier}).encode(),
        max_reply=1_000_000,
        timeout=5,
    )
    assert client.xwms.answer(call).status == 401
    client.xwms.clock.advance(2 * MINUTES)
    assert client.redeem(code)[1]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "more", [{"code_challenge_method": "plain"}, {"scope": "unknown"}, {"response_type": "token"}], ids=str
)
def test_what_is_wrong_at_the_authorization_endpoint_is_an_error_for_the_application(more, client: Relying):
    with pytest.raises(KeyError, match="code"):
        client.code(**{"scope": "openid", **more})


def test_nobody_is_sent_to_a_redirect_uri_that_is_not_registered(client: Relying):
    with pytest.raises(ValueError, match="is not where XWMS asks"):
        client.code("openid", redirect_uri="https://evil.example/")


def test_every_client_signs_in(xwms: LocalXWMS):
    flask = flask_app(xwms.config(flow="oauth2")).test_client()
    xwms.login(flask, name="Anna")
    assert flask.get("/").text == "Anna"
    fastapi = TestClient(fastapi_app(config=xwms.config(flow="oauth2")))
    xwms.login(fastapi, sub="1003")
    assert fastapi.get("/").json() == "Suharti"


@pytest.mark.parametrize("scopes", ["openid profile email", "openid profile offline_access"])
def test_no_sandbox_is_made_for_a_plain_login(scopes, xwms: LocalXWMS, monkeypatch):
    monkeypatch.setattr(sandbox_app, "SandboxApp", lambda *_: pytest.fail("a sandbox was made"))
    client = flask_app(xwms.config(flow="oauth2", scopes=scopes, session_store="memory://")).test_client()
    xwms.login(client)
    xwms.login(client, sub="1003")
    xwms.logout(client)
    assert {"/oauth/token", "/oauth/userinfo"} <= {call.path for call in xwms.calls}


def test_an_async_client_signs_in(xwms: LocalXWMS):
    async def visit() -> object:
        transport = httpx2.ASGITransport(app=fastapi_app(config=xwms.config(flow="oauth2")))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            await xwms.alogin(client)
            return (await client.get("/")).json()

    assert asyncio.run(visit()) == "Anna de Vries"


def test_the_application_renews_its_tokens_and_revokes_them_at_the_logout(xwms: LocalXWMS):
    scopes = "openid profile offline_access"
    app = Flask("shop")
    auth = XWMSAuth(app, xwms.config(flow="oauth2", scopes=scopes, session_store="memory://"))
    app.add_url_rule("/token", "token", lambda: auth.access_token())
    client, relying = app.test_client(), Relying(xwms, xwms.config(flow="oauth2"))
    xwms.login(client)
    first = client.get("/token").text
    xwms.clock.advance(6 * MINUTES)
    second = client.get("/token").text
    assert first != second
    assert relying.is_active(second)
    xwms.logout(client)
    assert not relying.is_active(second)


def test_a_denied_scope_leaves_a_login_without_it(xwms: LocalXWMS):
    client = flask_app(xwms.config(flow="oauth2", scopes="openid profile email")).test_client()
    assert xwms.login(client, scopes=["openid", "email"]).name is None


@pytest.mark.parametrize("before", ["memory", "the sandbox"])
def test_nobody_grants_what_the_application_does_not_ask_for(xwms: LocalXWMS, before):
    app = Flask("scopes")
    XWMSAuth(app, xwms.config(flow="oauth2", scopes=("openid", "profile")))
    if before == "the sandbox":
        _ask_the_sandbox(xwms)
    user = xwms.login(app.test_client(), scopes=["profile", "email"])
    assert (user.name, user.email) == ("Anna de Vries", None)


def _ask_the_sandbox(xwms: LocalXWMS) -> None:
    with XWMSClient(xwms.config()) as client:
        assert client.countries()


def test_threads_log_in_while_another_is_the_first_to_need_the_sandbox(xwms: LocalXWMS):
    app = Flask("threads")
    XWMSAuth(app, xwms.config(flow="oauth2"))

    def log_in(number: int) -> str:
        if number == 5:
            _ask_the_sandbox(xwms)
        return xwms.login(app.test_client(), f"u{number}").sub

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            people = list(threads.map(log_in, range(40)))
    finally:
        sys.setswitchinterval(interval)
    assert people == [f"u{number}" for number in range(40)]
