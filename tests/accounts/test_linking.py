"""Which of the application's members a person of XWMS is, on every door: found, created, linked, blocked."""

import time
from typing import Any

import pytest

from tests.accounts.members_apps import DOORS, Desk, Members, way_to_own_login
from tests.tools.site import LOGIN, ME, PROGRAM
from xwms_auth import XWMSConfig

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "email_verified": True}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def members(tmp_path: Any) -> Members:
    return Members(f"sqlite:///{tmp_path / 'members.sqlite3'}")


@pytest.fixture
def make_desk(door: str, members: Members, fx: Any) -> Any:
    return lambda **options: Desk(door, members, fx, **options)


def code_of(answer: Any) -> tuple[int, str]:
    """The status and the code of an error page."""
    return answer.status_code, answer.text.partition("<code>")[2].partition("</code>")[0]


def test_a_first_login_creates_a_member_and_the_next_one_finds_it(make_desk, members):
    desk = make_desk()
    first = desk.visitor()
    assert first.log_in("1001", **ADA).status_code == 303
    assert first.account() == "1 Ada Lovelace"
    again = desk.visitor()
    again.log_in("1001", **{**ADA, "name": "Ada King"})
    assert again.account() == "1 Ada King"
    assert members.count() == (1, 1)


def test_two_people_are_two_members_even_with_one_address(make_desk, members):
    desk = make_desk(fields={"name": "display_name"})
    for sub in ("1001", "1002", "A", "a"):
        desk.visitor().log_in(sub, **ADA)
    assert members.count() == (4, 4)
    assert len({members.owner_of(sub) for sub in ("1001", "1002", "A", "a")}) == 4


def test_claims_that_xwms_does_not_send_leave_the_field_as_it_is(make_desk, members):
    desk = make_desk()
    desk.visitor().log_in("1001", **ADA, picture="https://example.org/a.png")
    desk.visitor().log_in("1001", name=None, given_name="Augusta", family_name="King", email=None, picture=None)
    ada = members.get(1)
    assert (ada.name, ada.email, ada.picture) == ("Augusta King", "ada@example.org", "https://example.org/a.png")


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email_verified": False}, "1001"),
        ({"email_verified": True}, "ada@example.org"),
        ({"email_verified": False, "given_name": "Ada"}, "Ada"),
    ],
)
def test_an_address_that_nobody_has_verified_is_no_name(make_desk, members, claims, name):
    desk = make_desk(fields={"name": "display_name"})
    nameless = {"name": None, "given_name": None, "family_name": None, "email": "ada@example.org"}
    desk.visitor().log_in("1001", **{**nameless, **claims})
    assert members.get(1).name == name


def test_a_field_may_be_a_function_of_the_person(make_desk, members):
    desk = make_desk(fields={"name": lambda user: f"{user.family_name}, {user.given_name}".upper()})
    desk.visitor().log_in("1001", given_name="Ada", family_name="Lovelace")
    assert members.get(1).name == "LOVELACE, ADA"


# The SDKs' take-over (SL-07): they link by e-mail, verified or not.


@pytest.mark.parametrize("by_email", [None, "email"], ids=["not switched on", "switched on"])
def test_an_unverified_address_of_a_victim_opens_nothing(make_desk, members, by_email):
    victim = members.add(name="Ada", email="ada@example.org")
    desk = make_desk(link_by_email=by_email)
    attacker = desk.visitor()
    assert attacker.log_in("666", name="Mallory", email="ada@example.org", email_verified=False).status_code == 303
    account = attacker.account()
    assert account == "2 Mallory"  # a member of their own
    assert members.owner_of("666") == 2
    assert members.get(victim).name == "Ada"
    assert members.get(2).email is None


def test_a_verified_address_opens_nothing_either_unless_it_is_switched_on(make_desk, members):
    victim = members.add(name="Ada", email="ada@example.org")
    answer = make_desk().visitor().log_in("1001", **ADA)
    assert code_of(answer) == (409, "account_exists")
    assert "Try again" not in answer.text  # it would be the same
    assert members.count() == (1, 0)
    assert members.get(victim).name == "Ada"


def test_switched_on_it_takes_the_login_that_the_member_had_until_now(make_desk, members):
    ada = members.add(name="Ada", email="Ada@Example.org")
    desk = make_desk(link_by_email="email")
    visitor = desk.visitor()
    answer = visitor.log_in("1001", **ADA)
    assert answer.status_code == 303
    page = visitor.get(answer.headers["location"])
    assert page.status_code == 200
    assert "ada@example.org" in page.text
    assert members.count() == (1, 0)
    assert visitor.account() is None  # nobody is signed in yet
    back = way_to_own_login(page)
    # Without the login, the way back leads to the same page, and a POST to nothing.
    assert 'href="/own-login?' in visitor.get(back).text
    key = back.partition("confirm=")[2]
    visitor.log_in_as_before(ada)
    asked = visitor.get(back)
    assert "Link with XWMS?" in asked.text
    assert visitor.account() is None
    assert visitor.post(back.partition("&confirm=")[0], confirm=key).status_code == 303
    assert visitor.account() == "1 Ada"  # connecting changes nothing else
    assert members.owner_of("1001") == ada
    other = desk.visitor()  # from now on XWMS alone will do
    other.log_in("1001", **ADA)
    assert other.account() == "1 Ada Lovelace"


def test_nobody_links_by_address_who_is_not_logged_in_to_that_member(make_desk, members):
    members.add(name="Ada", email="ada@example.org")
    grace = members.add(name="Grace", email="grace@example.org")
    desk = make_desk(link_by_email="email")
    visitor = desk.visitor()
    page = visitor.get(visitor.log_in("1001", **ADA).headers["location"])
    back = way_to_own_login(page)
    visitor.log_in_as_before(grace)
    assert "You are logged in to another account" in visitor.get(back).text
    answer = visitor.post(back.partition("&confirm=")[0], confirm=back.partition("confirm=")[2])
    assert code_of(answer) == (409, "nobody_to_link")
    assert members.count() == (2, 0)
    assert visitor.account() is None


def test_an_address_of_a_member_who_has_an_identity_is_no_proof_of_anything(make_desk, members):
    desk = make_desk(link_by_email="email")
    desk.visitor().log_in("1001", **ADA)
    visitor = desk.visitor()
    visitor.log_in_as_before(1)
    assert code_of(visitor.log_in("2002", **ADA)) == (409, "account_exists")
    assert members.count() == (1, 1)


# From a settings page.


def test_a_member_connects_xwms_from_the_settings(make_desk, members):
    grace = members.add(name="Grace")
    desk = make_desk()
    visitor = desk.visitor()
    visitor.log_in_as_before(grace)
    answer = visitor.log_in("1001", link=True, **ADA)
    assert answer.status_code == 303
    assert members.count() == (1, 0)  # not before a click
    url, _, key = answer.headers["location"].partition("&confirm=")
    assert "Link with XWMS?" in visitor.get(answer.headers["location"]).text
    assert visitor.post(url, confirm=key).status_code == 303
    assert members.owner_of("1001") == grace
    assert visitor.account() == f"{grace} Grace"


def test_a_member_who_came_by_xwms_connects_a_second_identity(make_desk, members):
    desk = make_desk(fields={"name": "display_name"})
    visitor = desk.visitor()
    visitor.log_in("1001", name="Ada")
    answer = visitor.log_in("2002", link=True, name="Ada at work")
    url, _, key = answer.headers["location"].partition("&confirm=")
    assert visitor.post(url, confirm=key).status_code == 303
    assert (members.owner_of("1001"), members.owner_of("2002")) == (1, 1)
    assert members.count() == (1, 2)


def test_with_an_old_login_nothing_is_connected(make_desk, members):
    """Whoever has stolen a session must not get a way in of their own."""
    now = [time.time()]
    desk = make_desk(fields={"name": "display_name"}, clock=lambda: now[0])
    visitor = desk.visitor()
    visitor.log_in("1001", name="Ada")
    now[0] += 901
    refused = visitor.post(LOGIN, link="1", next="/settings")
    assert code_of(refused) == (401, "login_too_old")
    assert "fresh=900" in refused.text
    assert visitor.get("/public").text == "somebody"


def test_an_identity_of_another_member_never_moves(make_desk, members):
    desk = make_desk(fields={"name": "display_name"})
    desk.visitor().log_in("1001", name="Ada")
    grace = members.add(name="Grace")
    visitor = desk.visitor()
    visitor.log_in_as_before(grace)
    answer = visitor.log_in("1001", link=True, name="Ada")
    url, _, key = answer.headers["location"].partition("&confirm=")
    assert code_of(visitor.post(url, confirm=key)) == (409, "linked_elsewhere")
    assert members.owner_of("1001") == 1
    assert members.count() == (2, 1)


def test_whoever_is_there_at_the_end_must_be_who_was_there_at_the_beginning(make_desk, members):
    ada, grace = members.add(name="Ada"), members.add(name="Grace")
    visitor = make_desk().visitor()
    visitor.log_in_as_before(ada)
    answer = visitor.log_in("1001", link=True)
    visitor.log_in_as_before(grace)
    url, _, key = answer.headers["location"].partition("&confirm=")
    assert code_of(visitor.post(url, confirm=key)) == (409, "nobody_to_link")
    assert members.count() == (2, 0)


def test_nothing_is_linked_where_nobody_is_logged_in(make_desk, members):
    visitor = make_desk().visitor()
    assert code_of(visitor.post(LOGIN, link="1")) == (409, "nobody_to_link")
    assert members.count() == (0, 0)


def test_a_page_of_another_site_can_begin_no_link(make_desk, members):
    ada = members.add(name="Ada")
    visitor = make_desk().visitor()
    visitor.log_in_as_before(ada)
    elsewhere = {
        **PROGRAM,
        "Origin": "https://evil.example",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
    }
    answer = visitor.client.post(LOGIN, headers=elsewhere, data={"link": "1"})
    assert answer.status_code == 403
    # Nor by a link: only the form of the site links.
    token = visitor.get(f"{LOGIN}?link=1").headers["location"].rpartition("/")[2]
    visitor.come_back(visitor.fx.approve(token, sub="666"))
    assert members.owner_of("666") not in (None, ada)


def test_a_confirmation_links_once(make_desk, members):
    ada = members.add(name="Ada")
    visitor = make_desk().visitor()
    visitor.log_in_as_before(ada)
    answer = visitor.log_in("1001", link=True)
    url, _, key = answer.headers["location"].partition("&confirm=")
    kept = dict(visitor.client.cookies)
    assert visitor.post(url, confirm=key).status_code == 303
    for name, value in kept.items():
        visitor.client.cookies.set(name, value, domain="app.example")
    assert code_of(visitor.post(url, confirm=key))[0] == 400


# Closed sign-ups.


def test_a_closed_sign_up_lets_members_in_and_nobody_else(make_desk, members):
    desk = make_desk()
    desk.visitor().log_in("1001", **ADA)
    closed = make_desk(create=False)
    ada, stranger = closed.visitor(), closed.visitor()
    ada.log_in("1001", **ADA)
    assert ada.account() == "1 Ada Lovelace"
    answer = stranger.log_in("2002")
    assert code_of(answer) == (403, "not_allowed")
    assert "no account for you" in answer.text
    assert stranger.get("/public").text == "nobody"
    assert members.count() == (1, 1)


@pytest.mark.parametrize(
    ("email", "verified", "gets_in"),
    [
        ("a@example.org", True, True),
        ("a@EXAMPLE.ORG", True, True),
        ("a@example.org", False, False),
        ("a@example.org.evil.example", True, False),
        ("a@sub.example.org", True, False),
        (None, True, False),
        ("guest@elsewhere.example", True, True),  # invited
        ("guest@elsewhere.example", False, False),
    ],
)
def test_a_sign_up_for_a_domain_or_by_invitation(make_desk, members, email, verified, gets_in):
    def invited(user: Any, session: Any) -> bool:
        return user.verified_email == "guest@elsewhere.example"

    visitor = make_desk(domains="example.org", invited=invited).visitor()
    answer = visitor.log_in("1001", email=email, email_verified=verified)
    assert (answer.status_code == 303) is gets_in
    assert (visitor.account() is not None) is gets_in
    assert members.count() == ((1, 1) if gets_in else (0, 0))


# Blocked, and gone.


def test_a_blocked_member_is_out_within_one_request_and_cannot_log_in(make_desk, members):
    desk = make_desk()
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    assert visitor.account() == "1 Ada Lovelace"
    members.change(1, blocked=True)
    refused = visitor.get("/account")
    assert code_of(refused) == (403, "not_allowed")
    assert "blocked" in refused.text
    assert visitor.get("/public").text == "nobody"  # the session has ended
    assert visitor.get(ME, PROGRAM).json()["user"] is None
    again = visitor.log_in("1001", **ADA)
    assert code_of(again) == (403, "not_allowed")
    assert "has been blocked" in again.text
    assert visitor.get("/public").text == "nobody"
    members.change(1, blocked=False)
    visitor.log_in("1001", **ADA)
    assert visitor.account() == "1 Ada Lovelace"


def test_a_program_of_a_blocked_member_gets_the_problem(make_desk, members):
    desk = make_desk()
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    members.change(1, blocked=True)
    answer = visitor.get("/account", PROGRAM)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


def test_a_member_who_is_deleted_is_signed_out(make_desk, members):
    desk = make_desk()
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    with members.session() as session:
        session.execute(desk.linker.tables.identities.delete())
    assert visitor.account() is None
    assert visitor.get("/public").text == "nobody"


def test_a_stolen_cookie_of_a_blocked_member_is_worth_nothing_where_sessions_are_stored(door, members, fx, tmp_path):
    options = fx.options(redirect_uris="https://app.example/xwms/validateToken")
    config = XWMSConfig(**options, session_store=f"sqlite:///{tmp_path / 'sessions.sqlite3'}")
    desk = Desk(door, members, fx, config=config)
    visitor, thief = desk.visitor(), desk.visitor()
    visitor.log_in("1001", **ADA)
    for name, value in visitor.client.cookies.items():
        thief.client.cookies.set(name, value, domain="app.example")
    assert thief.get("/public").text == "somebody"
    members.change(1, blocked=True)
    assert visitor.get("/account").status_code == 403
    assert thief.get("/public").text == "nobody"


# A database that is down.


def test_a_database_that_is_down_is_a_503_and_never_a_new_member(make_desk, members):
    desk = make_desk()
    visitor = desk.visitor()
    visitor.log_in("1001", **ADA)
    with members.session() as session:
        session.execute(desk.linker.tables.identities.delete())
        session.connection().exec_driver_sql("ALTER TABLE xwms_identities RENAME TO elsewhere")
    assert code_of(visitor.get("/account")) == (503, "store_unavailable")
    assert visitor.get("/public").text == "somebody"
    assert code_of(desk.visitor().log_in("1001", **ADA)) == (503, "store_unavailable")


# An address that changes.


def test_an_address_that_another_member_has_keeps_nobody_out(make_desk, members):
    desk = make_desk()
    desk.visitor().log_in("1001", **ADA)
    members.add(name="Grace", email="grace@example.org")
    visitor = desk.visitor()
    answer = visitor.log_in("1001", name="Ada King", email="grace@example.org", email_verified=True)
    assert answer.status_code == 303
    assert visitor.account() == "1 Ada Lovelace"  # nothing was changed
    assert members.get(1).email == "ada@example.org"


# A login that waits twice: for who the person is, and for the account.


def test_after_confirming_who_one_is_the_proof_is_asked_for_too(door, members, fx):
    ada = members.add(name="Ada", email="ada@example.org")
    options = fx.options(redirect_uris="https://app.example/xwms/validateToken")
    config = XWMSConfig(**options, callback_token="fresh", confirm_person=True)
    fx.callback_token = "fresh"
    visitor = Desk(door, members, fx, config=config, link_by_email="email").visitor()
    asked = visitor.log_in("1001", **ADA)
    url, _, key = asked.headers["location"].partition("&confirm=")
    assert "Is this you?" in visitor.get(asked.headers["location"]).text
    waiting = visitor.post(url, confirm=key)
    assert waiting.status_code == 303
    back = way_to_own_login(visitor.get(waiting.headers["location"]))
    visitor.log_in_as_before(ada)
    url, _, key = back.partition("&confirm=")
    assert visitor.post(url, confirm=key).status_code == 303
    assert visitor.account() == "1 Ada"
    assert members.owner_of("1001") == ada


def test_a_proof_waits_for_ten_minutes_and_no_longer(door, members, fx):
    now = [time.time()]
    ada = members.add(name="Ada", email="ada@example.org")
    desk = Desk(door, members, fx, link_by_email="email", clock=lambda: now[0])
    visitor, late = desk.visitor(), desk.visitor()
    for one, seconds, status in ((visitor, 590, 303), (late, 610, None)):
        with members.session() as session:
            session.execute(desk.linker.tables.identities.delete())
        back = way_to_own_login(one.get(one.log_in("1001", **ADA).headers["location"]))
        one.log_in_as_before(ada)
        now[0] += seconds
        url, _, key = back.partition("&confirm=")
        answer = one.post(url, confirm=key)
        assert (answer.status_code == status) is (status is not None), answer.text
    assert members.count() == (1, 0)
