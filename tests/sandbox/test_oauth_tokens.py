"""Tokens of the sandbox's OAuth: refresh and its rotation, revocation, introspection, userinfo, and who may ask."""

import base64
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Barrier

import pytest

from tests.sandbox.local_xwms import NOON, SECRET, settings
from tests.sandbox.oauth_app import EVERYTHING, App, Login, half_hash, refused
from xwms_auth.sandbox import SandboxServer
from xwms_auth.sandbox.domain import approvals, clients

DAY = 86_400


# --- refresh ---


def test_a_refresh_gives_a_new_pair_and_an_id_token_of_the_same_login(app, clock):
    first = app.log_in()
    clock.now += 300
    assert app.userinfo(first["access_token"]).status_code == 401
    second = app.refresh(first["refresh_token"]).json()
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == EVERYTHING
    before, after = app.verified(first["id_token"]), app.verified(second["id_token"])
    assert "nonce" not in after
    for claim in ("iss", "sub", "aud", "azp", "auth_time", "sid"):
        assert after[claim] == before[claim]
    assert after["iat"] == int(NOON) + 300
    assert after["at_hash"] == half_hash(second["access_token"])
    assert app.userinfo(second["access_token"]).status_code == 200


def test_a_used_refresh_token_that_comes_back_ends_its_whole_family(app):
    first = app.log_in()
    second = app.refresh(first["refresh_token"]).json()
    third = app.refresh(second["refresh_token"]).json()
    assert refused(app.refresh(first["refresh_token"])) == "invalid_grant"
    assert refused(app.refresh(third["refresh_token"])) == "invalid_grant"
    for tokens in (first, second, third):
        assert app.introspect(tokens["access_token"]) == {"active": False}
        assert app.userinfo(tokens["access_token"]).status_code == 401


def test_another_login_of_the_same_person_is_not_of_the_family(app):
    one, other = app.log_in(), app.log_in()
    app.refresh(one["refresh_token"])
    app.refresh(one["refresh_token"])
    assert app.refresh(other["refresh_token"]).status_code == 200


@pytest.mark.parametrize("processes", [1, 2])
def test_of_16_who_use_a_refresh_token_at_once_one_succeeds(tmp_path, clock, processes):
    """16 on one server; and 8 each on two that share a file, as two processes would."""
    shared = settings(database=tmp_path / "xwms.db")
    with ExitStack() as opened:
        servers = [opened.enter_context(SandboxServer(shared, port=0, clock=clock)) for _ in range(processes)]
        apps = [opened.enter_context(closing(App(server))) for server in servers]
        token = apps[0].log_in()["refresh_token"]
        at_once = Barrier(16)

        def refresh(number: int) -> int:
            app = apps[number % processes]
            at_once.wait(timeout=30)
            return app.refresh(token).status_code

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(refresh, range(16)))
    assert sorted(answers) == [200] + [400] * 15


def test_a_narrower_scope_is_for_that_access_token_only(app):
    first = app.log_in()
    narrow = app.refresh(first["refresh_token"], scope="openid").json()
    assert narrow["scope"] == "openid"
    assert app.userinfo(narrow["access_token"]).json() == {"sub": "1001"}
    wide = app.refresh(narrow["refresh_token"]).json()
    assert wide["scope"] == EVERYTHING


def test_a_wider_scope_is_refused_and_uses_nothing_up(app):
    token = app.log_in(scope="openid offline_access")["refresh_token"]
    assert refused(app.refresh(token, scope="openid email")) == "invalid_scope"
    assert app.refresh(token).status_code == 200


def test_a_refresh_token_of_another_client_is_refused_and_stays_good(app):
    token = app.log_in()["refresh_token"]
    assert refused(app.another().refresh(token)) == "invalid_grant"
    assert app.refresh(token).status_code == 200


def test_an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing(app):
    tokens = app.log_in()
    assert refused(app.refresh(tokens["access_token"])) == "invalid_grant"
    assert app.userinfo(tokens["refresh_token"]).status_code == 401


def test_a_refresh_token_lasts_a_week_from_each_use_and_a_login_a_month(app, clock):
    token = app.log_in()["refresh_token"]
    for _ in range(4):
        clock.now += 7 * DAY - 1
        token = app.refresh(token).json()["refresh_token"]
    clock.now = NOON + 30 * DAY
    assert refused(app.refresh(token)) == "invalid_grant"
    other = app.log_in()["refresh_token"]
    clock.now += 7 * DAY
    assert refused(app.refresh(other)) == "invalid_grant"


# --- what else ends tokens ---


def test_what_is_switched_off_refuses_tokens_and_what_is_switched_on_again_does_not(app):
    def of_client(client, on: bool) -> None:
        client.enabled = on

    def of_domain(client, on: bool) -> None:
        client.domains[0].active = on

    for switch in (of_client, of_domain):
        tokens = app.log_in()
        with app.settings() as client:
            switch(client, False)
        assert app.userinfo(tokens["access_token"]).status_code == 401
        assert refused(app.refresh(tokens["refresh_token"])) in {"unauthorized_client", "invalid_grant"}
        with app.settings() as client:
            switch(client, True)
        assert app.userinfo(tokens["access_token"]).status_code == 200
        assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_a_withdrawn_approval_ends_tokens_for_good(app):
    tokens = app.log_in()
    app.withdraw("1001")
    assert app.userinfo(tokens["access_token"]).status_code == 401
    app.log_in()
    assert app.userinfo(tokens["access_token"]).status_code == 401
    assert refused(app.refresh(tokens["refresh_token"])) == "invalid_grant"


def test_a_deleted_client_takes_its_tokens_along(app):
    other = app.another()
    tokens = app.log_in()
    with app.work() as session:
        session.delete(clients.find(session, app.client_id))
    assert app.userinfo(tokens["access_token"]).status_code == 401
    assert refused(app.refresh(tokens["refresh_token"]), 401) == "invalid_client"
    assert other.introspect(tokens["access_token"]) == {"active": False}


def test_a_scope_that_is_taken_away_from_the_client_ends_at_once(make_app):
    app = make_app(scopes=("userinfo",))
    scope = "openid offline_access userinfo"
    tokens = app.log_in(scope=scope)
    assert app.userinfo(tokens["access_token"]).json()["birth_date"] == "1990-04-27"
    with app.settings() as client:
        approvals.enable_scopes(client, [])
    assert "birth_date" not in app.userinfo(tokens["access_token"]).json()
    assert app.introspect(tokens["access_token"])["scope"] == "openid offline_access"
    assert app.refresh(tokens["refresh_token"]).json()["scope"] == "openid offline_access"


# --- revocation ---


def test_a_revoked_access_token_ends_alone(app):
    tokens = app.log_in()
    assert app.revoke(tokens["access_token"]).status_code == 200
    assert app.userinfo(tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_a_revoked_refresh_token_ends_its_family(app):
    tokens = app.log_in()
    assert app.revoke(tokens["refresh_token"], token_type_hint="access_token").status_code == 200
    assert app.userinfo(tokens["access_token"]).status_code == 401
    assert refused(app.refresh(tokens["refresh_token"])) == "invalid_grant"


def test_oc_16_a_token_that_is_not_known_is_revoked_already(app):
    for token in ("unknown", "é", "x" * 5000):
        assert app.revoke(token, token_type_hint="whatever").status_code == 200
    assert refused(app.call("/oauth/revoke", {})) == "invalid_request"


def test_another_client_can_neither_revoke_a_token_nor_learn_about_it(app):
    tokens, other = app.log_in(), app.another()
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert other.revoke(token).status_code == 200
        assert other.introspect(token) == {"active": False}
        assert app.introspect(token)["active"] is True


# --- introspection ---


def test_introspection_tells_a_client_about_its_token(app):
    tokens = app.log_in()
    told = app.introspect(tokens["access_token"])
    assert told.pop("sid") == app.verified(tokens["id_token"])["sid"]
    assert told == {
        "active": True,
        "scope": EVERYTHING,
        "client_id": app.client_id,
        "token_type": "Bearer",
        "sub": "1001",
        "aud": app.client_id,
        "iss": app.server.url,
        "iat": int(NOON),
        "exp": int(NOON) + 300,
    }


def test_introspection_tells_a_refresh_token_from_an_access_token(app):
    told = app.introspect(app.log_in()["refresh_token"])
    assert (told["active"], told["token_type"], told["exp"]) == (True, "refresh_token", int(NOON) + 7 * DAY)


def test_a_token_of_a_domain_that_is_switched_off_is_not_active(app):
    tokens = app.log_in()
    with app.settings() as client:
        client.domains[0].active = False
    assert app.introspect(tokens["access_token"]) == app.introspect(tokens["refresh_token"]) == {"active": False}


def test_whatever_is_wrong_with_a_token_introspection_says_no_more_than_that(app, clock):
    tokens = app.log_in()
    clock.now += 300
    for token in ("unknown", tokens["access_token"], "é"):
        assert app.introspect(token) == {"active": False}
    assert refused(app.call("/oauth/introspect", {})) == "invalid_request"


# --- userinfo ---


@pytest.mark.parametrize("header", [None, "Basic eDp5", "Bearer", "Token x"])
def test_userinfo_without_a_bearer_token_asks_for_one(app, header):
    answer = app.http.get("/oauth/userinfo", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="XWMS"'


def test_userinfo_with_a_bad_token_says_invalid_token(app):
    for token in ("unknown", "a b", "é".encode().decode("latin-1")):
        answer = app.userinfo(token)
        assert refused(answer, 401) == "invalid_token"
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="XWMS", error="invalid_token"')


def test_userinfo_may_be_posted(app):
    header = {"Authorization": f"Bearer {app.log_in()['access_token']}"}
    assert app.http.post("/oauth/userinfo", headers=header).json()["sub"] == "1001"


def test_userinfo_heeds_the_switch_and_the_addresses_of_the_domain(app):
    token = app.log_in()["access_token"]
    with app.settings() as client:
        client.domains[0].allow_api = False
    assert app.userinfo(token).status_code == 401
    with app.settings() as client:
        client.domains[0].allow_api = True
        client.domains[0].allowed_ips = ["192.0.2.1"]
    assert app.userinfo(token).status_code == 401


# --- who may ask ---

CALLS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")


@pytest.mark.parametrize("path", CALLS)
def test_a_wrong_secret_is_an_invalid_client(app, path):
    form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
    for secret in ("wrong", "", SECRET + "x"):
        answer = app.call(path, form, secret=secret)
        assert refused(answer, 401) == "invalid_client"
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="XWMS"')
    for header in ("Basic", "Basic !", "Basic w6k=", "Basic /////w==", "Bearer x", "Digest a=b"):
        assert refused(app.http.post(path, data=form, headers={"Authorization": header}), 401) == "invalid_client"
    assert refused(app.http.post(path, data=form), 401) == "invalid_client"
    assert refused(app.http.post(path, data=form | {"client_id": app.client_id}), 401) == "invalid_client"
    assert (
        refused(app.http.post(path, data=form | {"client_id": "nobody", "client_secret": "x"}), 401) == "invalid_client"
    )


def test_a_client_may_authenticate_in_the_body(app):
    login = Login()
    form = {
        "grant_type": "authorization_code",
        "code": app.code(login),
        "redirect_uri": login.parameters()["redirect_uri"],
        "code_verifier": login.verifier,
        "client_id": app.client_id,
        "client_secret": SECRET,
    }
    assert app.http.post("/oauth/token", data=form).status_code == 200


@pytest.mark.leaks("the test sends it in an address, and its own client logs that")
def test_oc_18_credentials_in_the_address_count_for_nothing(app):
    form = {"grant_type": "refresh_token", "refresh_token": app.log_in()["refresh_token"]}
    query = {"client_id": app.client_id, "client_secret": SECRET}
    assert refused(app.http.post("/oauth/token", params=query, data=form), 401) == "invalid_client"
    assert app.http.get("/oauth/token", params=query | form).status_code == 405


def test_two_ways_to_authenticate_are_one_too_many(app):
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": app.client_id, "client_secret": SECRET}
    assert refused(app.call("/oauth/token", form)) == "invalid_request"
    assert refused(app.call("/oauth/token", form | {"client_id": "other"})) == "invalid_request"


def test_id_and_secret_are_form_encoded_in_the_header(make_app):
    secret = "a+b:c%d&e"
    app = make_app(client_secret=secret)
    encoded = base64.b64encode(f"{app.client_id}:a%2Bb%3Ac%25d%26e".encode()).decode()
    answer = app.http.post("/oauth/introspect", data={"token": "x"}, headers={"Authorization": f"Basic {encoded}"})
    assert answer.json() == {"active": False}


def test_a_secret_that_is_switched_off_expired_or_not_for_the_domain_is_refused(app, clock):
    tokens = app.log_in()

    def switched_off(client) -> None:
        client.secrets[0].active = False

    def expired(client) -> None:
        client.secrets[0].active, client.secrets[0].expires_at = True, NOON

    def unlinked(client) -> None:
        client.secrets[0].expires_at, client.secrets[0].domains = None, []

    for change, status, error in (
        (switched_off, 401, "invalid_client"),
        (expired, 401, "invalid_client"),
        (unlinked, 400, "unauthorized_client"),
    ):
        with app.settings() as client:
            change(client)
        assert refused(app.refresh(tokens["refresh_token"]), status) == error


def test_what_the_sign_token_api_refuses_is_an_unauthorized_client(app):
    tokens = app.log_in()

    def elsewhere(client) -> None:
        client.domains[0].allowed_ips = ["192.0.2.1"]

    def no_login(client) -> None:
        client.domains[0].allowed_ips, client.domains[0].allow_login = [], False

    def disabled(client) -> None:
        client.enabled = False

    for change, message in (
        (elsewhere, "The server IP address is not allowed for this domain."),
        (no_login, "The domain is not enabled for login."),
        (disabled, "The client is disabled."),
    ):
        with app.settings() as client:
            change(client)
        answer = app.refresh(tokens["refresh_token"])
        assert refused(answer) == "unauthorized_client"
        assert answer.json()["error_description"] == message


def test_what_cannot_be_redeemed_is_refused(app, subtests):
    for form, error in [
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": 'x"\\é'}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "unknown"}, "invalid_grant"),
        ({"grant_type": ["refresh_token", "refresh_token"], "refresh_token": "x"}, "invalid_request"),
    ]:
        with subtests.test(form=form, error=error):
            assert refused(app.call("/oauth/token", form)) == error


def test_a_body_that_is_no_form_or_too_large_is_refused_as_json(app):
    auth = (app.client_id, SECRET)
    assert refused(app.http.post("/oauth/token", json={"grant_type": "x"}, auth=auth)) == "unsupported_grant_type"
    assert (
        refused(app.http.post("/oauth/token", data={"grant_type": "x" * 100_000}, auth=auth), 413) == "invalid_request"
    )


def test_a_lifetime_can_be_set(make_app):
    with pytest.raises(ValueError, match="access_token_lifetime"):
        settings(access_token_lifetime=settings().access_token_lifetime * 0)
    app = make_app(access_token_lifetime=settings().access_token_lifetime / 10)
    assert app.log_in()["expires_in"] == 30
