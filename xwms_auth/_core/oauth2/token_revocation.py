"""Revocation of tokens that are no longer used (RFC 7009).

Never raises for a failing server, so that a failure does not stop a logout: the user is logged out of the application
in any case, and the revocation is retried later.

What a login or the end of a session gives up is revoked after an answer (`ProcessState.give_up`).
"""

from ..base import events
from ..base.effects import Steps
from ..base.errors import APIError
from ..base.models import Identity, TokenSet
from ..config.context import Context
from ..config.credentials import send_as_client
from . import endpoints as wire
from .discovery import metadata_for

MAX_AFTER_ANSWER = 2
"""Most tokens that are revoked after one answer, which has given up those of one session: so none pile up."""

WARNING_INTERVAL = 3600
"""Seconds between two warnings of one process that tokens cannot be revoked."""


def revoke_tokens(context: Context, tokens: TokenSet, *, of: Identity, now: int) -> Steps[None]:
    """Revoke these tokens, and retry one revocation that has failed before."""
    if (yield from _revoke(context, tokens, of=of, since=now, now=now)):
        yield from retry_pending(context, now=now)


def retry_pending(context: Context, *, now: int) -> Steps[None]:
    """Retry one failed revocation, if it is due. Call this only where nothing is lost if the server is slow."""
    pending = context.state.pending_revocations.take(now=now)
    if (
        pending is not None
        and (yield from _revoke(context, pending.tokens, of=pending.of, since=pending.since, now=now))
        and pending.failed
    ):
        events.info("token_revoked_late")


def revoke_pending(context: Context, *, now: int) -> Steps[None]:
    """Revoke a few of the tokens that wait for it, after an answer."""
    for _ in range(MAX_AFTER_ANSWER):
        yield from retry_pending(context, now=now)


def _revoke(context: Context, tokens: TokenSet, *, of: Identity, since: int, now: int) -> Steps[bool]:
    """Whether nothing is left to revoke. If the request is cancelled meanwhile, they are kept as after a failure."""
    done = False
    try:
        metadata = yield from metadata_for(context, now=now)
        if metadata.revocation_endpoint is None:
            _warn_of_no_endpoint(context, now=now)
        else:
            call = wire.revoke(metadata.revocation_endpoint, tokens)
            yield from send_as_client(context.config, call, wire.read_revoked)
        done = True
    except APIError as error:
        events.warning("token_not_revoked", cause=str(error), hint="it is retried later, while this process runs")
    finally:
        if done:
            context.state.pending_revocations.answered()
        else:
            context.state.pending_revocations.keep(tokens, of=of, since=since, now=now)
    return done


def _warn_of_no_endpoint(context: Context, *, now: int) -> None:
    if context.state.revocation_warnings.add("", until=now + WARNING_INTERVAL, now=now):
        events.warning(
            "tokens_not_revocable",
            cause="the server names no revocation_endpoint, so tokens work until their own end after a logout",
            hint="set XWMS_REVOCATION_ENDPOINT if it has one",
        )
