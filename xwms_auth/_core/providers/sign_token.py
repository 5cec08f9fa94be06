"""XWMS's own login. The callback brings a token, which `sign-token-verify` changes into a person.

The protocol has no `state`, and its redirect URIs match exactly, so nothing can travel along: a token belongs to a
pending login because `sign-token` gave it for that login, or because no other site can have caused the login.

Knows: what a token is worth in which browser.
Must not: let one live that came to a browser it does not belong to.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace

from ..api import calls
from ..api.login_messages import is_plausible_token
from ..base import events
from ..base.effects import Steps
from ..base.errors import APIError, StoreUnavailable, TokenMalformed, TokenMissing, TokenRejected, XWMSError
from ..base.models import Session, newer
from ..base.signing import digest
from ..config.context import Context
from ..http.fetch_metadata import require_sent_by_xwms
from ..http.messages import Request
from ..http.urls import RedirectURI
from . import single_use
from .pending_login import PendingLogin
from .protocol import CallbackParams, CheckedCallback, LoginResult, LoginStart, MatchingLogins


class SignTokenProvider:
    """Follows `Provider`. The proof of a pending login is the SHA-256 of `sign-token`'s token."""

    tokens = None

    def confirmation_origins(self, context: Context, *, now: int) -> Steps[Sequence[str] | None]:
        # Another page can open the login in a person's browser, wait for the cookie, and then send that browser to
        # a callback URL of its own login: the person would go on in somebody else's account. Where the token does not
        # tell, a click on our own page has to.
        return None if (yield from _is_same(context, now=now)) else _login_origins(context)

    def start(self, context: Context, uri: RedirectURI, *, fresh: int | None, now: int) -> Steps[LoginStart]:
        ticket = yield from calls.sign_token(context.config, uri.uri)
        # For everybody who shares the store: what was issued for one login is not a fresh token of another's.
        yield from single_use.remember(single_use.token_claim("issued", ticket.token), now=now)
        return LoginStart(url=ticket.url, proof=digest(ticket.token), expires_at=ticket.expires_at)

    def parse_callback(self, request: Request) -> CallbackParams:
        found = request.parameters("token")
        if not found:
            raise TokenMissing("the callback has no token")
        if len(found) > 1 or not is_plausible_token(found[0]):
            raise TokenMalformed(
                "the callback has several tokens" if len(found) > 1 else "the token has an impossible form"
            )
        return CallbackParams(credential=found[0])

    def matching_logins(
        self, context: Context, params: CallbackParams, logins: Sequence[PendingLogin], *, now: int
    ) -> Steps[MatchingLogins]:
        token, mode = params.credential, context.config.callback_token
        exact = next((login for login in reversed(logins) if _is_of(login, token)), None)
        if exact is not None:
            return MatchingLogins(logins=(exact,), exact=True, own_copies=True)
        if mode == "same" or not logins:
            return MatchingLogins()
        # The token may be fresh and says nothing. What counts is that no other site can have caused the login; or,
        # where that is not asked for any more, the person's own confirmation (`needs_confirmation`). The newest comes
        # first: the protocol has nothing that could tell two tabs apart.
        begun_here = mode == "fresh" or not (yield from _is_same(context, now=now))
        likely = tuple(login for login in reversed(logins) if login.began_here or not begun_here)
        # What sign-token gave for another login is not a fresh token, whatever `callback_token` allows.
        (issued,) = yield from single_use.are_claimed(single_use.token_claim("issued", token), now=now)
        if issued:
            return MatchingLogins(otherwise=next(iter(likely), None))
        # With `either` the token may be one that a process issued with which this one shares nothing: its owner is
        # waiting for it, and somebody has brought it here before it was approved. Nobody knows a fresh one beforehand.
        return MatchingLogins(logins=likely, own_copies=mode == "fresh")

    def check_sender(self, context: Context, request: Request, uri: RedirectURI) -> None:
        require_sent_by_xwms(request, uri, api=context.config.api, login_origins=context.config.login_origins)

    def invalidate(self, context: Context, uri: RedirectURI, params: CallbackParams, *, now: int) -> Steps[bool]:
        # Token fixation (OAuth Security Advisory 2009.1): somebody may have started a login, sent XWMS's address to a
        # victim, and be waiting to redeem the token that the victim's approval has just made good. So it is redeemed
        # for nobody: every time it comes, since nobody knows whether the last time was before the approval.
        token = params.credential
        fault: StoreUnavailable | None = None
        issued = confirmed = False
        # In this process too, and where nothing else can be kept. What was not issued no login can have, as far as all
        # know who share the store, so that junk needs no place in it.
        context.state.foreign_tokens.add(digest(token), until=now + single_use.TOKEN_MEMORY, now=now)
        try:
            names = (single_use.token_claim("issued", token), single_use.token_claim("confirmed", token))
            issued, confirmed = yield from single_use.are_claimed(*names, now=now)
            if issued:
                yield from single_use.remember(single_use.token_claim("foreign", token), now=now)
        except StoreUnavailable as error:
            fault = error  # XWMS still can be told
        # One that was issued is spent in any case: there are no more of them than logins that were started. What else
        # comes may be junk, and must not become a flood at XWMS.
        if not confirmed:
            budget = context.state.invalidations if fault is None else context.state.invalidations_without_store
            if issued or budget.take(now):
                confirmed = yield from self._send(context, uri, token, now=now)
            else:
                events.info("token_not_spent", cause="over budget")
        if fault is not None:
            raise fault
        return confirmed

    def _send(self, context: Context, uri: RedirectURI, token: str, *, now: int) -> Steps[bool]:
        try:
            yield from calls.verify_token(context.config, token, uri.uri)
        except APIError as error:
            events.info("token_not_spent", cause=error.code)
            return False
        events.info("token_spent")
        yield from _note(single_use.token_claim("confirmed", token), now=now)
        return True

    def check_callback(
        self, context: Context, params: CallbackParams, matching: MatchingLogins, *, now: int
    ) -> Steps[XWMSError | None]:
        yield from ()
        if matching.exact and context.config.callback_token == "fresh":
            # Whoever started the login has known this token from the start; the real callback has another.
            return TokenRejected("this is sign-token's own token, which is never the callback's (callback_token=fresh)")
        return None

    def mismatch_error(self, params: CallbackParams) -> XWMSError:
        return TokenRejected("the token belongs to no login that this browser started, or has been tried before")

    def is_invalidated(self, context: Context, params: CallbackParams, *, now: int) -> Steps[bool]:
        token = params.credential
        (foreign,) = yield from single_use.are_claimed(single_use.token_claim("foreign", token), now=now)
        return foreign or context.state.foreign_tokens.holds(digest(token), now=now)

    def needs_confirmation(self, context: Context, matching: MatchingLogins, *, now: int) -> Steps[bool]:
        # Never a refusal, and nothing unlearns: an attacker could bring that about, and honest people would fail.
        if matching.exact:
            return False
        return context.config.confirm_person or (yield from _is_same(context, now=now))

    def redeem(self, context: Context, callback: CheckedCallback, *, now: int) -> Steps[LoginResult]:
        token = callback.credential
        user = yield from calls.verify_token(context.config, token, callback.uri.uri)
        yield from _note(single_use.token_claim("confirmed", token), now=now)
        is_same = _is_of(callback.login, token)
        if is_same and not (yield from _is_same(context, now=now)):
            context.state.same_token_seen = True
            yield from _note(single_use.SAME_TOKEN, seconds=single_use.FOR_GOOD, now=now)
        # Tells an operator which `callback_token` to set in place of `either`.
        return LoginResult(user=user, log_fields={"callback": "same" if is_same else "fresh"})

    def revalidate(self, context: Context, session: Session, *, now: int) -> Steps[Session]:
        info = yield from calls.user_info(context.config, session.user.sub, socials=False)
        return replace(session, user=newer(session.user, info), checked_at=now)


def _is_of(login: PendingLogin, token: str) -> bool:
    """Whether this login's `sign-token` gave this very token."""
    return hmac.compare_digest(login.proof, digest(token))


def _is_same(context: Context, *, now: int) -> Steps[bool]:
    """Whether XWMS is known to send `sign-token`'s own token to the callback: by the settings, or by having seen it."""
    if context.config.callback_token != "either":
        return context.config.callback_token == "same"
    if not context.state.same_token_seen:
        context.state.same_token_seen = yield from single_use.is_learned(single_use.SAME_TOKEN, now=now)
    return context.state.same_token_seen


def _note(name: str, *, seconds: int = single_use.TOKEN_MEMORY, now: int) -> Steps[None]:
    """Remember what XWMS has said. Where it cannot be kept, XWMS is asked once more."""
    try:
        yield from single_use.remember(name, seconds=seconds, now=now)
    except StoreUnavailable as error:
        events.info("not_remembered", cause=error.cause)


def _login_origins(context: Context) -> tuple[str, ...]:
    """Where XWMS's login page may be: browsers hold the redirect after our form to `form-action` too."""
    config = context.config
    if config.login_origins:
        return tuple(config.login_origins)
    host = config.api.host
    if config.api.loopback:
        return (f"http://{host}:*", f"https://{host}:*")
    port = f":{config.api.port}" if config.api.port else ""
    return (config.api.origin, f"https://*.{host}{port}")
