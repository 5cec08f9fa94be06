"""Giving tokens back that nobody here will use again (RFC 7009).

A logout is never held up by it: the person is out of this site whatever the server says, and what it could not be told
is told later.

Knows: when a token is revoked, and when that is tried again.
Must not: raise for what the server answers.
"""

from ..base import events
from ..base.effects import CallXWMS, Steps, ask
from ..base.errors import APIError
from ..base.models import TokenSet
from ..config.context import Context
from . import messages as wire
from .discovery import metadata_for


def revoke_tokens(context: Context, tokens: TokenSet, *, now: int) -> Steps[None]:
    """Have the server end these tokens, and one that it could not be told of before."""
    if (yield from _revoke(context, tokens, since=now, now=now)):
        yield from retry_pending(context, now=now)


def retry_pending(context: Context, *, now: int) -> Steps[None]:
    """Try again one revocation that has failed, if it is time. Where nothing is at stake for whoever waits."""
    waiting = context.state.pending_revocations.take(now=now)
    if waiting is not None and (yield from _revoke(context, waiting[1], since=waiting[0], now=now)):
        events.info("token_revoked_late")


def _revoke(context: Context, tokens: TokenSet, *, since: int, now: int) -> Steps[bool]:
    """Whether the tokens have ended. Where the request itself is given up meanwhile, they wait as after a failure."""
    over = False
    try:
        metadata = yield from metadata_for(context, now=now)
        if metadata.revocation_endpoint is None:
            return (over := True)
        wire.read_revoked((yield from ask(CallXWMS(wire.revoke(metadata.revocation_endpoint, tokens)))))
        over = True
    except APIError as error:
        events.warning("token_not_revoked", cause=str(error), hint="it is tried again later, while this process lives")
    finally:
        if over:
            context.state.pending_revocations.answered()
        else:
            context.state.pending_revocations.keep(tokens, since=since, now=now)
    return over
