"""The sandbox behind an XWMS inside the process: it answers whatever a plain login does not need.

Made when it is first asked, since that takes longer than a test. Knows the clients and people that the test has named.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..sandbox import SandboxSettings, create_app
from ..sandbox.db.schema import Grant
from ..sandbox.domain import (
    approvals,
    authorizations,
    client_domains,
    client_secrets,
    clients,
    directory,
    grants,
    signing,
)
from ..sandbox.seed.defaults import found
from .calls import Reply
from .oauth import ACCESS_LIFETIME, Granted, granted_scopes, signing_key
from .people import Approval

if TYPE_CHECKING:
    from ..sandbox.app import Inside

_SIGN_IN = "/oauth/sign-in/"


class SandboxApp:
    """A sandbox at this origin, whose time is `clock`."""

    def __init__(self, origin: str, clock: Callable[[], float]) -> None:
        self._origin, self._clock = origin, clock
        lifetime = timedelta(seconds=ACCESS_LIFETIME)
        settings = SandboxSettings(
            client_id="xwms-auth-testing", redirect_uris=(f"{origin}/",), access_token_lifetime=lifetime
        )
        app = create_app(settings, clock=clock, public_url=origin)
        self._client = app.test_client(use_cookies=False)
        self._inside: Inside = app.extensions["xwms_sandbox"]
        with self._inside.database.work() as session:
            signing.keep(session, signing_key(), now=clock())

    def register(self, client_id: str, secret: str, domain: str, redirect_uris: Sequence[str]) -> None:
        """Add a client, or a domain and redirect URIs to one. Both scopes are enabled for it."""
        settings = SandboxSettings(
            client_id=client_id,
            client_secret=secret,
            domain=domain,
            redirect_uris=tuple(redirect_uris),
            scopes=tuple(approvals.SCOPES),
        )
        with self._inside.database.work() as session:
            found(session, settings, now=self._clock())

    def approve(self, client_id: str, given: Approval) -> None:
        """Note that a person has logged in to this client, with the scopes that they have approved."""
        with self._inside.database.work() as session:
            person, client = directory.put(session, given.person), clients.find(session, client_id)
            if client is not None:
                approvals.approve(session, client, person, now=self._clock())
                approval = approvals.approval_of(session, client, person)
                if approval is not None and given.scopes is not None:
                    approval.scopes = sorted(given.scopes)

    def keep(self, granted: Granted) -> None:
        """Know a login that was answered from memory, its code and its tokens."""
        now = self._clock()
        with self._inside.database.work() as session:
            client = clients.find(session, granted.client_id)
            if client is None:
                return
            person = directory.put(session, granted.given.person)
            approvals.approve(session, client, person, now=granted.at, scopes=granted.scope.split())
            grant = Grant(
                sid=granted.sid,
                client=client,
                domain=client_domains.domain_for(client, granted.redirect_uri),
                person=person,
                scope=granted.scope,
                nonce=granted.nonce,
                auth_time=granted.at,
                redirect_uri=granted.redirect_uri,
                code_digest=client_secrets.sha256_of(granted.code),
                code_challenge=granted.challenge,
                code_expires_at=granted.at + grants.CODE_LIFETIME,
                code_spent_at=granted.tokens[0].issued_at if granted.tokens else None,
                ended_at=now if granted.is_ended else None,
            )
            session.add(grant)
            for token in granted.tokens:
                kept = grants.issue(
                    session,
                    grant,
                    token.kind,
                    token.value,
                    scope=granted.scope,
                    lifetime=token.lifetime,
                    now=token.issued_at,
                )
                kept.spent_at = now if token.is_revoked else None

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request."""
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        kept = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
        with self._client.open(path, method=method, headers=kept, data=body, base_url=self._origin) as response:
            return Reply(response.status_code, list(response.headers), response.get_data())

    def authorize(self, url: str, given: Approval) -> str:
        """Log a person in at the authorization endpoint, and return where the browser is sent then."""
        reply = self.send("GET", url, {}, b"")
        location = reply.header("location")
        if not location.startswith(f"{self._origin}{_SIGN_IN}"):
            if not location:
                path = urlsplit(url).path
                raise ValueError(f"{path} is not where XWMS asks who it is: is the client signed in already?")
            return location  # an error, which the application is told of
        with self._inside.database.work() as session:
            directory.put(session, given.person)
            pending = authorizations.find(session, location.rpartition("/")[2])
            asked = pending.parameters["scope"].split() if pending is not None else []
            if pending is not None and given.scopes is not None:
                asked = granted_scopes(asked, given)
                pending.parameters = {**pending.parameters, "scope": " ".join(asked)}
        form = {"person": given.person.sub, "scope": asked}
        with self._client.post(urlsplit(location).path, data=form, base_url=self._origin) as response:
            return response.headers.get("Location", "")

    def close(self) -> None:
        """End it; everything in it is lost."""
        self._inside.faults.close()
        self._inside.deliveries.close()
        self._inside.database.close()
