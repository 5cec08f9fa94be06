"""The API log: which calls were made, what was answered and why, for the dashboard.

Knows: what may be written down: no body, no secret, no token, nothing about a person.
Must not: know how a call is judged.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import ApiCall, Client
from xwms_auth.sandbox.domain import client_secrets

MAX_CALLS: Final = 10_000  # in all; the oldest give way
NOT_A_DOMAIN: Final = "(not a domain)"
_LONGEST: Final = 253  # characters of a header that are kept: the longest domain
_LONGEST_LABEL: Final = 32  # characters between two dots; tokens and secrets are longer


def note(
    session: Session,
    *,
    at: float,
    client: Client | None,
    method: str,
    endpoint: str,
    domain: str | None,
    ip: str | None,
    status: int,
    reason: str,
) -> None:
    """Write one call down. `domain` is what the caller said, kept only where it is a host name or an id."""
    if domain is not None and not _is_domain(domain, client):
        domain = NOT_A_DOMAIN
    written = ApiCall(
        at=at,
        client_pk=None if client is None else client.id,
        method=method,
        endpoint=endpoint,
        domain=None if domain is None else domain[:_LONGEST],
        ip=ip,
        status=status,
        reason=reason,
    )
    session.add(written)
    session.flush()
    session.execute(delete(ApiCall).where(ApiCall.id <= written.id - MAX_CALLS))


def calls_of(session: Session, client: Client, *, limit: int, refused_only: bool = False) -> Sequence[ApiCall]:
    """The client's calls, the latest first. `refused_only`: those that were refused, or that a fault struck."""
    wanted = select(ApiCall).where(ApiCall.client_pk == client.id)
    if refused_only:
        wanted = wanted.where((ApiCall.status >= 400) | (ApiCall.reason != ""))  # a plain success needs no reason
    return session.scalars(wanted.order_by(ApiCall.id.desc()).limit(limit)).all()


def _is_domain(said: str, client: Client | None) -> bool:
    # Environment variables get mixed up: a secret or a token in this header is as secret as in its own.
    if not said.isascii() or not set(said) <= _HOST_CHARACTERS or max(map(len, said.split("."))) > _LONGEST_LABEL:
        return False
    return client is not None and client_secrets.matching_secret(client, said) is None


_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
