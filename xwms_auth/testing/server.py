"""An XWMS inside the process: answers the calls of the applications under test.

A plain login is answered from memory (one with OAuth 2.0 by `oauth.py`). Every other call, and every refusal, is the
sandbox's (`sandbox_app.py`), so that nothing of XWMS is told twice. Faults strike both alike, and nothing waits: where
a response would come too late, the call fails at once.
"""

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import httpcore2

from .._core.base.effects import UpstreamResponse
from .._core.base.errors import APIError
from .._core.io.in_process import LocalCall
from .._core.io.transport import upstream_response
from ..sandbox.faults.catalogue import ENDPOINTS, Fault, Faults
from .calls import Call, Reply, call_of
from .clock import Clock
from .people import Approval, claims_of

if TYPE_CHECKING:
    from .oauth import Grants
    from .sandbox_app import SandboxApp

TOKEN_LIFETIME = 600
"""Seconds that a token of a login is valid, as in the sandbox."""

_SIGN_IN = "/sign-in/"
_OAUTH = ("oauth/", ".well-known/")


@dataclass(slots=True, kw_only=True)
class _Client:
    """A client that an application under test has."""

    secret: str = field(repr=False)
    domains: set[str] = field(default_factory=set[str])
    redirect_uris: set[str] = field(default_factory=set[str])
    fresh_tokens: bool = False


@dataclass(slots=True, kw_only=True)
class _SignIn:
    """A login that has begun; `person` is who has logged in."""

    client_id: str
    redirect_url: str
    expires_at: float
    person: Approval | None = None


class Server:
    """The XWMS with this name. `clock` is its time, and that of the applications that ask it."""

    def __init__(self, host: str, clock: Clock) -> None:
        self.origin = f"https://{host}"
        self.clock = clock
        self.calls: list[Call] = []
        self.faults = Faults()
        self._clients: dict[str, _Client] = {}
        self._sign_ins: dict[str, _SignIn] = {}
        self._sandbox: SandboxApp | None = None
        self._grants: Grants | None = None
        # What the sandbox has not been told yet.
        self._news: list[tuple[str, Approval | None]] = []
        self._lock = threading.RLock()

    def register(
        self, client_id: str, *, secret: str, domain: str, redirect_uris: Sequence[str], fresh_tokens: bool
    ) -> None:
        """Add a client, or a domain and redirect URIs to one.

        `fresh_tokens`: the callback gets another token than `sign-token` has returned.
        """
        with self._lock:
            client = self._clients.setdefault(client_id, _Client(secret=secret))
            client.fresh_tokens = fresh_tokens
            known = domain in client.domains and client.redirect_uris.issuperset(redirect_uris)
            if known and client.secret == secret:
                return
            client.secret = secret
            client.domains.add(domain)
            client.redirect_uris.update(redirect_uris)
            self._news.append((client_id, None))

    def approve(self, url: str, given: Approval) -> str:
        """Log a person in at the URL to which a login leads, and return the URL of the callback."""
        path = urlsplit(url).path
        if not path.startswith(_SIGN_IN):
            with self._lock:
                granted = self._oauth.authorize(url, given, self._redirect_uris_of) if self._sandbox is None else None
            return granted or self._told_sandbox().authorize(url, given)
        sign_in = self._sign_ins.get(path.removeprefix(_SIGN_IN))
        if sign_in is None or sign_in.person is not None:
            raise ValueError("this is not the URL of a login that waits for a person")
        sign_in.person, token = given, path.removeprefix(_SIGN_IN)
        with self._lock:
            self._news.append((sign_in.client_id, given))
            if self._clients[sign_in.client_id].fresh_tokens:
                del self._sign_ins[token]
                token = secrets.token_urlsafe(32)
                self._sign_ins[token] = sign_in
        return f"{sign_in.redirect_url}?{urlencode({'token': token})}"

    def answer(self, call: LocalCall) -> UpstreamResponse:
        """Answer a call. Raises what the HTTP transport would."""
        path = urlsplit(call.url).path
        endpoint = path.removeprefix("/api/").removeprefix("/")
        fault = self.faults.take(endpoint) if endpoint in ENDPOINTS else None
        status: int | None = None
        try:
            reply = self._reply(endpoint, call) if fault is None else self._struck(fault, endpoint, call)
            status = reply.status
        finally:
            self.calls.append(call_of(call, status=status, fault=None if fault is None else str(fault)))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
        response = upstream_response(httpcore2.Response(reply.status, headers=headers), reply.body)
        if isinstance(response, APIError):
            raise response
        return response

    def close(self) -> None:
        """End it; everything in it is lost."""
        if self._sandbox is not None:
            self._sandbox.close()

    def _reply(self, endpoint: str, call: LocalCall) -> Reply:
        data: Mapping[str, object] | None = None
        if endpoint in ("sign-token", "sign-token-verify"):
            client_id, client = call.headers.get("x-client-id", ""), self._client_of(call)
            if client is not None:
                body = json.loads(call.body)
                if endpoint == "sign-token":
                    data = self._begin(client_id, client, str(body.get("redirect_url")))
                else:
                    data = self._redeem(client_id, str(body.get("token")))
        elif endpoint.startswith(_OAUTH):
            with self._lock:
                # Another thread may have told the sandbox meanwhile, which then has to answer.
                reply = self._oauth.answer(call, self._secret_of) if self._sandbox is None else None
            if reply is not None:
                return reply
        if data is None:
            return self._told_sandbox().send(call.method, call.url, call.headers, call.body)
        body = json.dumps({"status": "success", "message": "OK", "data": data}).encode()
        return Reply(200, [("Content-Type", "application/json")], body)

    @property
    def _oauth(self) -> "Grants":
        """The logins with OAuth 2.0, until there is a sandbox: it knows all of them from then on."""
        if self._grants is None:
            from .oauth import Grants  # noqa: PLC0415  needs Authlib

            self._grants = Grants(self.origin, self.clock)
        return self._grants

    def _secret_of(self, client_id: str) -> str | None:
        client = self._clients.get(client_id)
        return None if client is None else client.secret

    def _redirect_uris_of(self, client_id: str) -> set[str]:
        client = self._clients.get(client_id)
        return set() if client is None else client.redirect_uris

    def _client_of(self, call: LocalCall) -> _Client | None:
        client = self._clients.get(call.headers.get("x-client-id", ""))
        if client is None or call.headers.get("x-client-secret") != client.secret:
            return None
        return client if call.headers.get("x-client-domain") in client.domains else None

    def _begin(self, client_id: str, client: _Client, redirect_url: str) -> Mapping[str, object] | None:
        if redirect_url not in client.redirect_uris:
            return None
        token, expires_at = secrets.token_urlsafe(32), self.clock() + TOKEN_LIFETIME
        self._sign_ins[token] = _SignIn(client_id=client_id, redirect_url=redirect_url, expires_at=expires_at)
        return {
            "client_id": client_id,
            "token": token,
            "email": None,
            "expires_at": datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds"),
            "url": f"{self.origin}{_SIGN_IN}{token}",
        }

    def _redeem(self, client_id: str, token: str) -> Mapping[str, object] | None:
        with self._lock:
            found = self._sign_ins.get(token)
            if found is None or found.person is None or found.client_id != client_id:
                return None
            del self._sign_ins[token]
        if found.expires_at <= self.clock():
            return None
        return claims_of(found.person.person, picture=f"{self.origin}/static/person.png")

    def _told_sandbox(self) -> "SandboxApp":
        """The sandbox, which knows what this test has said so far."""
        from .sandbox_app import SandboxApp  # noqa: PLC0415  takes long to import, and few tests need it

        with self._lock:
            is_new = self._sandbox is None
            if self._sandbox is None:
                self._sandbox = SandboxApp(self.origin, self.clock)
            news, self._news = self._news, []
            for client_id, given in news:
                client = self._clients[client_id]
                if given is not None:
                    self._sandbox.approve(client_id, given)
                    continue
                for domain in sorted(client.domains):
                    self._sandbox.register(client_id, client.secret, domain, sorted(client.redirect_uris))
            for granted in self._grants.granted if is_new and self._grants is not None else ():
                self._sandbox.keep(granted)
            return self._sandbox

    def _struck(self, fault: Fault, endpoint: str, call: LocalCall) -> Reply:
        from .faults import struck  # noqa: PLC0415  needs Flask, as the sandbox does

        return struck(fault, endpoint, call, self._reply, clock=self.clock)
