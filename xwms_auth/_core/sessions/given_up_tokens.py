"""Tokens that nobody will use any more: they are revoked after an answer (RFC 7009), not only at a logout.

Not where the tokens that go on may be of the same login at the server (`sid`), or where nothing tells two logins of one
person apart: some servers revoke everything of a login, or of the person, with one token.
"""

from ..base.effects import Steps, kept_session
from ..base.models import EndReason, Identity, TokenSet
from ..base.session import KEPT_AFTER_END, Session
from ..config.context import Context


def give_up_replaced(
    context: Context, before: Session | EndReason | None, user: Identity, tokens: TokenSet | None, *, now: int
) -> None:
    """Give up the tokens of the session that a login of this person, with these tokens, replaces."""
    if isinstance(before, Session) and not _is_same_login(before, user, tokens):
        _give_up_once(context, before, now=now)


def give_up_unused(
    context: Context, here: Session | None, user: Identity, tokens: TokenSet | None, *, now: int
) -> None:
    """Give up the tokens of a login that becomes no session. `here` is the session that the browser keeps."""
    if tokens is not None and not (here is not None and _is_same_login(here, user, tokens)):
        context.state.give_up(tokens, of=user, now=now)


def settle_new(context: Context, handle: str, user: Identity, tokens: TokenSet | None, *, now: int) -> Steps[None]:
    """Give up the tokens of a new session if they did not fit into its cookie.

    Otherwise leave those to their own end that still have to be revoked, and with which these would go.
    """
    if tokens is not None:
        kept = yield from kept_session(handle)
        if kept is not None and kept.tokens is None:
            context.state.give_up(tokens, of=user, now=now)
        else:
            context.state.pending_revocations.spare(user, tokens.sid)


def give_up_ended(context: Context, session: Session, *, now: int) -> None:
    """Give up the tokens of a session that an administrator has ended, or that is too old when the next login begins.

    Not when it is found to be too old: with longer limits it may go on in another application that shares it.
    """
    _give_up_once(context, session, now=now)


def _give_up_once(context: Context, session: Session, *, now: int) -> None:
    """Once, since the cookie of a session that is over may come again and again."""
    tokens, until = session.tokens, now + KEPT_AFTER_END
    if tokens is not None and context.state.given_up.add(session.id, until=until, now=now):
        context.state.give_up(tokens, of=session.user.identity, now=now)


def _is_same_login(session: Session, user: Identity, tokens: TokenSet | None) -> bool:
    return (
        session.tokens is not None
        and tokens is not None
        and session.user.identity == user
        and session.tokens.sid == tokens.sid
    )
