"""What an app's server can ask beyond the login: people, their addresses, countries, projects."""

import json
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.local_xwms import LocalXWMS
from xwms_auth.sandbox.domain.address_book import FIELDS, MAX_ADDRESSES

NOT_APPROVED = "The user has not approved this client."
UNKNOWN_COUNTRY = "The country is not known: send its ISO 3166-1 code of two or three letters."
HOME = {"street": "Dorpsstraat", "city": "Utrecht", "country": "NL"}
NETHERLANDS = {"id": 528, "short_name": "NL", "name": "Netherlands", "phonecode": "+31", "is_eu_member": True}
NOT_INTEGERS = ["1.5", "1e3", "1001.0", "true", "[1001]", '{"sub": 1001}', "-1001", "NaN", "1" + "0" * 400 + ".0"]


ENDPOINTS = ("get/user/info", "get/user/address", "user/address")


def refused(answer, status: int, message: str, case: object = None) -> None:
    assert (answer.status_code, answer.json) == (status, {"status": "error", "message": message, "data": {}}), case


@pytest.fixture
def xwms(make_xwms) -> LocalXWMS:
    """A sandbox where Anna has agreed to both scopes."""
    made = make_xwms(scopes=("userinfo", "useraddresses"))
    made.log_in("1001", "userinfo", "useraddresses")
    return made


def raw(xwms: LocalXWMS, endpoint: str, text: str):
    """Send JSON as it is written, without a reader in between that could round a number."""
    return xwms.http.post(f"/api/{endpoint}", data=text, content_type="application/json", headers=xwms.headers)


def user(xwms: LocalXWMS, sub: object = "1001", **more: object) -> dict[str, Any]:
    answer = xwms.call("get/user/info", {"sub": sub} | more)
    assert answer.status_code == 200, answer.text
    assert set(answer.json["data"]) == {"user"}
    return answer.json["data"]["user"]


def act(xwms: LocalXWMS, action: str, sub: object = "1001", **more: object):
    return xwms.call("user/address", {"sub": sub, "action": action} | more)


def created(xwms: LocalXWMS, sub: object = "1001", **fields: object) -> dict[str, Any]:
    answer = act(xwms, "create", sub, address=HOME | fields)
    assert answer.status_code == 200, answer.text
    return answer.json["data"]["address"]


def addresses(xwms: LocalXWMS, sub: object = "1001") -> list[dict[str, Any]]:
    answer = act(xwms, "list", sub)
    assert answer.status_code == 200, answer.text
    return answer.json["data"]["addresses"]


# --- a person ---------------------------------------------------------------------------------------------------------


def test_user_info_has_the_documented_fields(xwms):
    assert user(xwms) == {
        "sub": "1001",
        "name": "Anna de Vries",
        "given_name": "Anna",
        "family_name": "de Vries",
        "email": "anna@example.com",
        "email_verified": True,
        "picture": "http://127.0.0.1:8800/static/person.png",
        "birth_date": "1990-04-27",
        "gender": "female",
        "second_email": "anna.de.vries@example.org",
        "country": "NL",
    }


def test_socials_come_only_when_they_are_asked_for(xwms):
    anna = {"platform": "github", "username": "annadv", "url": "https://github.example/annadv"}
    assert user(xwms, socials=True)["socials"] == [anna]
    for said in (False, None, "true", 1):
        assert "socials" not in user(xwms, socials=said)


@pytest.mark.parametrize("enabled", [(), ("userinfo",)])
def test_without_the_scope_the_extra_fields_are_null(make_xwms, enabled):
    xwms = make_xwms()
    xwms.log_in("1001")
    xwms.enable_scopes(*enabled)  # where it is enabled now, she has not agreed to it
    told = user(xwms, socials=True)
    assert [told[field] for field in ("birth_date", "gender", "second_email", "country")] == [None] * 4
    assert told["socials"] == []
    assert (told["name"], told["email"]) == ("Anna de Vries", "anna@example.com")


def test_a_person_of_whom_little_is_known_has_the_same_fields(xwms):
    xwms.log_in("1003", "userinfo", "useraddresses")
    assert set(user(xwms, "1003")) == set(user(xwms, "1001"))
    assert user(xwms, "1003")["family_name"] is None


def test_a_change_of_the_person_is_told_at_the_next_call(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token, sub="1001", name="Anna Bakker", email="new@example.com")
    assert [user(xwms)[field] for field in ("name", "email", "email_verified")] == [
        "Anna Bakker",
        "new@example.com",
        False,
    ]


# --- sub: a string or a whole number ----------------------------------------------------------------------------------


def test_a_sub_that_no_double_can_hold_is_not_rounded(xwms):
    xwms.log_in("9007199254740993", "userinfo", "useraddresses")
    created(xwms, "9007199254740993", city="Bonn", country="DE")
    for endpoint, written in product(ENDPOINTS, ("9007199254740993", '"9007199254740993"')):
        answer = raw(xwms, endpoint, f'{{"sub": {written}, "action": "list"}}')
        assert answer.status_code == 200, (endpoint, written)
        said = str(answer.json["data"])
        assert ("Zoë Müller" if endpoint == "get/user/info" else "Bonn") in said, (endpoint, written)


def test_a_rounded_sub_is_somebody_else(xwms):
    xwms.log_in("9007199254740993", "userinfo", "useraddresses")
    for written in ("9007199254740992", "9007199254740994", '"9007199254740992"'):
        refused(raw(xwms, "get/user/info", f'{{"sub": {written}}}'), 403, NOT_APPROVED)


def test_a_sub_in_words_and_as_a_number_is_found(xwms):
    assert user(xwms, 1001)["sub"] == "1001"
    xwms.log_in("xwms-user-1234", "userinfo", "useraddresses")
    assert user(xwms, "xwms-user-1234")["name"] == "Bram Bakker"


def test_what_a_careless_cast_makes_of_nobody_is_no_sub(xwms):
    for endpoint in ENDPOINTS:
        for written in ("null", "0", "-0", "0.0", "false", '""'):
            answer = raw(xwms, endpoint, f'{{"sub": {written}}}')
            refused(answer, 422, "The sub field is required.", (endpoint, written))
        refused(raw(xwms, endpoint, "{}"), 422, "The sub field is required.", endpoint)


def test_what_is_neither_a_string_nor_a_whole_number_is_no_sub(xwms):
    for written in NOT_INTEGERS:
        answer = raw(xwms, "get/user/info", f'{{"sub": {written}}}')
        refused(answer, 422, "The sub field must be a string or a whole number.", written)


def test_a_sub_that_nobody_has_is_compared_as_it_is(xwms):
    subs = ["0", "01001", " 1001", "1001 ", "1001.0", "\ud800", "\x00", "x" * 60_000, 10**4000]
    for number, sub in enumerate(subs):
        refused(xwms.call("get/user/info", {"sub": sub}), 403, NOT_APPROVED, number)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_an_address_is_created_listed_updated_and_deleted(xwms):
    whole = {field: f"the {field}" for field in FIELDS}
    answer = act(xwms, "create", address=whole | {"country": "NL"})
    made = answer.json["data"]["address"]
    number = made["id"]
    assert type(number) is int
    assert made == {"id": number, **whole, "country": NETHERLANDS}
    assert addresses(xwms) == [made]

    changed = act(xwms, "update", address_id=number, address={"city": "Köln", "country": "DE"}).json["data"]["address"]
    assert changed["country"]["short_name"] == "DE"
    assert changed | {"country": NETHERLANDS} == made | {"city": "Köln"}
    assert addresses(xwms) == [changed]

    assert act(xwms, "delete", address_id=number).json["data"] == {"address": changed}
    assert addresses(xwms) == []


def test_both_endpoints_list_the_same_in_the_order_of_adding(xwms):
    made = [created(xwms, city=city) for city in ("Utrecht", "Assen", "Breda")]
    answer = xwms.call("get/user/address", {"sub": 1001, "redirect_url": "http://localhost:5000/"})
    assert answer.json["data"] == {"addresses": made}
    assert addresses(xwms) == made


def test_fields_that_are_not_given_are_null(xwms):
    for number in (None, ""):
        made = created(xwms, house_number=number)
        assert {field for field in FIELDS if made[field] is not None} == {"street", "city"}, number


def test_a_house_number_may_be_a_number(xwms):
    for sent, kept in ((12, "12"), ("12 bis", "12 bis"), (" 12 ", "12"), (0, "0")):
        assert created(xwms, house_number=sent)["house_number"] == kept, sent


def test_a_country_is_two_or_three_letters_in_capitals_or_not(xwms):
    for written in ("NL", "nl", "Nl", "NLD", "nld", " nl "):
        assert created(xwms, country=written)["country"] == NETHERLANDS, written


def test_an_unknown_country_is_refused(xwms):
    number = created(xwms)["id"]
    countries: list[object] = [
        *("XX", "XYZ", "N", "Netherlands", "528", 528, "", "ıt", "CS", ["NL"], True, "\ud800"),
    ]
    for country in countries:
        refused(act(xwms, "create", address=HOME | {"country": country}), 422, UNKNOWN_COUNTRY, country)
        answer = act(xwms, "update", address_id=number, address={"country": country})
        refused(answer, 422, UNKNOWN_COUNTRY, country)
    assert [address["country"] for address in addresses(xwms)] == [NETHERLANDS]


NO_ADDRESSES: list[tuple[object, str]] = [
    ({"city": "Utrecht", "country": "NL"}, "The street field is required."),
    (HOME | {"street": None}, "The street field is required."),
    (HOME | {"street": "  "}, "The street field is required."),
    (HOME | {"city": ""}, "The city field is required."),
    ({"street": "Dorpsstraat", "city": "Utrecht"}, "The country field is required."),
    (HOME | {"country": None}, "The country field is required."),
    (HOME | {"house_number": 1.5}, "The house_number field must be a string."),
    (HOME | {"house_number": True}, "The house_number field must be a string."),
    (HOME | {"name": ["Anna"]}, "The name field must be a string."),
    (HOME | {"name": "x" * 256}, "The name field may have at most 255 printable characters."),
    (HOME | {"name": "a\nb"}, "The name field may have at most 255 printable characters."),
    (HOME | {"name": "\ud800"}, "The name field may have at most 255 printable characters."),
    (HOME | {"house_number": 10**300}, "The house_number field may have at most 255 printable characters."),
    (HOME | {"zip": "1234 AB"}, "The address field zip is not known."),
    ({}, "The country field is required."),
    ([], "The country field is required."),
    (None, "The address field must be an object."),
    ([HOME], "The address field must be an object."),
    ("Dorpsstraat", "The address field must be an object."),
]


def test_an_address_that_cannot_be_is_refused_and_not_kept(xwms):
    for address, message in NO_ADDRESSES:
        refused(act(xwms, "create", address=address), 422, message)
        assert addresses(xwms) == [], message


def test_an_update_cannot_take_away_what_must_be_there(xwms):
    made = created(xwms)
    for field, nothing in (("street", None), ("city", " ")):
        change = {"name": "New", field: nothing}
        answer = act(xwms, "update", address_id=made["id"], address=change)
        refused(answer, 422, f"The {field} field is required.")
        assert addresses(xwms) == [made], field


def test_an_empty_address_may_be_the_empty_list_that_php_writes(xwms):
    """`json_encode([])` is `[]`, also for what holds fields by name."""
    made = created(xwms)
    for empty in ({}, []):
        answer = act(xwms, "update", address_id=made["id"], address=empty)
        assert (answer.status_code, answer.json["data"]["address"]) == (200, made)
    assert act(xwms, "list", address=[]).json["data"] == {"addresses": [made]}
    assert act(xwms, "delete", address_id=made["id"], address=[]).status_code == 200
    assert act(xwms, "list", address=[]).json["data"] == {"addresses": []}


def test_an_update_may_empty_what_need_not_be_there(xwms):
    made = created(xwms, name="Home", company_name="Bakkerij")
    answer = act(xwms, "update", address_id=made["id"], address={"name": None, "company_name": ""})
    assert [answer.json["data"]["address"][field] for field in ("name", "company_name", "street")] == [
        None,
        None,
        "Dorpsstraat",
    ]


def test_a_list_entry_can_be_sent_back_with_its_country_as_a_code(xwms):
    made = created(xwms)
    back = made | {"country": made["country"]["short_name"], "city": "Assen"}
    assert act(xwms, "update", address_id=made["id"], address=back).json["data"]["address"] == made | {"city": "Assen"}


def test_an_address_id_may_be_a_string_or_a_number(xwms):
    first, second = created(xwms)["id"], created(xwms)["id"]
    assert act(xwms, "delete", address_id=str(first)).status_code == 200
    assert act(xwms, "delete", address_id=second).status_code == 200
    assert addresses(xwms) == []


@pytest.mark.parametrize("action", ["update", "delete"])
def test_what_is_no_address_id_is_refused(xwms, action):
    made = created(xwms)
    for address_id in ("x", "", "-1", "1.0", "١", 1.0, 0, -1, True, [1], 10**18, "9" * 30, "9" * 5000):
        answer = act(xwms, action, address_id=address_id, address={"city": "Assen"})
        refused(answer, 422, "The address_id is not valid.", address_id)
    refused(act(xwms, action, address=HOME), 422, "The address_id field is required.")
    assert addresses(xwms) == [made]


@pytest.mark.parametrize("action", ["update", "delete"])
def test_somebody_else_s_address_is_as_unknown_as_one_that_nobody_has(xwms, action):
    xwms.log_in("1003", "userinfo", "useraddresses")
    annas = created(xwms, "1001")
    for number in (annas["id"], annas["id"] + 1, 10**17):
        answer = act(xwms, action, "1003", address_id=number, address={"city": "Assen"})
        refused(answer, 404, "The address is not known.")
    assert addresses(xwms, "1001") == [annas]
    assert addresses(xwms, "1003") == []


def test_a_person_has_a_limited_number_of_addresses(xwms):
    for _ in range(MAX_ADDRESSES):
        made = created(xwms)
    refused(act(xwms, "create", address=HOME), 422, f"A user has at most {MAX_ADDRESSES} addresses.")
    act(xwms, "delete", address_id=made["id"])
    created(xwms)


def test_an_unknown_action_is_refused(xwms):
    for action, message in (
        ("read", "The action must be list, create, update or delete."),
        ("LIST", "The action must be list, create, update or delete."),
        ("\ud800", "The action must be list, create, update or delete."),
        ("", "The action field is required."),
        (None, "The action field is required."),
        (1, "The action field must be a string."),
    ):
        refused(act(xwms, action), 422, message, action)


def test_addresses_are_out_of_reach_while_the_approval_is_revoked_and_stay_the_person_s(xwms):
    made = created(xwms)
    xwms.revoke("1001")
    refused(act(xwms, "list"), 403, NOT_APPROVED)
    xwms.log_in("1001", "userinfo", "useraddresses")
    assert addresses(xwms) == [made]


# --- countries, projects, info ----------------------------------------------------------------------------------------


def test_the_countries_are_those_of_iso_3166(xwms):
    found = xwms.call("global/countries", {}).json["data"]["countries"]
    assert len(found) == 249
    for field in ("id", "short_name", "iso_alpha3", "name"):
        assert len({country[field] for country in found}) == 249
    for country in found:
        assert set(country) == {
            *("id", "short_name", "name", "phonecode", "is_eu_member"),
            *("capital", "iso_alpha3", "region", "timezone", "currency_code"),
        }
        assert country["short_name"].isascii()
        assert (len(country["short_name"]), len(country["iso_alpha3"])) == (2, 3)
        assert country["phonecode"] is None or (country["phonecode"][0] == "+" and country["phonecode"][1:].isdigit())
    codes = [country["short_name"] for country in found]
    assert codes == sorted(codes)
    assert {"RS", "ME", "SS", "TL", "ZZ"} & set(codes) == {"RS", "ME", "SS", "TL"}


def test_a_country_has_what_the_documentation_says(xwms):
    found = {country["short_name"]: country for country in xwms.call("global/countries", {}).json["data"]["countries"]}
    assert found["NL"] == NETHERLANDS | {
        "capital": "Amsterdam",
        "iso_alpha3": "NLD",
        "region": "Europe",
        "timezone": "Europe/Amsterdam",
        "currency_code": "EUR",
    }


def test_the_european_union_has_27_members(xwms):
    found = xwms.call("global/countries", {}).json["data"]["countries"]
    members = {country["short_name"] for country in found if country["is_eu_member"]}
    assert len(members) == 27
    assert {"NL", "GR", "HR"} <= members
    assert not {"GB", "CH", "NO", "TR"} & members


def test_projects_are_open_to_everybody(xwms):
    answer = xwms.http.get("/api/global/projects")
    assert answer.status_code == 200
    (project,) = answer.json["data"]["projects"]
    assert set(project) == {
        *("id", "title", "description", "image", "link", "is_new"),
        *("direct_redirect", "published_at", "categories"),
    }
    assert all(set(category) == {"id", "name"} for category in project["categories"])


def test_info_lists_every_endpoint_and_each_is_there(xwms):
    listed = xwms.http.get("/api/info").json["data"]["api"]["endpoints"]
    assert {name: url.removeprefix("http://127.0.0.1:8800/api/") for name, url in listed.items()} == {
        "general_info": "info",
        "countries": "global/countries",
        "projects": "global/projects",
        "user_address": "get/user/address",
        "user_info": "get/user/info",
        "auth_signin": "sign-token",
        "auth_verify": "sign-token-verify",
        "user/address": "user/address",
    }
    for url in listed.values():
        assert xwms.http.options(urlsplit(url).path).status_code == 405


def test_an_answer_is_ascii_json_that_any_reader_takes(xwms):
    xwms.log_in("xwms-user-5678", "userinfo", "useraddresses")
    answer = xwms.call("get/user/info", {"sub": "xwms-user-5678"})
    assert json.loads(answer.data.decode("ascii"))["data"]["user"]["given_name"] == "Þórunn-Élise"
