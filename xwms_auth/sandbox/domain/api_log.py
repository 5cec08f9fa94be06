"""The API log of the dashboard: calls with their status and reason.

Never logs a body, a secret, a token or anything about a person.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import ApiCall, Client
from xwms_auth.sandbox.domain import client_secrets

MAX_CALLS: Final = 10_000  # in total; the oldest are removed
NOT_A_DOMAIN: Final = "(not a domain)"
_MAX_DOMAIN: Final = 253  # characters of the header that are kept: the maximum length of a domain
_MAX_LABEL: Final = 32  # characters between two dots; tokens and secrets are longer


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
    """Log one call. `domain` is the value of the header, logged only if it is a host name or an id."""
    if domain is not None and not _is_domain(domain, client):
        domain = NOT_A_DOMAIN
    entry = ApiCall(
        at=at,
        client_pk=None if client is None else client.id,
        method=method,
        endpoint=endpoint,
        domain=None if domain is None else domain[:_MAX_DOMAIN],
        ip=ip,
        status=status,
        reason=reason,
    )
    session.add(entry)
    session.flush()
    session.execute(delete(ApiCall).where(ApiCall.id <= entry.id - MAX_CALLS))


def calls_of(
    session: Session, client: Client, *, limit: int, refused_only: bool = False, before: int | None = None
) -> Sequence[ApiCall]:
    """The client's calls, the latest first. `refused_only`: only refused calls and those affected by a fault.

    before: only calls that are older than the one with this id.
    """
    wanted = select(ApiCall).where(ApiCall.client_pk == client.id)
    if before is not None:
        wanted = wanted.where(ApiCall.id < before)
    if refused_only:
        wanted = wanted.where((ApiCall.status >= 400) | (ApiCall.reason != ""))  # a plain success needs no reason
    return session.scalars(wanted.order_by(ApiCall.id.desc()).limit(limit)).all()


def _is_domain(value: str, client: Client | None) -> bool:
    # Environment variables get mixed up: this header may contain a secret or a token by mistake.
    if not value.isascii() or not set(value) <= _HOST_CHARACTERS or max(map(len, value.split("."))) > _MAX_LABEL:
        return False
    return client is not None and client_secrets.matching_secret(client, value) is None


_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
