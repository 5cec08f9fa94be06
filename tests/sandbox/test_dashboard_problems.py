"""A form of the dashboard that is refused: every fault at once, at its field and in one list, which has the focus."""

import re
from typing import Any

import pytest

from tests.sandbox.office import Office, faults, faults_at_fields, faults_led_to, title
from tests.sandbox.staff import CLIENT, owner

CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, str]]] = {
    "an account": (
        "/register",
        "/register",
        {"account": "", "name": "\x00", "email": "nobody"},
        {"account": "Please give the account a name.", "name": "Please give your name", "email": "not an e-mail"},
    ),
    "an account that is there": (
        "/register",
        "/register",
        {"account": "Local account", "name": "", "email": "Developer@localhost"},
        {"account": "You already have an account with this name.", "name": "Please give your name."},
    ),
    "a client": (
        "/clients/new",
        "/clients/new",
        {"name": "Sandbox client", "domain": "https://shop.example", "redirect_uri": "shop.example"},
        {
            "name": "already has a client with this name",
            "domain": "without scheme",
            "redirect_uri": "not an absolute http or https URL",
        },
    ),
    "a domain": (
        f"{CLIENT}/domains/1",
        "/domains/1",
        {"allowed_ips": "192.0.2.1 here\nthere", "fallback_uri": "/sorry"},
        {"allowed_ips": "These are not IP addresses or networks: here, there", "fallback_uri": "not an absolute"},
    ),
    "a secret": (
        f"{CLIENT}/secrets",
        f"{CLIENT}/secrets",
        {"label": "Command line", "expires_at": "tomorrow"},
        {"label": "already has a secret with this label", "expires_at": "Please enter a date"},
    ),
    "a secret of the past": (
        f"{CLIENT}/secrets",
        f"{CLIENT}/secrets",
        {"label": "", "expires_at": "2001-01-01"},
        {"label": "Please give the secret a label.", "expires_at": "This time is in the past."},
    ),
    "a member": (
        "/members",
        "/members",
        {"name": "", "email": "developer@localhost"},
        {"name": "Please give a name.", "email": "already a member with this e-mail address"},
    ),
    "a fault": (
        "/faults",
        "/faults",
        {"fault": "none", "endpoint": "nowhere", "times": "often", "seconds": "soon"},
        {
            "fault": "Please choose a fault.",
            "endpoint": "There is no endpoint",
            "times": "a whole number",
            "seconds": "a number of seconds",
        },
    ),
}


def refused(office: Office, case: str):
    path, action, fields, _ = CASES[case]
    answer = office.submit(path, action, **fields)
    assert answer.status_code == 422
    return answer


@pytest.fixture
def office(xwms) -> Office:
    return owner(xwms)


@pytest.mark.parametrize("case", CASES)
def test_every_fault_of_a_form_is_said_at_once_at_its_field_and_in_one_list(office, case):
    expected = CASES[case][3]
    answer = refused(office, case)
    at_fields = faults_at_fields(answer)
    # A group of radio buttons cannot be invalid as a whole: the text is there, and the list leads to it.
    assert at_fields.keys() | {"fault"} == expected.keys() | {"fault"}
    assert all(said in at_fields[field] for field, said in expected.items() if field != "fault")
    assert all(said in faults(answer) for said in expected.values())
    assert faults_led_to(answer) == expected.keys()


@pytest.mark.parametrize("case", CASES)
def test_after_a_refusal_the_title_says_so_the_list_has_the_focus_and_what_was_typed_stays(office, case):
    answer = refused(office, case)
    assert title(answer).startswith("Error: ")
    focused = re.findall(r"<[^>]* autofocus[ >][^>]*", answer.text)
    assert len(focused) == 1
    assert 'role="alert" tabindex="-1"' in focused[0]
    again = office.form_of(answer, CASES[case][1])
    texts = {name: text for name, text in CASES[case][2].items() if name not in {"fault", "endpoint"}}
    assert {name: again.fields[name][0] for name in texts} == texts


@pytest.mark.parametrize("path", ["/register", "/clients/new", f"{CLIENT}/secrets", "/members", "/faults"])
def test_a_form_that_was_not_sent_has_no_faults_and_takes_no_focus(office, path):
    answer = office.get(path)
    assert not title(answer).startswith("Error")
    assert (faults(answer), faults_at_fields(answer), "autofocus" in answer.text) == ("", {}, False)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/members/1/role", {"role": "3"}),
        ("/members/1/remove", {}),
        (f"{CLIENT}/secrets/1/remove", {}),
        (f"{CLIENT}/domains/1/remove", {}),
        ("/roles/1", {}),
        (f"{CLIENT}/scopes", {"scope": "everything"}),
    ],
)
def test_a_fault_without_a_field_is_only_in_the_list_and_leads_nowhere(office, path, sent):
    answer = office.post(path, **sent)
    assert (answer.status_code, faults_at_fields(answer), faults_led_to(answer)) == (422, {}, set())
    assert faults(answer)
    assert title(answer).startswith("Error: ")


def test_a_fault_in_the_row_of_a_member_is_said_there_and_not_at_the_form_for_a_new_one(office):
    office.post("/roles", role="Lead", permission=["members.manage"])
    office.add_member("Lena", "Lead")
    lead = Office(office.xwms)
    lead.enter("Lena")
    lead.add_member("Nils", "Lead")
    row = next(form for form in lead.forms("/members") if form.action.endswith("/role"))
    above = office.form("/members", "/members").choices["role"]["Owner"]
    answer = lead.post(row.action.removeprefix("/dashboard"), role=above)
    number = row.action.split("/")[-2]
    assert list(faults_at_fields(answer)) == [f"role-{number}"]
    assert faults_led_to(answer) == {f"role-{number}"}


def test_a_browser_fills_in_ones_own_name_and_address_and_nobody_elses(office):
    def fields(path: str) -> dict[str, str]:
        found = re.findall(r'<input id="([^"]+)"[^>]* autocomplete="([^"]+)"', office.get(path).text)
        return dict(found)

    assert fields("/register") == {"account": "organization", "name": "name", "email": "email"}
    assert fields("/members") == {"name": "off", "email": "off"}


@pytest.mark.parametrize("path", ["/register", "/clients/new", f"{CLIENT}/secrets", "/members", f"{CLIENT}/domains"])
def test_a_browser_sends_a_form_with_faults_instead_of_reporting_the_first_by_itself(office, path):
    answer = office.get(path)
    for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", answer.text, re.DOTALL):
        assert not re.search(r"<(input|textarea|select)[^>]* required", form)
        assert 'type="email"' not in form or "novalidate" in form
