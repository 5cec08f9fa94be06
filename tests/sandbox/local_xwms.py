"""A local XWMS under test: its clock, and what an app's server and a browser say to it."""

import base64
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.tools.clock import Clock
from xwms_auth.sandbox import SandboxSettings
from xwms_auth.sandbox.db.schema import Account, Client
from xwms_auth.sandbox.domain import approvals, clients, directory

REDIRECT = "http://localhost:5000/xwms/validateToken"
SECRET = "an-only-slightly-secret-secret"
NOON = 1_800_000_000.0  # 2027-01-15T08:00:00+00:00


def settings(**changes: Any) -> SandboxSettings:
    defaults: dict[str, Any] = {"client_secret": SECRET, "redirect_uris": (REDIRECT, "https://app.example/callback")}
    return SandboxSettings(**defaults | changes)


def another_client(session: Session, *, now: float) -> tuple[str, str]:
    """A second client of the sandbox client's account, for other.example: its client ID and its secret."""
    first = clients.find(session, "sandbox-client")
    assert first is not None
    account = session.get(Account, first.account_id)
    assert account is not None
    made, secret = clients.create(
        session,
        account,
        name="Other",
        root_domain="other.example",
        redirect_uri="https://other.example/callback",
        now=now,
    )
    return made.client_id, secret


def written(value: str) -> Iterator[bytes]:
    """Ways to write a secret or a token down: plain, hex, base64 at any place in a text, and what base64 it is of."""
    plain = value.encode()
    yield from (
        plain,
        plain[::-1],
        plain.hex().encode(),
        plain.hex().upper().encode(),
        plain.decode().encode("utf-16-le"),
    )
    for skipped in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(skipped) + plain)
            yield encoded[4 if skipped else 0 : -4]
    if len(value) == 43:  # 32 bytes, as `secrets.token_urlsafe` writes them
        yield base64.urlsafe_b64decode(f"{value}=")


@dataclass
class LocalXWMS:
    """The sandbox as an app and a browser see it."""

    app: Flask
    clock: Clock
    headers: dict[str, str] = field(
        default_factory=lambda: {
            "X-Client-Id": "sandbox-client",
            "X-Client-Secret": SECRET,
            "X-Client-Domain": "localhost",
            "Accept": "application/json",
        }
    )

    def __post_init__(self) -> None:
        self.http: FlaskClient = self.app.test_client()

    def work(self) -> AbstractContextManager[Session]:
        """A unit of work on its database."""
        return self.app.extensions["xwms_sandbox"].database.work()

    @contextmanager
    def client(self) -> Iterator[Client]:
        """The sandbox's own client, to be changed as the dashboard would."""
        with self.work() as session:
            found = clients.find(session, "sandbox-client")
            assert found is not None
            yield found

    def another_client(self) -> tuple[str, str]:
        """A second client of the same account, for other.example: its client ID and its secret."""
        with self.work() as session:
            return another_client(session, now=self.clock.now)

    def enable_scopes(self, *scopes: str) -> None:
        """Let the client ask for these scopes and no others."""
        with self.client() as client:
            approvals.enable_scopes(client, scopes)

    def revoke(self, sub: str) -> None:
        """Take back what a person has agreed to."""
        with self.work() as session:
            client, person = clients.find(session, "sandbox-client"), directory.find(session, sub)
            assert client is not None
            assert person is not None
            approval = approvals.approval_of(session, client, person)
            assert approval is not None
            approvals.revoke(session, approval, now=self.clock.now)

    def close(self) -> None:
        """Close the database, as a stop of the server does."""
        self.app.extensions["xwms_sandbox"].database.close()

    def call(self, name: str, body: object, **headers: str | None) -> TestResponse:
        changed = {key.replace("_", "-"): value for key, value in headers.items()}
        sent = {key: value for key, value in (self.headers | changed).items() if value is not None}
        return self.http.post(f"/api/{name}", json=body, headers=sent)

    def sign_token(self, redirect_url: str = REDIRECT) -> dict[str, Any]:
        answer = self.call("sign-token", {"redirect_url": redirect_url})
        assert answer.status_code == 200, answer.text
        return answer.json["data"]

    def log_in(self, sub: str = "1001", *scopes: str) -> dict[str, Any]:
        """A whole login, in which the person agrees to these scopes; what the app learns of them."""
        token = self.sign_token()["token"]
        sent = self.choose(token, person=sub, scope=list(scopes))
        assert sent.status_code == 303, sent.text
        answer = self.verify(sent.headers["Location"].rpartition("?token=")[2])
        assert answer.status_code == 200, answer.text
        return answer.json["data"]

    def choose(self, token: str, **form: str | list[str]) -> TestResponse:
        return self.http.post(f"/sign-in/{token}", data=form or {"person": "1001"})

    def verify(self, token: object, **headers: str | None) -> TestResponse:
        return self.call("sign-token-verify", {"token": token, "redirect_url": REDIRECT}, **headers)
