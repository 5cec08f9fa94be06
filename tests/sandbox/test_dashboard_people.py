"""People in the dashboard: what is changed there is what apps are told at the next login, and about whom."""

import re
import sqlite3
from contextlib import closing

import httpx2
import pytest

from tests.sandbox.local_xwms import LocalXWMS
from tests.sandbox.office import Office, faults_at_fields, faults_led_to, notice, title, words
from tests.sandbox.staff import colleague, owner, rows
from xwms_auth.sandbox.db import Database

ANNA = "/people/1"
FIELDS = {
    "name": "Anna Jansen",
    "given_name": "Anna",
    "family_name": "Jansen",
    "email": "Anna.Jansen@example.org",
    "picture": "https://pictures.example/anna.png?size=64",
    "birth_date": "1991-05-28",
    "gender": "non-binary",
    "second_email": "aj@example.net",
    "country": "bel",
    "socials": "github aj https://github.example/aj\n\n  mastodon  @aj  https://social.example/@aj ",
}


@pytest.fixture
def xwms(make_xwms) -> LocalXWMS:
    return make_xwms(scopes=("userinfo",))


@pytest.fixture
def office(xwms) -> Office:
    return owner(xwms)


def log_in(xwms: LocalXWMS, sub: str = "1001") -> dict[str, object]:
    """What an app is told at a login."""
    token = xwms.sign_token()["token"]
    xwms.choose(token, person=sub, scope=["userinfo"])
    return xwms.verify(token).json["data"]


def user_info(xwms: LocalXWMS, sub: str = "1001") -> dict[str, object]:
    return xwms.call("get/user/info", {"sub": sub, "socials": True}).json["data"]["user"]


def test_everybody_is_listed_and_leads_to_their_page(xwms, office):
    token = xwms.sign_token()["token"]
    xwms.choose(token, sub="typed-in", name="Tess", scope=["userinfo"])
    listed = rows(office.get("/people"))
    assert listed[0].startswith("Anna de Vries anna@example.com 1001")
    assert "Bram Bakker bram@example.com unverified xwms-user-1234" in listed[1]
    assert listed[-1] == "Tess none typed-in Typed in: not on the sign-in page"
    assert f'<a href="/dashboard{ANNA}">Anna de Vries</a>' in office.get("/people").text
    assert title(office.get(ANNA)).startswith("Anna de Vries")


def test_the_next_login_sees_every_change_and_the_person_is_the_same(xwms, office):
    before = log_in(xwms)
    answer = office.submit(ANNA, ANNA, **FIELDS)
    assert notice(answer) == "Anna Jansen was changed. Apps see it at the next login."
    told = log_in(xwms)
    assert told == {
        "sub": before["sub"],
        "name": "Anna Jansen",
        "given_name": "Anna",
        "family_name": "Jansen",
        "email": "Anna.Jansen@example.org",
        "email_verified": True,
        "picture": "https://pictures.example/anna.png?size=64",
    }
    assert user_info(xwms) == told | {
        "birth_date": "1991-05-28",
        "gender": "non-binary",
        "second_email": "aj@example.net",
        "country": "BE",
        "socials": [
            {"platform": "github", "username": "aj", "url": "https://github.example/aj"},
            {"platform": "mastodon", "username": "@aj", "url": "https://social.example/@aj"},
        ],
    }
    page = xwms.http.get(xwms.sign_token()["url"]).text
    assert "Anna Jansen" in page
    assert "Anna de Vries" not in page


def test_a_form_that_is_sent_as_it_stands_changes_nothing(xwms, office):
    log_in(xwms)
    for number, sub in ((1, "1001"), (3, "1003")):
        log_in(xwms, sub)
        before = user_info(xwms, sub)
        office.submit(f"/people/{number}", f"/people/{number}")
        assert user_info(xwms, sub) == before


def test_what_is_optional_can_be_taken_away(xwms, office):
    log_in(xwms)
    nothing = {name: "" for name in FIELDS if name not in {"name", "given_name"}}
    office.submit(ANNA, ANNA, **nothing, email_verified=[], no_picture="1")
    told = user_info(xwms)
    assert {name for name, value in told.items() if value in (None, [], False)} == {
        *("family_name", "email", "email_verified", "picture", "birth_date", "gender", "second_email", "country"),
        "socials",
    }
    office.submit(ANNA, ANNA, no_picture=[])
    assert str(user_info(xwms)["picture"]).endswith("/static/person.png")


def test_an_address_that_is_no_longer_verified_is_said_so_at_the_next_login(xwms, office):
    assert log_in(xwms)["email_verified"] is True
    office.submit(ANNA, ANNA, email_verified=[])
    assert log_in(xwms)["email_verified"] is False


def test_an_oauth_login_sees_it_too(app):
    with httpx2.Client(base_url=app.server.url, trust_env=False, follow_redirects=True) as http:

        def post(path: str, **form: str) -> None:
            found = re.search(r'name="csrf_token" value="([^"]+)"', http.get("/dashboard/register").text)
            assert found
            assert http.post(f"/dashboard{path}", data={"csrf_token": found[1], **form}).status_code == 200

        post("/enter", member="1")
        post(ANNA, **FIELDS, no_picture="1")
    told = app.userinfo(app.log_in()["access_token"]).json()
    assert (told["name"], told["family_name"], told["email"]) == ("Anna Jansen", "Jansen", "Anna.Jansen@example.org")
    assert (told["email_verified"], "picture" in told) == (False, False)


def test_every_fault_is_said_at_once_and_nothing_is_changed(xwms, office):
    log_in(xwms)
    before = user_info(xwms)
    wrong = {
        "name": " ",
        "given_name": "x" * 201,
        "family_name": "a\x00b",
        "email": "nobody",
        "picture": "javascript:alert(1)",
        "birth_date": "2027-01-16",  # the tests' clock begins on the day before
        "gender": "g" * 41,
        "second_email": "@example.org",
        "country": "Utopia",
        "socials": "github annadv",
    }
    answer = office.submit(ANNA, ANNA, **wrong)
    assert answer.status_code == 422
    assert faults_at_fields(answer).keys() == faults_led_to(answer) == wrong.keys()
    assert title(answer).startswith("Error: ")
    assert office.form_of(answer, ANNA).fields["country"] == ["Utopia"]
    assert user_info(xwms) == before


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("email", "", "Without an e-mail address there is nothing to verify."),
        ("birth_date", "27 April", "Please enter a date such as 1990-04-27"),
        ("birth_date", "2027-02-30", "Please enter a date such as 1990-04-27"),
        ("picture", "/static/person.png", "not an absolute http or https URL"),
        ("picture", "https://pictures.example/" + "x" * 2000, "at most 2000 characters"),
        ("country", "X", "two or three letters of a country"),
        ("socials", "github anna javascript:alert(1)", "not an absolute http or https URL"),
        ("socials", "a b https://c.example/\n" * 21, "at most 20"),
    ],
)
def test_what_cannot_be_is_explained(office, field, value, said):
    answer = office.submit(ANNA, ANNA, **{field: value})
    assert answer.status_code == 422
    assert said in faults_at_fields(answer)[field]


def test_markup_in_a_name_is_text(office):
    answer = office.submit(ANNA, ANNA, name="<b>Anna</b>", given_name='"><script>')
    assert "<b>Anna</b> was changed" in words(answer)
    assert "<script>" not in answer.text.replace('<script src="/static/copy.js" defer></script>', "")


@pytest.mark.parametrize("number", ["0", "999999", "9" * 30])
def test_a_person_who_is_not_there_is_not_found(office, number):
    assert office.get(f"/people/{number}").status_code == 404
    assert office.post(f"/people/{number}", **FIELDS).status_code == 404


def test_a_member_with_any_role_may_change_people_and_nobody_else(xwms):
    assert notice(colleague(xwms, "Vera").submit(ANNA, ANNA, gender="female"))
    assert Office(xwms).raw(ANNA, form=FIELDS).location == "/dashboard"


def test_a_change_is_kept_by_the_next_start(make_xwms, tmp_path):
    path = tmp_path / "xwms.db"
    before = make_xwms(database=path)
    owner(before).submit(ANNA, ANNA, **FIELDS)
    before.app.extensions["xwms_sandbox"].database.close()
    assert log_in(make_xwms(database=path))["name"] == "Anna Jansen"


def test_people_of_a_file_from_before_have_the_picture_they_had(tmp_path, make_xwms):
    path = tmp_path / "xwms.db"
    make_xwms(database=path).app.extensions["xwms_sandbox"].database.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("ALTER TABLE people DROP COLUMN picture")
        file.execute("PRAGMA user_version = 2")
    Database(path).close()
    assert str(log_in(make_xwms(database=path))["picture"]).endswith("/static/person.png")
