"""The statements of XWMS's support page about its client system, each told as a story.

One test for one statement, S1 to S17; the words of each are in docs/statements.md.
Every step goes through the dashboard, an app with the package, or the API. Nothing is looked up behind them.
"""

import re

import httpx2
import pytest

from tests.statements.story import LOCALHOST, SHOP, STAGING, choose, copied, words
from tests.tools.site import FROM_HERE, PROGRAM
from xwms_auth import ClientDisabled, CredentialsRejected, RedirectNotRegistered, TokenRejected, XWMSClient


def test_s1_account_then_plan_then_client_then_credentials(story):
    dashboard = story.dashboard
    assert "Register an account" in dashboard.text("/clients")  # nobody yet: the way in, instead of the clients

    dashboard.register()
    assert "It needs one to create clients" in dashboard.text("/clients")
    refused = dashboard.send_raw("/clients/new", name="Shop", domain="shop.example", redirect_uri=SHOP)
    assert refused.status_code == 422
    assert "Activate a plan first" in words(refused)

    dashboard.activate_plan()
    credentials = dashboard.create_client()
    app = story.app(credentials)
    assert app.log_in(person="1001").status_code == 303
    assert app.who() == "1001"


def test_s2_client_id_and_secret_identify_and_authorize_the_app(story, credentials):
    right = story.config(credentials)
    with XWMSClient(right) as client:
        assert client.sign_token(SHOP).url.startswith(story.server.url)
    for wrong in (
        story.config(credentials, secret="a-guess"),
        story.config(credentials, client_id="xwms_somebody_else"),
        story.config(credentials, domain="elsewhere.example"),
    ):
        with XWMSClient(wrong) as client:
            for call in (lambda c=client: c.sign_token(SHOP), lambda c=client: c.verify_token("a-token", SHOP)):
                with pytest.raises(CredentialsRejected):
                    call()
            with pytest.raises(CredentialsRejected):
                client.countries()


def test_s3_the_client_id_is_found_in_the_clients_section(story, credentials):
    assert credentials.client_id in story.dashboard.text("/clients")


def test_s4_a_secret_is_generated_with_the_client_and_kept_as_a_hash(story, credentials):
    other = story.dashboard.create_client(name="Other")
    assert len(credentials.secret) >= 43  # 256 bits
    assert credentials.secret != other.secret
    told = [page for page in story.dashboard.pages if credentials.secret in page]
    assert len(told) == 1
    assert story.app(credentials).log_in().status_code == 303
    for file in story.folder.iterdir():
        assert credentials.secret.encode() not in file.read_bytes()


def test_s5_after_a_secret_was_regenerated_the_app_must_be_updated_at_once(story, credentials):
    file = story.folder / "secret"
    file.write_text(credentials.secret)
    app = story.app(credentials, client_secret=lambda: file.read_text())
    assert app.log_in().status_code == 303

    asks = re.search(r'href="/dashboard([^"]+/regenerate)"', story.dashboard.open(f"{credentials.page}/secrets").text)
    assert asks
    answer = story.dashboard.send(asks[1], "/regenerate")
    fresh = copied(answer, "client-secret")
    app.use_another_browser()
    refused = app.start()
    assert (refused.status_code, "credentials_rejected" in refused.text) == (500, True)

    file.write_text(fresh)  # and no restart
    assert app.log_in().status_code == 303
    assert app.who() == "1001"


def test_s6_a_client_holds_credentials_redirects_and_permissions(story, credentials):
    dashboard = story.dashboard
    assert credentials.client_id in dashboard.text(credentials.page)
    assert "Default" in dashboard.text(f"{credentials.page}/secrets")
    assert SHOP in dashboard.text(f"{credentials.page}/redirect-uris")
    assert "shop.example" in dashboard.text(f"{credentials.page}/domains")
    assert "useraddresses" in dashboard.text(f"{credentials.page}/scopes")


def test_s7_a_client_is_made_with_the_required_settings(story, credentials):
    good = {"name": "Second", "domain": "second.example", "redirect_uri": "https://second.example/callback"}
    for field, value, said in (
        ("name", " ", "Please give the client a name."),
        ("domain", "https://second.example/", "without scheme"),
        ("redirect_uri", "second.example/callback", "not an absolute http or https URL"),
        ("redirect_uri", "https://second.example/*", "wildcards"),
        ("redirect_uri", "https://second.example/cb#top", "fragment"),
    ):
        refused = story.dashboard.send("/clients/new", "/new", **good | {field: value})
        assert refused.status_code == 422
        assert said in words(refused)
    assert "Second" not in story.dashboard.text("/clients")
    assert story.dashboard.send("/clients/new", "/new", **good).status_code == 200
    assert "Second" in story.dashboard.text("/clients")


def test_s8_there_may_be_several_clients_and_one_server_may_serve_them_by_host(story, credentials):
    staging = story.dashboard.create_client(name="Staging", domain="staging.shop.example", uri=STAGING)
    assert staging.client_id != credentials.client_id
    live_app = story.app(credentials)
    staging_app = story.app(staging, STAGING, domain="staging.shop.example")
    assert live_app.log_in(person="1001").status_code == 303
    assert staging_app.log_in(person="1003").status_code == 303
    assert (live_app.who(), staging_app.who()) == ("1001", "1003")


def test_s9_redirect_uris_are_managed_for_each_client(story, credentials):
    page = f"{credentials.page}/redirect-uris"
    app = story.app(credentials, STAGING)
    refused = app.start()
    assert (refused.status_code, "redirect_not_registered" in refused.text) == (500, True)

    story.dashboard.send(page, "/redirect-uris", redirect_uri=STAGING)
    assert app.log_in().status_code == 303
    assert app.get("/xwms/validateToken").status_code == 400  # the callback is that URI's path, and no option

    other = story.dashboard.create_client(name="Other", uri="https://other.example/callback")
    assert STAGING not in story.dashboard.text(f"{other.page}/redirect-uris")


def test_s10_redirect_uris_are_compared_byte_for_byte(story, credentials):
    with XWMSClient(story.config(credentials)) as client:
        for almost in (
            SHOP + "/",
            SHOP.replace("https", "http"),
            SHOP.upper(),
            SHOP.replace("validateToken", "validatetoken"),
            SHOP + "?next=/",
            SHOP.replace("shop.example", "shop.example:443"),
            SHOP.replace("shop.example", "shop.example@evil.example"),
            SHOP.replace("shop.example", "shop.example.evil.example"),
            SHOP.replace("/xwms/", "/xwms/../xwms/"),
        ):
            with pytest.raises(RedirectNotRegistered):
                client.sign_token(almost)
        assert client.sign_token(SHOP)


def test_s11_one_client_may_have_local_staging_and_production_addresses(story, credentials):
    page = f"{credentials.page}/redirect-uris"
    for uri in (LOCALHOST, STAGING):
        assert story.dashboard.send(page, "/redirect-uris", redirect_uri=uri).status_code == 200
    for origin in ("https://shop.example", "https://staging.shop.example", "http://localhost:5000"):
        app = story.app(credentials, SHOP, STAGING, LOCALHOST, origin=origin)
        assert app.log_in().status_code == 303
        assert app.who() == "1001"


def test_s12_a_disabled_client_is_refused_and_keeps_everything(story, credentials):
    app = story.app(credentials)
    token = started_and_approved(app)
    story.dashboard.send(credentials.page, "/enabled", enabled="no")
    refused = app.start()
    assert (refused.status_code, "client_disabled" in refused.text) == (503, True)
    with XWMSClient(story.config(credentials)) as client:
        with pytest.raises(ClientDisabled):
            client.countries()
        with pytest.raises(ClientDisabled):
            client.verify_token(token, SHOP)

        story.dashboard.send(credentials.page, "/enabled", enabled="yes")
        assert client.verify_token(token, SHOP).sub == "1001"  # even the token that was under way is still there
    assert app.log_in().status_code == 303


def test_s13_deleting_a_client_ends_its_credentials_and_tokens(story, credentials):
    app = story.app(credentials)
    token = started_and_approved(app)
    sign_in_page = app.start().headers["location"]
    page = f"{credentials.page}/delete"
    assert "stop working" in story.dashboard.text(credentials.page)
    assert story.dashboard.send(page, "/delete", name="not its name").status_code == 422
    assert story.dashboard.send(page, "/delete", name="Shop").status_code == 200

    assert credentials.client_id not in story.dashboard.text("/clients")
    refused = app.start()
    assert (refused.status_code, "credentials_rejected" in refused.text) == (500, True)
    assert httpx2.get(sign_in_page).status_code == 404
    with XWMSClient(story.config(credentials)) as client, pytest.raises(CredentialsRejected):
        client.verify_token(token, SHOP)

    again = story.dashboard.create_client()  # the same name and address, and yet another client
    with XWMSClient(story.config(again)) as client, pytest.raises(TokenRejected):
        client.verify_token(token, SHOP)


def test_s14_a_client_can_be_renamed_and_nothing_else_changes(story, credentials):
    app = story.app(credentials)
    token = started_and_approved(app)
    story.dashboard.send(credentials.page, "/name", name="Shop of flowers")
    assert "Shop of flowers" in story.dashboard.text("/clients")
    assert credentials.client_id in story.dashboard.text("/clients")
    with XWMSClient(story.config(credentials)) as client:
        assert client.verify_token(token, SHOP).sub == "1001"
    assert app.log_in().status_code == 303


def test_s15_members_manage_clients_if_their_role_allows_it(story, credentials):
    dashboard = story.dashboard
    for name, role in (("Dewi", "Developer"), ("Vera", "Viewer")):
        number = re.search(rf'<option value="(\d+)"[^>]*>{role}<', dashboard.open("/members").text)
        assert number
        dashboard.send("/members", "/members", name=name, email=f"{name}@shop.example", role=number[1])

    dashboard.enter_as("Vera")
    assert credentials.client_id in dashboard.text("/clients")
    assert "Rename" not in dashboard.text(credentials.page)
    assert "New client" not in dashboard.text("/clients")
    for path, fields in (
        (f"{credentials.page}/name", {"name": "Vera's"}),
        (f"{credentials.page}/enabled", {"enabled": "no"}),
        (f"{credentials.page}/delete", {"name": "Shop"}),
        (f"{credentials.page}/redirect-uris", {"redirect_uri": STAGING}),
        ("/clients/new", {"name": "N", "domain": "n.example", "redirect_uri": STAGING}),
    ):
        assert dashboard.send_raw(path, **fields).status_code == 403, path

    dashboard.enter_as("Dewi")
    dashboard.send(credentials.page, "/name", name="Dewi's shop")
    assert "Dewi's shop" in dashboard.text("/clients")
    assert dashboard.send_raw(f"{credentials.page}/delete", name="Dewi's shop").status_code == 403

    dashboard.register(account="Somebody else", name="Mallory", email="mallory@example.org")
    assert dashboard.open(credentials.page).status_code == 404
    assert dashboard.send_raw(f"{credentials.page}/delete", name="Dewi's shop").status_code == 404
    assert story.app(credentials).log_in().status_code == 303


def test_s16_the_secret_never_reaches_a_browser(story, credentials):
    app = story.app(credentials)
    assert app.log_in().status_code == 303
    for path in ("/", "/hello", "/who", "/xwms/me", "/xwms/auth", "/xwms/validateToken", "/nothing"):
        app.get(path)
    story.dashboard.send(credentials.page, "/enabled", enabled="no")
    assert app.get("/xwms/auth", FROM_HERE | PROGRAM).status_code in (303, 503)
    assert not [page for page in app.pages if credentials.secret in page]

    for path in ("", "/secrets", "/redirect-uris", "/domains", "/scopes", "/users", "/log", "/delete"):
        story.dashboard.text(f"{credentials.page}{path}")
    assert len([page for page in story.dashboard.pages if credentials.secret in page]) == 1  # when it was made


def test_s17_domains_may_be_restricted_and_the_app_says_why(story, credentials):
    domains = story.dashboard.open(f"{credentials.page}/domains")
    link = re.search(rf'href="/dashboard({credentials.page}/domains/\d+)"', domains.text)
    assert link, words(domains)
    assert story.app(credentials).log_in().status_code == 303

    for switch, reason in (("active", "“Active” is off"), ("allow_login", "“Allow login” is off")):
        story.dashboard.send(link[1], link[1], **{switch: None})
        refused = story.app(credentials, debug=True).start()
        assert (refused.status_code, "credentials_rejected" in refused.text) == (500, True)
        assert "Domains" in words(refused)  # where the developer has to look
        assert reason in story.dashboard.text(f"{credentials.page}/log")
        story.dashboard.send(link[1], link[1], **{switch: "yes"})

    story.dashboard.send(link[1], link[1], allowed_ips="192.0.2.0/24")
    assert story.app(credentials).start().status_code == 500
    assert "not on the list" in story.dashboard.text(f"{credentials.page}/log")
    story.dashboard.send(link[1], link[1], allowed_ips="127.0.0.0/8")
    assert story.app(credentials).log_in().status_code == 303

    wrong = story.app(credentials, domain="www.shop.example", debug=True).start()
    assert "www.shop.example" in words(wrong)


def started_and_approved(app) -> str:
    """A token with which somebody is on their way back to the app."""

    answer = choose(app.start().headers["location"], "1001")
    return answer.headers["location"].partition("token=")[2]
