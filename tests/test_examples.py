"""The examples with pages: one story about a support desk, told to each through a real login at a local XWMS."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import httpx2
import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.tools.clock import Clock
from tests.tools.example_apps import EXAMPLES, FOLDERS, load
from tests.tools.example_visitor import CALLBACK, FIREFOX, IPHONE, ORIGIN, Visitor
from xwms_auth.sandbox import SandboxServer, SandboxSettings

ANNA, BRAM, NOOR, DAAN = "1001", "xwms-user-1234", "1004", "1005"  # Noor and Daan share an e-mail address


@dataclass
class Desk:
    """One of the examples, running."""

    http: httpx2.Client

    def visitor(self, agent: str = FIREFOX) -> Visitor:
        return Visitor(self.http, agent=agent)

    def person(self, sub: str, agent: str = FIREFOX) -> Visitor:
        visitor = self.visitor(agent)
        assert visitor.log_in(sub).status_code == 303
        return visitor


@pytest.fixture(scope="module")
def xwms() -> Iterator[SandboxServer]:
    settings = SandboxSettings(
        client_secret="a-secret-of-the-examples", redirect_uris=(f"{ORIGIN}{CALLBACK}", f"{ORIGIN}/desk{CALLBACK}")
    )
    with SandboxServer(settings, port=0) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session_store() -> str:
    """What XWMS_SESSION_STORE says; a test may parametrize it. Nothing, as at a first start."""
    return ""


@pytest.fixture
def prefix() -> str:
    """Below which path the server has the example; a test may parametrize it."""
    return ""


@pytest.fixture(params=FOLDERS)
def example(
    request: pytest.FixtureRequest,
    xwms: SandboxServer,
    clock: Clock,
    session_store: str,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ModuleType]:
    """The example's module, with a database of its own."""
    for name, value in {
        "SUPPORT_DESK_DB": str(tmp_path / "desk.sqlite3"),
        "XWMS_API_URI": xwms.api_url,
        "XWMS_CLIENT_ID": "sandbox-client",
        "XWMS_CLIENT_SECRET": "a-secret-of-the-examples",
        "XWMS_REDIRECT_URI": f"{ORIGIN}{prefix}{CALLBACK}",
        "XWMS_SESSION_SECRET": "K3y-for-tests-0123456789-abcdefghij",
        "XWMS_SESSION_STORE": session_store,
    }.items():
        monkeypatch.setenv(name, value)
    module = load(request.param, monkeypatch, clock=clock)
    yield module
    module.engine.dispose()


@pytest.fixture
def desk(example: ModuleType, prefix: str) -> Iterator[Desk]:
    app = example.app
    if hasattr(app, "wsgi_app"):
        served = DispatcherMiddleware(NotFound(), {prefix: app}) if prefix else app
        with httpx2.Client(transport=httpx2.WSGITransport(app=served), base_url=ORIGIN) as client:
            yield Desk(client)
    else:
        with TestClient(app, base_url=ORIGIN, root_path=prefix) as client:
            yield Desk(client)


def test_a_visitor_is_greeted_reads_the_questions_and_answers_and_is_offered_to_log_in(desk: Desk) -> None:
    page = desk.visitor().get("/")
    assert page.status_code == 200
    assert "Welcome!" in page.text
    assert "Do I need an account to read this page?" in page.text
    assert "Everybody can read" in page.text
    assert "Log in with XWMS" in page.text
    assert "Log out" not in page.text
    assert 'href="/devices"' not in page.text


def test_a_visitor_who_opens_a_page_of_tickets_logs_in_and_comes_back_to_it(desk: Desk) -> None:
    for path in ("/tickets", "/tickets/new", "/tickets/0123456789abcdef"):
        visitor = desk.visitor()
        to_login = visitor.get(path)
        assert to_login.status_code == 302, path
        back = visitor.log_in(ANNA, start=to_login.headers["Location"])
        assert (back.status_code, back.headers["Location"]) == (303, path)


def test_a_person_is_greeted_by_name_and_invited_to_open_a_first_ticket(desk: Desk) -> None:
    anna = desk.person(ANNA)
    page = anna.get("/").text
    assert "Hello <bdi>Anna</bdi>" in page
    assert "logged in as <bdi>Anna de Vries</bdi>" in page
    assert 'href="/devices"' in page
    tickets = anna.get("/tickets")
    assert tickets.status_code == 200
    assert "No tickets yet" in tickets.text


def test_a_person_opens_a_ticket_and_sees_it(desk: Desk) -> None:
    anna = desk.person(ANNA)
    assert '<form class="card" method="post" action="/tickets">' in anna.get("/tickets/new").text
    path = anna.open_ticket("My printer", "It is on fire.")
    ticket = anna.get(path)
    assert ticket.status_code == 200
    assert "My printer" in ticket.text
    assert "It is on fire." in ticket.text
    assert f'href="{path}"' in anna.get("/tickets").text


def test_the_newest_ticket_comes_first(desk: Desk) -> None:
    anna = desk.person(ANNA)
    paths = [anna.open_ticket(subject) for subject in ("first", "second", "third")]
    assert re.findall(r'href="(/tickets/[0-9a-f]{16})"', anna.get("/tickets").text) == paths[::-1]


def test_a_ticket_is_still_there_after_logging_in_again(desk: Desk) -> None:
    path = desk.person(ANNA).open_ticket()
    assert desk.person(ANNA).get(path).status_code == 200


def test_nobody_sees_the_ticket_of_somebody_else_even_with_the_same_email_address(desk: Desk) -> None:
    """It looks like one that never was."""
    for owner, other in ((ANNA, BRAM), (NOOR, DAAN), (ANNA, "xwms-user-mallory")):
        path = desk.person(owner).open_ticket("A private matter")
        stranger = desk.person(other)
        assert "A private matter" not in stranger.get("/tickets").text, other
        refused = stranger.get(path)
        assert refused.status_code == 404, other
        assert "A private matter" not in refused.text
        assert refused.text == stranger.get("/tickets/0123456789abcdef").text


def test_a_person_is_one_row_of_the_desk_however_often_they_log_in(desk: Desk, example: ModuleType) -> None:
    for sub in (NOOR, DAAN, NOOR):
        desk.person(sub).open_ticket()
    with Session(example.engine) as db:
        people = db.scalars(select(example.Person).order_by(example.Person.id)).all()
        assert len(people) == 2
        assert people[0].name != people[1].name
        assert people[0].email == people[1].email
        counts = [len(db.scalars(example.own_tickets(person)).all()) for person in people]
    assert counts == [2, 1]


def test_somebody_who_is_blocked_is_out_and_stays_out(desk: Desk, example: ModuleType) -> None:
    anna, bram = desk.person(ANNA), desk.person(BRAM)
    path = anna.open_ticket("My printer")
    with Session(example.engine) as db, db.begin():
        db.execute(update(example.Person).where(example.Person.name == "Anna de Vries").values(blocked=True))
    refused = anna.get(path)
    assert refused.status_code == 403
    assert "Your account is blocked" in refused.text
    assert "My printer" not in refused.text
    assert "Welcome!" in anna.get("/").text, "the session has ended"
    again = desk.visitor()
    assert again.log_in(ANNA).status_code == 403
    assert "Welcome!" in again.get("/").text
    assert bram.get("/tickets").status_code == 200


def test_a_person_with_tickets_cannot_be_deleted_and_one_without_takes_the_identity_along(
    desk: Desk, example: ModuleType
) -> None:
    """An identity that is left behind would open the account that gets the same number next."""
    desk.person(ANNA).open_ticket()
    bram = desk.person(BRAM)
    with Session(example.engine) as db:
        with pytest.raises(IntegrityError):
            db.execute(delete(example.Person).where(example.Person.name == "Anna de Vries"))
        db.rollback()
        db.execute(delete(example.Person).where(example.Person.name != "Anna de Vries"))
        db.commit()
    assert bram.get("/tickets").status_code == 302
    desk.person(NOOR).open_ticket("Noor's own")
    assert "Noor's own" not in desk.person(BRAM).get("/tickets").text


def test_a_visitor_who_posts_a_ticket_is_sent_to_log_in_and_nothing_is_kept(desk: Desk) -> None:
    answer = desk.visitor().post("/tickets", {"subject": "Boo", "message": "From nobody"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/xwms/auth")
    assert "No tickets yet" in desk.person(ANNA).get("/tickets").text


def test_a_form_on_another_site_opens_no_ticket(desk: Desk) -> None:
    anna = desk.person(ANNA)
    for site in ("cross-site", "same-site", "none"):
        answer = anna.post("/tickets", {"subject": "Boo", "message": "Not hers"}, **{"Sec-Fetch-Site": site})
        assert answer.status_code == 403, site
        assert "No tickets yet" in anna.get("/tickets").text


def test_hostile_text_is_shown_as_text(desk: Desk) -> None:
    anna = desk.person(ANNA)
    hostile = "\"><script>alert(1)</script>{{ 7*7 }}'"
    path = anna.open_ticket(hostile, f"</textarea>{hostile}")
    rejected = anna.post("/tickets", {"subject": hostile, "message": f"</textarea>{hostile}" + "x" * 4000})
    assert rejected.status_code == 422
    for page in (anna.get(path).text, anna.get("/tickets").text, rejected.text):
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in page
        assert page.count("</textarea>") == page.count("<textarea")


def test_a_name_with_markup_in_it_is_shown_as_text(desk: Desk) -> None:
    visitor = desk.visitor()
    to_xwms = visitor.get("/xwms/auth").headers["Location"]
    form = {"sub": "mallory-2", "name": "<b>Mallory</b>", "email": ""}
    callback = httpx2.post(to_xwms, data=form, trust_env=False, verify=False).headers["Location"]
    visitor.get(callback.removeprefix(ORIGIN), **{"Sec-Fetch-Site": "cross-site"})
    page = visitor.get("/").text
    assert "<b>" not in page
    assert "&lt;b&gt;Mallory&lt;/b&gt;" in page


WRONG_FORMS: list[tuple[dict[str, str], str]] = [
    ({"subject": "", "message": "text"}, "subject-error"),
    ({"subject": " \t ", "message": "text"}, "subject-error"),
    ({"subject": "x" * 121, "message": "text"}, "subject-error"),
    ({"message": "text"}, "subject-error"),
    ({"subject": "text", "message": "\r\n "}, "message-error"),
    ({"subject": "text", "message": "x" * 4001}, "message-error"),
    ({"subject": "text"}, "message-error"),
]


def test_a_ticket_that_is_too_short_or_too_long_is_explained_and_not_kept(desk: Desk) -> None:
    anna = desk.person(ANNA)
    for form, error_id in WRONG_FORMS:
        answer = anna.post("/tickets", form)
        assert answer.status_code == 422, form
        assert f'<p class="error" id="{error_id}">' in answer.text, form
        assert "No tickets yet" in anna.get("/tickets").text, form
    answer = anna.post("/tickets", {"subject": "", "message": "A long story"})
    assert "A long story</textarea>" in answer.text, "what was typed is still there"


def test_the_longest_ticket_is_kept_whole_and_a_line_break_counts_as_one_character(desk: Desk) -> None:
    """As it does in the browser."""
    anna = desk.person(ANNA)
    subject, message = "\U0001f5a8" * 120, "\U0001f525" * 4000
    page = anna.get(anna.open_ticket(subject, message)).text
    assert subject in page
    assert message in page
    anna.open_ticket("Lines", "a" + "\r\n" * 3998 + "b")


def test_an_enormous_form_is_refused(desk: Desk) -> None:
    anna = desk.person(ANNA)
    answer = anna.post("/tickets", {"subject": "Big", "message": "x" * 200_000})
    assert answer.status_code in (400, 413)
    assert "No tickets yet" in anna.get("/tickets").text


def test_an_address_that_does_not_exist_gets_a_friendly_page(desk: Desk) -> None:
    anna = desk.person(ANNA)
    for path in ("/nowhere", "/tickets/x", "/tickets/99999999999999999999", "/tickets/%00"):
        answer = anna.get(path)
        assert answer.status_code == 404, path
        assert "There is nothing here" in answer.text, path


def test_logging_out_ends_it(desk: Desk) -> None:
    anna = desk.person(ANNA)
    page = anna.get("/").text
    form = re.search(r'<form class="xwms-logout" method="post" action="([^"]+)"[^>]*>', page)
    assert form is not None
    answer = anna.post(form[1])
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Welcome!" in anna.get("/").text
    assert anna.get("/tickets").status_code == 302


def test_a_person_sees_where_they_are_logged_in_and_which_one_is_this(desk: Desk) -> None:
    desk.person(ANNA, IPHONE)
    desk.person(BRAM, "Lynx/2.9")
    page = desk.person(ANNA).get("/devices")
    assert page.status_code == 200
    shown = re.findall(r'id="device-\d">([^<]+)</span>\s+(<span class="tag">This device</span>)?', page.text)
    assert [(device, bool(this)) for device, this in shown] == [
        ("Firefox on Windows", True),
        ("Safari on iPhone", False),
    ]
    moments = re.findall(r'<time datetime="([^"]+)"[^>]*>just now</time>', page.text)
    assert len(moments) == 3
    assert all(abs(datetime.now(UTC) - datetime.fromisoformat(moment)) < timedelta(minutes=1) for moment in moments)


def test_somebody_who_is_logged_in_once_is_told_so_and_offered_nothing_to_end(desk: Desk) -> None:
    page = desk.person(ANNA).get("/devices").text
    assert "in this browser only" in page
    assert "Log out there" not in page
    assert "Log out everywhere" not in page


def test_a_browser_that_says_nothing_of_itself_is_an_unknown_one(desk: Desk) -> None:
    assert ">An unknown browser</span>" in desk.person(ANNA, "").get("/devices").text


def test_a_session_that_is_ended_from_elsewhere_is_over_and_its_person_told_why(desk: Desk) -> None:
    anna, phone = desk.person(ANNA), desk.person(ANNA, IPHONE)
    (theirs,) = anna.others()
    answer = anna.post("/devices/end", {"id": theirs})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/devices")
    assert anna.others() == []
    assert phone.get("/tickets").status_code == 302
    assert "You were signed out because this login was ended from somewhere else." in phone.get("/").text
    assert "You were signed out" not in anna.get("/").text


def test_a_session_that_is_gone_already_can_be_ended_again(desk: Desk) -> None:
    anna = desk.person(ANNA)
    desk.person(ANNA, IPHONE)
    (theirs,) = anna.others()
    for form in ({"id": theirs}, {"id": theirs}, {"id": ""}, {"id": "nonsense"}, {}):
        assert anna.post("/devices/end", form).status_code == 303
    assert anna.get("/devices").status_code == 200


def test_nobody_ends_the_session_of_somebody_else(desk: Desk) -> None:
    anna = desk.person(ANNA)
    desk.person(ANNA, IPHONE)
    (theirs,) = anna.others()
    assert desk.person(BRAM).post("/devices/end", {"id": theirs}).status_code == 303
    assert anna.others() == [theirs]


def test_a_form_on_another_site_ends_no_session_and_a_visitor_neither(desk: Desk) -> None:
    anna = desk.person(ANNA)
    desk.person(ANNA, IPHONE)
    (theirs,) = anna.others()
    for path in ("/devices/end", "/devices/end-all"):
        for site in ("cross-site", "same-site", "none"):
            assert anna.post(path, {"id": theirs}, **{"Sec-Fetch-Site": site}).status_code == 403, (path, site)
            assert anna.others() == [theirs]
        answer = desk.visitor().post(path, {"id": theirs})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/xwms/auth")
        assert anna.others() == [theirs]


def test_logging_out_everywhere_signs_out_this_browser_too_and_tells_only_the_others_why(desk: Desk) -> None:
    anna, phone, bram = desk.person(ANNA), desk.person(ANNA, IPHONE), desk.person(BRAM)
    onward = anna.post("/devices/end-all")
    assert onward.status_code == 307  # a browser sends the form on, to the logout
    home = anna.post(onward.headers["Location"])
    assert (home.status_code, home.headers["Location"]) == (303, "/")
    assert "Welcome!" in anna.get("/").text
    assert "You were signed out" not in anna.get("/").text
    assert phone.get("/tickets").status_code == 302
    assert "ended from somewhere else" in phone.get("/").text
    assert bram.get("/tickets").status_code == 200


def test_the_sentence_about_a_session_that_ended_can_be_sent_away(desk: Desk, clock: Clock) -> None:
    anna = desk.person(ANNA)
    clock.advance(minutes=25 * 60)
    page = anna.get("/").text
    assert "You were signed out because you had not been here for a while." in page
    assert 'action="/xwms/auth?next=/"><button class="button plain" type="submit">Log in again</button>' in page
    form = re.search(r'<form class="xwms-logout" method="post" action="([^"]+)"[^>]*>.*>Dismiss<', page)
    assert form is not None
    assert anna.post(form[1]).headers["Location"] == "/"
    assert "You were signed out" not in anna.get("/").text


def test_an_old_login_is_asked_for_again_before_the_devices_are_shown_and_goes_on_elsewhere(
    desk: Desk, clock: Clock
) -> None:
    anna = desk.person(ANNA)
    clock.advance(minutes=14)
    assert anna.get("/devices").status_code == 200
    clock.advance(minutes=2)
    answer = anna.get("/devices")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/xwms/auth?next=/devices&fresh=900")
    assert anna.get("/tickets").status_code == 200


@pytest.mark.parametrize("session_store", ["cookie"])
def test_with_a_store_that_keeps_no_list_the_page_of_devices_says_so(desk: Desk) -> None:
    anna = desk.person(ANNA)
    for answer in (anna.get("/devices"), anna.post("/devices/end-all"), anna.post("/devices/end", {"id": "x"})):
        assert answer.status_code == 404
        assert "We keep no list of your logins" in answer.text
    assert anna.get("/tickets").status_code == 200


@pytest.mark.parametrize(("session_store", "kept"), [("", True), ("memory://", False), ("cookie", False)])
def test_sessions_are_kept_beside_the_tickets_unless_the_environment_says_otherwise(
    desk: Desk, tmp_path: Path, kept: bool
) -> None:
    desk.person(ANNA)
    assert (tmp_path / "sessions.sqlite3").exists() is kept


def test_how_long_ago_something_was_is_said_in_words(example: ModuleType) -> None:
    for passed, words in (
        (timedelta(minutes=-3), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "a few minutes ago"),
        (timedelta(minutes=9, seconds=59), "a few minutes ago"),
        (timedelta(minutes=10), "10 minutes ago"),
        (timedelta(minutes=59, seconds=50), "59 minutes ago"),
        (timedelta(minutes=60), "1 hour ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(hours=24), "1 day ago"),
        (timedelta(days=6, hours=23), "6 days ago"),
    ):
        assert example.ago(datetime.now(UTC) - passed) == words


def test_a_page_that_knows_the_person_is_kept_by_no_cache(desk: Desk) -> None:
    answer = desk.person(ANNA).get("/tickets")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "Cookie" in answer.headers["Vary"]


def test_what_the_pages_name_is_served(desk: Desk) -> None:
    for name in ("style.css", "mark.svg", "empty.svg"):
        assert desk.visitor().get(f"/static/{name}").status_code == 200, name


def test_no_page_names_another_origin_or_runs_a_script(desk: Desk) -> None:
    anna = desk.person(ANNA)
    desk.person(ANNA, IPHONE)
    for path in ("/", "/tickets", "/tickets/new", anna.open_ticket(), "/devices", "/nowhere"):
        page = anna.get(path).text
        assert all(url.startswith("/") for url in addresses(page))
        assert "<script" not in page
        assert not re.search(r'\s(?:on\w+|style)="', page)


def addresses(page: str) -> list[str]:
    return re.findall(r'(?:href|src|action)="(?!#)([^"]*)"', page)


@pytest.mark.parametrize("prefix", ["/desk"])
def test_below_a_prefix_every_link_form_and_redirect_stays_below_it(desk: Desk) -> None:
    visitor, anna, phone = desk.visitor(), desk.visitor(), desk.visitor(IPHONE)
    for browser in (anna, phone):
        assert browser.log_in(ANNA, start="/desk/xwms/auth").headers["Location"] == "/desk/"
    ticket = anna.post("/desk/tickets", {"subject": "My printer", "message": "It is on fire."}).headers["Location"]
    named = addresses(visitor.get("/desk/").text)
    for path in ("/desk/", "/desk/tickets", "/desk/tickets/new", ticket, "/desk/devices", "/desk/nowhere"):
        named += addresses(anna.get(path).text)
    assert {url for url in named if not url.startswith("/desk/")} == set()
    forms = {"/desk/xwms/auth?next=/desk/", "/desk/xwms/logout", "/desk/devices/end", "/desk/devices/end-all"}
    assert forms < set(named)
    assert {anna.get(url).status_code for url in set(named) - forms} == {200}
    assert visitor.get("/desk/tickets").headers["Location"] == "/desk/xwms/auth?next=/desk/tickets"
    assert anna.post("/desk/devices/end").headers["Location"] == "/desk/devices"
    onward = anna.post("/desk/devices/end-all")
    assert (onward.status_code, onward.headers["Location"]) == (307, "/desk/xwms/logout")
    assert anna.post("/desk/xwms/logout").headers["Location"] == "/desk/"


def test_both_examples_look_the_same() -> None:
    """But for the name that `url_for` has for a file."""

    def files(folder: str) -> dict[str, bytes]:
        root = EXAMPLES / folder
        found = [path for part in ("templates", "static") for path in (root / part).iterdir()]
        return {str(path.relative_to(root)): path.read_bytes() for path in found}

    flask, starlette = files("flask_app"), files("starlette_app")
    assert flask.keys() == starlette.keys()
    assert {name: text.replace(b"', filename='", b"', path='") for name, text in flask.items()} == starlette
