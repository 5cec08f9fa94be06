"""The API log in the dashboard: every call with what was answered and why, and nothing that is secret."""

import html
import json
import re
import sqlite3

import pytest
from sqlalchemy import delete

from tests.sandbox.local_xwms import REDIRECT, SECRET
from tests.sandbox.office import Office, value_of, words
from tests.sandbox.staff import CLIENT, colleague, log, owner, rows, stranger
from xwms_auth.sandbox.db.schema import ApiCall
from xwms_auth.sandbox.faults.catalogue import FAULTS, NOT_PERFORMED, parse_fault

HOST = "a domain that this client does not have."


@pytest.fixture
def office(xwms) -> Office:
    return owner(xwms)


def strike(xwms, fault: str) -> None:
    xwms.app.extensions["xwms_sandbox"].faults.add(parse_fault(fault))


def test_there_is_a_line_for_each_call_the_latest_first(xwms, office):
    assert words(office.get(f"{CLIENT}/log")).endswith("There are no calls yet.")
    xwms.sign_token()
    xwms.clock.now += 7
    xwms.http.environ_base["REMOTE_ADDR"] = "2001:db8::1"
    xwms.call("global/countries", {})
    assert log(office) == [
        "15 Jan 2027, 08:00:07 global/countries localhost 2001:db8::1 200",
        "15 Jan 2027, 08:00:00 sign-token localhost 127.0.0.1 200",
    ]


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"X_Client_Domain": None}, 403, "The call has no X-Client-Domain."),
        ({"X_Client_Domain": "elsewhere.example"}, 403, f"The call names {HOST}"),
        (
            {"X_Client_Domain": "http://localhost:5000/"},
            403,
            f"The call names {HOST} It has to be localhost, in lower case and without scheme, port or path.",
        ),
        (
            {"X_Client_Domain": "LocalHost"},
            403,
            f"The call names {HOST} It has to be localhost, in lower case and without scheme, port or path.",
        ),
        (
            {"X_Client_Domain": "www.localhost"},
            403,
            f"The call names {HOST} localhost does not include its subdomains or parent domains: add this one too.",
        ),
        ({"X_Client_Secret": None}, 401, "The call has no X-Client-Secret."),
        ({"X_Client_Secret": "wrong"}, 401, "The secret is none of this client's secrets."),
        ({"X_Client_Secret": f'"{SECRET}"'}, 401, "The secret is correct except for quotation marks around it."),
    ],
)
def test_refused_credentials_are_explained(xwms, office, headers, status, why):
    assert xwms.call("sign-token", {"redirect_url": REDIRECT}, **headers).status_code == status
    assert log(office)[0].endswith(f"127.0.0.1 {status} {why}")


def test_a_regenerated_secret_is_named_as_a_likely_cause(xwms, office):
    office.post(f"{CLIENT}/secrets/1/regenerate", revision="1")
    xwms.call("sign-token", {})
    assert log(office)[0].endswith("One was regenerated: the app may still have the old one.")


def test_a_secret_that_is_switched_off_and_a_disabled_client_are_explained(xwms, office):
    office.post(f"{CLIENT}/secrets/1/active", active="no")
    xwms.call("sign-token", {})
    office.post(f"{CLIENT}/enabled", enabled="no")
    xwms.call("sign-token", {})
    disabled, inactive = log(office)
    assert disabled.endswith("403 The client is disabled. Its overview has the switch.")
    assert inactive.endswith("401 The secret “Command line” is switched off.")


@pytest.mark.parametrize(
    ("redirect_url", "why"),
    [
        (f"{REDIRECT}/", "Only the slash at the end differs from a registered one"),
        (REDIRECT.replace("http:", "https:"), "Only http and https differ from a registered one."),
        (REDIRECT.replace("localhost", "127.0.0.1"), "localhost and 127.0.0.1 are two hosts"),
        (REDIRECT.upper(), "Only upper and lower case differ from a registered one"),
        ("https://evil.example/", "It is none of the registered ones"),
    ],
)
def test_a_redirect_uri_that_is_almost_right_is_explained(xwms, office, redirect_url, why):
    assert xwms.call("sign-token", {"redirect_url": redirect_url}).status_code == 422
    assert f" 422 {why}" in log(office)[0]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "422 The redirect_url field is required."),
        ([], "422 The request body must be a JSON object."),
        ({"redirect_url": "x" * 70_000}, "413 The data value transmitted exceeds the capacity limit."),
    ],
)
def test_a_body_that_cannot_be_used_is_explained(xwms, office, body, why):
    xwms.call("sign-token", body)
    assert log(office)[0].endswith(why)


def test_a_refused_token_is_explained(xwms, office):
    token = xwms.sign_token()["token"]
    xwms.verify(token)
    xwms.choose(token)
    xwms.verify(token)
    xwms.verify(token)
    xwms.verify("another")
    unknown, used, spent, waiting, _ = log(office)
    assert unknown.endswith("401 Refused: no such token.")
    assert used.endswith("401 Refused: the token was used before.")
    assert spent.endswith("127.0.0.1 200")
    assert waiting.endswith("401 Refused: nobody has signed in with this token.")


def test_the_filter_leaves_what_was_refused(xwms, office):
    xwms.sign_token()
    xwms.call("sign-token", {})
    strike(xwms, "html:sign-token:1")
    xwms.call("sign-token", {"redirect_url": REDIRECT})
    assert len(log(office)) == 3
    struck, refused = rows(office.get(f"{CLIENT}/log?refused=yes"))
    assert "The redirect_url field is required." in refused
    assert "the fault “html” struck" in struck


def test_the_page_links_to_the_filter_and_back(xwms, office):
    xwms.sign_token()
    assert 'href="/dashboard/clients/1/log?refused=yes"' in office.get(f"{CLIENT}/log").text
    filtered = office.get(f"{CLIENT}/log?refused=yes")
    assert 'href="/dashboard/clients/1/log"' in filtered.text
    assert words(filtered).endswith("No call was refused.")


def test_there_are_200_calls_on_a_page_and_older_ones_on_the_next(xwms, office):
    for number in range(203):
        xwms.call("sign-token", {}, X_Client_Domain=f"host-{number}.example")
    for query in ("", "?refused=yes"):
        newest = office.get(f"{CLIENT}/log{query}")
        lines = rows(newest)
        assert len(lines) == 200
        assert "host-202.example" in lines[0]
        assert "host-3.example" in lines[-1]
        assert "Latest calls" not in newest.text
        (older,) = re.findall(r'href="/dashboard(/clients/1/log\?before=[^"]+)"', newest.text)
        xwms.call("sign-token", {}, X_Client_Domain="later.example")
        rest = office.get(html.unescape(older))
        assert [f"host-{number}.example" in line for number, line in zip((2, 1, 0), rows(rest), strict=True)] == [
            True
        ] * 3
        assert "Older calls" not in rest.text
        assert f'href="/dashboard{CLIENT}/log{query}">Latest calls' in rest.text
        with xwms.app.extensions["xwms_sandbox"].database.work() as session:
            session.execute(delete(ApiCall).where(ApiCall.domain == "later.example"))


@pytest.mark.parametrize("before", ["0", "-1", "x", "1" * 30, "%D9%A1"])
def test_a_page_of_the_log_that_cannot_be_is_the_first(xwms, office, before):
    xwms.sign_token()
    assert rows(office.get(f"{CLIENT}/log?before={before}")) == log(office)


@pytest.mark.parametrize("name", sorted(NOT_PERFORMED))
def test_a_call_that_a_fault_answered_is_written_down_once_as_not_made(xwms, office, name):
    strike(xwms, f"{name}:sign-token-verify:1")
    answer = xwms.call("sign-token-verify", {"token": "x"})
    why = f"The call was not performed, because the fault “{name}” struck: {FAULTS[name]}"
    assert log(office) == [f"15 Jan 2027, 08:00:00 sign-token-verify localhost 127.0.0.1 {answer.status_code} {why}"]
    assert len(rows(office.get(f"{CLIENT}/log?refused=yes"))) == 1


@pytest.mark.parametrize("name", ["500", "html", "wrong-envelope", "no-sub", "duplicate-keys", "wrong-clock"])
def test_a_call_whose_answer_a_fault_spoiled_says_so_beside_what_was_answered(xwms, office, name):
    strike(xwms, f"{name}:get/user/info:2")
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    xwms.call("get/user/info", {"sub": "1001"})
    xwms.call("get/user/info", {"sub": "1003"})
    refused, carried_out, _ = log(office)
    then = f"Then the fault “{name}” struck: {FAULTS[name]}"
    assert carried_out.endswith(f"200 The call was performed. {then}")
    assert refused.endswith(f"403 This person has never logged in here. {then}")


def test_a_fault_of_a_call_that_needs_no_client_is_not_in_anybodys_log(xwms, office):
    strike(xwms, "503:info:1")
    assert xwms.http.get("/api/info", headers=xwms.headers).status_code == 503
    assert xwms.http.get("/api/info", headers=xwms.headers).status_code == 200
    assert log(office) == []


def test_neither_the_page_nor_the_database_holds_anything_secret_or_personal(make_xwms, tmp_path):
    file = tmp_path / "sandbox.db"
    xwms = make_xwms(database=file, scopes=("userinfo", "useraddresses"))
    office = owner(xwms)
    token = xwms.sign_token()["token"]
    xwms.http.post(f"/sign-in/{token}", data={"person": "xwms-user-1234", "scope": ["userinfo", "useraddresses"]})
    xwms.verify(token)
    xwms.verify(token)
    secret_words = [
        token,
        SECRET,
        "wrong-secret-of-somebody",
        "xwms-user-1234",
        "Bram",
        "bram@",
        "Canal Street",
        "x-ray",
    ]
    for headers in ({}, {"X_Client_Secret": "wrong-secret-of-somebody"}, {"X_Client_Domain": "elsewhere.example"}):
        xwms.call("get/user/info", {"sub": "xwms-user-1234"}, **headers)
        xwms.call("get/user/info", {"sub": "x-ray"}, **headers)
        for address in ({"street": "Canal Street"}, {"Canal Street": 1}, {"street": "Canal Street " * 99}):
            body = {"sub": "xwms-user-1234", "action": "create", "address": address}
            xwms.call("user/address", body, **headers)
        xwms.call("user/address", {"sub": "xwms-user-1234", "action": "Canal Street"}, **headers)
        xwms.call("sign-token-verify", {"token": token, "redirect_url": "x-ray"}, **headers)
    # Environment variables get mixed up: what is in the wrong header is as secret as in the right one.
    made = value_of(office.post(f"{CLIENT}/secrets", label="Made", domain="1"), "client-secret")
    for value in (SECRET, token, made, f"{token}.example", "Canal Street"):
        xwms.call("sign-token", {}, X_Client_Domain=value)
    page = office.get(f"{CLIENT}/log").text
    assert page.count("(not a domain)") == 5
    with sqlite3.connect(file) as database:
        table = json.dumps(database.execute("SELECT * FROM api_calls").fetchall(), ensure_ascii=False)
    database.close()
    assert table.count("sign-token") > 5
    for word in [*secret_words, made]:
        assert word not in page
        assert word not in table


def test_every_member_may_look_and_nobody_from_elsewhere(xwms, office):
    xwms.sign_token()
    assert len(log(colleague(xwms, "Vera"))) == 1
    theirs, client = stranger(xwms)
    assert theirs.get(f"{CLIENT}/log").status_code == 404
    assert office.get(f"{client}/log").status_code == 404
    assert log(theirs, client) == []
