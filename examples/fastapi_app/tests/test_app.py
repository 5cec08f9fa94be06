"""Behind the login: `xwms` is a local XWMS inside of the test, and `xwms.login` signs a client in."""

from collections.abc import Iterator

import pytest
from app import app
from fastapi.testclient import TestClient

from xwms_auth.testing import LocalXWMS

TICKET = {"subject": "A question", "message": "How does it work?"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app) as running:  # with its lifespan, which creates the tables
        yield running


def test_tickets_need_a_login(client: TestClient) -> None:
    refused = client.get("/api/tickets")
    assert (refused.status_code, refused.json()["code"]) == (401, "login_required")


def test_a_ticket_is_seen_by_whoever_opened_it_and_nobody_else(client: TestClient, xwms: LocalXWMS) -> None:
    xwms.login(client, sub="1001", name="Anna")
    opened = client.post("/api/tickets", json=TICKET)
    assert opened.status_code == 201
    assert [one["subject"] for one in client.get("/api/tickets").json()] == ["A question"]
    xwms.logout(client)
    xwms.login(client, sub="1002", name="Ben")
    assert client.get("/api/tickets").json() == []
    assert client.get(f"/api/tickets/{opened.json()['id']}").status_code == 404


def test_the_websocket_tells_of_a_new_ticket(client: TestClient, xwms: LocalXWMS) -> None:
    xwms.login(client, sub="1001", name="Anna")
    with client.websocket_connect("/live") as live:
        client.post("/api/tickets", json=TICKET)
        assert live.receive_json()["subject"] == "A question"
