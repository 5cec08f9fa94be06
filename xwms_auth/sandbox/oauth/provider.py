"""What every OAuth endpoint needs: the database, the clock, the issuer, the authorization server and the API log."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import request
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.domain import api_log
from xwms_auth.sandbox.oauth import grant_types, token_endpoints
from xwms_auth.sandbox.oauth.backchannel import Deliveries
from xwms_auth.sandbox.oauth.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The provider. `public_url` is the sandbox's own URL without a trailing slash, and `issuer` usually the same.

    `access_lifetime` is in seconds.

    `auto_login` is the sub of the person to sign in without a click; None shows the sign-in page.
    """

    database: Database
    clock: Callable[[], float]
    issuer: str
    public_url: str
    auto_login: str | None
    access_lifetime: float
    deliveries: Deliveries

    def server(self, session: Session) -> Server:
        """The authorization server for one request."""
        server = Server(
            session,
            now=self.clock(),
            issuer=self.issuer,
            public_url=self.public_url,
            access_lifetime=self.access_lifetime,
            ip=request.remote_addr,
        )
        grant_types.register(server)
        token_endpoints.register(server)
        return server


def note(server: Server, *, endpoint: str, status: int, reason: str) -> None:
    """Add a call to the API log."""
    api_log.note(
        server.session,
        at=server.now,
        client=server.client,
        method=request.method,
        endpoint=endpoint,
        domain=None if server.domain is None else server.domain.root_domain,
        ip=request.remote_addr,
        status=status,
        reason=reason,
    )
