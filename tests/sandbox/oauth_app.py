"""An app that speaks OAuth to a local XWMS over HTTP, written by hand: no part of the package, and no library of OAuth.

Knows: RFC 6749 and PKCE from the side of a client, and what a person does on the pages.
Must not: hide an answer that a test is about.
"""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy.orm import Session

from tests.sandbox.local_xwms import NOON, REDIRECT, SECRET, another_client
from xwms_auth.sandbox import SandboxServer
from xwms_auth.sandbox.db.schema import Client
from xwms_auth.sandbox.domain import api_log, approvals, clients, directory

CLIENT_ID = "sandbox-client"
EVERYTHING = "openid profile email offline_access"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Login:
    """One login under way: what the app keeps of it."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def parameters(self, scope: str = EVERYTHING, **changes: str | None) -> dict[str, str]:
        """What the app asks for; a change to None leaves a parameter out."""
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT,
            "scope": scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (asked | changes).items() if value is not None}


class App:
    """The app's server and a person's browser, both over HTTP. Neither follows a redirect."""

    def __init__(
        self,
        server: SandboxServer,
        *,
        client_id: str = CLIENT_ID,
        secret: str = SECRET,
        http: httpx2.Client | None = None,
    ) -> None:
        self.server = server
        self.client_id = client_id
        self.secret = secret
        self.http = http or httpx2.Client(base_url=server.url, trust_env=False, timeout=20)

    def close(self) -> None:
        self.http.close()

    def another(self) -> "App":
        """A second client of the same provider."""
        with self.work() as session:
            client_id, secret = another_client(session, now=NOON)
        return App(self.server, client_id=client_id, secret=secret, http=self.http)

    # --- the dashboard ---

    @contextmanager
    def settings(self) -> "Iterator[Client]":
        """The app's client, to be changed as the dashboard would."""
        with self.work() as session:
            found = clients.find(session, CLIENT_ID)
            assert found is not None
            yield found

    def withdraw(self, sub: str) -> None:
        """Take back what a person has agreed to, as the dashboard's “Revoke” does."""
        with self.work() as session:
            client, person = clients.find(session, CLIENT_ID), directory.find(session, sub)
            assert client is not None
            assert person is not None
            approval = approvals.approval_of(session, client, person)
            assert approval is not None
            approvals.revoke(session, approval, now=NOON)

    def work(self) -> AbstractContextManager[Session]:
        """A unit of work on the sandbox's database."""
        return self.server.inside.database.work()

    def log(self) -> list[tuple[str, int, str]]:
        """The API log, the latest first: which call, its status, and why."""
        with self.work() as session:
            client = clients.find(session, CLIENT_ID)
            assert client is not None
            return [(call.endpoint, call.status, call.reason) for call in api_log.calls_of(session, client, limit=200)]

    # --- the browser ---

    def authorize(self, parameters: dict[str, str] | list[tuple[str, str]]) -> httpx2.Response:
        """Open the authorization endpoint."""
        return self.http.get("/oauth/authorize", params=parameters)

    def begin(self, login: Login, **changes: str | None) -> str:
        """Open it, and get to the sign-in page: its address."""
        answer = self.authorize(login.parameters(**changes))
        assert answer.status_code == 303, answer.text
        page = answer.headers["Location"]
        assert page.startswith(f"{self.server.url}/oauth/sign-in/"), page
        return str(page)

    def allow(self, page: str, *, sub: str = "1001", scope: str = EVERYTHING) -> httpx2.Response:
        """Choose who to be, and agree to this scope."""
        return self.http.post(page, data={"person": sub, "scope": scope.split()})

    def code(self, login: Login, *, sub: str = "1001", scope: str = EVERYTHING, **changes: str | None) -> str:
        """The whole way to a code."""
        page = self.begin(login, scope=scope, **changes)
        return said(self.allow(page, sub=sub, scope=scope))["code"]

    # --- the app's server ---

    def call(self, path: str, form: dict[str, str], *, secret: str | None = None) -> httpx2.Response:
        """A call with the client's credentials in the header."""
        return self.http.post(path, data=form, auth=(self.client_id, self.secret if secret is None else secret))

    def redeem(self, code: str, login: Login, **changes: str | None) -> httpx2.Response:
        """Redeem a code."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": login.verifier,
        }
        return self.call("/oauth/token", {name: value for name, value in (form | changes).items() if value is not None})

    def log_in(self, *, sub: str = "1001", scope: str = EVERYTHING, login: Login | None = None) -> dict[str, Any]:
        """A whole login: the answer of the token endpoint."""
        login = login or Login()
        answer = self.redeem(self.code(login, sub=sub, scope=scope), login)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def refresh(self, refresh_token: str, **more: str) -> httpx2.Response:
        """Use a refresh token."""
        return self.call("/oauth/token", {"grant_type": "refresh_token", "refresh_token": refresh_token, **more})

    def revoke(self, token: str, **more: str) -> httpx2.Response:
        """Revoke a token."""
        return self.call("/oauth/revoke", {"token": token, **more})

    def introspect(self, token: str) -> dict[str, Any]:
        """What the provider says about a token."""
        answer = self.call("/oauth/introspect", {"token": token})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def userinfo(self, access_token: str) -> httpx2.Response:
        """Who the person is."""
        return self.http.get("/oauth/userinfo", headers={b"Authorization": f"Bearer {access_token}".encode("latin-1")})

    def verified(self, token: str, *, kind: str = "JWT") -> dict[str, Any]:
        """The claims of a token, checked with the published keys."""
        keys = KeySet.import_key_set(self.http.get("/oauth/jwks").json())
        read = jwt.decode(token, keys, ["RS256"])
        assert read.header["typ"] == kind
        return dict(read.claims)


def said(answer: httpx2.Response, redirect: str = REDIRECT) -> dict[str, str]:
    """What the provider told the app through the browser, each parameter once."""
    assert answer.status_code == 303, f"{answer.status_code} {answer.text}"
    location = answer.headers["Location"]
    assert location.startswith(f"{redirect}?"), location
    pairs = parse_qsl(urlsplit(location).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), location
    return dict(pairs)


def refused(answer: httpx2.Response, status: int = 400) -> str:
    """The error of a call that was refused."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"] == "application/json"
    return str(answer.json()["error"])


def half_hash(access_token: str) -> str:
    """The at_hash of an access token under RS256 (OpenID Connect Core, section 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).rstrip(b"=").decode()


@contextmanager
def backchannel(status: int = 200) -> Iterator[tuple[str, "Queue[str]"]]:
    """An app's back-channel logout endpoint: its address, and the logout tokens that arrive."""
    arrived: Queue[str] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            arrived.put(parse_qs(body)["logout_token"][0])
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/backchannel", arrived
        finally:
            server.shutdown()
            thread.join()


def unsigned(token: str, **changes: object) -> str:
    """A token whose claims were changed and whose signature was not."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | changes
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"
