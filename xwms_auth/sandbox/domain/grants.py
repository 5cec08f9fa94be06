"""Grants: what a person allowed a client over OAuth, from the code to the last refresh token of its family.

A code works once, and so does each refresh token. Whoever uses one again has stolen it, or was stolen from; nobody can
tell which, so the whole family ends (RFC 6749, section 4.1.2; RFC 9700, sections 2.1.1 and 4.14.2).

Knows: when a code and a token are good, and what ends together.
Must not: keep a code or a token, or know HTTP. The time is an argument, in seconds since 1970.
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
GRANT_LIFETIME: Final = 30 * 86_400.0  # seconds from the login, whatever is refreshed
MAX_GRANTS: Final = 10_000  # the oldest give way, so that a runaway script cannot fill the disk
_KEPT: Final = 3600.0  # seconds after its end that a token is kept, so that the log can say what became of it

Kind = Literal["access", "refresh"]


def give(
    session: Session,
    client: Client,
    domain: Domain,
    person: Person,
    *,
    asked: Mapping[str, str],
    scope: str,
    now: float,
) -> str:
    """Remember what the person has just allowed, and return the code; `asked` are the request's parameters."""
    code = secrets.token_urlsafe(32)
    grant = Grant(
        sid=secrets.token_urlsafe(16),
        client=client,
        domain=domain,
        person=person,
        scope=scope,
        nonce=asked.get("nonce"),
        auth_time=now,
        redirect_uri=asked["redirect_uri"],
        code_digest=sha256_of(code),
        code_challenge=asked["code_challenge"],
        code_expires_at=now + CODE_LIFETIME,
    )
    session.add(grant)
    session.flush()
    _forget_the_old(session, newest=grant.id, now=now)
    return code


def redeem_code(session: Session, code: str, client: Client, *, now: float) -> Grant | str:
    """Spend a code of this client: the grant, or the reason why not, for the client's log.

    A code gets one try: one that comes with the wrong verifier or redirect URI was injected, and is lost with it.
    """
    grant = session.scalar(select(Grant).where(Grant.code_digest == sha256_of(code)))
    if grant is None:
        return "no such code"
    if grant.client_pk != client.id:
        return "a code of another client"  # and not spent: whoever sends it must not end somebody else's login
    if grant.code_spent_at is not None:
        end(grant, now=now)
        return "the code was used before; every token that came of it has been revoked"
    grant.code_spent_at = now
    if grant.code_expires_at <= now:
        return "the code has expired"
    return why_ended(session, grant, now=now) or grant


def find_token(session: Session, value: str) -> Token | None:
    """The token with this value, whatever became of it; None when it is not known."""
    return session.scalar(select(Token).where(Token.digest == sha256_of(value)))


def issue(session: Session, grant: Grant, kind: Kind, value: str, *, scope: str, lifetime: float, now: float) -> Token:
    """Remember a token; none outlives its grant."""
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
    """The client's refresh token that may be used now, or the reason why not; one that was used before ends all."""
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
    """Why a token is not good any more, in words for a log; "" while it is."""
    if token.spent_at is not None:
        return "the token was revoked" if token.kind == "access" else "the refresh token was used before"
    if token.expires_at <= now:
        return "the token has expired"
    return why_ended(session, token.grant, now=now)


def why_ended(session: Session, grant: Grant, *, now: float) -> str:
    """Why nothing of a grant is good any more, in words for a log; "" while it is."""
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
    return "" if session.scalar(approved) else "the person has taken the approval back"


def find_grant(session: Session, sid: str, client: Client) -> Grant | None:
    """The client's login with this session id, whatever became of it."""
    return session.scalar(select(Grant).where(Grant.sid == sid, Grant.client_pk == client.id))


def end(grant: Grant, *, now: float) -> None:
    """End a grant: its code and its tokens are good no more."""
    grant.ended_at = grant.ended_at or now


def end_all(session: Session, approval: Approval, *, now: float) -> Sequence[Grant]:
    """End every login of this person at this client; those that had not ended before."""
    alive = select(Grant).where(
        Grant.client_pk == approval.client_pk, Grant.person_id == approval.person_id, Grant.ended_at.is_(None)
    )
    ended = session.scalars(alive).all()
    for grant in ended:
        end(grant, now=now)
    return ended


def _forget_the_old(session: Session, *, newest: int, now: float) -> None:
    session.execute(delete(Token).where(Token.kind == "access", Token.expires_at <= now - _KEPT))
    # Used refresh tokens stay as long as their grant: one that comes back must be known.
    session.execute(delete(Grant).where((Grant.auth_time <= now - GRANT_LIFETIME) | (Grant.id <= newest - MAX_GRANTS)))
