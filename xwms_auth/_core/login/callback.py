"""What a callback is worth: the heart of the login. Read `finish_login` first.

No credential is redeemed that has not passed every check; `CheckedCallback` is the type that says it has.
"""

from dataclasses import dataclass

from ..base import events
from ..base.effects import Steps
from ..base.errors import (
    APIError,
    LoginExpired,
    LoginNotStarted,
    RequestRefused,
    StoreUnavailable,
    TokenRejected,
    TooManyLogins,
    XWMSError,
)
from ..config.context import Context
from ..http.fetch_metadata import is_prefetch, require_navigation
from ..http.messages import Request, Response
from ..providers.pending_login import LIFETIME, PendingLogin
from ..providers.protocol import CallbackParams, CheckedCallback, MatchingLogins, Provider
from ..providers.single_use import RedeemAttempt, Taken
from .login_request import LoginRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callback:
    """One callback on its way through the checks."""

    visit: LoginRequest
    params: CallbackParams
    matching: MatchingLogins

    def invalidate(self) -> Steps[bool]:
        """See to it that nobody can redeem the credential. True if XWMS has confirmed it, now or before."""
        visit = self.visit
        return visit.provider.invalidate(visit.context, visit.uri, self.params, now=visit.now)


def finish_login(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """Decide what a callback is worth, and if it is this browser's own login, begin a session.

    1. the form of the request, without I/O      4. the pending login and the credential are claimed
    2. this browser's pending logins             5. XWMS says who it is
    3. which of them the callback belongs to     6. a new session, never the old one
    """
    visit = LoginRequest.of(context, provider, request, now=now)
    params = provider.parse_callback(request)
    try:
        if is_prefetch(request):
            # Has no cookies, and may come before the person does: nothing happens.
            require_navigation(request)
        matching = yield from provider.matching_logins(context, params, visit.logins.alive, now=now)
        callback = _Callback(visit=visit, params=params, matching=matching)
        yield from _require_navigation_from_xwms(callback)
        if fault := (yield from provider.check_callback(context, params, matching, now=now)):
            visit.logins.discard(*matching.logins)
            raise fault
        return (yield from _claim(callback))
    except XWMSError as error:
        return visit.refuse(error)


def _require_navigation_from_xwms(callback: _Callback) -> Steps[None]:
    """Refuse a callback that is not a person's navigation from XWMS (login CSRF through a frame or another site).

    A credential that is not exactly this browser's own is invalidated as well: otherwise an attacker who makes the
    victim's browser bring it here, in a frame or from a page of their own, would redeem it themselves.
    """
    visit = callback.visit
    try:
        require_navigation(visit.request)
        visit.provider.check_sender(visit.context, visit.request, visit.uri)
    except RequestRefused:
        if not (callback.matching.exact and callback.matching.logins):
            yield from callback.invalidate()
        raise


def _claim(callback: _Callback) -> Steps[Response]:
    """Claim the login that the callback belongs to, together with its credential; then redeem it (replay)."""
    visit, params = callback.visit, callback.params
    for login in callback.matching.logins:
        attempt = RedeemAttempt(login, params.credential, now=visit.now)
        taken = yield from attempt.begin()
        if taken is Taken.PAIR and callback.matching.own_copies:
            return (yield from _answer_copy(callback, login))
        # Several tabs that come back at once each get a login of their own, where nothing tells which is whose.
        if taken is Taken.LOGIN:
            continue
        if taken is not None:
            return (yield from _refuse_foreign(callback, tried=True))
        try:
            invalidated = yield from visit.provider.is_invalidated(visit.context, params, now=visit.now)
        except StoreUnavailable:
            yield from attempt.give_back()
            raise
        if invalidated:
            yield from attempt.give_login_back()
            break
        return (yield from _redeem(callback, login, attempt))
    return (yield from _refuse_foreign(callback))


def _answer_copy(callback: _Callback, login: PendingLogin) -> Steps[Response]:
    """The same callback came before: a browser or a proxy sent it twice, or somebody reloads the page.

    What the first one began may be under way, so nothing is invalidated and nothing changes in the browser.
    """
    visit = callback.visit
    known = yield from visit.look_up()
    if known.session is not None:
        return visit.redirect(visit.target_of(login))
    return visit.refuse(visit.provider.mismatch_error(callback.params), url=visit.retry_url(login))


def _refuse_foreign(callback: _Callback, *, tried: bool = False) -> Steps[Response]:
    """Refuse a callback of a login that this browser did not start (login CSRF), and invalidate its credential."""
    visit, matching = callback.visit, callback.matching
    logins = visit.logins
    confirmed = yield from callback.invalidate()
    if confirmed and matching.otherwise is not None:
        # Somebody else's login was brought here while this one was under way.
        logins.discard(matching.otherwise)
    expired = bool(logins.expired)
    logins.forget_expired()
    if confirmed or not logins.alive:
        known = yield from visit.look_up()
        if known.session is not None:
            # Most likely a reload, or the back button, after a login that worked. Nothing changes.
            return visit.redirect(visit.context.config.after_login)
    if tried:
        raise TokenRejected("the credential has been tried before")
    if logins.alive or matching.otherwise is not None:
        raise visit.provider.mismatch_error(callback.params)
    if expired:
        raise LoginExpired(f"the pending login is older than {LIFETIME} s or than its token")
    raise LoginNotStarted(
        "no valid pending login in this browser; is the site opened under the same host as the redirect URI?"
    )


def _redeem(callback: _Callback, login: PendingLogin, attempt: RedeemAttempt) -> Steps[Response]:
    """Ask XWMS who it is, begin a session, and go on to where the login was for."""
    visit, matching = callback.visit, callback.matching
    context, logins = visit.context, visit.logins
    checked = CheckedCallback(credential=callback.params.credential, login=login, uri=visit.uri)
    try:
        result = yield from visit.provider.redeem(context, checked, now=visit.now)
    except APIError as error:
        if not error.sent:
            # The credential has not left this server, so it is as good as before: a reload may work in a moment.
            yield from attempt.give_back()
        elif isinstance(error, TokenRejected) and not matching.exact and (yield from attempt.survives()):
            # Anybody can bring a token that XWMS rejects; that must not cost this person their login.
            yield from attempt.give_login_back()
        else:
            logins.discard(login)
        logins.forget_expired()
        return visit.refuse(error, url=visit.retry_url(login))
    logins.forget_expired()
    if not (yield from visit.provider.needs_confirmation(context, matching, now=visit.now)):
        return (yield from visit.sign_in(login, result))
    if not logins.await_confirmation(login, result.user, now=visit.now):
        full = TooManyLogins("there is no room for a login that waits for its person's confirmation")
        return visit.refuse(full, url=visit.retry_url(login))
    events.info("login_waits", login=login.id[:8], person=events.person_hash(result.user.identity))
    # To an address without a token. Nobody is signed in yet.
    return visit.redirect(f"{visit.retry_url(login)}&confirm={login.key}")
