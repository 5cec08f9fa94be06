"""Pending authorization requests of OAuth. Each is answered once. Times are arguments, in seconds since 1970."""

import secrets
from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import AuthorizationRequest, Client, Domain
from xwms_auth.sandbox.domain.client_secrets import sha256_of

REQUEST_LIFETIME: Final = 600.0  # seconds that a sign-in page can be used
MAX_REQUESTS: Final = 10_000  # the oldest are removed, so that a runaway script cannot fill the disk
_KEEP_ENDED: Final = 3600.0  # seconds; until then its page says why it cannot be used


def begin(session: Session, client: Client, domain: Domain, parameters: Mapping[str, str], *, now: float) -> str:
    """Save a request, and return its token for the URL of the sign-in page."""
    token = secrets.token_urlsafe(32)
    pending = AuthorizationRequest(
        digest=sha256_of(token),
        client=client,
        domain=domain,
        parameters=dict(parameters),
        expires_at=now + REQUEST_LIFETIME,
    )
    session.add(pending)
    session.flush()
    expired = AuthorizationRequest.expires_at <= now - _KEEP_ENDED
    session.execute(
        delete(AuthorizationRequest).where(expired | (AuthorizationRequest.id <= pending.id - MAX_REQUESTS))
    )
    return token


def find(session: Session, token: str) -> AuthorizationRequest | None:
    """The request with this token, whatever its state; None if it is not known."""
    return session.scalar(select(AuthorizationRequest).where(AuthorizationRequest.digest == sha256_of(token)))


def answer(pending: AuthorizationRequest, *, now: float) -> Mapping[str, str]:
    """Close a pending request, delete its parameters and return them."""
    parameters, pending.parameters, pending.answered_at = pending.parameters, {}, now
    return parameters
