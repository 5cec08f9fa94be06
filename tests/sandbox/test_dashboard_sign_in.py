"""The dashboard's door: the first steps of an account, who is let in, and what every page and form is protected by."""

import re
import time

import pytest

from tests.sandbox.local_xwms import REDIRECT
from tests.sandbox.office import Office, faults, notice, value_of, words
from xwms_auth.sandbox.db.schema import Table
from xwms_auth.sandbox.seed.defaults import LOCAL_OWNER

CLIENT = {"name": "Shop", "domain": "shop.example", "redirect_uri": "https://shop.example/callback"}
OPEN = {"/dashboard", "/dashboard/enter", "/dashboard/leave", "/dashboard/register"}


def paths(xwms, method: str) -> list[str]:
    """The path of each of the dashboard's rules for a method, with 1 for every id: that of the local account."""
    return sorted(
        re.sub(r"<[^>]+>", "1", rule.rule)
        for rule in xwms.app.url_map.iter_rules()
        if rule.rule.startswith("/dashboard") and method in rule.methods
    )


def everything(xwms) -> object:
    """All that the sandbox holds: to see that nothing happened."""
    inside = xwms.app.extensions["xwms_sandbox"]
    with inside.database.work() as db:
        rows = {name: db.execute(table.select()).all() for name, table in Table.metadata.tables.items()}
    return rows, inside.faults.active()


@pytest.fixture
def office(xwms) -> Office:
    return Office(xwms)


@pytest.fixture
def local(xwms) -> Office:
    """The owner of the account with the client that the sandbox was started with."""
    member = Office(xwms)
    member.enter(LOCAL_OWNER)
    return member


# --- account, plan, client --------------------------------------------------------------------------------------------


def test_registering_makes_an_account_and_leads_its_owner_to_the_plan(office):
    answer = office.register(account="Acme", name="Ada", email="ada@acme.example")
    assert answer.request.path == "/dashboard/plan"
    assert notice(answer) == "Welcome, Ada. Your account is ready."
    assert "Ada Owner Ada, Acme Sign out" in words(answer)
    assert "Welcome" not in office.page_text("/plan")


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("account", "", "Please give the account a name."),
        ("account", "a" * 101, "Please give the account a name of at most 100 printable characters."),
        ("account", "a\x00b", "Please give the account a name of at most 100 printable characters."),
        ("name", " \t ", "Please give your name."),
        ("email", "", "That is not an e-mail address."),
        ("email", "ada", "That is not an e-mail address."),
        ("email", "@acme.example", "That is not an e-mail address."),
        ("email", "ada@", "That is not an e-mail address."),
        ("email", "ada lovelace@acme.example", "That is not an e-mail address."),
        ("email", "a" * 250 + "@b.example", "That is not an e-mail address."),
    ],
)
def test_what_is_wrong_with_a_registration_is_said_and_what_was_typed_stays(office, xwms, field, value, fault):
    before = everything(xwms)
    typed = {"account": "Acme <b>", "name": "Ada", "email": "ada@acme.example"} | {field: value}
    answer = office.register(**typed)
    assert (answer.status_code, faults(answer)) == (422, fault)
    assert f'id="{field}-fault"' in answer.text
    kept = {name: typed[name] for name in typed if name != field}
    for name, text in kept.items():
        assert f'name="{name}" type="' in answer.text
        assert f'value="{text.replace("<", "&lt;").replace(">", "&gt;")}"' in answer.text
    assert everything(xwms) == before
    assert "Sign out" not in words(answer)


def test_the_same_person_cannot_register_the_same_account_twice(office, xwms):
    office.register()
    office.leave()
    before = everything(xwms)
    assert faults(office.register(email="ADA@acme.example")) == "You already have an account with this name."
    assert everything(xwms) == before
    assert office.register(name="Bea", email="bea@acme.example").status_code == 200


def test_a_client_needs_a_plan(office):
    office.register()
    assert "Choose a plan" in office.page_text("/clients")
    assert office.forms("/clients/new") == []
    answer = office.post("/clients/new", **CLIENT)
    assert (answer.status_code, faults(answer)) == (422, "Activate a plan first: clients need a plan.")
    assert "Shop" not in office.page_text("/clients")
    assert notice(office.activate_plan()) == "The plan is active. You can create clients now."
    assert office.create_client()[0]


def test_after_the_plan_has_ended_clients_go_on_and_no_new_one_is_made(xwms, local):
    local.submit("/plan", "/plan/end")
    assert xwms.sign_token()["token"]
    assert "Its clients keep working; a new one needs a plan." in local.page_text("/clients")
    assert local.post("/clients/new", **CLIENT).status_code == 422
    local.activate_plan()
    assert local.post("/clients/new", **CLIENT).status_code == 200


def test_activating_a_plan_again_changes_nothing(xwms, local):
    before = everything(xwms)
    xwms.clock.now += 100
    local.post("/plan", plan="client")
    assert everything(xwms) == before
    assert local.post("/plan", plan="golden").status_code == 404
    assert everything(xwms) == before


def test_one_can_leave_and_go_on_as_somebody_else(office, xwms):
    office.register()
    office.register(account="Elsewhere", name="Bea", email="bea@else.example")
    assert "Acme" in words(office.enter("Ada"))
    assert office.get("").request.path == "/dashboard/clients"
    assert "Elsewhere" in words(office.enter("Bea"))
    answer = office.leave()
    assert answer.request.path == "/dashboard"
    assert "Choose a member to sign in as" in words(answer)
    assert office.get("/clients").request.path == "/dashboard"


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda office: office.leave(), id="sign out"),
        pytest.param(lambda office: office.post("/enter", member="1"), id="go on as somebody else"),
        pytest.param(lambda office: office.register("Elsewhere", "Bea", "bea@else.example"), id="register"),
    ],
)
def test_a_copied_cookie_is_worthless_once_its_session_has_ended(office, xwms, leave):
    office.register()
    cookie = office.http.get_cookie("xwms_dashboard_8800", path="/dashboard")
    assert cookie
    thief = Office(xwms)
    thief.http.set_cookie(cookie.key, cookie.value, path="/dashboard")
    assert "Acme" in thief.page_text("/clients")
    leave(office)
    assert thief.get("/clients").request.path == "/dashboard"
    assert thief.raw("/plan", form={"plan": "client"}).headers["Location"] == "/dashboard"


def test_signing_out_ends_no_other_session_of_the_member(office, xwms):
    office.register()
    elsewhere = Office(xwms)
    elsewhere.enter("Ada")
    office.leave()
    assert "Acme" in elsewhere.page_text("/clients")


def test_nobody_enters_as_a_member_who_is_not_there(office, subtests):
    for member in ("999", "0", "-1", "x", "", "9" * 30, "１"):
        with subtests.test(member=member):
            assert office.post("/enter", member=member).status_code == 404
            assert office.get("/clients").request.path == "/dashboard"


def test_after_a_restart_one_has_to_choose_again(make_xwms, tmp_path):
    path = tmp_path / "xwms.db"
    before = Office(make_xwms(database=path))
    before.register()
    cookie = before.http.get_cookie("xwms_dashboard_8800", path="/dashboard")
    before.xwms.app.extensions["xwms_sandbox"].database.close()
    after = Office(make_xwms(database=path))
    after.http.set_cookie(cookie.key, cookie.value, path="/dashboard")
    assert after.get("/clients").request.path == "/dashboard"
    assert "Acme" in words(after.enter("Ada"))


# --- every page needs a member, every form a token --------------------------------------------------------------------


def test_every_page_but_the_first_two_needs_a_member(xwms, office):
    pages = [path for path in paths(xwms, "GET") if path not in OPEN]
    assert len(pages) > 8
    for path in pages:
        answer = office.get(path.removeprefix("/dashboard"))
        assert (answer.request.path, answer.status_code) == ("/dashboard", 200), path
        assert "sandbox-client" not in answer.text


def test_no_form_does_anything_for_somebody_who_is_not_signed_in(xwms, office):
    before = everything(xwms)
    forms = [path for path in paths(xwms, "POST") if path not in OPEN]
    assert len(forms) > 15
    for path in forms:
        answer = office.raw(path.removeprefix("/dashboard"), form={})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard"), path
    assert everything(xwms) == before


def foreign(office: Office, monkeypatch: pytest.MonkeyPatch) -> str:
    stranger = Office(office.xwms)
    stranger.enter(LOCAL_OWNER)
    return stranger.token()


def old(office: Office, monkeypatch: pytest.MonkeyPatch) -> str:
    token, later = office.token(), time.time() + 3700  # tokens are signed with the machine's time
    monkeypatch.setattr("time.time", lambda: later)
    return token


def from_before_signing_in(office: Office, monkeypatch: pytest.MonkeyPatch) -> str:
    office.leave()
    token = office.token()
    office.submit("", "/enter")  # with the cookie that the token belongs to
    return token


@pytest.mark.parametrize(
    "token_of",
    [
        pytest.param(lambda office, patch: "", id="missing"),
        pytest.param(lambda office, patch: "x", id="made-up"),
        pytest.param(lambda office, patch: office.token() + "x", id="changed"),
        foreign,
        old,
        from_before_signing_in,
    ],
)
def test_a_form_without_this_browser_s_token_is_refused_and_nothing_happens(xwms, local, monkeypatch, token_of):
    token = token_of(local, monkeypatch)
    before = everything(xwms)
    for path in paths(xwms, "POST"):
        answer = local.raw(path.removeprefix("/dashboard"), form={"member": "1", **CLIENT}, token=token)
        assert answer.status_code == 403, path
        assert "Go back and reload it" in words(answer)
    assert everything(xwms) == before
    assert local.get("/clients").request.path == "/dashboard/clients"  # not even signed out


def test_a_token_in_the_address_or_from_an_older_page_of_this_browser_counts_as_it_should(xwms, local):
    first, second = local.token(), local.token()
    assert local.raw(f"/plan/end?csrf_token={first}", form={}, token="").status_code == 403
    assert local.raw("/plan/end", form={}, token=first).status_code == 303
    assert local.raw("/plan", form={"plan": "client"}, token=second).status_code == 303


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_a_form_that_another_site_sends_is_refused_even_with_a_token_and_nothing_happens(xwms, local, site):
    before = everything(xwms)
    for path in paths(xwms, "POST"):
        answer = local.raw(
            path.removeprefix("/dashboard"), form={"member": "1", **CLIENT}, headers={"Sec-Fetch-Site": site}
        )
        assert answer.status_code == 403, path
        assert "only be sent from the dashboard" in words(answer)
    assert everything(xwms) == before


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_form_that_the_dashboard_or_a_reload_sends_is_taken(local, site):
    assert local.raw("/plan/end", form={}, headers={"Sec-Fetch-Site": site}).status_code == 303


def test_looking_changes_nothing(xwms, local):
    before = everything(xwms)
    for path in paths(xwms, "GET"):
        assert local.get(path.removeprefix("/dashboard")).status_code in (200, 404), path
    assert everything(xwms) == before


def test_a_form_s_address_is_no_page_and_a_page_takes_no_other_method(xwms, local):
    for path in set(paths(xwms, "POST")) - set(paths(xwms, "GET")):
        assert local.http.get(path).status_code == 405, path
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert local.http.open("/dashboard/clients", method=method).status_code == 405


# --- cookie, headers, pages -------------------------------------------------------------------------------------------


def set_cookie(xwms) -> tuple[str, set[str]]:
    pair, *attributes = xwms.http.get("/dashboard").headers["Set-Cookie"].split("; ")
    return pair.partition("=")[0], set(attributes)


@pytest.mark.parametrize(
    ("public_url", "name", "more"),
    [
        ("http://127.0.0.1:8800", "xwms_dashboard_8800", set()),
        ("http://127.0.0.1:9900", "xwms_dashboard_9900", set()),
        ("https://localhost", "xwms_dashboard_public", {"Secure"}),
    ],
)
def test_the_cookie_is_the_dashboard_s_own_and_out_of_reach(make_xwms, public_url, name, more):
    attributes = {"HttpOnly", "Path=/dashboard", "SameSite=Lax"} | more
    assert set_cookie(make_xwms(public_url=public_url)) == (name, attributes)


def test_nothing_but_the_dashboard_has_a_cookie(xwms, local):
    for path in ("/", "/api/info", xwms.sign_token()["url"], "/nowhere"):
        answer = local.http.get(path)
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.request.headers


def test_the_cookie_cannot_be_made_up(xwms, local):
    outside = Office(xwms)
    cookie = local.http.get_cookie("xwms_dashboard_8800", path="/dashboard")
    payload, _, signature = cookie.value.partition(".")
    outside.http.set_cookie(cookie.key, f"{payload}x.{signature}", path="/dashboard")
    assert outside.get("/clients").request.path == "/dashboard"


def visited(xwms, local) -> dict[str, object]:
    """Every page of the dashboard as its member sees it, and some that say no."""
    local.post("/clients/1/secrets", label="Second", domain=["1"])
    xwms.sign_token()
    xwms.app.extensions["xwms_sandbox"].faults.clear()
    answers = {path: local.get(path.removeprefix("/dashboard")) for path in paths(xwms, "GET")}
    answers["422"] = local.post("/clients/new", name="", domain="", redirect_uri="")
    answers["404"] = local.get("/clients/999")
    answers["403"] = local.raw("/plan/end", form={}, token="")
    answers["once"] = local.post("/clients/new", **CLIENT)
    answers["entrance"] = Office(xwms).get("")
    answers["register"] = Office(xwms).get("/register")
    return answers


def test_every_page_may_load_only_our_own_files_and_be_framed_by_nobody(xwms, local):
    for path, answer in visited(xwms, local).items():
        parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
        policy = {name: value for name, _, value in parts}
        assert policy["default-src"] == "'none'", path
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert {policy.get("script-src", "'self'"), policy["style-src"], policy["img-src"]} == {"'self'"}
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_page_has_inline_script_or_style_and_every_one_works_without_scripts(xwms, local):
    for path, answer in visited(xwms, local).items():
        text = answer.text
        assert answer.mimetype == "text/html"
        assert re.findall(r"<script[^>]*>", text) in (
            [],
            ['<script src="/static/copy.js" defer>'],
        ), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<iframe|<base", text), path
        # What only a script could use is hidden until one runs; every other button sends the form it stands in.
        outside = re.sub(r"<form.*?</form>", "", text, flags=re.DOTALL)
        assert all("hidden" in button for button in re.findall(r"<button[^>]*>", outside)), path
        assert all('method="post"' in form for form in re.findall(r"<form[^>]*>", text)), path
        assert len(re.findall("<h1", text)) == 1, path
        assert 'name="viewport"' in text


def test_every_label_is_of_a_field_and_no_id_is_there_twice(xwms, local):
    for path, answer in visited(xwms, local).items():
        ids = re.findall(r'\sid="([^"]+)"', answer.text)
        assert len(ids) == len(set(ids)), path
        pointed = re.findall(r'\s(?:for|aria-describedby|aria-labelledby|data-copies)="([^"]+)"', answer.text)
        assert set(" ".join(pointed).split()) <= set(ids), path


def test_the_copy_script_is_served_and_the_value_stands_on_the_page_anyway(xwms, local):
    with local.http.get("/static/copy.js") as answer:
        assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
    assert value_of(local.get("/clients/1"), "client-id") == "sandbox-client"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
def test_a_foreign_host_sees_no_dashboard(local, host):
    assert local.http.get("/dashboard/clients", headers={"Host": host}).status_code == 421


def test_a_number_that_no_database_can_hold_is_not_there(xwms, local):
    for method in ("GET", "POST"):
        for rule in paths(xwms, method):
            if "/1" not in rule:
                continue
            path = rule.removeprefix("/dashboard").replace("/1", f"/{10**30}")
            answer = local.get(path) if method == "GET" else local.post(path)
            assert answer.status_code == 404, path


def test_the_redirect_uri_of_the_settings_is_shown_to_its_account_only(xwms, local):
    assert REDIRECT in local.page_text("/clients/1/redirect-uris")
    local.leave()
    local.register()
    assert local.get("/clients/1/redirect-uris").status_code == 404
