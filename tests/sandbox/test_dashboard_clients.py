"""Clients in the dashboard: made once, shown their secret once, renamed, disabled, deleted."""

import re

import pytest

from tests.sandbox.local_xwms import SECRET
from tests.sandbox.office import Office, faults, faults_at_fields, notice, value_of, words
from xwms_auth.sandbox.db.schema import ApiCall, Approval, Client, ClientSecret, Domain, Member, RedirectURI, SignIn
from xwms_auth.sandbox.seed.defaults import LOCAL_OWNER

GOOD = {"name": "Shop", "domain": "shop.example", "redirect_uri": "https://shop.example/callback"}
OWNED = (ClientSecret, RedirectURI, Domain, SignIn, Approval, ApiCall)
HOSTILE = "<script>alert(1)</script><b title=\"'&"


@pytest.fixture
def office(xwms) -> Office:
    member = Office(xwms)
    member.register()
    member.activate_plan()
    return member


def create(office: Office, **fields: str):
    return office.submit("/clients/new", "/clients/new", **GOOD | fields)


def count(office: Office, table: type) -> int:
    with office.xwms.app.extensions["xwms_sandbox"].database.work() as db:
        return db.query(table).count()


def headers(client_id: str, secret: str, domain: str = "shop.example") -> dict[str, str]:
    return {"X_Client_Id": client_id, "X_Client_Secret": secret, "X_Client_Domain": domain}


def sign(xwms, client_id: str, secret: str, uri: str = GOOD["redirect_uri"]):
    return xwms.call("sign-token", {"redirect_url": uri}, **headers(client_id, secret))


# --- made once --------------------------------------------------------------------------------------------------------


def test_the_credentials_of_a_new_client_work_and_the_secret_is_shown_once(xwms, office):
    answer = create(office)
    client_id, secret = value_of(answer, "client-id"), value_of(answer, "client-secret")
    assert "shown only once" in words(answer)
    assert f"XWMS_CLIENT_ID={client_id}" in answer.text
    assert "XWMS_DOMAIN=shop.example" in answer.text
    assert "XWMS_REDIRECT_URI=https://shop.example/callback" in answer.text
    assert "XWMS_API_URI=http://127.0.0.1:8800/api/" in answer.text
    assert answer.text.count(secret) == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert sign(xwms, client_id, secret).status_code == 200

    number = re.search(r"/clients/(\d+)", answer.text)
    pages = ["", "/secrets", "/redirect-uris", "/domains", "/scopes", "/users", "/log", "/delete"]
    for path in ["/clients", *(f"/clients/{number[1]}{page}" for page in pages)]:
        assert secret not in office.get(path).text


def test_the_list_shows_every_client_with_its_client_id_and_state(office):
    shop = office.create_client(name="Shop", domain="shop.example")
    cafe = office.create_client(name="Café")
    assert shop[1] != cafe[1]
    text = office.page_text("/clients")
    assert f"Shop {shop[1]} Copy shop.example enabled" in text
    assert f"Café {cafe[1]} Copy localhost enabled" in text
    assert "sandbox-client" not in text


@pytest.mark.parametrize("times", [1, 2])
def test_sending_the_form_again_makes_no_second_client_and_shows_no_secret(office, times):
    create(office)
    clients, secrets = count(office, Client), count(office, ClientSecret)
    for _ in range(times):
        again = create(office)
        assert (again.status_code, faults(again)) == (422, "This account already has a client with this name.")
        assert "client-secret" not in again.text
    assert (count(office, Client), count(office, ClientSecret)) == (clients, secrets)


def test_what_is_wrong_is_explained_beside_the_field_and_what_was_typed_stays(office, subtests):
    for field, value, fault in [
        ("name", " ", "Please give the client a name."),
        ("name", "n" * 81, "Please give the client a name of at most 80 printable characters."),
        ("domain", "", "Please enter a domain without scheme, port and path, such as app.example."),
        ("domain", "https://shop.example", "Please enter a domain without scheme, port and path, such as app.example."),
        ("domain", "shop.example:443", "Please enter a domain without scheme, port and path, such as app.example."),
        ("redirect_uri", "", "Please enter the URL of your app's callback"),
        ("redirect_uri", "shop.example/callback", "This is not an absolute http or https URL"),
        ("redirect_uri", "ftp://shop.example/callback", "This is not an absolute http or https URL"),
        ("redirect_uri", " https://shop.example/callback", "There is a space before or after it"),
        ("redirect_uri", "https://*.shop.example/callback", "A redirect URI cannot have wildcards"),
        ("redirect_uri", "https://shop.example/callback#top", "fragment"),
        ("redirect_uri", "https://ada@shop.example/callback", "This is not an absolute http or https URL"),
        ("redirect_uri", "https://shop.example", "The path is missing"),
        ("redirect_uri", "javascript:alert(1)", "This is not an absolute http or https URL"),
    ]:
        with subtests.test(field=field, value=value, fault=fault):
            before = count(office, Client)
            typed = GOOD | {field: value}
            answer = create(office, **typed)
            assert answer.status_code == 422
            assert fault in faults(answer)
            assert list(faults_at_fields(answer)) == [field]
            for name, text in typed.items():
                assert re.search(rf'<input id="{name}"[^>]* value="{re.escape(text)}"', answer.text)
            assert count(office, Client) == before


def test_two_accounts_may_have_clients_of_one_name_and_see_only_their_own(xwms, office):
    mine = office.create_client()
    other = Office(xwms)
    other.register(account="Elsewhere", name="Bea", email="bea@else.example")
    other.activate_plan()
    theirs = other.create_client()
    assert mine[1] in office.page_text("/clients")
    assert theirs[1] not in office.page_text("/clients")
    for path in ("", "/secrets", "/redirect-uris", "/domains", "/scopes", "/users", "/log", "/delete"):
        assert other.get(f"/clients/{mine[0]}{path}").status_code == 404
    before = count(office, Client)
    for path, fields in (
        ("/name", {"name": "Mine"}),
        ("/enabled", {"enabled": "no"}),
        ("/delete", {"name": "Shop"}),
    ):
        assert other.post(f"/clients/{mine[0]}{path}", **fields).status_code == 404
    assert count(office, Client) == before
    assert f"Shop {mine[1]} Copy localhost enabled" in office.page_text("/clients")


# --- renamed, disabled, enabled ---------------------------------------------------------------------------------------


def test_a_new_name_changes_nothing_else(xwms, office):
    number, client_id, secret = office.create_client(**GOOD)
    token = sign(xwms, client_id, secret).json["data"]["token"]
    page = f"/clients/{number}"
    answer = office.submit(page, "/name", name="  Flower   shop ")
    assert notice(answer) == "The name was changed. Nothing else was."
    assert f"Flower shop {client_id} Copy shop.example enabled" in office.page_text("/clients")
    assert xwms.choose(token).status_code == 303
    body = {"token": token, "redirect_url": GOOD["redirect_uri"]}
    assert xwms.call("sign-token-verify", body, **headers(client_id, secret)).status_code == 200
    assert "Default" in office.page_text(f"{page}/secrets")


def test_a_name_that_is_taken_or_empty_is_refused_beside_the_field(office):
    number, *_ = office.create_client(name="Shop")
    office.create_client(name="Café")
    for name, fault in (("Café", "already has a client with this name"), ("", "Please give the client a name.")):
        answer = office.submit(f"/clients/{number}", "/name", name=name)
        assert answer.status_code == 422
        assert fault in faults(answer)
        assert "name-fault" in answer.text
    assert office.submit(f"/clients/{number}", "/name", name="Shop").status_code == 200
    assert "Shop enabled" in office.page_text(f"/clients/{number}")


def test_a_disabled_client_is_refused_and_keeps_everything_until_it_is_enabled(xwms, office):
    number, client_id, secret = office.create_client(**GOOD)
    page = f"/clients/{number}"
    assert "disabled: logins and API calls are refused" in notice(office.submit(page, "/enabled"))
    assert f"{client_id} Copy shop.example disabled" in office.page_text("/clients")
    refused = sign(xwms, client_id, secret)
    assert (refused.status_code, refused.json["message"]) == (403, "The client is disabled.")
    assert notice(office.submit(page, "/enabled")) == "The client is enabled."
    assert sign(xwms, client_id, secret).status_code == 200


def test_disabling_twice_leaves_it_disabled(xwms, office):
    number, client_id, secret = office.create_client(**GOOD)
    for _ in range(2):
        office.post(f"/clients/{number}/enabled", enabled="no")
    assert sign(xwms, client_id, secret).status_code == 403


# --- deleted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "shop", "Shop 2", "yes"])
def test_a_client_is_not_deleted_without_its_name(xwms, office, name):
    number, client_id, secret = office.create_client(**GOOD)
    answer = office.submit(f"/clients/{number}/delete", "/delete", name=name)
    assert (answer.status_code, faults(answer)) == (422, "Please type the client's name to confirm.")
    assert sign(xwms, client_id, secret).status_code == 200


def test_the_page_says_what_goes_with_a_client_and_it_goes(xwms, office):
    before = {table: count(office, table) for table in OWNED}
    number, client_id, secret = office.create_client(**GOOD)
    page = f"/clients/{number}"
    office.submit(f"{page}/redirect-uris", "/redirect-uris", redirect_uri="https://shop.example/second")
    token = sign(xwms, client_id, secret).json["data"]["token"]
    xwms.choose(token)
    body = {"token": token, "redirect_url": GOOD["redirect_uri"]}
    assert xwms.call("sign-token-verify", body, **headers(client_id, secret)).status_code == 200
    sign(xwms, client_id, secret)
    xwms.clock.now += 300
    waiting = sign(xwms, client_id, secret).json["data"]["token"]
    xwms.clock.now += 400  # the login that was begun before the last one is over by now

    text = office.page_text(f"{page}/delete")
    assert f"the client ID {client_id} and 1 client secret: every call with them is refused" in text
    assert "1 token of logins that are under way" in text
    assert "2 redirect URIs and 1 domain" in text
    assert "the approvals of 1 user, and the API log" in text

    answer = office.submit(f"{page}/delete", "/delete", name=" Shop ")
    assert notice(answer) == "Shop was deleted. Its credentials and tokens no longer work."
    assert client_id not in words(answer)
    assert office.get(page).status_code == 404
    assert sign(xwms, client_id, secret).status_code == 401
    assert xwms.http.get(f"/sign-in/{waiting}").status_code == 404
    gone = {table: count(office, table) for table in OWNED if table is not ApiCall}
    assert gone == {table: before[table] for table in OWNED if table is not ApiCall}
    assert office.post(f"{page}/delete", name="Shop").status_code == 404


def test_deleting_one_client_leaves_the_others_alone(xwms, office):
    kept = office.create_client(**GOOD)
    lost = office.create_client(name="Café", domain="shop.example", redirect_uri=GOOD["redirect_uri"])
    office.post(f"/clients/{lost[0]}/delete", name="Café")
    assert sign(xwms, kept[1], kept[2]).status_code == 200
    assert xwms.sign_token()["token"]


# --- what is typed, and what is secret --------------------------------------------------------------------------------


def test_html_in_names_is_text_everywhere(xwms):
    office = Office(xwms)
    office.register(account=f"A{HOSTILE}", name=f"M{HOSTILE}", email='"><script>x</script>@acme.example')
    office.activate_plan()
    office.submit("/roles", "/roles", role=f"R{HOSTILE[:30]}", permission=["plan.manage"])
    created = create(office, name=f"C{HOSTILE}", redirect_uri="https://shop.example/cb?a=<b>&c='")
    assert created.status_code == 422  # a redirect URI cannot hold such characters
    created = create(office, name=f"C{HOSTILE}", redirect_uri="https://shop.example/cb?a='&c=%3Cb%3E")
    number = re.search(r"/clients/(\d+)", created.text)[1]
    page = f"/clients/{number}"
    answers = [created, office.submit(f"{page}/secrets", "/secrets", label=f"S{HOSTILE[:30]}")]
    answers += [office.get(path) for path in ("/clients", "/clients/new", "/members", "/roles", "/plan", "/faults")]
    tabs = ("", "/secrets", "/redirect-uris", "/domains", "/scopes", "/users", "/log", "/delete")
    answers += [office.get(page + path) for path in tabs]
    answers += [
        office.submit(page, "/name", name=f"D{HOSTILE}"),
        office.submit(page, "/name", name=""),
        office.submit(f"{page}/redirect-uris", "/redirect-uris", redirect_uri=HOSTILE),
        create(office, name=HOSTILE, domain=HOSTILE, redirect_uri=HOSTILE),
        Office(xwms).get(""),
        office.submit(f"{page}/delete", "/delete", name=f"D{HOSTILE}"),
    ]
    for answer in answers:
        assert answer.status_code in (200, 422), answer.request.path
        assert "<script>" not in answer.text
        assert "alert(1)" not in re.sub(r"&lt;script&gt;alert\(1\)&lt;/script&gt;", "", answer.text)
        assert not re.search(r"<b\b", answer.text), answer.request.path
    assert any(HOSTILE[:20] in words(answer) for answer in answers)


def test_the_secret_that_the_sandbox_was_started_with_is_on_no_page(xwms):
    office = Office(xwms)
    office.enter(LOCAL_OWNER)
    for path in ("/clients", *(f"/clients/1{page}" for page in ("", "/secrets", "/domains", "/log", "/delete"))):
        assert SECRET not in office.get(path).text
    assert "sandbox-client" in office.page_text("/clients")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("Owner", {"new", "name", "backchannel-logout", "enabled", "delete"}),
        ("Developer", {"new", "name", "backchannel-logout", "enabled"}),
        ("Viewer", set()),
    ],
)
def test_a_role_is_offered_what_it_may_do_and_refused_the_rest(xwms, office, role, allowed):
    number, client_id, _ = office.create_client()
    office.add_member("Nina", role)
    nina = Office(xwms)
    nina.enter("Nina")
    page = f"/clients/{number}"
    forms = {form.action.rpartition("/")[2] for form in nina.forms(page)}
    assert forms == allowed - {"new", "delete"}
    assert (f'href="/dashboard{page}/delete"' in nina.get(page).text) is ("delete" in allowed)
    assert ('href="/dashboard/clients/new"' in nina.get("/clients").text) is ("new" in allowed)
    assert client_id in nina.page_text("/clients")
    tried = {
        "name": nina.post(f"{page}/name", name="Nina's"),
        "backchannel-logout": nina.post(f"{page}/backchannel-logout", backchannel_logout_uri=""),
        "enabled": nina.post(f"{page}/enabled", enabled="yes"),
        "new": nina.post("/clients/new", **GOOD | {"name": "Another"}),
        "delete": nina.post(f"{page}/delete", name="Nina's" if "name" in allowed else "Shop"),
    }
    assert {name for name, answer in tried.items() if answer.status_code == 200} == allowed
    assert {answer.status_code for name, answer in tried.items() if name not in allowed} <= {403}
    assert nina.get(f"{page}/delete").status_code == (404 if "delete" in allowed else 403)
    assert count(office, Member) == 3
