"""A local XWMS with very many clients and people: every page stays small, and everything is still found."""

import re
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from tests.sandbox.local_xwms import NOON, LocalXWMS
from tests.sandbox.office import Office, words
from tests.sandbox.staff import owner, rows, stranger
from xwms_auth.sandbox.db.schema import Approval, Client, Domain, Member, Person

CLIENTS = 3000  # beside the one that the sandbox was started with
PER_PAGE = 25


@pytest.fixture
def large(xwms: LocalXWMS) -> LocalXWMS:
    """The local account with 3,000 clients more, 300 members more, and 1,000 users of its first client."""
    numbers = range(2, CLIENTS + 2)
    with xwms.app.extensions["xwms_sandbox"].database.work() as session:
        for table, made in {
            Client: [
                {"id": n, "account_id": 1, "client_id": f"xwms_{n:06}", "name": f"App {n:04}", "created_at": NOON}
                for n in numbers
            ],
            Domain: [{"client_pk": n, "root_domain": f"app{n}.example", "domain_id": f"dom_{n}"} for n in numbers],
            Member: [
                {"account_id": 1, "role_id": 3, "name": f"Viewer {n}", "email": f"{n}@acme.example", "created_at": NOON}
                for n in range(300)
            ],
            Person: [
                {"id": n, "sub": f"{n}", "name": f"Person {n}", "given_name": "Person", "email_verified": False}
                for n in range(5000, 6000)
            ],
            Approval: [
                {"client_pk": 1, "person_id": n, "since": NOON, "last_login_at": NOON + n} for n in range(5000, 6000)
            ],
        }.items():
            session.execute(insert(table), made)
    return xwms


def names(office: Office, query: str = "") -> list[str]:
    """The names in the list of clients."""
    return re.findall(r'<td><a href="/dashboard/clients/\d+">([^<]+)</a>', office.get(f"/clients{query}").text)


def links(office: Office, query: str) -> dict[str, str]:
    """Where the list leads on to and back to, as queries."""
    found = re.findall(r'href="/dashboard/clients([^"]*)" rel="(prev|next)"', office.get(f"/clients{query}").text)
    return {rel: address.replace("&amp;", "&") for address, rel in found}


def test_the_front_page_shows_some_clients_and_says_that_there_are_more(large):
    page = large.http.get("/")
    assert page.text.count("<h2>") == 20
    assert "And more, in the dashboard." in words(page)


def test_the_way_in_offers_a_hundred_members_at_most(large):
    offered = Office(large).form("", "/enter").buttons
    assert len(offered) == 100
    assert any("Local developer" in text for text in offered)


def test_the_sign_in_page_offers_the_ready_made_people_only(large):
    page = large.http.get(f"/sign-in/{large.sign_token()['token']}")
    assert page.text.count('class="person"') == 8


def test_the_list_of_users_begins_with_the_latest_and_says_how_many_there_are(large):
    page = owner(large).get("/clients/1/users")
    assert len(rows(page)) == 200
    assert "1 to 200 of 1000, the latest first." in words(page)
    assert rows(page)[0].startswith("Person 5999")


def test_the_pages_of_the_list_hold_every_client_once_in_the_order_they_were_made(large):
    office = owner(large)
    seen, query = names(office), ""
    assert "prev" not in links(office, query)
    while query := links(office, query).get("next", ""):
        assert len(names(office, query)) <= PER_PAGE
        seen += names(office, query)
    assert seen == ["Sandbox client", *(f"App {n:04}" for n in range(2, CLIENTS + 2))]


def test_the_list_says_where_it_is_and_leads_back(large):
    office = owner(large)
    text = words(office.get("/clients?page=2"))
    assert "26 to 50 of 3001 clients" in text
    assert "Page 2 of 121" in text
    assert links(office, "?page=2") == {"prev": "?page=1", "next": "?page=3"}


def test_a_page_that_does_not_exist_is_the_nearest_one(large, subtests):
    far = [("122", 121), ("9" * 18, 121), ("9" * 30, 1)]
    for asked, shown in [("0", 1), ("-1", 1), ("", 1), ("two", 1), ("²", 1), *far]:
        with subtests.test(asked=asked, shown=shown):
            assert f"Page {shown} of 121" in words(owner(large).get(f"/clients?page={quote(asked)}"))


def test_a_client_is_found_by_a_part_of_its_name_or_client_id(large):
    office = owner(large)
    assert names(office, "?search=aPP+2345") == ["App 2345"]
    assert names(office, "?search=XWMS_002345") == ["App 2345"]
    assert names(office, "?search=sandbox-client") == ["Sandbox client"]
    assert "1 client with “sandbox-client”" in words(office.get("/clients?search=sandbox-client"))


def test_what_was_searched_for_stays_in_the_field_and_on_the_next_pages(large):
    office = owner(large)
    assert len(names(office, "?search=App+2")) == PER_PAGE
    assert 'value="App 2"' in office.get("/clients?search=App+2").text
    following = links(office, "?search=App+2")["next"]
    assert names(office, following)[0] == "App 2025"
    assert "26 to 50 of 1000 clients with “App 2”" in words(office.get(f"/clients{following}"))


def test_a_search_is_never_a_pattern_nor_a_page(large, subtests):
    for search in ("%", "_pp", "\\", "'", '"><script>', "x" * 60_000, "App&page=1"):
        with subtests.test(search=search):
            page = owner(large).get(f"/clients?search={quote(search)}")
            assert page.status_code == 200
            assert rows(page) == []
            assert "<script>" not in page.text
            assert "in its name or client ID." in words(page)


def test_a_search_finds_nothing_of_another_account(large):
    office, _ = stranger(large)
    assert names(office, "?search=App") == []
    assert names(office) == ["Theirs"]


def test_a_short_list_has_neither_a_search_field_nor_pages(xwms):
    text = owner(xwms).get("/clients").text
    assert 'name="search"' not in text
    assert "Page 1" not in text
