"""Sign-ins: a login from `sign-token` to `sign-token-verify`, and its tokens.

A sign-in is approved once. A token is redeemed once, by its own client, within some minutes, and kept as a digest only.
Times are arguments, in seconds since 1970.
"""

import secrets
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Client, Domain, Person, SignIn
from xwms_auth.sandbox.domain.client_secrets import sha256_of

MAX_SIGN_INS: Final = 10_000  # the oldest are removed, so that a runaway script cannot fill the disk
_KEEP_ENDED: Final = 3600.0  # seconds; until then its page says why it cannot be used


def begin(session: Session, client: Client, domain: Domain, *, redirect_url: str, expires_at: float, now: float) -> str:
    """Save a new sign-in and return its token; delete those that ended long ago."""
    token = secrets.token_urlsafe(32)
    started = SignIn(
        digest=sha256_of(token), client=client, domain=domain, redirect_url=redirect_url, expires_at=expires_at
    )
    session.add(started)
    session.flush()
    expired = SignIn.expires_at <= now - _KEEP_ENDED
    session.execute(delete(SignIn).where(expired | (SignIn.id <= started.id - MAX_SIGN_INS)))
    return token


def find(session: Session, token: str) -> SignIn | None:
    """The sign-in that `sign-token` started with this token, whatever its state; None if it is not known."""
    return session.scalar(select(SignIn).where(SignIn.digest == sha256_of(token)))


def count_pending(session: Session, client: Client, *, now: float) -> int:
    """The number of the client's logins that are under way."""
    pending = select(func.count()).where(
        SignIn.client_pk == client.id, SignIn.spent_at.is_(None), SignIn.expires_at > now
    )
    return session.scalar(pending) or 0


def approve(sign_in: SignIn, person: Person, *, callback_token: str, now: float) -> bool:
    """Make `callback_token` redeemable for `person`, once; False if the sign-in has expired or was approved before."""
    if sign_in.person_id is not None or sign_in.expires_at <= now:
        return False
    sign_in.person = person
    sign_in.callback_digest = sha256_of(callback_token)
    return True


def redeem(session: Session, token: str, client: Client, *, now: float) -> SignIn | str:
    """Redeem a token of this client: returns the sign-in with its person, or the reason for a refusal, for the log."""
    digest = sha256_of(token)
    found = session.scalar(select(SignIn).where(SignIn.callback_digest == digest))
    if found is None:
        started = find(session, token)
        if started is not None and started.client_pk == client.id:
            return "nobody has signed in with this token" if started.person_id is None else "not the callback's token"
        return "no such token"
    if found.client_pk != client.id:
        return "a token of another client"  # not spent: its sender must not be able to end another client's login
    if found.spent_at is not None:
        return "the token was used before"
    if found.expires_at <= now:
        return "the token has expired"
    if not may_go_on(found):
        return "its domain or its redirect URI was switched off meanwhile"
    found.spent_at = now
    return found


def may_go_on(sign_in: SignIn) -> bool:
    """Whether everything that the login needs is still active."""
    client, domain = sign_in.client, sign_in.domain
    registered = any(known.active and known.uri == sign_in.redirect_url for known in client.redirect_uris)
    return client.enabled and domain.active and domain.allow_login and registered
