"""Domains in the dashboard: each switch does what it says, and says so to the app and in the API log."""

import re

import pytest

from tests.sandbox.local_xwms import REDIRECT
from tests.sandbox.office import Office, faults, notice, value_of, words
from tests.sandbox.staff import CLIENT, colleague, log, owner, rows, stranger

DOMAINS = f"{CLIENT}/domains"
LOCALHOST = f"{DOMAINS}/1"


@pytest.fixture
def office(xwms) -> Office:
    return owner(xwms)


def change(office: Office, path: str = LOCALHOST, **fields: object):
    """Send the form of a domain's page with some fields changed."""
    return office.submit(path, path, **fields)


def add(office: Office, **fields: object):
    """Send the form that adds a domain."""
    return office.submit(DOMAINS, DOMAINS, **fields)


def secrets_at(answer) -> dict[str, bool]:
    """The secrets that a page offers to link, and which of them are ticked."""
    return {
        number: bool(ticked) for number, ticked in re.findall(r'name="secret" value="(\d+)"( checked)?', answer.text)
    }


def sign(xwms, **headers: str) -> tuple[int, str]:
    answer = xwms.call("sign-token", {"redirect_url": REDIRECT}, **headers)
    return answer.status_code, answer.json["message"]


@pytest.mark.parametrize(
    ("switch", "label", "call", "message"),
    [
        ("active", "Active", "sign-token", "The domain is not active."),
        ("active", "Active", "global/countries", "The domain is not active."),
        ("allow_login", "Allow login", "sign-token", "The domain is not enabled for login."),
        ("allow_login", "Allow login", "sign-token-verify", "The domain is not enabled for login."),
        ("allow_api", "Allow API", "global/countries", "The domain is not enabled for API calls."),
        ("allow_api", "Allow API", "get/user/info", "The domain is not enabled for API calls."),
        ("allow_api", "Allow API", "user/address", "The domain is not enabled for API calls."),
    ],
)
def test_a_switch_that_is_off_refuses_in_its_own_words_until_it_is_on_again(xwms, office, switch, label, call, message):
    body = {"redirect_url": REDIRECT, "token": "a-token", "sub": "1001"}
    before = xwms.call(call, body).json["message"]
    assert notice(change(office, **{switch: []})) == "localhost was changed."
    answer = xwms.call(call, body)
    assert (answer.status_code, answer.json["message"]) == (403, message)
    line = f"15 Jan 2027, 08:00:00 {call} localhost 127.0.0.1 403 localhost: the switch “{label}” is off."
    assert log(office)[0] == line
    change(office, **{switch: "yes"})
    assert xwms.call(call, body).json["message"] == before


def test_login_and_api_are_switched_apart(xwms, office):
    change(office, allow_login=[])
    assert xwms.call("global/countries", {}).status_code == 200
    change(office, allow_login="yes", allow_api=[])
    assert sign(xwms)[0] == 200


def test_a_sign_in_page_of_a_domain_that_was_switched_off_signs_nobody_in(xwms, office):
    token = xwms.sign_token()["token"]
    change(office, allow_login=[])
    assert xwms.choose(token).status_code == 403


@pytest.mark.parametrize(
    ("listed", "ip", "status"),
    [
        ("192.0.2.7", "192.0.2.7", 200),
        ("192.0.2.7", "192.0.2.8", 403),
        ("192.0.2.0/24", "192.0.2.255", 200),
        ("192.0.2.0/24", "192.0.3.0", 403),
        ("2001:db8::1", "2001:db8:0:0::1", 200),
        ("2001:db8::1", "2001:db8::2", 403),
        ("2001:db8::/32", "2001:db8:ffff::1", 200),
        ("2001:db8::/32", "2001:db9::1", 403),
        ("192.0.2.7", "::ffff:192.0.2.7", 200),
        ("192.0.2.7", "2001:db8::1", 403),
        ("192.0.2.7\r\n2001:db8::/32, 198.51.100.1", "198.51.100.1", 200),
        ("0.0.0.0/0", "no-address", 403),
    ],
)
def test_only_listed_servers_may_call(xwms, office, listed, ip, status):
    change(office, allowed_ips=listed)
    xwms.http.environ_base["REMOTE_ADDR"] = ip
    answered, message = sign(xwms)
    assert answered == status
    if status == 403:
        assert message == "The server IP address is not allowed for this domain."
        assert log(office)[0].endswith(f" {ip} 403 localhost: {ip} is not on the list of server addresses.")


def test_an_empty_list_lets_every_server_call(xwms, office):
    change(office, allowed_ips="192.0.2.7")
    assert sign(xwms)[0] == 403
    change(office, allowed_ips=" \r\n")
    assert sign(xwms)[0] == 200


def test_the_list_is_shown_as_it_is_understood(office):
    change(office, allowed_ips="192.0.2.7/32 198.51.100.9/24\r\n2001:DB8::1, 192.0.2.7")
    shown = office.form(LOCALHOST, LOCALHOST).fields["allowed_ips"]
    assert shown == ["192.0.2.7\n198.51.100.0/24\n2001:db8::1"]


def test_what_is_no_address_is_explained_and_changes_nothing(xwms, office, subtests):
    for listed in ("app.example", "192.0.2.300", "192.0.2.0/33", "10.0.0.1-9", "*"):
        with subtests.test(listed=listed):
            answer = change(office, allowed_ips=listed, active=[], secret=[])
            assert answer.status_code == 422
            assert faults(answer) == f"This is not an IP address or network: {listed}"
            assert f">\n{listed}</textarea>" in answer.text
            assert len(re.findall(r'type="checkbox"[^>]* checked', answer.text)) == 2  # as it was sent
            assert sign(xwms)[0] == 200


def test_live_mode_refuses_a_redirect_uri_without_https_and_test_mode_does_not(xwms, office):
    assert f"Live mode refuses these redirect URIs: {REDIRECT}" in office.page_text(LOCALHOST)
    change(office, live="yes")
    assert sign(xwms) == (422, "A live domain needs an https redirect URL.")
    assert log(office)[0].endswith(f" 422 localhost is in live mode, and {REDIRECT} is not https.")
    assert xwms.call("sign-token", {"redirect_url": "https://app.example/callback"}).status_code == 200
    change(office, live=[])
    assert sign(xwms)[0] == 200


def test_a_call_may_name_a_domain_by_its_id(xwms, office):
    domain_id = value_of(office.get(LOCALHOST), "domain-id")
    assert domain_id.startswith("dom_")
    assert value_of(office.get(DOMAINS), "domain-id-1") == domain_id
    assert sign(xwms, X_Client_Domain=domain_id)[0] == 200
    assert f" {domain_id} " in log(office)[0]
    change(office, active=[])
    assert sign(xwms, X_Client_Domain=domain_id) == (403, "The domain is not active.")


def test_a_new_domain_works_with_the_secret_that_is_ticked_beforehand(xwms, office):
    assert "Link to secret “Command line”" in office.page_text(DOMAINS)
    assert notice(add(office, domain="Staging.Example")) == "staging.example was added."
    assert sign(xwms, X_Client_Domain="staging.example")[0] == 200


def test_a_new_domain_without_a_secret_is_refused_and_says_so_everywhere(xwms, office):
    answer = add(office, domain="staging.example", secret=[])
    said = "staging.example was added. It is not linked to a secret: until it is, calls from it are refused."
    assert notice(answer) == said
    assert "This domain is not linked to a secret, and every call from it is refused." in words(answer)
    assert rows(office.get(DOMAINS))[1].endswith("none: refused")
    assert sign(xwms, X_Client_Domain="staging.example") == (403, "The domain is not allowed for this client secret.")
    assert "The secret “Command line” is not linked to staging.example." in log(office)[0]
    change(office, f"{DOMAINS}/2", secret="1")
    assert sign(xwms, X_Client_Domain="staging.example")[0] == 200


def test_the_secret_that_is_ticked_beforehand_is_the_first_that_is_of_use(xwms, office):
    office.post(f"{CLIENT}/secrets", label="Second")
    office.post(f"{CLIENT}/secrets", label="Third")
    assert secrets_at(office.get(DOMAINS)) == {"1": True, "2": False, "3": False}
    office.post(f"{CLIENT}/secrets/1/active", active="no")
    page = office.get(DOMAINS)
    assert secrets_at(page) == {"1": False, "2": True, "3": False}
    assert "“Command line” switched off" in words(page)


def test_an_unlinked_secret_stops_working_for_that_domain_alone(xwms, office):
    add(office, domain="staging.example")
    change(office, secret=[])
    assert sign(xwms) == (403, "The domain is not allowed for this client secret.")
    assert sign(xwms, X_Client_Domain="staging.example")[0] == 200


def test_a_form_that_is_older_than_a_secret_does_not_unlink_it(xwms, office):
    form = office.form(LOCALHOST, LOCALHOST).fields
    newer = value_of(office.post(f"{CLIENT}/secrets", label="Newer", domain="1"), "client-secret")
    assert notice(office.post(LOCALHOST, **form)) == "localhost was changed."
    assert sign(xwms, X_Client_Secret=newer)[0] == 200


def test_people_who_cancel_go_to_the_fallback_uri(xwms, office):
    for uri, target in (("", "http://localhost:5000/"), ("https://app.example/sorry", "https://app.example/sorry")):
        change(office, fallback_uri=uri)
        assert f'<a href="{target}">Cancel</a>' in xwms.http.get(xwms.sign_token()["url"]).text


def test_a_fallback_uri_that_is_none_is_explained(xwms, office, subtests):
    for uri in ("javascript:alert(1)", "/sorry", "https://app.example/#sorry"):
        with subtests.test(uri=uri):
            answer = change(office, fallback_uri=uri)
            assert answer.status_code == 422
            assert faults(answer).startswith("This is ")
            assert uri in faults(answer)
            assert uri not in xwms.http.get(xwms.sign_token()["url"]).text


def test_a_domain_that_cannot_be_added_is_explained(office, subtests):
    for typed, problem in [
        ("https://app.example/", "Please enter a domain without scheme, port and path, such as app.example."),
        ("app.example:8443", "Please enter a domain without scheme, port and path, such as app.example."),
        ("", "Please enter a domain without scheme, port and path, such as app.example."),
        (" LOCALHOST ", "This client already has this domain."),
    ]:
        with subtests.test(typed=typed, problem=problem):
            answer = add(office, domain=typed, secret=[])
            assert (answer.status_code, faults(answer)) == (422, problem)
            assert f'value="{typed}"' in answer.text
            assert secrets_at(answer) == {"1": False}  # as it was sent
            assert len(rows(office.get(DOMAINS))) == 1


def test_the_list_shows_the_switches_at_a_glance(office):
    add(office, domain="staging.example", secret=[])
    change(office, allow_login=[], live="yes", allowed_ips="192.0.2.7 2001:db8::/32")
    first, second = rows(office.get(DOMAINS))
    assert first.endswith(" live active no login API 2 listed Command line")
    assert second.endswith(" test active login API any none: refused")


def test_calls_from_a_removed_domain_are_refused_and_its_logins_end(xwms, office):
    add(office, domain="staging.example")
    token = xwms.call("sign-token", {"redirect_url": REDIRECT}, X_Client_Domain="staging.example").json["data"]["token"]
    answer = office.submit(f"{DOMAINS}/2", f"{DOMAINS}/2/remove")
    assert notice(answer) == "staging.example was removed. Calls from it are refused."
    assert sign(xwms, X_Client_Domain="staging.example") == (403, "The domain is not known for this client.")
    assert xwms.choose(token).status_code == 404
    assert sign(xwms)[0] == 200


def test_the_last_domain_stays_with_all_that_belongs_to_it(xwms, office):
    assert "Remove" not in office.page_text(LOCALHOST)
    answer = office.post(f"{LOCALHOST}/remove")
    assert answer.status_code == 422
    assert faults(answer) == "A client needs at least one domain: switch it off instead."
    assert len(re.findall(r'type="checkbox"[^>]* checked', answer.text)) == 4  # three switches and the secret
    assert sign(xwms)[0] == 200


def test_what_belongs_to_another_account_is_not_there(xwms, office):
    theirs, client = stranger(xwms)
    number = re.search(rf"{client}/domains/(\d+)", theirs.get(f"{client}/domains").text)
    assert number
    for path in (f"{client}/domains", f"{client}/domains/{number[1]}", f"{DOMAINS}/{number[1]}", f"{DOMAINS}/999"):
        assert office.get(path).status_code == 404
    for path in (f"{client}/domains", f"{client}/domains/{number[1]}", f"{client}/domains/{number[1]}/remove"):
        assert office.post(path, domain="mine.example").status_code == 404
    (foreign,) = secrets_at(theirs.get(f"{client}/domains/{number[1]}"))
    for secret in (foreign, "999", "x", "٣", "1" * 30):
        assert change(office, secret=secret).status_code == 404
        assert add(office, domain="other.example", secret=secret).status_code == 404
    assert sign(xwms)[0] == 200  # nothing was unlinked either
    assert len(rows(office.get(DOMAINS))) == 1


def test_changing_domains_needs_the_permission_in_the_page_and_by_direct_request(xwms, office):
    viewer = colleague(xwms, "Vera")
    assert "Add a domain" not in viewer.page_text(DOMAINS)
    assert viewer.form(LOCALHOST, LOCALHOST).buttons == {}
    assert "“Command line”" in viewer.page_text(LOCALHOST)
    for path in (DOMAINS, LOCALHOST, f"{LOCALHOST}/remove"):
        answer = viewer.post(path, domain="new.example")
        assert answer.status_code == 403
        assert "Your role, As Vera, does not allow you to" in words(answer)
    assert sign(xwms)[0] == 200
    assert len(rows(office.get(DOMAINS))) == 1


def test_linking_secrets_needs_a_permission_of_its_own(xwms, office):
    editor = colleague(xwms, "Edda", "clients.change")
    assert secrets_at(editor.get(DOMAINS)) == secrets_at(editor.get(LOCALHOST)) == {}
    assert "“Command line”" in editor.page_text(LOCALHOST)
    assert notice(add(editor, domain="staging.example")).startswith("staging.example was added. It is not linked to")
    assert notice(change(editor, allowed_ips="192.0.2.7")) == "localhost was changed."
    for boxes in ({"secret": "1"}, {"offered": "1"}):
        answer = change(editor, allowed_ips="", **boxes)
        assert answer.status_code == 403
        assert "does not allow you to add, regenerate and switch off client secrets." in words(answer)
        assert add(editor, domain="third.example", **boxes).status_code == 403
    # Nothing of the refused forms was done, and the one that was allowed has unlinked nothing.
    assert sign(xwms) == (403, "The server IP address is not allowed for this domain.")
    assert len(rows(office.get(DOMAINS))) == 2
    change(office, allowed_ips="")
    assert sign(xwms)[0] == 200


def test_managing_secrets_alone_does_not_change_a_domain(xwms, office):
    keeper = colleague(xwms, "Kim", "secrets.manage")
    assert keeper.post(LOCALHOST, offered="1").status_code == 403
    assert sign(xwms)[0] == 200
