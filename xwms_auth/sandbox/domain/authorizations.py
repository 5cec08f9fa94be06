"""Authorization requests: what an app asked for over OAuth, while the person has yet to answer.

Knows: that each is answered once, and for how long its page is open.
Must not: judge what was asked, or know HTTP. The time is an argument, in seconds since 1970.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import AuthorizationRequest, Client, Domain
from xwms_auth.sandbox.domain.client_secrets import sha256_of

LIFETIME: Final = 600.0  # seconds that a sign-in page is open
MAX_REQUESTS: Final = 10_000  # the oldest give way, so that a runaway script cannot fill the disk
_KEPT: Final = 3600.0  # seconds after its end; until then its page says what became of it


def begin(session: Session, client: Client, domain: Domain, parameters: Mapping[str, str], *, now: float) -> str:
    """Remember what was asked, and return the token that stands for it in the address of the sign-in page."""
    token = secrets.token_urlsafe(32)
    asked = AuthorizationRequest(
        digest=sha256_of(token), client=client, domain=domain, parameters=dict(parameters), expires_at=now + LIFETIME
    )
    session.add(asked)
    session.flush()
    old = (AuthorizationRequest.expires_at <= now - _KEPT) | (AuthorizationRequest.id <= asked.id - MAX_REQUESTS)
    session.execute(delete(AuthorizationRequest).where(old))
    return token


def find(session: Session, token: str) -> AuthorizationRequest | None:
    """What was asked under this token, whatever became of it; None when it is not known."""
    return session.scalar(select(AuthorizationRequest).where(AuthorizationRequest.digest == sha256_of(token)))


def answer(asked: AuthorizationRequest, *, now: float) -> Mapping[str, str]:
    """Close a request that is open, and return its parameters, which are forgotten here."""
    parameters, asked.parameters, asked.answered_at = asked.parameters, {}, now
    return parameters
