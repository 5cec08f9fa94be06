"""The rest of the API: user info, addresses, countries, projects; and subs, which are never rounded."""

import json

import pytest

ANNA, ZOE = "1001", "9007199254740993"


@pytest.fixture
def xwms(make_xwms):
    made = make_xwms(scopes=("userinfo", "useraddresses"))
    for sub in (ANNA, ZOE, "xwms-user-1234"):
        token = made.sign_token()["token"]
        assert (
            made.http.post(
                f"/sign-in/{token}", data={"person": sub, "scope": ["userinfo", "useraddresses"]}
            ).status_code
            == 303
        )
    return made


def data(answer):
    assert answer.status_code == 200, answer.text
    return answer.json["data"]


def book(xwms, action: str, sub: object = ANNA, **more: object):
    return xwms.call("user/address", {"sub": sub, "action": action, "redirect_url": "http://localhost/x", **more})


HOME = {"street": "Damrak", "house_number": 1, "city": "Amsterdam", "postal_code": "1012LG", "country": "nld"}


def test_user_info_tells_the_extra_fields_with_the_scope(xwms):
    user = data(xwms.call("get/user/info", {"sub": ANNA, "socials": True}))["user"]
    assert (user["sub"], user["name"], user["email_verified"]) == (ANNA, "Anna de Vries", True)
    assert (user["birth_date"], user["gender"], user["country"]) == ("1990-04-27", "female", "NL")
    assert [set(social) for social in user["socials"]] == [{"platform", "username", "url"}]
    assert "socials" not in data(xwms.call("get/user/info", {"sub": ANNA}))["user"]


def test_without_the_scope_the_extra_fields_are_null(make_xwms):
    xwms = make_xwms()
    xwms.choose(xwms.sign_token()["token"])
    user = data(xwms.call("get/user/info", {"sub": ANNA, "socials": True}))["user"]
    assert user["name"] == "Anna de Vries"
    assert [user[name] for name in ("birth_date", "gender", "second_email", "country")] == [None] * 4
    assert user["socials"] == []


@pytest.mark.parametrize("sub", [ANNA, ZOE, "xwms-user-1234"])
def test_a_sub_may_be_a_string(xwms, sub):
    assert data(xwms.call("get/user/info", {"sub": sub}))["user"]["sub"] == sub


@pytest.mark.parametrize("sub", [ANNA, ZOE])
def test_a_sub_may_be_a_number_and_is_never_rounded(xwms, sub):
    body = f'{{"sub": {sub}}}'
    headers = {**xwms.headers, "Content-Type": "application/json"}
    answer = xwms.http.post("/api/get/user/info", data=body, headers=headers)
    assert data(answer)["user"]["sub"] == sub
    if sub == ZOE:  # what a JavaScript number makes of it is somebody else
        rounded = json.dumps({"sub": int(sub) - 1})
        assert xwms.http.post("/api/get/user/info", data=rounded, headers=headers).status_code == 403


@pytest.mark.parametrize("sub", ["null", "0", "false", "true", '""', "1.5", "1e3", "1001.0", "-1001", "[1001]", "{}"])
def test_what_is_no_sub_is_refused(xwms, sub):
    headers = {**xwms.headers, "Content-Type": "application/json"}
    answer = xwms.http.post("/api/get/user/info", data=f'{{"sub": {sub}}}', headers=headers)
    assert answer.status_code == 422
    assert answer.json["message"].startswith("The sub field")


def test_addresses_are_created_listed_changed_and_deleted(xwms):
    made = data(book(xwms, "create", address=HOME))["address"]
    assert (made["street"], made["house_number"], made["company_name"]) == ("Damrak", "1", None)
    assert set(made["country"]) == {"id", "short_name", "name", "phonecode", "is_eu_member"}
    assert (made["country"]["short_name"], made["country"]["is_eu_member"]) == ("NL", True)
    second = data(book(xwms, "create", sub=1001, address=HOME | {"country": "GB"}))["address"]
    assert second["country"]["is_eu_member"] is False

    changed = data(book(xwms, "update", address_id=str(made["id"]), address={"street": "Rokin"}))["address"]
    assert (changed["street"], changed["city"], changed["country"]["short_name"]) == ("Rokin", "Amsterdam", "NL")
    for listed in (book(xwms, "list"), xwms.call("get/user/address", {"sub": ANNA})):
        assert data(listed)["addresses"] == [changed, second]
    assert data(book(xwms, "delete", address_id=made["id"]))["address"] == changed
    assert data(book(xwms, "list"))["addresses"] == [second]
    assert data(book(xwms, "list", sub=ZOE))["addresses"] == []


def test_somebody_else_s_address_is_not_found(xwms):
    mine = data(book(xwms, "create", address=HOME))["address"]["id"]
    for action in ("update", "delete"):
        answer = book(xwms, action, sub=ZOE, address_id=mine, address={"street": "Taken"})
        assert (answer.status_code, answer.json["message"]) == (404, "The address is not known.")
    assert data(book(xwms, "list"))["addresses"][0]["street"] == "Damrak"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"street": ""}, "The street field is required."),
        ({"city": None}, "The city field is required."),
        ({"country": None}, "The country field is required."),
        ({"country": "ZZ"}, "The country is not known"),
        ({"country": "Nederland"}, "The country is not known"),
        ({"street": ["Damrak"]}, "The street field must be a string."),
        ({"street": "D" * 256}, "The street field may have at most"),
        ({"planet": "Earth"}, "The address field planet is not known."),
    ],
)
def test_an_address_that_cannot_be_is_refused_and_not_kept(xwms, change, message):
    answer = book(xwms, "create", address=HOME | change)
    assert answer.status_code == 422
    assert answer.json["message"].startswith(message)
    assert data(book(xwms, "list"))["addresses"] == []


@pytest.mark.parametrize("body", [{}, {"action": "burn"}, {"action": 1}, {"action": "create"}, {"action": "delete"}])
def test_an_action_that_is_none_is_refused(xwms, body):
    assert xwms.call("user/address", {"sub": ANNA, **body}).status_code == 422


def test_every_country_is_there_once(xwms):
    countries = data(xwms.call("global/countries", {}))["countries"]
    assert len({country["short_name"] for country in countries}) == len(countries) >= 249
    assert sum(country["is_eu_member"] for country in countries) == 27
    found = {country["short_name"]: country for country in countries}
    assert found["NL"] == {
        "id": 528,
        "short_name": "NL",
        "iso_alpha3": "NLD",
        "name": found["NL"]["name"],
        "phonecode": "31",
        "is_eu_member": True,
        "capital": "Amsterdam",
        "region": "Europe",
        "timezone": "Europe/Amsterdam",
        "currency_code": "EUR",
    }
    assert found["GB"]["is_eu_member"] is False


def test_projects_and_info_need_no_credentials(xwms):
    project = data(xwms.http.get("/api/global/projects"))["projects"][0]
    assert {"id", "title", "description", "image", "link", "is_new", "direct_redirect", "published_at"} <= set(project)
    assert "user/address" in data(xwms.http.get("/api/info"))["api"]["endpoints"]
