"""The end of a login over OAuth: by the app, from the dashboard, and how the app is told."""

import re
import sys
from typing import Any

import httpx2
import pytest

from tests.sandbox.local_xwms import NOON, REDIRECT
from tests.sandbox.oauth_app import LOGOUT_EVENT, App, Login, backchannel, unsigned
from xwms_auth.sandbox.domain import clients, signing

PATIENCE = 10  # seconds to wait for what should come at once


@pytest.fixture
def dashboard(app):
    with httpx2.Client(base_url=app.server.url, trust_env=False, follow_redirects=True) as http:
        yield Dashboard(http)


class Dashboard:
    """A member of the sandbox's own account, who may do everything."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self.post("/enter", member="1")

    def post(self, path: str, **form: str) -> httpx2.Response:
        """Send a form with the token of this browser."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self._http.get("/dashboard/register").text)
        assert found
        return self._http.post(f"/dashboard{path}", data={"csrf_token": found[1], **form})


def log_out(app: App, **parameters: str) -> httpx2.Response:
    return app.http.get("/oauth/logout", params=parameters)


def is_over(app: App, tokens: dict[str, Any]) -> bool:
    active = {app.introspect(tokens[kind])["active"] for kind in ("access_token", "refresh_token")}
    assert len(active) == 1
    return active == {False}


# --- the app begins it ---


def test_a_logout_ends_the_login_of_its_id_token_and_goes_where_the_app_asked(app):
    tokens, other = app.log_in(), app.log_in()
    answer = log_out(
        app, id_token_hint=tokens["id_token"], post_logout_redirect_uri="http://localhost:5000/bye?x=1", state="s t"
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "http://localhost:5000/bye?x=1&state=s+t")
    assert is_over(app, tokens)
    assert not is_over(app, other)


def test_without_an_address_there_is_a_page_and_a_second_time_is_the_same(app):
    tokens = app.log_in()
    for _ in range(2):
        answer = app.http.post("/oauth/logout", data={"id_token_hint": tokens["id_token"]})
        assert answer.status_code == 200
        assert "You are signed out" in answer.text
    assert is_over(app, tokens)


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:5001/",
        "https://localhost:5000/",
        "http://localhost:5000.evil.example/",
        "https://app.example.evil.example/",
        "https://app.example:444/",
        "http://localhost:5000@evil.example/",
        "//localhost:5000/",
        "https://evil.example/",
        "javascript:alert(1)",
        "http://localhost:5000\\@evil.example/",
        "",
    ],
)
def test_a_logout_goes_nowhere_that_is_not_the_apps_own(app, uri):
    tokens = app.log_in()
    answer = log_out(app, id_token_hint=tokens["id_token"], post_logout_redirect_uri=uri)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert is_over(app, tokens)  # ending is safe, and what the person wanted


def test_where_a_redirect_uri_is_switched_off_or_the_domain_is_live_a_logout_does_not_go(app):
    for change in ("off", "live"):
        tokens = app.log_in()
        with app.settings() as client:
            client.redirect_uris[0].active, client.domains[0].live = change != "off", change == "live"
        answer = log_out(app, id_token_hint=tokens["id_token"], post_logout_redirect_uri="http://localhost:5000/")
        assert answer.status_code == 400
        with app.settings() as client:
            client.redirect_uris[0].active, client.domains[0].live = True, False


def test_an_id_token_that_has_expired_still_says_which_login_it_was(app, clock):
    tokens = app.log_in()
    clock.now += 3600
    uri = "http://localhost:5000/"
    assert log_out(app, id_token_hint=tokens["id_token"], post_logout_redirect_uri=uri).status_code == 303
    assert is_over(app, tokens)


def test_what_is_no_id_token_of_this_provider_ends_nothing_and_leads_nowhere(app):
    tokens = app.log_in()
    claims = app.verified(tokens["id_token"])
    with app.work() as session:
        no_id_token = signing.sign(session, claims, kind="logout+jwt", now=NOON)
        of_another_issuer = signing.sign(session, claims | {"iss": "https://xwms.nl"}, kind="JWT", now=NOON)
    for hint in (
        "",
        "x",
        "é.é.é",
        "x" * 20_000,
        tokens["access_token"],
        unsigned(tokens["id_token"], sub="1003"),
        tokens["id_token"].rpartition(".")[0] + ".",
        no_id_token,
        of_another_issuer,
    ):
        answer = app.http.post(
            "/oauth/logout", data={"id_token_hint": hint, "post_logout_redirect_uri": "http://localhost:5000/"}
        )
        assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert log_out(app, id_token_hint=tokens["id_token"], client_id="other").status_code == 400
    assert not is_over(app, tokens)


# --- the app is told ---


def tell(app: App, uri: str | None) -> None:
    with app.settings() as client:
        clients.tell_logouts_to(client, uri or "")


def test_the_apps_server_is_told_of_a_logout_in_a_signed_token(app):
    tokens = app.log_in(sub="xwms-user-1234")
    sid, issuer = app.verified(tokens["id_token"])["sid"], app.server.url
    with backchannel() as (uri, arrived):
        tell(app, uri)
        log_out(app, id_token_hint=tokens["id_token"])
        claims = app.verified(arrived.get(timeout=PATIENCE), kind="logout+jwt")
        log_out(app, id_token_hint=tokens["id_token"])  # it is over: there is nothing new to tell
        app.server.stop()
        assert arrived.empty()
    assert claims.pop("jti")
    assert claims == {
        "iss": issuer,
        "aud": app.client_id,
        "iat": int(NOON),
        "exp": int(NOON) + 120,
        "sub": "xwms-user-1234",
        "sid": sid,
        "events": {LOGOUT_EVENT: {}},
    }


def test_revoking_an_approval_in_the_dashboard_ends_every_login_and_tells_the_app(app, dashboard):
    logins = [app.log_in(), app.log_in()]
    sids = {app.verified(tokens["id_token"])["sid"] for tokens in logins}
    with backchannel() as (uri, arrived):
        dashboard.post("/clients/1/backchannel-logout", backchannel_logout_uri=uri)
        assert "was revoked" in dashboard.post("/clients/1/users/1/revoke").text
        told = [app.verified(arrived.get(timeout=PATIENCE), kind="logout+jwt") for _ in logins]
    assert {claims["sid"] for claims in told} == sids
    assert len({claims["jti"] for claims in told}) == 2
    assert all(is_over(app, tokens) for tokens in logins)


def test_logging_somebody_out_in_the_dashboard_leaves_their_approval(app, dashboard):
    tokens, other = app.log_in(), app.log_in(sub="1003")
    with backchannel() as (uri, arrived):
        dashboard.post("/clients/1/backchannel-logout", backchannel_logout_uri=uri)
        answer = dashboard.post("/clients/1/users/1/log-out")
        assert "Anna de Vries was logged out: 1 login over OAuth ended." in answer.text
        assert app.verified(arrived.get(timeout=PATIENCE), kind="logout+jwt")["sub"] == "1001"
    assert is_over(app, tokens)
    assert not is_over(app, other)
    assert app.http.post(app.begin(Login()), data={"person": "1001"}).status_code == 303  # without being asked again


def test_without_authlib_the_log_says_that_the_app_is_not_told(app, dashboard, monkeypatch, caplog):
    """The login is from an earlier start, with Authlib, and in the database file."""
    app.log_in()
    with backchannel() as (uri, arrived):
        dashboard.post("/clients/1/backchannel-logout", backchannel_logout_uri=uri)
        monkeypatch.setitem(sys.modules, "joserfc", None)
        assert "was revoked" in dashboard.post("/clients/1/users/1/revoke").text
        app.server.stop()
        assert arrived.empty()
    assert "Apps are not told of a logout. OAuth 2.0 needs Authlib" in caplog.text


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, ""),
        (400, "The app did not accept the logout token."),
        (302, "The app did not accept the logout token."),
    ],
)
def test_what_the_app_answered_is_in_the_log_and_no_redirect_is_followed(app, status, reason):
    tokens = app.log_in()
    with backchannel(status) as (uri, arrived):
        tell(app, uri)
        log_out(app, id_token_hint=tokens["id_token"])
        arrived.get(timeout=PATIENCE)
        app.server.inside.deliveries.close()
        assert arrived.empty()
    assert app.log()[0] == ("backchannel-logout", status, reason)


def test_an_app_that_cannot_be_reached_keeps_nobody_waiting(app):
    tokens = app.log_in()
    with backchannel() as (uri, _):
        pass  # the port is free again
    tell(app, uri)
    assert log_out(app, id_token_hint=tokens["id_token"]).status_code == 200
    app.server.inside.deliveries.close()
    assert app.log()[0] == ("backchannel-logout", 502, "The app could not be reached.")


def test_the_address_is_judged_like_a_redirect_uri(app, dashboard):
    for uri in ("app.example/x", "ftp://app.example/", "https://app.example/#x", "https://*.example/", " https://a/"):
        answer = dashboard.post("/clients/1/backchannel-logout", backchannel_logout_uri=uri)
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
    with app.settings() as client:
        assert client.backchannel_logout_uri is None
    dashboard.post("/clients/1/backchannel-logout", backchannel_logout_uri=REDIRECT)
    assert REDIRECT in dashboard.post("/clients/1/name", name="Shop").text
    assert "no logout tokens" in dashboard.post("/clients/1/backchannel-logout", backchannel_logout_uri="").text


def test_an_app_without_the_id_token_is_sent_back_to_its_own_address_only(app):
    asked = {"client_id": "sandbox-client", "post_logout_redirect_uri": "http://localhost:5000/bye"}
    answer = log_out(app, **asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "http://localhost:5000/bye")
    assert log_out(app, **asked | {"post_logout_redirect_uri": "https://evil.example/"}).status_code == 400
    assert log_out(app, **asked | {"client_id": "nobody"}).status_code == 400
    assert log_out(app, post_logout_redirect_uri="http://localhost:5000/").status_code == 400
