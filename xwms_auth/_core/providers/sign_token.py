"""XWMS's own protocol. The callback has a token, which `sign-token-verify` exchanges for a person.

The protocol has no `state`, and its redirect URIs are matched exactly, so no value can be passed along: a token belongs
to a pending login because `sign-token` issued it for that login, or because no other site can have caused the login.

A token that came to a browser it does not belong to must never stay valid. Replay and login CSRF: nothing in progress
prevents a token from being invalidated, since the name that records it as foreign is one that nobody waits for.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace

from ..api import login_calls
from ..api.login_calls import is_plausible_token
from ..base import events
from ..base.crypto.digests import digest
from ..base.effects import Steps, claim, claimed, release
from ..base.errors import (
    APIError,
    NotApproved,
    StoreUnavailable,
    TokenMalformed,
    TokenMissing,
    TokenRejected,
    XWMSError,
)
from ..base.models import Secret, newer
from ..base.session import FUTURE_TOLERANCE, Session
from ..config.context import Context
from ..config.state import UnspentToken
from ..http.fetch_metadata import require_sent_by_xwms
from ..http.login_params import LoginParams
from ..http.messages import Request
from ..http.urls import RedirectURI
from .pending_login import TOKEN_MEMORY, PendingLogin, token_claim
from .protocol import CallbackParams, CheckedCallback, LoginResult, LoginStart, MatchingLogins
from .rate_limits import may_spend

PERMANENT = 10 * 365 * 86_400
"""Seconds (ten years). What is learned about XWMS is not forgotten."""

MAX_ISSUED = 7 * 86_400
"""Seconds (a week). An issued token is not remembered for longer, however late XWMS says that it ends."""

_ABOUT_THE_TOKEN = (TokenRejected, NotApproved)
"""What XWMS says once it has looked at a token. Anything else may leave it alive: a refusal of the client, as while the
secret is being replaced, or of the redirect URI, and what is no answer of the API, as from a proxy in front of it."""

SAME_TOKEN = "learned/same"
"""Claimed when XWMS has confirmed a callback token that was exactly the one from `sign-token`."""

MAX_RETRIED = 3
"""Foreign tokens that one request invalidates in addition, of those that wait for it."""


class SignTokenProvider:
    """Implements `Provider`. The proof of a pending login is the SHA-256 of the token from `sign-token`."""

    tokens = None

    def confirmation_origins(self, context: Context, *, now: int) -> Steps[Sequence[str] | None]:
        # Login CSRF: another page can start the login in a person's browser, wait for the cookie, and then send that
        # browser to the callback URL of the attacker's own login: the person would continue in the attacker's account.
        # Where the token does not show which login it belongs to, a click on our own page has to.
        return None if (yield from _sends_same_token(context, now=now)) else _login_origins(context)

    def start(
        self, context: Context, uri: RedirectURI, *, fresh: int | None, params: LoginParams, now: int
    ) -> Steps[LoginStart]:
        ticket = yield from login_calls.sign_token(context.config, uri.uri)
        # For every process that shares the store: a token issued for one login is not a fresh token of another login.
        # Until the token ends: once this is forgotten, it looks like a fresh one.
        lifetime = TOKEN_MEMORY if ticket.expires_at is None else ticket.expires_at + FUTURE_TOLERANCE - now
        seconds = min(max(TOKEN_MEMORY, lifetime), MAX_ISSUED)
        yield from _remember(token_claim("issued", ticket.token), seconds=seconds, now=now)
        # Here, because nothing has begun yet that could be lost if XWMS is slow.
        yield from _invalidate_unspent(context, now=now)
        return LoginStart(url=ticket.url, proof=digest(ticket.token), expires_at=ticket.expires_at)

    def parse_callback(self, request: Request) -> CallbackParams:
        found = request.parameters("token")
        if not found:
            raise TokenMissing("the callback has no token")
        if len(found) > 1 or not is_plausible_token(found[0]):
            raise TokenMalformed("the callback has several tokens" if len(found) > 1 else "the token is malformed")
        return CallbackParams(credential=found[0])

    def matching_logins(
        self, context: Context, params: CallbackParams, logins: Sequence[PendingLogin], *, now: int
    ) -> Steps[MatchingLogins]:
        token, mode = params.credential, context.config.callback_token
        exact = next((login for login in reversed(logins) if _is_issued_for(login, token)), None)
        if exact is not None:
            return MatchingLogins(logins=(exact,), exact=True, own_copies=True)
        if mode == "same" or not logins:
            return MatchingLogins()
        # The token may be a fresh one, which does not show its login. What counts then is that no other site can have
        # caused the login or else the person's confirmation (`callback._must_confirm`, `needs_confirmation`).
        # Newest first: nothing in the protocol can distinguish two tabs.
        newest_first = logins[::-1]
        candidates = tuple(sorted(newest_first, key=lambda login: not login.began_here))
        # A token that sign-token issued for another login is not a fresh one, whatever `callback_token` allows.
        try:
            (issued,) = yield from _are_claimed(token_claim("issued", token), now=now)
        except StoreUnavailable:
            if mode == "fresh":
                raise  # nobody else can know the token, so reloading the page may work in a moment
            issued = True
        if issued:
            return MatchingLogins(otherwise=next(iter(candidates), None))
        # With `either`, the token may have been issued by a process that shares no store with this one: its owner is
        # waiting for it, and somebody has brought it here before it was approved. So a repeated callback may not be
        # this browser's own copy. Nobody can know a fresh token in advance.
        return MatchingLogins(logins=candidates, own_copies=mode == "fresh")

    def check_sender(self, context: Context, request: Request, uri: RedirectURI) -> None:
        require_sent_by_xwms(request, uri, api=context.config.api, login_origins=context.config.login_origins)

    def invalidate(
        self, context: Context, uri: RedirectURI, params: CallbackParams, *, address: object, now: int
    ) -> Steps[bool]:
        # Token fixation (OAuth Security Advisory 2009.1): an attacker may have started a login, sent XWMS's URL to a
        # victim, and be waiting to redeem the token that the victim's approval has just made valid. So it is redeemed
        # here for nobody, every time it comes, since nobody knows whether the last time was before the approval.
        token = params.credential
        fault: StoreUnavailable | None = None
        issued = confirmed = False
        # Remembered in this process too, for when the store is down. A token that was not issued belongs to no login
        # of the processes that share the store, so junk takes no space there.
        context.state.foreign_tokens.add(digest(token), until=now + TOKEN_MEMORY, now=now)
        try:
            names = (token_claim("issued", token), token_claim("confirmed", token))
            issued, confirmed = yield from _are_claimed(*names, now=now)
            if issued:
                yield from _remember(token_claim("foreign", token), now=now)
        except StoreUnavailable as error:
            fault = error  # XWMS can still be called
        # Denial of service: an issued token is redeemed in any case, since there are no more of these than started
        # logins. Other tokens may be junk and are rate limited, so that a flood here does not become a flood at XWMS.
        if not confirmed:
            if issued or may_spend(context, address, store_is_down=fault is not None, now=now):
                unspent = UnspentToken(Secret(token), uri.uri, now + TOKEN_MEMORY)
                confirmed = yield from _invalidate(context, unspent, now=now)
                if digest(token) not in context.state.unspent_tokens:
                    yield from _invalidate_unspent(context, now=now)
            else:
                events.info("token_not_spent", cause="rate limit")
        if fault is not None:
            raise fault
        return confirmed

    def check_callback(
        self, context: Context, params: CallbackParams, matching: MatchingLogins, *, now: int
    ) -> Steps[XWMSError | None]:
        yield from ()
        if matching.exact and context.config.callback_token == "fresh":
            # Token fixation: whoever started the login knew this token from the start; a real callback has another.
            return TokenRejected("the callback has sign-token's own token, which callback_token=fresh never accepts")
        return None

    def mismatch_error(self, params: CallbackParams) -> XWMSError:
        return TokenRejected("the token belongs to no login that this browser started, or has been tried before")

    def is_invalidated(self, context: Context, params: CallbackParams, *, now: int) -> Steps[bool]:
        token = params.credential
        (foreign,) = yield from _are_claimed(token_claim("foreign", token), now=now)
        # A flood may push a name out of the first set; what waits to be invalidated has its rate limit behind it.
        return (
            foreign
            or context.state.foreign_tokens.holds(digest(token), now=now)
            or digest(token) in context.state.unspent_tokens
        )

    def needs_confirmation(self, context: Context, matching: MatchingLogins, *, now: int) -> Steps[bool]:
        # The login is never refused for this, and what was learned is never unlearned: an attacker could bring that
        # about, and legitimate users could not log in.
        if matching.exact:
            return False
        return context.config.confirm_person or (yield from _sends_same_token(context, now=now))

    def redeem(self, context: Context, callback: CheckedCallback, *, now: int) -> Steps[LoginResult]:
        token = callback.credential
        user = yield from login_calls.verify_token(context.config, token, callback.uri.uri)
        yield from _remember_if_possible(token_claim("confirmed", token), now=now)
        has_same_token = _is_issued_for(callback.login, token)
        if has_same_token and not (yield from _sends_same_token(context, now=now)):
            context.state.same_token_seen = True
            yield from _remember_if_possible(SAME_TOKEN, seconds=PERMANENT, now=now)
        # The log field shows an operator which `callback_token` to set instead of `either`.
        return LoginResult(user=user, log_fields={"callback": "same" if has_same_token else "fresh"})

    def revalidate(self, context: Context, session: Session, *, now: int) -> Steps[Session]:
        from ..api import resource_calls  # noqa: PLC0415  loaded only where sessions are confirmed

        info = yield from resource_calls.user_info(context.config, session.user.sub, socials=False)
        return replace(session, user=newer(session.user, info), checked_at=now)


def _invalidate(context: Context, unspent: UnspentToken, *, now: int) -> Steps[bool]:
    """Redeem a foreign token for nobody, now or, if XWMS cannot be asked now, later. True if XWMS has confirmed it."""
    token, is_answered = unspent.token.reveal(), False
    try:
        yield from login_calls.verify_token(context.config, token, unspent.uri)
        is_answered = True
    except APIError as error:
        is_answered = isinstance(error, _ABOUT_THE_TOKEN)
        events.info("token_not_spent", cause=error.code)
        return False
    finally:
        # Also if the request is cancelled meanwhile.
        if is_answered:
            context.state.unspent_tokens.remove(digest(token))
        else:
            context.state.unspent_tokens.put(digest(token), unspent, until=unspent.until, now=now)
    events.info("token_spent")
    yield from _remember_if_possible(token_claim("confirmed", token), now=now)
    return True


def _invalidate_unspent(context: Context, *, now: int) -> Steps[None]:
    """Invalidate some of the foreign tokens that came while XWMS could not be asked. It has just answered.

    Token fixation: until then they are dead in every process that knows of them, but not in one that shares no store.
    """
    for _ in range(MAX_RETRIED):
        unspent = context.state.unspent_tokens.pop_oldest(now=now)
        if unspent is None:
            return
        yield from _invalidate(context, unspent, now=now)
        if digest(unspent.token.reveal()) in context.state.unspent_tokens:
            return


def _is_issued_for(login: PendingLogin, token: str) -> bool:
    """Whether `sign-token` issued exactly this token for this login."""
    return hmac.compare_digest(login.proof, digest(token))


def _sends_same_token(context: Context, *, now: int) -> Steps[bool]:
    """Whether XWMS is known to send `sign-token`'s own token to the callback: configured, or seen before."""
    if context.config.callback_token != "either":
        return context.config.callback_token == "same"
    if not context.state.same_token_seen:
        context.state.same_token_seen = yield from _is_learned(SAME_TOKEN, now=now)
    return context.state.same_token_seen


def _remember_if_possible(name: str, *, seconds: int = TOKEN_MEMORY, now: int) -> Steps[None]:
    """Remember what XWMS has confirmed. If the store is down, XWMS is asked again the next time."""
    try:
        yield from _remember(name, seconds=seconds, now=now)
    except StoreUnavailable as error:
        events.info("not_remembered", cause=error.cause)


def _login_origins(context: Context) -> tuple[str, ...]:
    """The origins of XWMS's login page: browsers also apply `form-action` to the redirect that follows our form."""
    config = context.config
    if config.login_origins:
        return tuple(config.login_origins)
    host = config.api.host
    if config.api.loopback:
        return (f"http://{host}:*", f"https://{host}:*")
    port = f":{config.api.port}" if config.api.port else ""
    return (config.api.origin, f"https://*.{host}{port}")


def _remember(name: str, *, seconds: int = TOKEN_MEMORY, now: int) -> Steps[bool]:
    """Claim a name that records a fact; True if it was not recorded before."""
    return claim(name, until=now + seconds, now=now)


def _are_claimed(*names: str, now: int) -> Steps[Sequence[bool]]:
    """Whether each name has been claimed."""
    found = yield from claimed(names, now=now)
    if found is not None:
        return found
    results: list[bool] = []
    for name in names:
        free = yield from claim(name, until=now + 1, now=now)
        if free:
            yield from release(name)
        results.append(not free)
    return results


def _is_learned(name: str, *, now: int) -> Steps[bool]:
    """Whether a name has been claimed, for a fact never to be assumed by mistake: False if the store cannot tell."""
    found = yield from claimed((name,), now=now)
    return found is not None and found[0]
