"""The sandbox as a provider: what it says about itself, what it keeps, what it writes down, and what goes wrong."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.sandbox.local_xwms import REDIRECT, SECRET, settings, written
from tests.sandbox.oauth_app import App, Login, backchannel, refused, said, unsigned
from xwms_auth.sandbox import SandboxServer, parse_fault
from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.domain import clients
from xwms_auth.sandbox.faults.catalogue import FAULTS

DISCOVERY = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


# --- discovery ---


@pytest.mark.parametrize("path", DISCOVERY)
def test_discovery_tells_where_everything_is_and_keeps_the_rules_for_such_documents(app, path):
    document = app.http.get(path).json()
    assert document["issuer"] == app.server.url
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert document["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    AuthorizationServerMetadata(document).validate()
    OpenIDProviderMetadata(document).validate()
    for name, address in document.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert app.http.request("GET", address).status_code in {200, 400, 401, 405}, name


def test_the_issuer_is_the_public_url_whatever_host_is_asked(clock):
    with SandboxServer(settings(), port=0, clock=clock) as server:
        port = server.url.rpartition(":")[2]
        document = httpx2.get(f"http://localhost:{port}{DISCOVERY[0]}", trust_env=False).json()
        assert document["issuer"] == server.url


def test_the_issuer_may_be_named_so_that_it_is_the_same_on_every_port(clock):
    """Addresses stay those of the server: what is named is who has issued a token."""
    name = "http://127.0.0.1:8800"
    with SandboxServer(settings(issuer=name), port=0, clock=clock) as server:
        document = httpx2.get(f"{server.url}{DISCOVERY[0]}", trust_env=False).json()
        named = App(server)
        tokens = named.log_in()
        assert (document["issuer"], document["jwks_uri"]) == (name, f"{server.url}/oauth/jwks")
        assert named.verified(tokens["id_token"])["iss"] == name
        named.close()
    with pytest.raises(ValueError, match="issuer: not an absolute"):
        settings(issuer="here")


def test_the_published_keys_check_id_tokens_and_hold_nothing_private(app):
    tokens = app.log_in()
    published = app.http.get("/oauth/jwks").json()
    assert [key.keys() for key in published["keys"]] == [{"kty", "n", "e", "kid", "use", "alg"}]
    keys = KeySet.import_key_set(published)
    assert jwt.decode(tokens["id_token"], keys, ["RS256"]).header["kid"] == published["keys"][0]["kid"]
    with pytest.raises(JoseError):
        jwt.decode(unsigned(tokens["id_token"], sub="1003"), keys, ["RS256"])


# --- what is kept ---


@pytest.mark.leaks("the test sends it in an address, and its own client logs that")
def test_tokens_codes_and_pages_are_kept_as_hashes_only(tmp_path, make_app):
    path = tmp_path / "xwms.db"
    app = make_app(database=path)
    login, refusing = Login(), Login()
    page, waiting = app.begin(login), app.begin(refusing)
    code = said(app.allow(page))["code"]
    unredeemed = app.code(Login())
    tokens = app.redeem(code, login).json()
    more = app.refresh(tokens["refresh_token"]).json()
    held = [SECRET, code, unredeemed, login.verifier]
    held += [sent[kind] for sent in (tokens, more) for kind in ("access_token", "refresh_token", "id_token")]
    held += [address.rpartition("/")[2] for address in (page, waiting)]
    for value in held:  # and whoever mixes up fields does not write them down either
        app.refresh(value)
        app.redeem(value, login)
        app.revoke(value)
        app.introspect(value)
        app.userinfo(value)
        app.authorize(login.parameters(client_id=value))
        app.authorize(login.parameters(redirect_uri=value))
        app.authorize(login.parameters(scope=value))
        app.http.post("/oauth/token", data={"client_id": value, "client_secret": value, "grant_type": value})
        app.http.get("/oauth/logout", params={"id_token_hint": value, "post_logout_redirect_uri": value})
    open_dump = path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()
    app.server.stop()
    for dump in (open_dump, path.read_bytes()):
        assert b"anna@example.com" in dump
        for value in held:
            assert [form for form in written(value) if form in dump] == []


def test_a_restart_with_a_file_keeps_the_key_and_the_tokens(tmp_path, clock):
    starting = settings(database=tmp_path / "xwms.db")
    with SandboxServer(starting, port=0, clock=clock) as server, closing(App(server)) as app:
        tokens = app.log_in()
    with SandboxServer(starting, port=0, clock=clock) as server, closing(App(server)) as app:
        assert app.verified(tokens["id_token"])["sub"] == "1001"
        assert app.userinfo(tokens["access_token"]).json()["sub"] == "1001"
        assert app.refresh(tokens["refresh_token"]).status_code == 200


def columns(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: {row[1] for row in database.execute(f"PRAGMA table_info({name})")} for name in tables}


def test_a_file_from_before_oauth_is_brought_up_to_date(tmp_path, clock):
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    for path in (old, new):
        Database(path).close()
    with SandboxServer(settings(database=old), port=0, clock=clock):
        pass
    with closing(sqlite3.connect(old)) as before, before:
        for table in ("tokens", "grants", "authorization_requests", "signing_keys"):
            before.execute(f"DROP TABLE {table}")
        before.execute("ALTER TABLE clients DROP COLUMN backchannel_logout_uri")
        before.execute("ALTER TABLE people DROP COLUMN picture")
        before.execute("PRAGMA user_version = 1")
    assert columns(old) != columns(new)
    with SandboxServer(settings(database=old), port=0, clock=clock) as server, closing(App(server)) as app:
        assert app.userinfo(app.log_in()["access_token"]).status_code == 200
    assert columns(old) == columns(new)


def test_only_so_many_logins_and_open_pages_are_kept(app, monkeypatch):
    monkeypatch.setattr("xwms_auth.sandbox.domain.authorizations.MAX_REQUESTS", 3)
    monkeypatch.setattr("xwms_auth.sandbox.domain.grants.MAX_GRANTS", 3)
    pages = [app.begin(Login()) for _ in range(5)]
    assert [app.http.get(page).status_code for page in pages] == [404] * 2 + [200] * 3
    logins = [app.log_in() for _ in range(5)]
    assert [app.introspect(tokens["access_token"])["active"] for tokens in logins] == [False] * 2 + [True] * 3


# --- what is written down ---


def test_lp_01_no_code_token_verifier_or_secret_reaches_any_log(app, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    login = Login()
    with backchannel() as (uri, arrived):
        with app.settings() as client:
            clients.tell_logouts_to(client, uri)
        page = app.begin(login)
        code = said(app.allow(page))["code"]
        tokens = app.redeem(code, login).json()
        app.redeem(code, login)
        tokens |= {f"new_{name}": value for name, value in app.log_in().items()}
        app.refresh(tokens["new_refresh_token"])
        app.introspect(tokens["new_access_token"])
        app.userinfo(tokens["new_access_token"])
        app.revoke(tokens["new_access_token"])
        app.http.post("/oauth/logout", data={"id_token_hint": tokens["new_id_token"]})
        told = arrived.get(timeout=10)
    app.server.stop()
    ours = [record for record in caplog.records if not record.name.startswith(("httpx2", "httpcore2"))]
    assert any(record.name.startswith("authlib") for record in ours)  # it would have been heard
    out = "\n".join([*(record.getMessage() for record in ours), *capfd.readouterr()])
    held = [SECRET, code, login.verifier, login.state, login.nonce, page.rpartition("/")[2], told]
    held += [value for name, value in tokens.items() if name.endswith("_token")]
    assert [value for value in held if value in out] == []


def test_the_api_log_says_which_call_was_refused_and_why(app):
    login = Login()
    app.authorize(login.parameters(redirect_uri=REDIRECT + "/"))
    code = app.code(login)
    app.redeem(code, login)
    app.redeem(code, login)
    app.call("/oauth/token", {"grant_type": "password"})
    app.call("/oauth/introspect", {"token": "x"}, secret="wrong")
    app.userinfo("unknown")  # of no client, and in nobody's log
    assert list(reversed(app.log())) == [
        (
            "oauth/authorize",
            400,
            "Only the slash at the end differs from a registered one; URLs are compared byte for byte.",
        ),
        ("oauth/authorize", 303, ""),
        ("oauth/token", 200, ""),
        ("oauth/token", 400, "Refused: the code was used before; every token issued for it has been revoked."),
        (
            "oauth/token",
            400,
            "unsupported_grant_type: The only grant types are authorization_code and refresh_token.",
        ),
        ("oauth/introspect", 401, "The secret is none of this client's secrets."),
    ]


def test_a_person_who_says_no_is_in_the_log(app):
    app.http.post(app.begin(Login()), data={"answer": "no"})
    assert app.log()[0] == ("oauth/authorize", 303, "access_denied: The person denied the request.")


# --- what goes wrong on purpose ---


def let(app: App, fault: str) -> None:
    app.server.inside.faults.add(parse_fault(fault))


@pytest.mark.parametrize(
    ("endpoint", "fault", "status"),
    [
        ("oauth/token", "500", 500),
        ("oauth/token", "html", 200),
        ("oauth/introspect", "503", 503),
        ("oauth/introspect", "redirect", 307),
        ("oauth/userinfo", "html", 200),
        ("oauth/jwks", "redirect", 307),
        (DISCOVERY[1][1:], "500", 500),
    ],
)
def test_faults_strike_the_calls_of_oauth(app, endpoint, fault, status):
    tokens, other = app.log_in(), app.log_in()
    let(app, f"{fault}:{endpoint}:1")
    fresh = iter((tokens["refresh_token"], other["refresh_token"]))

    def call() -> httpx2.Response:
        match endpoint:
            case "oauth/token":
                return app.refresh(next(fresh))
            case "oauth/introspect":
                return app.call("/oauth/introspect", {"token": tokens["access_token"]})
            case "oauth/userinfo":
                return app.userinfo(tokens["access_token"])
            case path:
                return app.http.get(f"/{path}")

    answer = call()
    assert answer.status_code == status
    if fault == "html":
        assert answer.headers["Content-Type"].startswith("text/html")
    assert call().status_code == 200


def test_a_lost_answer_has_used_the_refresh_token_up_and_a_refusal_has_not(app):
    lost, kept = app.log_in()["refresh_token"], app.log_in()["refresh_token"]
    let(app, "500:oauth/token:1")
    assert app.refresh(lost).status_code == 500
    assert refused(app.refresh(lost)) == "invalid_grant"
    for fault, error in (("expired-token", "invalid_grant"), ("disabled-client", "unauthorized_client")):
        let(app, f"{fault}:oauth/token:1")
        assert refused(app.refresh(kept)) == error
        assert FAULTS[fault] in app.log()[0][2]
    assert app.refresh(kept).status_code == 200


def test_userinfo_can_forget_who_it_is_and_find_its_token_expired(app):
    token = app.log_in()["access_token"]
    let(app, "no-sub:oauth/userinfo:1")
    assert "sub" not in app.userinfo(token).json()
    let(app, "expired-token:oauth/userinfo:1")
    answer = app.userinfo(token)
    assert refused(answer, 401) == "invalid_token"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_the_pages_of_people_never_fail_on_purpose(app):
    for fault in ("500", "html", "503"):
        let(app, fault)
    assert app.allow(app.begin(Login())).status_code == 303
