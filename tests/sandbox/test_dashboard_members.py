"""Members and roles: who may do what in an account, and that nobody can make it more than they were given."""

from collections.abc import Callable

import pytest

from tests.sandbox.office import Office, faults, notice, words
from xwms_auth.sandbox.db.schema import Member, Role
from xwms_auth.sandbox.domain import accounts
from xwms_auth.sandbox.domain.accounts import PERMISSIONS, Permission

ALL = [permission.value for permission in Permission]


def make_role(office: Office, name: str, permissions: list[str]):
    return office.submit("/roles", "/roles", role=name, permission=permissions)


def page_of(office: Office, member: str, action: str) -> str:
    """The address of a member's own form, from the number of the select that is labelled with their name."""
    with office.xwms.app.extensions["xwms_sandbox"].database.work() as db:
        number = {known.name: known.id for known in db.query(Member)}[member]
    return f"/members/{number}/{action}"


def role_ids(office: Office) -> dict[str, int]:
    """The roles of the account that was registered last."""
    with office.xwms.app.extensions["xwms_sandbox"].database.work() as db:
        return {role.name: role.id for role in db.query(Role).order_by(Role.id)}


def roles_of(office: Office) -> dict[str, str]:
    with office.xwms.app.extensions["xwms_sandbox"].database.work() as db:
        return {member.name: member.role.name for member in db.query(Member)}


@pytest.fixture
def owner(xwms) -> Office:
    """Ada, who owns Acme; Lena leads its team; Dewi and Vera work there."""
    office = Office(xwms)
    office.register()
    office.activate_plan()
    make_role(office, "Lead", ["members.manage", "clients.change"])
    for name, role in (("Lena", "Lead"), ("Dewi", "Developer"), ("Vera", "Viewer")):
        assert office.add_member(name, role).status_code == 200
    return office


@pytest.fixture
def lead(owner, xwms) -> Office:
    office = Office(xwms)
    office.enter("Lena")
    return office


def test_a_new_member_finds_themself_on_the_first_page_and_may_what_their_role_allows(owner, xwms):
    owner.create_client()
    dewi = Office(xwms)
    assert "Acme" in words(dewi.enter("Dewi"))
    assert dewi.get("/clients/new").status_code == 200
    assert dewi.post("/plan/end").status_code == 403
    assert dewi.post("/members", name="N", email="n@acme.example", role=1).status_code == 403


def test_members_and_roles_are_shown_to_every_member_and_offered_for_change_to_those_who_may(owner, xwms):
    vera = Office(xwms)
    vera.enter("Vera")
    for office, forms in ((owner, True), (vera, False)):
        text = office.page_text("/members")
        assert all(name in text for name in ("Ada", "Lena", "Dewi", "dewi@acme.example"))
        assert bool(office.forms("/members")) is forms
        assert "Lead" in office.page_text("/roles")
        assert bool(office.forms("/roles")) is forms


def test_what_is_wrong_with_a_new_member_is_said_and_what_was_typed_stays(owner, subtests):
    for fields, fault in [
        ({"name": " "}, "Please give a name."),
        ({"name": "N" * 101}, "Please give a name of at most 100 printable characters."),
        ({"email": "nobody"}, "That is not an e-mail address."),
        ({"email": "Dewi@ACME.example"}, "There is already a member with this e-mail address."),
    ]:
        with subtests.test(fields=fields, fault=fault):
            viewer = str(role_ids(owner)["Developer"])
            sent = {"name": "Nina", "email": "nina@acme.example", "role": viewer} | fields
            answer = owner.submit("/members", "/members", **sent)
            assert (answer.status_code, faults(answer)) == (422, fault)
            assert f'value="{sent["email"]}"' in answer.text
            assert f'<option value="{viewer}" selected>' in answer.text
            assert "Nina" not in roles_of(owner)


def test_a_member_gets_another_role_and_may_at_once_what_it_allows(owner, xwms):
    vera = Office(xwms)
    vera.enter("Vera")
    assert vera.get("/clients/new").status_code == 403
    answer = owner.submit("/members", page_of(owner, "Vera", "role"), role=role_ids(owner)["Developer"])
    assert notice(answer) == "Vera now has the role Developer."
    assert vera.get("/clients/new").status_code == 200


def test_a_removed_member_is_signed_out_at_once(owner, xwms):
    dewi = Office(xwms)
    dewi.enter("Dewi")
    assert "is no longer a member" in notice(owner.submit("/members", page_of(owner, "Dewi", "remove")))
    answer = dewi.get("/clients")
    assert answer.request.path == "/dashboard"
    assert "Register an account" in words(answer)
    assert dewi.post("/clients/new", name="N", domain="n.example", redirect_uri="https://n.example/cb").history
    assert "There are no clients yet" in owner.page_text("/clients")


def test_the_session_of_a_removed_member_is_not_the_next_member_s(owner, xwms):
    vera = Office(xwms)
    vera.enter("Vera")
    owner.submit("/members", page_of(owner, "Vera", "remove"))
    xwms.clock.now += 1
    owner.add_member("Nina", "Owner")  # SQLite gives her the number that Vera had
    answer = vera.get("/members")
    assert answer.request.path == "/dashboard"
    assert "Sign out" not in words(answer)


def test_whoever_removes_themself_stands_outside(owner, lead):
    answer = lead.submit("/members", page_of(owner, "Lena", "remove"))
    assert answer.request.path == "/dashboard"
    assert "Lena" not in owner.page_text("/members")


def test_an_account_keeps_its_last_owner(owner):
    viewer = role_ids(owner)["Viewer"]
    assert "the last owner" in owner.page_text("/members")
    for answer in (
        owner.post(page_of(owner, "Ada", "remove")),
        owner.post(page_of(owner, "Ada", "role"), role=viewer),
    ):
        assert (answer.status_code, faults(answer)) == (
            422,
            "An account needs an owner: make another member an owner first.",
        )
    owner.submit("/members", page_of(owner, "Dewi", "role"), role=role_ids(owner)["Owner"])
    assert owner.submit("/members", page_of(owner, "Ada", "role"), role=viewer).status_code == 200
    assert roles_of(owner)["Dewi"] == "Owner"
    assert owner.post(page_of(owner, "Dewi", "remove")).status_code == 403  # Ada is a viewer now


# --- nobody hands out more than they hold -----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["Owner", "Developer", "Everything"])
@pytest.mark.parametrize("whom", ["Lena", "Vera", "a new member"])
def test_a_lead_can_give_nobody_a_role_that_allows_more_than_their_own(owner, lead, role, whom):
    make_role(owner, "Everything", ALL)
    number = role_ids(owner)[role]
    before = roles_of(owner)
    if whom == "a new member":
        answer = lead.post("/members", name="Nina", email="nina@acme.example", role=number)
    else:
        answer = lead.post(page_of(owner, whom, "role"), role=number)
    assert answer.status_code == 422
    assert faults(answer).startswith(f"The role {role} allows more than yours does: ")
    assert roles_of(owner) == before


@pytest.mark.parametrize("whom", ["Ada", "Dewi"])
def test_a_lead_can_neither_demote_nor_remove_somebody_who_may_do_more(owner, lead, whom):
    before = roles_of(owner)
    for answer in (
        lead.post(page_of(owner, whom, "role"), role=role_ids(owner)["Viewer"]),
        lead.post(page_of(owner, whom, "remove")),
    ):
        assert answer.status_code == 422
        assert "allows more than yours does" in faults(answer)
    assert roles_of(owner) == before


def test_a_lead_can_make_no_role_with_a_permission_they_lack_nor_extend_or_empty_one(owner, lead):
    make_role(owner, "Support", ["users.revoke"])
    numbers = role_ids(owner)
    for answer in (
        lead.post("/roles", role="Mine", permission=["members.manage", "clients.delete"]),
        lead.post(f"/roles/{numbers['Lead']}", permission=ALL),
        lead.post(f"/roles/{numbers['Support']}", permission=[]),
        lead.post(f"/roles/{numbers['Support']}/remove"),
    ):
        assert answer.status_code == 422
        assert "allows more than yours does" in faults(answer)
    assert role_ids(owner) == numbers
    assert lead.post("/plan/end").status_code == 403
    assert "Revoke the access" in owner.page_text("/roles")


def test_a_lead_can_hand_out_what_they_hold(owner, lead):
    assert notice(make_role(lead, "Helper", ["clients.change"])) == "The role Helper was created."
    helper = role_ids(owner)["Helper"]
    answer = lead.submit("/members", page_of(owner, "Vera", "role"), role=helper)
    assert notice(answer) == "Vera now has the role Helper."
    assert "no longer a member" in notice(lead.submit("/members", page_of(owner, "Vera", "remove")))
    assert "was removed" in notice(lead.submit("/roles", f"/roles/{helper}/remove"))


def test_a_lead_is_offered_only_what_they_can_hand_out(owner, lead):
    assert set(lead.form("/members", "/members").choices["role"]) == {"Viewer", "Lead"}
    assert set(owner.form("/members", "/members").choices["role"]) == {"Owner", "Developer", "Viewer", "Lead"}
    offered = [form.action for form in lead.forms("/members")]
    assert f"/dashboard{page_of(owner, 'Vera', 'remove')}" in offered
    assert f"/dashboard{page_of(owner, 'Ada', 'remove')}" not in offered
    assert f"/dashboard{page_of(owner, 'Dewi', 'role')}" not in offered


def test_a_role_that_allows_everything_still_makes_nobody_an_owner(owner, lead):
    make_role(owner, "Everything", ALL)
    numbers = role_ids(owner)
    owner.submit("/members", page_of(owner, "Lena", "role"), role=numbers["Everything"])
    for answer in (
        lead.post(page_of(owner, "Lena", "role"), role=numbers["Owner"]),
        lead.post(page_of(owner, "Ada", "role"), role=numbers["Viewer"]),
        lead.post(page_of(owner, "Ada", "remove")),
    ):
        assert answer.status_code == 422
        assert faults(answer).endswith("only an owner can make somebody an owner.")
    assert roles_of(owner)["Ada"] == "Owner"
    assert lead.post(page_of(owner, "Dewi", "role"), role=numbers["Viewer"]).status_code == 200


# --- roles ------------------------------------------------------------------------------------------------------------


def test_a_role_is_made_changed_and_removed(owner):
    assert notice(make_role(owner, "Support", ["users.revoke"])) == "The role Support was created."
    number = role_ids(owner)["Support"]
    page = f"/roles/{number}"
    assert owner.form("/roles", page).fields["permission"] == ["users.revoke"]
    changed = owner.submit("/roles", page, permission=["users.revoke", "plan.manage"])
    assert notice(changed) == "The role Support was changed."
    assert set(owner.form("/roles", page).fields["permission"]) == {"users.revoke", "plan.manage"}
    assert notice(owner.submit("/roles", f"{page}/remove")) == "The role Support was removed."
    assert "Support" not in owner.page_text("/roles")


def test_a_changed_role_holds_at_once_for_those_who_have_it(owner, lead):
    owner.submit("/roles", f"/roles/{role_ids(owner)['Lead']}", permission=["clients.create"])
    assert lead.get("/clients/new").status_code == 200
    assert lead.post("/members", name="N", email="n@acme.example", role=1).status_code == 403


def test_built_in_roles_are_shown_and_cannot_be_changed_or_removed(owner):
    for name in ("Owner", "Developer", "Viewer"):
        page = f"/roles/{role_ids(owner)[name]}"
        assert page not in [form.action.removeprefix("/dashboard") for form in owner.forms("/roles")]
        for answer in (owner.post(page, permission=["plan.manage"]), owner.post(f"{page}/remove")):
            assert (answer.status_code, faults(answer)) == (
                422,
                f"The role {name} is built in and cannot be changed or removed.",
            )
    assert all(description in owner.page_text("/roles") for description in PERMISSIONS.values())


def test_a_role_needs_a_name_of_its_own_and_what_was_ticked_stays(owner, subtests):
    for role in (" ", "owner", "LEAD", "x" * 41):
        with subtests.test(role=role):
            before = role_ids(owner)
            answer = owner.submit("/roles", "/roles", role=role, permission=["plan.manage"])
            assert answer.status_code == 422
            assert role_ids(owner) == before
            assert answer.text.count('value="plan.manage" checked') == 1


def test_a_role_that_somebody_has_is_not_removed(owner):
    answer = owner.post(f"/roles/{role_ids(owner)['Lead']}/remove")
    assert (answer.status_code, faults(answer)) == (
        422,
        "Members have the role Lead: give them another one first.",
    )


def test_an_unknown_permission_is_refused(owner):
    before = role_ids(owner)
    assert owner.post("/roles", role="New", permission=["everything"]).status_code == 422
    assert role_ids(owner) == before


# --- other accounts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["theirs", 999, 10**18, 10**30])
@pytest.mark.parametrize(
    "path",
    [
        lambda member, role: (f"/members/{member}/remove", {}),
        lambda member, role: (f"/members/{member}/role", {"role": role}),
        lambda member, role: (f"/roles/{role}", {"permission": ["plan.manage"]}),
        lambda member, role: (f"/roles/{role}/remove", {}),
        lambda member, role: ("/members", {"name": "N", "email": "n@acme.example", "role": role}),
    ],
)
def test_members_and_roles_of_another_account_are_not_there(owner, xwms, number, path: Callable):
    stranger = Office(xwms)
    stranger.register(account="Elsewhere", name="Mallory", email="mallory@elsewhere.example")
    if number == "theirs":
        with xwms.app.extensions["xwms_sandbox"].database.work() as db:
            member = db.query(Member).filter_by(name="Vera").one()
            numbers = member.id, db.query(Role).filter_by(name="Lead").one().id
    else:
        numbers = number, number
    address, fields = path(*numbers)
    before = roles_of(owner)
    assert stranger.post(address, **fields).status_code == 404
    assert roles_of(owner) == before


# --- the rule by itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def db(xwms):
    with xwms.app.extensions["xwms_sandbox"].database.work() as session:
        yield session


def test_a_role_may_be_granted_by_those_who_hold_all_of_it(db):
    ada = accounts.register(db, account_name="Acme", name="Ada", email_address="ada@acme.example", now=1.0)
    roles = {role.name: role for role in ada.account.roles}
    everything = accounts.add_role(db, ada, name="Everything", permissions=ALL)
    dewi, eve = (
        accounts.add_member(db, ada, name=name, email_address=f"{name}@acme.example", role=role, now=2.0)
        for name, role in (("Dewi", roles["Developer"]), ("Eve", everything))
    )
    may_grant = {
        member.name: {role.name for role in ada.account.roles if accounts.may_grant(member, role)}
        for member in (ada, dewi, eve)
    }
    assert may_grant == {
        "Ada": {"Owner", "Developer", "Viewer", "Everything"},
        "Dewi": {"Developer", "Viewer"},
        "Eve": {"Developer", "Viewer", "Everything"},
    }


def test_an_account_has_a_last_owner_while_it_has_one(db):
    ada = accounts.register(db, account_name="Acme", name="Ada", email_address="ada@acme.example", now=1.0)
    owner = ada.role
    assert accounts.is_last_owner(db, ada)
    eve = accounts.add_member(db, ada, name="Eve", email_address="eve@acme.example", role=owner, now=2.0)
    assert not accounts.is_last_owner(db, ada)
    accounts.remove_member(db, ada, eve)
    db.flush()
    assert accounts.is_last_owner(db, ada)


def test_a_permission_is_named_at_the_end_of_a_sentence(subtests):
    for permission in Permission:
        with subtests.test(permission=permission):
            said = accounts.in_a_sentence(permission)
            assert said[0].islower()
            assert said[1:] == PERMISSIONS[permission][1:]
