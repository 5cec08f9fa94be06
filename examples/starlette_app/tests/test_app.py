"""Behind the login: `xwms` is a local XWMS inside of the test, and `xwms.login` signs a client in."""

from app import Person, app, engine
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from xwms_auth.testing import LocalXWMS


def client() -> TestClient:
    return TestClient(app, follow_redirects=False)


def test_anybody_can_read_the_answers() -> None:
    assert client().get("/").status_code == 200


def test_tickets_need_a_login() -> None:
    asked = client().get("/tickets", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert (asked.status_code, asked.headers["Location"]) == (302, "/xwms/auth?next=/tickets")


def test_a_ticket_is_seen_by_whoever_opened_it_and_nobody_else(xwms: LocalXWMS) -> None:
    anna, ben = client(), client()
    xwms.login(anna, sub="1001", name="Anna")
    xwms.login(ben, sub="1002", name="Ben")
    opened = anna.post("/tickets", data={"subject": "A question", "message": "How does it work?"})
    assert opened.status_code == 303
    assert "A question" in anna.get(opened.headers["Location"]).text
    assert ben.get(opened.headers["Location"]).status_code == 404


def test_a_blocked_person_is_out(xwms: LocalXWMS) -> None:
    noor = client()
    xwms.login(noor, sub="1004", name="Noor")
    with Session(engine) as db:
        db.query(Person).where(Person.name == "Noor").update({"blocked": True})
        db.commit()
    assert noor.get("/tickets").status_code == 403
