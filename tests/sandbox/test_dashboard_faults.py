"""Faults in the dashboard: chosen, counted, cleared, and announced on every page while they are there."""

import pytest

from tests.sandbox.office import Office, faults, notice, words
from xwms_auth.sandbox import parse_fault
from xwms_auth.sandbox.faults.catalogue import ENDPOINTS, FAULTS


@pytest.fixture
def office(xwms) -> Office:
    member = Office(xwms)
    member.register()
    return member


def active(office: Office) -> list[str]:
    return [str(fault) for fault in office.xwms.app.extensions["xwms_sandbox"].faults.active()]


def add(office: Office, **fields: str):
    return office.submit("/faults", "/faults", **fields)


def test_every_fault_is_offered_with_what_it_does_and_every_endpoint(office):
    choices = office.form("/faults", "/faults").choices
    assert set(choices["fault"]) == {f"{name} {says}" for name, says in FAULTS.items()}
    assert list(choices["endpoint"].values()) == ["", *ENDPOINTS]


@pytest.mark.parametrize(
    ("fields", "fault", "said"),
    [
        ({"fault": "500"}, "500", "500 in every call, until it is cleared"),
        ({"fault": "html", "endpoint": "sign-token"}, "html:sign-token", "html in sign-token, until it is cleared"),
        ({"fault": "503", "times": " 1 "}, "503:*:1", "503 in every call, once"),
        (
            {"fault": "slow", "endpoint": "user/address", "times": "3", "seconds": "7.5"},
            "slow=7.5:user/address:3",
            "slow (7.5 s) in user/address, 3 times",
        ),
    ],
)
def test_a_fault_strikes_from_the_next_call_on(office, fields, fault, said):
    assert notice(add(office, **fields)).startswith(f"From the next call on: {said}.")
    assert active(office) == [fault]
    assert FAULTS[fields["fault"]] in office.page_text("/faults")


def test_an_app_meets_the_fault_as_often_as_was_said(office, xwms):
    add(office, fault="503", endpoint="sign-token", times="2")
    assert "2 more times" in office.page_text("/faults")
    body = {"redirect_url": "http://localhost:5000/xwms/validateToken"}
    assert xwms.call("info", {}).status_code != 503
    assert xwms.call("sign-token", body).status_code == 503
    assert "1 more time." in office.page_text("/faults")
    assert [xwms.call("sign-token", body).status_code for _ in range(2)] == [503, 200]
    assert "Active now" not in office.page_text("/faults")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"fault": "nothing"}, ["Please choose a fault."]),
        ({"fault": ""}, ["Please choose a fault."]),
        ({"fault": "html", "times": "0"}, ["A fault strikes at least once, not 0 times."]),
        ({"fault": "html", "times": "-1"}, ["TIMES must be a whole number, not '-1'."]),
        ({"fault": "html", "times": "1:2"}, ["The form of a fault is"]),
        ({"fault": "slow", "seconds": "soon"}, ["The delay of slow must be a number of seconds, not 'soon'."]),
        ({"fault": "slow", "seconds": "nan"}, ["The delay of slow must be more than 0 and at most 120 seconds."]),
        ({"fault": "slow", "seconds": "121"}, ["The delay of slow must be more than 0 and at most 120 seconds."]),
        ({"fault": "html", "seconds": "3"}, ["Only slow has seconds, not html."]),
        ({"fault": "html", "endpoint": "nowhere"}, ["There is no endpoint 'nowhere'."]),
        ({"fault": "html", "endpoint": "sign-token:1"}, ["There is no endpoint 'sign-token:1'."]),
        (
            {"fault": "no-sub", "endpoint": "user/address", "times": "often"},
            ["no-sub has no meaning for user/address", "a whole number, not 'often'"],
        ),
    ],
)
def test_what_cannot_be_is_explained_and_nothing_goes_wrong(office, fields, said):
    answer = office.post("/faults", **fields)
    assert answer.status_code == 422
    assert all(sentence in faults(answer) for sentence in said)
    assert active(office) == []


def test_what_was_typed_stays_beside_what_is_wrong_with_it(office):
    answer = add(office, fault="no-sub", endpoint="user/address", times='<b>"', seconds="")
    assert 'value="no-sub" checked' in answer.text
    assert "<option selected>user/address</option>" in answer.text
    assert 'value="&lt;b&gt;&#34;"' in answer.text
    assert {"endpoint-fault", "times-fault"} <= set(answer.text.split('"'))


def test_each_fault_is_cleared_by_its_own_button_and_all_by_one(office, xwms):
    for fault in ("html:sign-token:2", "500:sign-token", "html:user/address", "slow=4.0"):
        xwms.app.extensions["xwms_sandbox"].faults.add(parse_fault(fault))
    assert "Clear html in user/address" in office.page_text("/faults")

    cleared = office.post("/faults/clear", fault="html", endpoint="user/address")
    assert active(office) == ["html:sign-token:2", "500:sign-token", "slow=4.0"]
    assert "html in sign-token, 2 times" in notice(cleared)
    office.post("/faults/clear", fault="slow", endpoint="")
    assert active(office) == ["html:sign-token:2", "500:sign-token"]

    all_gone = office.submit("/faults", "/clear", button="Clear html in sign-token")
    assert active(office) == ["500:sign-token"]
    assert "Still active: 500 in sign-token, until it is cleared." in notice(all_gone)
    assert "No fault is active" in notice(office.post("/faults/clear"))
    assert active(office) == []


def test_a_fault_that_does_not_exist_cannot_be_cleared(office):
    add(office, fault="html")
    assert office.post("/faults/clear", fault="nothing").status_code == 404
    assert active(office) == ["html"]


def test_every_page_says_how_many_faults_are_active_and_links_to_them(office):
    pages = ("/clients", "/members", "/roles", "/plan")
    assert not [page for page in pages if "will go wrong" in office.page_text(page)]
    add(office, fault="html", times="1")
    for page in pages:
        assert "1 fault is active: calls will go wrong." in office.page_text(page)
    add(office, fault="slow")
    answer = office.get("/clients")
    assert "2 faults are active: calls will go wrong." in words(answer)
    assert answer.text.count('href="/dashboard/faults"') == 2  # the navigation's, and the note's
    office.post("/faults/clear")
    assert not [page for page in pages if "will go wrong" in office.page_text(page)]


def test_faults_are_the_sandbox_s_and_any_member_of_any_account_may_change_them(office, xwms):
    office.add_member("Vera", "Viewer")
    office.enter("Vera")
    assert add(office, fault="html").status_code == 200
    stranger = Office(xwms)
    stranger.register(account="Elsewhere", name="Mallory", email="mallory@elsewhere.example")
    assert "html in every call" in stranger.page_text("/faults")
    stranger.post("/faults/clear")
    assert active(office) == []


def test_somebody_who_is_not_signed_in_changes_no_fault_and_is_told_of_none(office, xwms):
    add(office, fault="html")
    outside = Office(xwms)
    assert outside.post("/faults", fault="500").request.path == "/dashboard"
    assert outside.post("/faults/clear").request.path == "/dashboard"
    assert active(office) == ["html"]
    assert "will go wrong" not in outside.page_text()
