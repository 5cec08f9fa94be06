"""The example with FastAPI: its API, its websocket and what its one page may do, after real logins at a local XWMS."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.tools.clock import Clock
from tests.tools.example_apps import EXAMPLES, load
from tests.tools.example_visitor import CALLBACK, ORIGIN, Visitor
from tests.tools.postgres_server import PostgresServer
from xwms_auth.sandbox import SandboxServer, SandboxSettings

ANNA, BRAM, NOOR, DAAN = "1001", "xwms-user-1234", "1004", "1005"  # Noor and Daan share an e-mail address
TICKET = {"subject": "My printer", "message": "It is on fire."}
STATIC = EXAMPLES / "fastapi_app" / "static"


@pytest.fixture(scope="module")
def xwms() -> Iterator[SandboxServer]:
    settings = SandboxSettings(client_secret="a-secret-of-the-examples", redirect_uris=(f"{ORIGIN}{CALLBACK}",))
    with SandboxServer(settings, port=0) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A test may parametrize it."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql")
        return url
    return f"sqlite+aiosqlite:///{tmp_path / 'desk.sqlite3'}"


@pytest.fixture
def postgresql(postgres: PostgresServer) -> Iterator[str]:
    yield postgres.url("asyncpg")
    postgres.admin("DROP TABLE IF EXISTS xwms_identities, tickets, members", database="app")


@pytest.fixture
def example(
    xwms: SandboxServer, clock: Clock, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    for name, value in {
        "DATABASE_URL": database_url,
        "XWMS_API_URI": xwms.api_url,
        "XWMS_ISSUER": "http://127.0.0.1:8800",  # as `xwms-auth dev` has it on every port
        "XWMS_CLIENT_ID": "sandbox-client",
        "XWMS_CLIENT_SECRET": "a-secret-of-the-examples",
        "XWMS_REDIRECT_URI": f"{ORIGIN}{CALLBACK}",
        "XWMS_SESSION_SECRET": "K3y-for-tests-0123456789-abcdefghij",
        "XWMS_SESSION_STORE": f"sqlite:///{tmp_path / 'sessions.sqlite3'}",
    }.items():
        monkeypatch.setenv(name, value)
    return load("fastapi_app", monkeypatch, clock=clock)


@pytest.fixture
def http(example: ModuleType) -> Iterator[TestClient]:
    with TestClient(example.app, base_url=ORIGIN) as client:
        yield client


class Desk:
    """The example, running, and its database."""

    def __init__(self, http: TestClient, example: ModuleType, database: Path) -> None:
        self.http, self.example = http, example
        self._engine = create_engine(f"sqlite:///{database}")

    def visitor(self) -> Visitor:
        return Visitor(self.http)

    def person(self, sub: str) -> Visitor:
        visitor = self.visitor()
        assert visitor.log_in(sub).status_code == 303
        return visitor

    def database(self) -> Session:
        return Session(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def members(self) -> int:
        with self.database() as db:
            return db.scalar(select(func.count()).select_from(self.example.Member)) or 0

    def live(self, visitor: Visitor, **headers: str) -> Any:
        self.http.cookies = visitor.cookies
        url = f"ws{ORIGIN.removeprefix('http')}/live"
        return self.http.websocket_connect(url, headers={"Origin": ORIGIN, **headers})


@pytest.fixture
def desk(http: TestClient, example: ModuleType, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(http, example, tmp_path / "desk.sqlite3")
    yield made
    made.close()


# --- the API ---


def test_anybody_may_ask_who_is_there_and_where_to_log_in(desk: Desk) -> None:
    answer = desk.visitor().api("GET", "/api/me")
    assert (answer.status_code, answer.json()) == (
        200,
        {"member": None, "signed_out": None, "login_url": "/xwms/auth", "logout_url": "/xwms/logout"},
    )
    anna = desk.person(ANNA).api("GET", "/api/me")
    assert anna.json()["member"] == {"id": 1, "name": "Anna de Vries", "email": "anna@example.com"}
    assert anna.headers["Cache-Control"] == "private, no-store"


def test_a_member_opens_a_ticket_and_sees_it(desk: Desk) -> None:
    anna = desk.person(ANNA)
    assert anna.api("GET", "/api/tickets").json() == []
    opened = anna.api("POST", "/api/tickets", {"subject": "  My \t printer ", "message": "One\r\nTwo\n"})
    assert opened.status_code == 201
    ticket = opened.json()
    assert ticket.keys() == {"id", "subject", "message", "opened_at"}
    assert (ticket["subject"], ticket["message"]) == ("My printer", "One\nTwo")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(ticket["opened_at"])) < timedelta(minutes=1)
    assert anna.api("GET", f"/api/tickets/{ticket['id']}").json() == ticket
    assert anna.api("GET", "/api/tickets").json() == [ticket]


def test_the_newest_ticket_comes_first(desk: Desk) -> None:
    anna = desk.person(ANNA)
    opened = [anna.api("POST", "/api/tickets", {**TICKET, "subject": name}).json() for name in ("a", "b", "c")]
    assert anna.api("GET", "/api/tickets").json() == opened[::-1]


def test_nobody_gets_a_401_that_says_where_to_log_in(desk: Desk) -> None:
    for method, path in (("GET", "/api/tickets"), ("GET", "/api/tickets/0123456789abcdef"), ("POST", "/api/tickets")):
        answer = desk.visitor().api(method, path, TICKET if method == "POST" else None)
        assert answer.status_code == 401, path
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["status"]) == ("login_required", 401)
        assert problem["login_url"].split("?")[0] == "/xwms/auth"
        assert "reason" not in problem


def test_whose_session_has_ended_is_told_why(desk: Desk, clock: Clock) -> None:
    anna = desk.person(ANNA)
    clock.advance(minutes=25 * 60)
    assert anna.api("GET", "/api/tickets").json()["reason"] == "session_idle"
    me = anna.api("GET", "/api/me").json()
    assert me["member"] is None
    assert me["signed_out"] == "You were signed out because you had not been here for a while."


def test_a_member_never_sees_the_ticket_of_another_even_by_its_id(desk: Desk) -> None:
    """It looks like one that never was. Noor and Daan share an e-mail address."""
    for owner, other in ((ANNA, BRAM), (NOOR, DAAN)):
        private = {"subject": "A private matter", "message": "x"}
        ticket = desk.person(owner).api("POST", "/api/tickets", private).json()
        stranger = desk.person(other)
        assert stranger.api("GET", "/api/tickets").json() == []
        refused = stranger.api("GET", f"/api/tickets/{ticket['id']}")
        never = stranger.api("GET", "/api/tickets/0123456789abcdef")
        assert (refused.status_code, refused.content) == (404, never.content)


@pytest.mark.parametrize(
    ("ticket", "wrong"),
    [
        ({"subject": "", "message": "text"}, {"subject"}),
        ({"subject": " \t\0 ", "message": "text"}, {"subject"}),
        ({"subject": "x" * 121, "message": "text"}, {"subject"}),
        ({"subject": "text", "message": "\r\n "}, {"message"}),
        ({"subject": "text", "message": "x" * 4001}, {"message"}),
        ({"subject": "text"}, {"message"}),
        ({"subject": ["text"], "message": None}, {"subject", "message"}),
        ({"subject": "\ud800", "message": "text"}, {"subject"}),
        ([], set()),
        ("text", set()),
    ],
)
def test_a_ticket_that_is_not_one_is_explained_and_not_kept(desk: Desk, ticket: Any, wrong: set[str]) -> None:
    anna = desk.person(ANNA)
    answer = anna.api("POST", "/api/tickets", ticket)
    assert answer.status_code == 422
    assert answer.json() == {
        "errors": {name: desk.example.ERRORS[name] for name in desk.example.ERRORS if name in wrong}
    }
    assert anna.api("GET", "/api/tickets").json() == []


def test_the_longest_ticket_is_kept_whole(desk: Desk) -> None:
    longest = {"subject": "\U0001f5a8" * 120, "message": "\U0001f525" * 4000}
    ticket = desk.person(ANNA).api("POST", "/api/tickets", longest).json()
    assert {name: ticket[name] for name in longest} == longest


def test_hostile_text_stays_text(desk: Desk) -> None:
    """JSON that no browser takes for a page; what the page does with it is in tests/browser."""
    hostile = {"subject": "<script>alert(1)</script>{{ 7*7 }}", "message": "</textarea><img src=x onerror=alert(1)>"}
    answer = desk.person(ANNA).api("POST", "/api/tickets", hostile)
    assert answer.headers["Content-Type"] == "application/json"
    assert {name: answer.json()[name] for name in hostile} == hostile


def test_a_page_of_another_origin_opens_no_ticket(desk: Desk) -> None:
    anna = desk.person(ANNA)
    for site in ("cross-site", "same-site", "none"):
        assert anna.api("POST", "/api/tickets", TICKET, **{"Sec-Fetch-Site": site}).status_code == 403, site
    assert anna.api("GET", "/api/tickets").json() == []


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_browser_sends_without_asking_first_is_no_ticket_either(desk: Desk, kind: str | None) -> None:
    """An old browser without Sec-Fetch-Site: a sibling subdomain's POST comes with the cookie, but not as JSON."""
    anna = desk.person(ANNA)
    desk.http.cookies = anna.cookies
    headers = {} if kind is None else {"Content-Type": kind}
    content = b'{"subject": "Boo", "message": "Not hers"}'
    assert desk.http.post("/api/tickets", content=content, headers=headers).status_code == 422
    preflight = {"Origin": "https://evil.localhost:5000", "Access-Control-Request-Method": "POST"}
    asked = desk.http.options("/api/tickets", headers={**preflight, "Access-Control-Request-Headers": "content-type"})
    assert not [name for name in asked.headers if name.startswith("access-control-")]
    assert anna.api("GET", "/api/tickets").json() == []


# --- members ---


def test_a_person_is_one_member_however_often_they_log_in(desk: Desk) -> None:
    for sub in (NOOR, DAAN, NOOR):
        desk.person(sub)
    assert desk.members() == 2
    with desk.database() as db:
        assert len(set(db.scalars(select(desk.example.Member.email)))) == 1


def test_somebody_who_is_blocked_is_out_and_stays_out(desk: Desk) -> None:
    anna, bram = desk.person(ANNA), desk.person(BRAM)
    member = desk.example.Member
    with desk.database() as db, db.begin():
        db.execute(update(member).where(member.name == "Anna de Vries").values(blocked=True))
    refused = anna.api("GET", "/api/tickets")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert refused.json()["title"] == "Your account is blocked"
    assert anna.api("GET", "/api/tickets").status_code == 401, "the session has ended"
    assert desk.visitor().log_in(ANNA).status_code == 403
    assert bram.api("GET", "/api/tickets").status_code == 200


def test_an_identity_does_not_outlive_its_member(desk: Desk, http: TestClient) -> None:
    """Otherwise it would open the account that gets the same number next."""
    desk.person(ANNA).api("POST", "/api/tickets", TICKET)
    bram = desk.person(BRAM)

    async def remove(only_bram: bool) -> None:
        member = desk.example.Member
        async with desk.example.engine.begin() as connection:
            await connection.execute(delete(member).where((member.name != "Anna de Vries") if only_bram else True))

    assert http.portal is not None
    with pytest.raises(IntegrityError):
        http.portal.call(remove, False)
    http.portal.call(remove, True)
    assert bram.api("GET", "/api/tickets").status_code == 401
    desk.person(NOOR).api("POST", "/api/tickets", TICKET)
    assert desk.person(BRAM).api("GET", "/api/tickets").json() == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_it_is_the_same_on_postgresql(desk: Desk, postgres: PostgresServer) -> None:
    anna, bram = desk.person(ANNA), desk.person(BRAM)
    tickets = [anna.api("POST", "/api/tickets", {"subject": name, "message": "\0x"}).json() for name in "ab"]
    assert anna.api("GET", "/api/tickets").json() == tickets[::-1]
    assert bram.api("GET", f"/api/tickets/{tickets[0]['id']}").status_code == 404
    assert abs(datetime.now(UTC) - datetime.fromisoformat(tickets[0]["opened_at"])) < timedelta(minutes=1)
    postgres.admin("UPDATE members SET blocked = true WHERE name = 'Anna de Vries'", database="app")
    assert anna.api("GET", "/api/tickets").status_code == 403
    postgres.admin("DELETE FROM members WHERE name <> 'Anna de Vries'", database="app")
    assert bram.api("GET", "/api/tickets").status_code == 401


# --- the websocket ---


def test_a_new_ticket_is_sent_to_every_window_of_its_member_and_to_nobody_else(desk: Desk) -> None:
    anna, bram = desk.person(ANNA), desk.person(BRAM)
    with desk.live(bram) as other, desk.live(anna) as first, desk.live(anna) as second:
        ticket = anna.api("POST", "/api/tickets", TICKET).json()
        assert first.receive_json() == ticket
        assert second.receive_json() == ticket
        own = bram.api("POST", "/api/tickets", {**TICKET, "subject": "His own"}).json()
        assert other.receive_json() == own, "the first that he hears of"


def test_nobodys_websocket_is_refused(desk: Desk) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, desk.live(desk.visitor()):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "login_required")


def test_a_websocket_from_a_page_of_another_origin_is_refused(desk: Desk) -> None:
    anna = desk.person(ANNA)
    for origin in ("https://evil.example", "http://localhost:5001", "http://desk.localhost:5000", "null"):
        with pytest.raises(WebSocketDisconnect) as refused, desk.live(anna, Origin=origin):
            pass
        assert (refused.value.code, refused.value.reason) == (1008, "cross_site"), origin


def test_the_websocket_of_somebody_who_is_blocked_is_refused(desk: Desk) -> None:
    anna = desk.person(ANNA)
    with desk.database() as db, db.begin():
        db.execute(update(desk.example.Member).values(blocked=True))
    with pytest.raises(WebSocketDisconnect) as refused, desk.live(anna):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "not_allowed")


def test_a_window_that_is_gone_is_forgotten_and_disturbs_no_ticket(desk: Desk) -> None:
    anna = desk.person(ANNA)
    with desk.live(anna):
        assert len(desk.example.windows) == 1
    with desk.live(anna) as left:
        ticket = anna.api("POST", "/api/tickets", TICKET)
        assert left.receive_json() == ticket.json()
        assert len(desk.example.windows) == 1
    assert anna.api("POST", "/api/tickets", TICKET).status_code == 201
    assert desk.example.windows == {}


@pytest.mark.parametrize(("end", "reason"), [("logged out", "login_required"), ("blocked", "not_allowed")])
def test_an_open_websocket_ends_with_the_session_or_the_account(
    desk: Desk, clock: Clock, end: str, reason: str
) -> None:
    anna = desk.person(ANNA)
    with desk.live(anna) as window:
        if end == "blocked":
            with desk.database() as db, db.begin():
                db.execute(update(desk.example.Member).values(blocked=True))
        else:
            anna.post("/xwms/logout")
        clock.advance(61)
        closed = window.receive()
        assert (closed["type"], closed["code"], closed["reason"]) == ("websocket.close", 4401, reason)
    assert desk.example.windows == {}


# --- the page ---


def test_every_address_of_the_page_is_the_same_for_everybody_and_may_load_nothing_from_elsewhere(
    desk: Desk, xwms: SandboxServer
) -> None:
    anna = desk.person(ANNA)
    for path, status in (
        ("/", 200),
        ("/tickets", 200),
        ("/tickets/new", 200),
        ("/tickets/0123456789abcdef", 200),
        ("/nowhere", 404),
    ):
        answer = anna.get(path)
        assert (answer.status_code, answer.content) == (status, (STATIC / "index.html").read_bytes()), path
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        assert policy.pop("form-action").split()[:2] == ["'self'", xwms.url]
        assert policy == {
            "default-src": "'none'",
            **dict.fromkeys(("script-src", "style-src", "img-src", "connect-src"), "'self'"),
            **dict.fromkeys(("base-uri", "frame-ancestors"), "'none'"),
        }
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_does_not_exist_in_the_api_is_json(desk: Desk) -> None:
    for path in ("/api/nothing", "/static/nothing.css"):
        answer = desk.visitor().get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing here."}), path
    assert "swagger" not in desk.visitor().get("/docs").text, "it loads scripts from elsewhere"


def test_what_the_page_names_is_served_and_of_this_origin(desk: Desk) -> None:
    page = (STATIC / "index.html").read_text()
    named = set(re.findall(r'(?:href|src|action)="(?!#)([^"]*)"', page))
    assert {name for name in named if not name.startswith("/")} == set()
    assert {f"/static/{name}" for name in ("app.js", "style.css", "mark.svg", "empty.svg")} < named
    assert {desk.visitor().get(name).status_code for name in named} == {200}
    assert not re.search(r'\s(?:on\w+|style)="|<script(?! src="/static/)', page)


def test_the_script_makes_no_html_of_text() -> None:
    script = (STATIC / "app.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|https?://", script)


def test_it_looks_like_the_other_examples() -> None:
    others = EXAMPLES / "flask_app" / "static"
    assert (STATIC / "style.css").read_text().startswith((others / "style.css").read_text())
    for name in ("mark.svg", "empty.svg"):
        assert (STATIC / name).read_bytes() == (others / name).read_bytes()


def test_the_limits_of_the_form_are_those_of_the_api(example: ModuleType) -> None:
    page = (STATIC / "index.html").read_text()
    limits = re.findall(r'name="(\w+)"[^>]* maxlength="(\d+)"', page)
    assert limits == [("subject", str(example.SUBJECT_MAX)), ("message", str(example.MESSAGE_MAX))]
