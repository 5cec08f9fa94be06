"""XWMS's API beside the login: countries, projects, what XWMS knows about a person, their addresses; on both clients.

Every story runs on both clients through one body; see `ask` in `tools/fake_xwms.py`. Where thousands of answers are
tried, the steps of a call are played by hand instead.
"""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import FrozenInstanceError, asdict, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.clients import Client, both, config
from tests.tools.fake_xwms import CANARY, CLIENT_ID, REDIRECT_URI, FakeXWMS, ask, outcomes
from tests.tools.faults import Reply, envelope, refusal
from xwms_auth import (
    Address,
    BadAnswer,
    Country,
    NotApproved,
    NotFound,
    Project,
    ProjectCategory,
    RequestRejected,
    SocialProfile,
    StoredAddress,
    User,
    UserInfo,
    XWMSConfig,
)
from xwms_auth._core.api import resource_calls
from xwms_auth._core.base import effects

Question = Callable[[Any], Any]

SUB = "xwms-user-1234"
BEYOND_A_FLOAT = "9007199254740993"  # 2**53 + 1, which JavaScript and every float round to ...992
SECOND_URI = "https://app.example/xwms/validateToken"
URI = json.dumps(REDIRECT_URI)
KIB = 1024


def user_info(sub: str = SUB, **how: object) -> Question:
    return lambda client: client.user_info(sub, **how)


def addresses(client: Any) -> Any:
    return client.addresses(SUB).list()


def create(address: Address, sub: str = SUB) -> Question:
    return lambda client: client.addresses(sub).create(address)


def update(address_id: str, address: Address) -> Question:
    return lambda client: client.addresses(SUB).update(address_id, address)


def delete(address_id: str, sub: str = SUB) -> Question:
    return lambda client: client.addresses(sub).delete(address_id)


QUESTIONS: dict[str, tuple[str, Question]] = {
    "countries": ("global/countries", lambda client: client.countries()),
    "projects": ("global/projects", lambda client: client.projects()),
    "user_info": ("get/user/info", user_info()),
    "addresses.list": ("get/user/address", addresses),
    "addresses.create": ("user/address", create(Address(city="Delft"))),
    "addresses.update": ("user/address", update("7", Address(city="Delft"))),
    "addresses.delete": ("user/address", delete("7")),
}
ABOUT_A_PERSON = ["user_info", "addresses.list", "addresses.create", "addresses.update", "addresses.delete"]
LISTS = {"countries": "countries", "projects": "projects", "addresses.list": "addresses"}


def answered(fx: FakeXWMS, client: Client, name: str, answer: Reply) -> Any:
    """What the call gave or raised, XWMS having said this."""
    (outcome,) = all_answered(fx, client, name, [answer])
    return outcome


def all_answered(fx: FakeXWMS, client: Client, name: str, answers: Sequence[Reply]) -> list[Any]:
    """What one client gave or raised at each of these answers to the same call."""
    path, question = QUESTIONS[name]
    fx.answer(path, *answers)
    return outcomes(client, config(fx), *[question] * len(answers))


NETHERLANDS = {"id": 151, "short_name": "NL", "name": "Netherlands", "phonecode": 31, "is_eu_member": True}
HOME = {
    "id": 7,
    "type": "home",
    "name": "Ada Lovelace",
    "company_name": None,
    "firstname": "Ada",
    "lastname": "Lovelace",
    "phone": "+31 15 1234567",
    "email": "ada@example.org",
    "tax_nr": None,
    "registration_nr": None,
    "access_code": "2580#",
    "postal_code": "2611 AB",
    "house_number": 12,
    "street": "Markt",
    "city": "Delft",
    "country": NETHERLANDS,
}
STORED = StoredAddress(
    id="7",
    type="home",
    name="Ada Lovelace",
    firstname="Ada",
    lastname="Lovelace",
    phone="+31 15 1234567",
    email="ada@example.org",
    access_code="2580#",
    postal_code="2611 AB",
    house_number="12",
    street="Markt",
    city="Delft",
    country="NL",
    country_details=Country(id="151", short_name="NL", name="Netherlands", phonecode="31", is_eu_member=True),
)


# --- what is sent ----------------------------------------------------------------------------------------------------

SENT = {
    "countries": ("POST", "global/countries", f'{{"redirect_url": {URI}}}'),
    "projects": ("GET", "global/projects", ""),
    "user_info": ("POST", "get/user/info", f'{{"sub": "{SUB}", "socials": true, "redirect_url": {URI}}}'),
    "addresses.list": ("POST", "get/user/address", f'{{"sub": "{SUB}", "redirect_url": {URI}}}'),
    "addresses.create": (
        "POST",
        "user/address",
        f'{{"sub": "{SUB}", "action": "create", "address": {{"city": "Delft"}}, "redirect_url": {URI}}}',
    ),
    "addresses.update": (
        "POST",
        "user/address",
        f'{{"sub": "{SUB}", "action": "update", "address_id": 7, "address": {{"city": "Delft"}},'
        f' "redirect_url": {URI}}}',
    ),
    "addresses.delete": (
        "POST",
        "user/address",
        f'{{"sub": "{SUB}", "action": "delete", "address_id": 7, "redirect_url": {URI}}}',
    ),
}


@both
def test_a_call_is_exactly_these_bytes_and_all_but_projects_identify_the_client(fx: FakeXWMS, client: Client):
    for name, (method, call, body) in SENT.items():
        answered(fx, client, name, envelope())
        request = fx.requests[-1]
        assert (request.method, request.target, request.body.decode()) == (method, f"/api/{call}", body)
        identified = (request.all("X-Client-Id"), request.all("X-Client-Secret"), request.all("X-Client-Domain"))
        if name == "projects":
            assert identified == ([], [], [])
            assert CANARY.encode() not in request.raw_head
        else:
            assert identified == ([CLIENT_ID], [CANARY], ["localhost"]), name
            assert request.all("Content-Type") == ["application/json"], name
    assert len(fx.requests) == len(QUESTIONS) == len(SENT)


@both
def test_of_several_redirect_uris_the_first_goes_along(fx: FakeXWMS, client: Client):
    settings = config(fx, redirect_uris=(SECOND_URI, REDIRECT_URI))
    outcomes(client, settings, user_info(), addresses, delete("7"), lambda opened: opened.countries())
    assert {request.json["redirect_url"] for request in fx.requests} == {SECOND_URI}


@both
def test_without_social_profiles_nothing_is_said_about_them(fx: FakeXWMS, client: Client):
    outcomes(client, config(fx), user_info(socials=False))
    (request,) = fx.requests
    assert "socials" not in request.json


NUMBERS: dict[str, object] = {"1234": 1234, "9007199254740991": 9007199254740991}
NO_NUMBERS = [BEYOND_A_FLOAT, "9223372036854775807", "1" + "0" * 60, SUB, "007", "0", "-5", "1e3", "1 2"]
NO_NUMBERS += ["１２", "²", 'a","b":"c']


@both
def test_only_a_sub_that_survives_as_a_number_is_sent_as_one(fx: FakeXWMS, client: Client):
    for sub, sent in {**NUMBERS, **{text: text for text in NO_NUMBERS}}.items():
        fx.answer("get/user/info", envelope({"user": {"sub": sent}}))
        info, *_ = outcomes(client, config(fx), user_info(sub), create(Address(), sub), delete(sub, sub))
        assert info.sub == sub
        asked, created, deleted = [request.json for request in fx.requests[-3:]]
        for received in (asked["sub"], created["sub"], deleted["sub"], deleted["address_id"]):
            assert (received, type(received)) == (sent, type(sent)), sub


@both
def test_what_cannot_be_a_sub_or_an_id_is_not_sent(fx: FakeXWMS, client: Client):
    subs: list[Any] = ["", " ", "a\nb", "x" * 256, None, True, 1.0]
    for sub in subs:
        failures = outcomes(client, config(fx), user_info(sub), delete("7", sub), delete(sub), update(sub, Address()))
        assert {type(failure) for failure in failures} == {ValueError}, sub
    assert fx.requests == []


@both
def test_an_empty_field_is_sent_and_a_missing_one_is_not(fx: FakeXWMS, client: Client):
    outcomes(client, config(fx), update("7", Address(phone="", country="nld")))
    (request,) = fx.requests
    assert request.json["address"] == {"phone": "", "country": "NLD"}


@both
def test_a_stored_address_can_be_changed_and_sent_back(fx: FakeXWMS, client: Client):
    fx.answer("user/address", envelope({"address": {**HOME, "city": "Leiden"}}))
    changed = ask(client, config(fx), update(STORED.id, replace(STORED, city="Leiden")))
    assert changed == replace(STORED, city="Leiden")
    (request,) = fx.requests
    given = {name: value for name, value in HOME.items() if value is not None and name != "id"}
    assert request.json["address"] == {**given, "house_number": "12", "city": "Leiden", "country": "NL"}


# --- an address of ours ----------------------------------------------------------------------------------------------


def test_a_country_that_is_no_code_is_refused_when_the_address_is_made():
    for country in ("", "N", "N1", "Netherlands", "nl ", " nl", "ßa", "ıt", "ＮＬ", "N-L", "n\n"):
        with pytest.raises(ValueError, match="country must be a code"):
            Address(country=country)


def test_a_country_code_is_put_into_capitals():
    assert [Address(country=country).country for country in ("nl", "NL", "nLd", None)] == ["NL", "NL", "NLD", None]


def test_an_address_does_not_change_and_does_not_show_how_to_open_the_door():
    address: Any = Address(street="Markt", access_code="2580#")
    with pytest.raises(FrozenInstanceError):
        address.street = "Plein"
    assert "Markt" in repr(address)
    assert "2580" not in repr(address) + repr(STORED)


# --- what is understood ----------------------------------------------------------------------------------------------


@both
def test_countries_are_read_with_all_that_xwms_says_about_them(fx: FakeXWMS, client: Client):
    more = {"capital": "Amsterdam", "iso_alpha3": "NLD", "region": "Europe", "timezone": "Europe/Amsterdam"}
    usual = {**NETHERLANDS, **more, "currency_code": "EUR"}
    bare = {"id": "8", "short_name": "tv", "name": "Tuvalu", "phonecode": None, "is_eu_member": 0, "capital": ["x"]}
    found = answered(fx, client, "countries", envelope({"countries": [usual, bare]}))
    assert found == (
        Country(**{**usual, "id": "151", "phonecode": "31"}),
        Country(id="8", short_name="TV", name="Tuvalu", is_eu_member=False),
    )


@both
def test_projects_are_read_with_their_categories(fx: FakeXWMS, client: Client):
    usual = {
        "id": 3,
        "title": "Shop",
        "description": "One.\r\nTwo.",
        "image": "https://xwms.nl/shop.png",
        "link": "HTTPS://shop.example/",
        "is_new": 1,
        "direct_redirect": True,
        "published_at": "2026-01-02T03:04:05+01:00",
        "categories": [{"id": 1, "name": "Trade"}],
    }
    bare = {"id": "x", "title": "Bare", "published_at": "soon", "is_new": "yes", "categories": None}
    found = answered(fx, client, "projects", envelope({"projects": [usual, bare]}))
    assert found == (
        Project(
            id="3",
            title="Shop",
            description="One.\r\nTwo.",
            image="https://xwms.nl/shop.png",
            link="HTTPS://shop.example/",
            is_new=True,
            direct_redirect=True,
            published_at=datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC),
            categories=(ProjectCategory(id="1", name="Trade"),),
        ),
        Project(id="x", title="Bare"),
    )


PERSON = {
    "sub": 1234,
    "name": "Ada Lovelace",
    "email": "ada@example.org",
    "email_verified": True,
    "birth_date": "1815-12-10",
    "gender": "female",
    "second_email": "ada@mail.example",
    "country": "GB",
    "socials": [{"platform": "github", "username": "ada", "url": "https://github.com/ada"}],
}


@both
@pytest.mark.parametrize("data", [{"user": PERSON}, PERSON], ids=["in data.user", "in data"])
def test_user_info_is_the_person_and_more(fx: FakeXWMS, client: Client, data: dict[str, object]):
    fx.answer("get/user/info", envelope(data))
    info = ask(client, config(fx), user_info("1234"))
    assert isinstance(info, User)
    assert (info.identity, info.verified_email) == ((fx.api_url, "1234"), "ada@example.org")
    assert (info.birth_date, info.gender, info.country) == (date(1815, 12, 10), "female", "GB")
    assert info.second_email == "ada@mail.example"
    assert info.socials == (SocialProfile(platform="github", username="ada", url="https://github.com/ada"),)
    assert json.loads(json.dumps(info.claims()))["birth_date"] == "1815-12-10"


@both
def test_without_the_scope_there_is_the_person_only(fx: FakeXWMS, client: Client):
    nulls = dict.fromkeys(("birth_date", "gender", "second_email", "country", "socials"))
    fx.answer("get/user/info", envelope({"user": {"sub": SUB, **nulls}}), envelope({"user": {"sub": SUB}}))
    nothing = UserInfo(issuer=fx.api_url, sub=SUB)
    assert outcomes(client, config(fx), user_info(), user_info()) == [nothing, nothing]


@both
def test_an_answer_about_another_person_is_a_bad_answer(fx: FakeXWMS, client: Client):
    others: list[object] = [1234, "XWMS-USER-1234", SUB + " ", 9007199254740992, None, ""]
    replies = [envelope({"user": {**PERSON, "sub": other}}) for other in others]
    for other, found in zip(others, all_answered(fx, client, "user_info", replies), strict=True):
        assert getattr(found, "code", found) == "xwms_bad_answer", other


@both
def test_two_subs_that_a_float_makes_one_stay_two(fx: FakeXWMS, client: Client):
    fx.answer("get/user/info", envelope({"user": {"sub": 9007199254740992}}))
    (found,) = outcomes(client, config(fx), user_info(BEYOND_A_FLOAT))
    assert getattr(found, "code", found) == "xwms_bad_answer"


@both
def test_a_birth_date_is_a_day_that_is_certain_or_none(fx: FakeXWMS, client: Client):
    certain = ["2000-02-29", "2000-02-29T00:00:00.000000Z"]
    doubtful: list[object] = ["2000-02-28T23:00:00Z", "1999-02-29", "29-02-2000", 951782400, True, ""]
    replies = [envelope({"user": {"sub": SUB, "birth_date": said}}) for said in (*certain, *doubtful)]
    found = [person.birth_date for person in all_answered(fx, client, "user_info", replies)]
    assert found == [date(2000, 2, 29)] * len(certain) + [None] * len(doubtful)


@both
def test_what_is_no_web_address_is_no_link(fx: FakeXWMS, client: Client):
    for url in ("javascript:alert(1)", " https://a.example", "//a.example/", "data:text/html,x", "/x"):
        socials = [{"platform": "web", "username": "x\x00y", "url": url}]
        found = answered(fx, client, "user_info", envelope({"user": {"sub": SUB, "socials": socials}}))
        assert found.socials == (SocialProfile(platform="web"),), url
        (project,) = answered(fx, client, "projects", envelope({"projects": [{"id": 1, "title": "a", "link": url}]}))
        assert project.link is None, url


@both
def test_a_country_of_a_person_may_be_an_object(fx: FakeXWMS, client: Client):
    found = answered(fx, client, "user_info", envelope({"user": {"sub": SUB, "country": NETHERLANDS}}))
    assert found.country == "NL"


@both
def test_addresses_are_listed_with_their_countries(fx: FakeXWMS, client: Client):
    bare = {"id": "b-1", "country": "nld", "street": "a\x1b[31m"}
    nowhere = {"id": 3, "country": "The Netherlands"}
    found = answered(fx, client, "addresses.list", envelope({"sub": SUB, "addresses": [HOME, bare, nowhere]}))
    assert found == (STORED, StoredAddress(id="b-1", country="NLD"), StoredAddress(id="3"))


@both
def test_a_list_may_be_empty_or_be_the_data_itself(fx: FakeXWMS, client: Client):
    for name, key in LISTS.items():
        replies = [envelope({key: []}), Reply(body=b'{"status": "success", "data": []}')]
        assert all_answered(fx, client, name, replies) == [(), ()], name


@both
def test_a_new_and_a_changed_address_are_given_as_stored(fx: FakeXWMS, client: Client):
    assert answered(fx, client, "addresses.create", envelope({"address": HOME})) == STORED
    assert answered(fx, client, "addresses.update", envelope({"address": {**HOME, "id": "7"}})) == STORED


@both
def test_a_deleted_address_needs_no_data(fx: FakeXWMS, client: Client):
    data = (b"{}", b"[]", b"null", b'{"address": {"id": 7}}')
    replies = [Reply(body=b'{"status": "success", "message": "OK", "data": %s}' % one) for one in data]
    replies.append(Reply(body=b'{"status": "success"}'))
    assert all_answered(fx, client, "addresses.delete", replies) == [None] * 5


WRONG: list[tuple[str, object]] = [
    *((name, data) for name in QUESTIONS if name != "addresses.delete" for data in ({}, {"x": 1}, "text", 5, True)),
    *((name, {LISTS[name]: listed}) for name in LISTS for listed in ({}, "x", 5, [[]], ["x"], [None], [{}])),
    *(("countries", {"countries": [{**NETHERLANDS, "id": one}]}) for one in (None, 0, True, 1.5, "", [], "a\nb")),
    *(("countries", {"countries": [{**NETHERLANDS, "short_name": one}]}) for one in (None, "N", "NLD", "ßa", 5, "N1")),
    *(("countries", {"countries": [{**NETHERLANDS, "name": one}]}) for one in (None, "", 5, "a\x00", "x" * 1025)),
    *(("projects", {"projects": [{"id": 1, "title": one}]}) for one in (None, "", 5, "a\nb")),
    *(("projects", {"projects": [{"id": 1, "title": "a", "categories": one}]}) for one in ({}, "x", [1], [{"id": 1}])),
    *(("user_info", {"user": {"sub": SUB, "socials": one}}) for one in ({}, "x", 5, [None], [{}], [{"platform": 5}])),
    *(("addresses.list", {"addresses": [{**HOME, "id": one}]}) for one in (None, 0, True, "", [7])),
    *(("addresses.list", {"addresses": [{**HOME, "country": one}]}) for one in ({}, {"short_name": "NL"})),
    ("addresses.list", {"sub": "somebody-else", "addresses": [HOME]}),
    ("addresses.create", {"sub": "somebody-else", "address": HOME}),
    ("addresses.create", {"address": [HOME]}),
    ("addresses.create", HOME),
    ("addresses.update", {"address": {**HOME, "id": 8}}),
    ("addresses.update", {"address": {**HOME, "id": "07"}}),
]  # fmt: skip


@both
def test_an_answer_of_another_shape_is_a_bad_answer(fx: FakeXWMS, client: Client):
    for name in QUESTIONS:
        said = [data for one, data in WRONG if one == name]
        got = all_answered(fx, client, name, [envelope(data) for data in said])
        wrong = [(data, one) for data, one in zip(said, got, strict=True) if not isinstance(one, BadAnswer)]
        assert wrong == [], name


# --- size ------------------------------------------------------------------------------------------------------------

BOUNDS = {"countries": 1000, "projects": 1000, "addresses.list": 1000}
ENTRY = {"countries": NETHERLANDS, "projects": {"id": 1, "title": "a"}, "addresses.list": {"id": 1}}


@both
def test_a_list_has_a_thousand_entries_at_the_most(fx: FakeXWMS, client: Client):
    for name, bound in BOUNDS.items():
        listed = [ENTRY[name]] * bound
        assert len(answered(fx, client, name, envelope({LISTS[name]: listed}))) == bound
        assert isinstance(answered(fx, client, name, envelope({LISTS[name]: [*listed, ENTRY[name]]})), BadAnswer), name


@both
def test_a_person_has_a_hundred_social_profiles_at_the_most(fx: FakeXWMS, client: Client):
    for many, kind in ((100, UserInfo), (101, BadAnswer)):
        person = {"sub": SUB, "socials": [{"platform": "x"}] * many}
        assert type(answered(fx, client, "user_info", envelope({"user": person}))) is kind


@both
def test_lists_are_read_up_to_one_mebibyte_and_all_else_up_to_64_kibibytes(fx: FakeXWMS, client: Client):
    for name in QUESTIONS:
        cap = 1024 * KIB if name in LISTS else 64 * KIB
        person_and_address = {"user": {"sub": SUB}, "address": HOME, **{key: [] for key in LISTS.values()}}
        body = envelope(person_and_address).body
        fits, larger = (Reply(body=body + b" " * (size - len(body))) for size in (cap, cap + 1))
        assert not isinstance(answered(fx, client, name, fits), Exception), name
        assert isinstance(answered(fx, client, name, larger), BadAnswer), name


@both
def test_a_connection_is_used_again_after_a_large_answer(fx: FakeXWMS, client: Client):
    path, question = QUESTIONS["countries"]
    body = envelope({"countries": [NETHERLANDS]}).body
    fx.answer(path, Reply(body=body + b" " * (1024 * KIB - len(body))))
    outcomes(client, config(fx), question, question, question)
    assert (fx.connections, fx.calls(path)) == (1, 3)


# --- XWMS says no ----------------------------------------------------------------------------------------------------

REFUSALS = [
    (403, "The scope useraddresses is not enabled for this client.", NotApproved),
    (403, "The user has not approved the scope useraddresses.", NotApproved),
    (403, "The user has not approved this client.", NotApproved),
    (403, "The user has revoked the approval of this client.", NotApproved),
    (403, "This person withdrew consent.", NotApproved),
    (404, "The address is not known.", NotFound),
    (404, "The user is not known.", NotFound),
    (404, "No such address.", NotFound),
    (422, "The country is not known.", RequestRejected),
    (422, "The street field is required.", RequestRejected),
    (422, "The address id field is required.", RequestRejected),
]


@both
@pytest.mark.parametrize("name", ABOUT_A_PERSON)
def test_a_refusal_about_a_person_says_what_it_is_whether_its_status_says_so_or_is_200(
    fx: FakeXWMS, client: Client, name: str
):
    cases = [(status, message, kind) for http, message, kind in REFUSALS for status in (http, 200)]
    got = all_answered(fx, client, name, [refusal(http, message) for http, message, _ in cases])
    assert [(*case[:2], type(error)) for case, error in zip(cases, got, strict=True)] == cases


@both
@pytest.mark.parametrize("name", ABOUT_A_PERSON)
def test_a_refusal_in_unknown_words_is_told_by_its_status(fx: FakeXWMS, client: Client, name: str):
    codes = {
        400: "request_rejected",
        401: "credentials_rejected",
        403: "not_approved",
        404: "not_found",
        422: "request_rejected",
        500: "xwms_bad_answer",
        503: "xwms_unreachable",
    }
    got = all_answered(fx, client, name, [refusal(http, "Nee.") for http in codes])
    assert {http: error.code for http, error in zip(codes, got, strict=True)} == codes


@both
@pytest.mark.parametrize("name", ABOUT_A_PERSON)
def test_422_is_about_what_was_sent_whatever_its_words(fx: FakeXWMS, client: Client, name: str):
    messages = [
        "The domain of the e-mail address is not known.",
        "The name Disabled is invalid.",
        "The user is unknown.",
    ]
    got = all_answered(fx, client, name, [refusal(422, message) for message in messages])
    assert [error.code for error in got] == ["request_rejected"] * 3


@both
@pytest.mark.parametrize("name", ["countries", "projects"])
def test_a_no_to_a_list_for_everybody_is_a_bad_answer(fx: FakeXWMS, client: Client, name: str):
    got = all_answered(fx, client, name, [refusal(http, "The user is not known.") for http in (400, 404, 422)])
    assert [error.code for error in got] == ["xwms_bad_answer"] * 3


def test_the_new_errors_have_their_codes_and_statuses():
    told = {kind: (kind.code, kind.status) for kind in (NotApproved, RequestRejected, NotFound)}
    assert told == {
        NotApproved: ("not_approved", 403),
        RequestRejected: ("request_rejected", 500),
        NotFound: ("not_found", 404),
    }


@both
def test_what_xwms_says_about_somebody_is_in_no_error(fx: FakeXWMS, client: Client):
    said = "The scope useraddresses of ada@example.org, Markt 12, Theresa May, 2580# is not enabled for this client."
    error = answered(fx, client, "user_info", refusal(403, said))
    assert not [word for word in ("ada", "Markt", "12", "Theresa", "May", "2580") if word in str(error)]
    assert "The scope useraddresses" in str(error)


# --- whatever comes --------------------------------------------------------------------------------------------------

SETTINGS = XWMSConfig(
    client_id=CLIENT_ID, client_secret=CANARY, redirect_uris=REDIRECT_URI, session_secret="K3y-for-tests-" + "0" * 32
)
ADDRESS_NAMES = [name for name in asdict(Address()) if name != "country"]
STEPS: dict[str, Callable[[], Generator[Any, Any, Any]]] = {
    "countries": lambda: resource_calls.countries(SETTINGS),
    "projects": resource_calls.projects,
    "user_info": lambda: resource_calls.user_info(SETTINGS, "1234", socials=True),
    "addresses.list": lambda: resource_calls.list_addresses(SETTINGS, "1234"),
    "addresses.create": lambda: resource_calls.create_address(SETTINGS, "1234", Address()),
    "addresses.update": lambda: resource_calls.update_address(SETTINGS, "1234", "7", Address()),
}


def answer_to(steps: Generator[Any, Any, Any], data: object) -> Any:
    """What a call that waits for its answer makes of this `data`, with no XWMS in between."""
    body = json.dumps({"status": "success", "message": "OK", "data": data}).encode()
    try:
        steps.send(effects.UpstreamResponse(status=200, content_type="application/json", body=body))
    except StopIteration as end:
        return end.value
    except BadAnswer as error:
        return error
    raise AssertionError("the call has not ended")


def texts_in(found: object) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, (list, tuple)):
        for one in found:
            yield from texts_in(one)
    elif isinstance(found, dict):
        yield from texts_in(list(found.values()))


FIELDS = ["id", "sub", "title", "platform", "short_name", "country", "url", "phonecode", "is_eu_member", "published_at"]
FIELDS += ["name", "birth_date", "socials", "categories", "user", "address", "addresses", "countries", "projects"]
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
likely = st.sampled_from(["NL", "1234", "7", 1234, 7, "2026-01-01", "https://a.example/", "\x7f", "\ud800", 10**400])
anything = st.recursive(
    scalars | likely,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=9),
    max_leaves=30,
)


@given(st.sampled_from(sorted(STEPS)), anything)
def test_any_data_becomes_plain_text_or_a_bad_answer(name: str, data: object):
    steps = STEPS[name]()
    next(steps)
    found = answer_to(steps, data)
    if isinstance(found, BadAnswer):
        assert str(found).isprintable()
        return
    for one in found if isinstance(found, tuple) else (found,):
        texts = [text for text in texts_in(asdict(one)) if "\n" not in text and "\t" not in text and "\r" not in text]
        assert all(ord(char) >= 0x20 and not 0x7F <= ord(char) < 0xA0 for text in texts for char in text)


plain = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=60)
countries = st.sampled_from([None, "NL", "NLD", "be"])
made = st.builds(Address, country=countries, **dict.fromkeys(ADDRESS_NAMES, st.none() | plain))


@given(made)
def test_what_was_sent_is_what_comes_back(address: Address):
    steps = resource_calls.create_address(SETTINGS, BEYOND_A_FLOAT, address)
    sent = json.loads(next(steps).call.body)
    assert sent["sub"] == BEYOND_A_FLOAT
    assert answer_to(steps, {"address": {"id": "new", **sent["address"]}}) == StoredAddress(id="new", **asdict(address))
