"""Grants of OAuth: what a person granted a client, from the code to the last refresh token of its family.

Replay: a code and each refresh token work once. A second use means that one of the two senders has stolen it, and it
is not known which, so the whole family is revoked (RFC 6749, section 4.1.2; RFC 9700, sections 2.1.1 and 4.14.2).

Codes and tokens are kept as digests only. Times are arguments, in seconds since 1970.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Approval, Client, Domain, Grant, Person, Token
from xwms_auth.sandbox.domain.client_secrets import sha256_of

CODE_LIFETIME: Final = 60.0  # seconds; a client redeems it at once
REFRESH_LIFETIME: Final = 7 * 86_400.0  # seconds from one use to the next
GRANT_LIFETIME: Final = 30 * 86_400.0  # seconds from the login, regardless of refreshes
MAX_GRANTS: Final = 10_000  # the oldest are removed, so that a runaway script cannot fill the disk
_KEEP_EXPIRED: Final = 3600.0  # seconds that an expired token is kept, so that the log can say why it was refused

Kind = Literal["access", "refresh"]


def give(
    session: Session,
    client: Client,
    domain: Domain,
    person: Person,
    *,
    parameters: Mapping[str, str],
    scope: str,
    now: float,
) -> str:
    """Save a grant and return its code; `parameters` are those of the authorization request."""
    code = secrets.token_urlsafe(32)
    grant = Grant(
        sid=secrets.token_urlsafe(16),
        client=client,
        domain=domain,
        person=person,
        scope=scope,
        nonce=parameters.get("nonce"),
        auth_time=now,
        redirect_uri=parameters["redirect_uri"],
        code_digest=sha256_of(code),
        code_challenge=parameters["code_challenge"],
        code_expires_at=now + CODE_LIFETIME,
    )
    session.add(grant)
    session.flush()
    _delete_old(session, newest=grant.id, now=now)
    return code


def redeem_code(session: Session, code: str, client: Client, *, now: float) -> Grant | str:
    """Redeem a code of this client: returns the grant, or the reason for a refusal, for the client's log.

    Code injection: a code can be tried once. One with the wrong verifier or redirect URI is spent too.
    """
    grant = session.scalar(select(Grant).where(Grant.code_digest == sha256_of(code)))
    if grant is None:
        return "no such code"
    if grant.client_pk != client.id:
        return "a code of another client"  # not spent: its sender must not be able to end another client's login
    if grant.code_spent_at is not None:
        end(grant, now=now)
        return "the code was used before; every token issued for it has been revoked"
    grant.code_spent_at = now
    if grant.code_expires_at <= now:
        return "the code has expired"
    return why_ended(session, grant, now=now) or grant


def find_token(session: Session, value: str) -> Token | None:
    """The token with this value, whatever its state; None if it is not known."""
    return session.scalar(select(Token).where(Token.digest == sha256_of(value)))


def issue(session: Session, grant: Grant, kind: Kind, value: str, *, scope: str, lifetime: float, now: float) -> Token:
    """Save a token. It expires with its grant at the latest."""
    token = Token(
        grant=grant,
        kind=kind,
        digest=sha256_of(value),
        scope=scope,
        issued_at=now,
        expires_at=min(now + lifetime, grant.auth_time + GRANT_LIFETIME),
    )
    session.add(token)
    session.flush()
    return token


def find_refresh_token(session: Session, value: str, client: Client, *, now: float) -> Token | str:
    """The client's refresh token, or the reason for a refusal; one that was used before revokes the whole family."""
    token = find_token(session, value)
    if token is None or token.kind != "refresh":
        return "no such refresh token"
    if token.grant.client_pk != client.id:
        return "a refresh token of another client"
    if token.spent_at is not None:
        end(token.grant, now=now)
        return "the refresh token was used before; every token of this login has been revoked"
    return why_over(session, token, now=now) or token


def why_over(session: Session, token: Token, *, now: float) -> str:
    """Why a token is no longer valid, for a log; "" if it is valid."""
    if token.spent_at is not None:
        return "the token was revoked" if token.kind == "access" else "the refresh token was used before"
    if token.expires_at <= now:
        return "the token has expired"
    return why_ended(session, token.grant, now=now)


def why_ended(session: Session, grant: Grant, *, now: float) -> str:
    """Why a grant is no longer valid, for a log; "" if it is valid."""
    if grant.ended_at is not None:
        return "the login was ended"
    if grant.auth_time + GRANT_LIFETIME <= now:
        return "the login was too long ago"
    if not grant.client.enabled:
        return "the client is disabled"
    if not grant.domain.active:
        return "its domain is not active"
    approved = select(Approval.id).where(
        Approval.client_pk == grant.client_pk, Approval.person_id == grant.person_id, Approval.revoked_at.is_(None)
    )
    return "" if session.scalar(approved) else "the person has withdrawn the approval"


def find_grant(session: Session, sid: str, client: Client) -> Grant | None:
    """The client's login with this session id, whatever its state."""
    return session.scalar(select(Grant).where(Grant.sid == sid, Grant.client_pk == client.id))


def end(grant: Grant, *, now: float) -> None:
    """End a grant: its code and its tokens are no longer valid."""
    grant.ended_at = grant.ended_at or now


def end_all(session: Session, approval: Approval, *, now: float) -> Sequence[Grant]:
    """End every login of this person at this client; returns those that had not ended before."""
    alive = select(Grant).where(
        Grant.client_pk == approval.client_pk, Grant.person_id == approval.person_id, Grant.ended_at.is_(None)
    )
    ended = session.scalars(alive).all()
    for grant in ended:
        end(grant, now=now)
    return ended


def _delete_old(session: Session, *, newest: int, now: float) -> None:
    session.execute(delete(Token).where(Token.kind == "access", Token.expires_at <= now - _KEEP_EXPIRED))
    # Used refresh tokens are kept as long as their grant, so that a replay is detected.
    session.execute(delete(Grant).where((Grant.auth_time <= now - GRANT_LIFETIME) | (Grant.id <= newest - MAX_GRANTS)))
