"""Scopes and users in the dashboard: who is asked for what, and what is over once it is taken back."""

import re

import pytest

from tests.sandbox.local_xwms import REDIRECT
from tests.sandbox.office import Office, faults, notice, words
from tests.sandbox.staff import CLIENT, colleague, log, owner, rows, stranger
from xwms_auth.sandbox.domain import approvals, clients, directory

SCOPES, USERS = f"{CLIENT}/scopes", f"{CLIENT}/users"
REVOKE = f"{USERS}/1/revoke"
ADDRESSES, INFO = "get/user/address", "get/user/info"


@pytest.fixture
def office(xwms) -> Office:
    return owner(xwms)


def enable(office: Office, *scopes: str):
    return office.submit(SCOPES, SCOPES, scope=list(scopes))


def sign_in(xwms, sub: str = "1001") -> tuple[list[str], str]:
    """Log in, and agree if asked: the scopes on the consent page, if there was one, and the token."""
    token = xwms.sign_token()["token"]
    answer = xwms.choose(token, person=sub)
    asked = re.findall(r'name="scope" value="([^"]+)"', answer.text)
    if asked:
        assert answer.status_code == 200
        answer = xwms.http.post(f"/sign-in/{token}", data={"person": sub, "scope": asked})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{REDIRECT}?token={token}")
    return asked, token


def about(xwms, call: str, sub: str = "1001") -> tuple[int, str]:
    answer = xwms.call(call, {"sub": sub})
    return answer.status_code, answer.json["message"]


def test_every_scope_is_explained_and_none_is_enabled_at_first(office):
    said = office.page_text(SCOPES)
    assert "useraddresses Postal addresses: see, add, change and delete them" in said
    assert "userinfo Birth date, gender, second e-mail address, country and social profiles" in said
    assert office.form(SCOPES, SCOPES).fields.keys() == {"csrf_token"}


def test_people_are_asked_at_their_first_login_and_when_a_scope_is_new_and_otherwise_not(xwms, office):
    assert sign_in(xwms)[0] == []
    assert notice(enable(office, "userinfo")) == (
        "The scopes were changed. People are asked for new ones at their next login."
    )
    assert sign_in(xwms)[0] == ["userinfo"]
    assert sign_in(xwms)[0] == []
    enable(office, "userinfo", "useraddresses")
    assert sign_in(xwms)[0] == ["useraddresses"]
    assert sign_in(xwms)[0] == []
    assert sign_in(xwms, "1003")[0] == ["userinfo", "useraddresses"]


def test_the_consent_page_says_what_is_asked_for_and_nothing_is_given_without_it(xwms, office):
    enable(office, "useraddresses")
    token = xwms.sign_token()["token"]
    answer = xwms.choose(token)
    assert "Postal addresses: see, add, change and delete them <code>useraddresses</code>" in answer.text
    assert xwms.verify(token).status_code == 401
    assert office.page_text(USERS).endswith("Nobody has logged in here yet.")


def test_a_new_scope_gives_nothing_before_the_person_agrees(xwms, office):
    sign_in(xwms)
    assert about(xwms, ADDRESSES) == (403, "The scope useraddresses is not enabled for this client.")
    enable(office, "useraddresses")
    assert about(xwms, ADDRESSES) == (403, "The user has not approved the scope useraddresses.")
    assert rows(office.get(USERS))[0].startswith("Anna de Vries 1001 useraddresses: to be asked ")
    sign_in(xwms)
    assert about(xwms, ADDRESSES)[0] == 200


def test_a_scope_that_is_taken_away_ends_at_once_and_is_not_asked_for_again_when_it_returns(xwms, office):
    enable(office, "userinfo", "useraddresses")
    sign_in(xwms)
    enable(office, "userinfo")
    assert about(xwms, ADDRESSES) == (403, "The scope useraddresses is not enabled for this client.")
    assert "useraddresses not enabled now" in rows(office.get(USERS))[0]
    assert sign_in(xwms)[0] == []
    enable(office, "userinfo", "useraddresses")
    assert about(xwms, ADDRESSES)[0] == 200


def test_without_userinfo_the_fields_it_is_for_are_empty(xwms, office):
    sign_in(xwms)
    assert xwms.call(INFO, {"sub": "1001"}).json["data"]["user"]["birth_date"] is None
    enable(office, "userinfo")
    sign_in(xwms)
    assert xwms.call(INFO, {"sub": "1001"}).json["data"]["user"]["birth_date"] is not None


def test_a_scope_that_does_not_exist_is_refused(xwms, office):
    enable(office, "userinfo")
    answer = office.post(SCOPES, scope=["userinfo", "everything"])
    assert (answer.status_code, faults(answer)) == (422, "The scope is not known: everything")
    assert office.form(SCOPES, SCOPES).fields["scope"] == ["userinfo"]


def test_changing_scopes_needs_the_permission_in_the_page_and_by_direct_request(xwms, office):
    viewer = colleague(xwms, "Vera", "secrets.manage", "users.revoke")
    assert viewer.form(SCOPES, SCOPES).buttons == {}
    assert viewer.post(SCOPES, scope="userinfo").status_code == 403
    assert sign_in(xwms)[0] == []


def test_users_are_listed_with_what_they_agreed_to_the_latest_first(xwms, office):
    enable(office, "userinfo", "useraddresses")
    sign_in(xwms)
    xwms.clock.now += 3600
    sign_in(xwms, "xwms-user-1234")
    xwms.clock.now += 3600
    sign_in(xwms)
    assert rows(office.get(USERS)) == [
        "Anna de Vries 1001 useraddresses userinfo 15 Jan 2027, 08:00 UTC 15 Jan 2027, 10:00 UTC "
        "approved Log out Anna de Vries Revoke the approval of Anna de Vries",
        "Bram Bakker xwms-user-1234 useraddresses userinfo 15 Jan 2027, 09:00 UTC 15 Jan 2027, 09:00 UTC "
        "approved Log out Bram Bakker Revoke the approval of Bram Bakker",
    ]


def test_users_are_on_pages_of_200(xwms, office):
    with xwms.app.extensions["xwms_sandbox"].database.work() as session:
        client = clients.find(session, "sandbox-client")
        for number in range(403):
            person = directory.find_or_add(session, f"user-{number}")
            approvals.approve(session, client, person, now=1000 + number)
    shown = [office.get(f"{CLIENT}/users{query}") for query in ("", "?page=2", "?page=3", "?page=4")]
    assert [len(rows(page)) for page in shown[:3]] == [200, 200, 3]
    assert "There is nobody on this page." in words(shown[3])
    assert [f"user-{number}" in rows(page)[0] for page, number in zip(shown, (402, 202, 2), strict=False)] == [True] * 3
    assert "201 to 400 of 403" in words(shown[1])
    links = [re.findall(r'href="/dashboard/clients/1/users([^"]*)" rel="(prev|next)"', page.text) for page in shown]
    assert links == [
        [("?page=2", "next")],
        [("", "prev"), ("?page=3", "next")],
        [("?page=2", "prev")],
        [("?page=3", "prev")],
    ]


def test_a_revoked_approval_ends_at_once_and_the_next_login_asks_again(xwms, office):
    enable(office, "useraddresses")
    sign_in(xwms)
    sign_in(xwms, "1003")
    said = "The approval of Anna de Vries was revoked. Calls about them are refused until they log in again."
    assert notice(office.submit(USERS, REVOKE)) == said
    for call in (INFO, ADDRESSES, "user/address"):
        assert about(xwms, call) == (403, "The user has not approved this client.")
        assert f"{call} localhost 127.0.0.1 403 The approval was revoked." in log(office)[0]
    assert about(xwms, INFO, "1003")[0] == 200
    assert "revoked 15 Jan 2027, 08:00 UTC" in " ".join(rows(office.get(USERS)))
    xwms.clock.now += 3600
    asked, token = sign_in(xwms)
    assert asked == ["useraddresses"]
    assert xwms.verify(token).json["data"]["sub"] == "1001"
    assert about(xwms, ADDRESSES)[0] == 200
    again = rows(office.get(USERS))[0]
    assert again.startswith("Anna de Vries 1001 useraddresses 15 Jan 2027, 09:00 UTC")
    assert "approved" in again


def test_a_token_that_waits_to_be_used_dies_with_the_approval(xwms, office):
    _, token = sign_in(xwms)
    office.submit(USERS, REVOKE)
    assert xwms.verify(token).status_code == 401


def test_revoking_twice_keeps_the_first_time(xwms, office):
    sign_in(xwms)
    office.submit(USERS, REVOKE)
    xwms.clock.now += 3600
    office.post(REVOKE)
    assert "revoked 15 Jan 2027, 08:00 UTC" in rows(office.get(USERS))[0]


def test_revoking_needs_the_permission_in_the_page_and_by_direct_request(xwms, office):
    sign_in(xwms)
    viewer = colleague(xwms, "Vera", "clients.change", "secrets.manage", "clients.delete")
    assert "Anna de Vries" in viewer.page_text(USERS)
    assert viewer.forms(USERS) == []
    answer = viewer.post(REVOKE)
    assert answer.status_code == 403
    assert "does not allow you to revoke the access of client users. For that you need the role Owner." in words(answer)
    assert about(xwms, INFO)[0] == 200
    support = colleague(xwms, "Sam", "users.revoke")
    assert notice(support.submit(USERS, REVOKE)).startswith("The approval of Anna de Vries was revoked.")
    assert about(xwms, INFO)[0] == 403


def test_users_and_scopes_of_another_account_are_not_there(xwms, office):
    sign_in(xwms)
    theirs, client = stranger(xwms)
    for path in (f"{client}/scopes", f"{client}/users"):
        assert office.get(path).status_code == 404
    for path in (SCOPES, USERS):
        assert theirs.get(path).status_code == 404
    assert theirs.post(SCOPES, scope="userinfo").status_code == 404
    # Neither below the right client nor below their own.
    for path in (REVOKE, f"{client}/users/1/revoke", f"{client}/users/999/revoke"):
        assert theirs.post(path).status_code == 404
    assert about(xwms, INFO)[0] == 200
