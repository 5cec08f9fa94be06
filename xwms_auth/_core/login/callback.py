"""What a callback is worth: the heart of the login. Read `finish_login` first.

Knows: the order of the checks, whatever the protocol.
Must not: let a credential be redeemed that did not pass them all; `CheckedCallback` is the type that says it did.
"""

from dataclasses import dataclass

from ..base import events
from ..base.effects import Steps, claim
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
from ..base.lifetimes import FUTURE_TOLERANCE
from ..config.context import Context, names_for
from ..http.fetch_metadata import is_prefetch, require_navigation
from ..http.messages import Request, Response
from ..http.next_url import safe_next
from ..http.urls import RedirectURI
from ..providers.pending_login import CONFIRMATION_LIFETIME, LIFETIME, PendingLogin, PendingLogins
from ..providers.protocol import CallbackParams, CheckedCallback, LoginResult, MatchingLogins, Provider
from ..providers.single_use import RedeemAttempt, Taken
from ..responses import pages, responses
from ..sessions.lookup import begin_session, look_up


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callback:
    """One callback on its way through the checks. `now` is in seconds since 1970."""

    context: Context
    provider: Provider
    request: Request
    uri: RedirectURI
    params: CallbackParams
    logins: PendingLogins
    now: int


def finish_login(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """Decide what a callback is worth, and if it is this browser's own login, begin a session.

    1. the form of the request, without I/O      4. the pending login and the credential are claimed
    2. this browser's pending logins             5. XWMS says who it is
    3. which of them the callback belongs to     6. a new session, never the old one
    """
    uri = context.require_redirect_uri(request)
    logins = PendingLogins.of(request.cookie, names=names_for(uri), sealed=context.login_sealer, uri=uri, now=now)
    params = provider.parse_callback(request)
    callback = _Callback(
        context=context, provider=provider, request=request, uri=uri, params=params, logins=logins, now=now
    )
    try:
        if is_prefetch(request):
            # Brings no cookies, and may come before the person: nothing happens.
            require_navigation(request)
        matching = yield from provider.matching_logins(context, params, logins.alive, now=now)
        yield from _require_arrival(callback, matching)
        if fault := (yield from provider.check_callback(context, params, matching, now=now)):
            logins.discard(*matching.logins)
            raise fault
        return (yield from _claim(callback, matching))
    except XWMSError as error:
        return responses.refusal(
            context.config, request, error, cookies=logins.changes(), url=context.config.login_path
        )


def _require_arrival(callback: _Callback, matching: MatchingLogins) -> Steps[None]:
    """Refuse a callback that is no person's navigation from XWMS.

    A credential that is not exactly this browser's own does not survive that either: an attacker who has the victim
    come here through a frame, or from a page of their own, would otherwise redeem it themselves.
    """
    try:
        require_navigation(callback.request)
        callback.provider.check_sender(callback.context, callback.request, callback.uri)
    except RequestRefused:
        if not (matching.exact and matching.logins):
            yield from callback.provider.invalidate(callback.context, callback.uri, callback.params, now=callback.now)
        raise


def _claim(callback: _Callback, matching: MatchingLogins) -> Steps[Response]:
    """Claim the login that the callback belongs to, together with its credential; then redeem it."""
    for login in matching.logins:
        redeeming = RedeemAttempt(login, callback.params.credential, now=callback.now)
        taken = yield from redeeming.begin()
        if taken is Taken.PAIR and matching.own_copies:
            return (yield from _answer_copy(callback, login))
        # Of several tabs that come home at once each gets a login of its own, where nothing tells which is whose.
        if taken is Taken.LOGIN:
            continue
        if taken is not None:
            return (yield from _refuse_foreign(callback, matching, tried=True))
        try:
            dead = yield from callback.provider.is_invalidated(callback.context, callback.params, now=callback.now)
        except StoreUnavailable:
            yield from redeeming.give_back()
            raise
        if dead:
            yield from redeeming.give_login_back()
            break
        return (yield from _redeem(callback, matching, login, redeeming))
    return (yield from _refuse_foreign(callback, matching))


def _answer_copy(callback: _Callback, login: PendingLogin) -> Steps[Response]:
    """The same callback came before: a browser or a proxy sent it twice, or somebody reloads the page. Nothing happens.

    What the first one began may be under way, so nothing is spent and nothing changes in the browser.
    """
    context, request, target = callback.context, callback.request, _target(callback.context, login)
    visit = yield from look_up(context, request.cookie, callback.uri, now=callback.now)
    if visit.session is not None:
        return responses.redirect(303, target)
    error = callback.provider.mismatch_error(callback.params)
    return responses.refusal(context.config, request, error, url=responses.login_url(context.config, target))


def _refuse_foreign(callback: _Callback, matching: MatchingLogins, *, tried: bool = False) -> Steps[Response]:
    """A callback that came to a browser which did not start its login: its credential is spent before it is refused."""
    context, logins, now = callback.context, callback.logins, callback.now
    confirmed = yield from callback.provider.invalidate(context, callback.uri, callback.params, now=now)
    if confirmed and matching.otherwise is not None:
        # Somebody else's login was brought here while this one was under way.
        logins.discard(matching.otherwise)
    expired = bool(logins.expired)
    logins.tidy()
    if confirmed or not logins.alive:
        visit = yield from look_up(context, callback.request.cookie, callback.uri, now=now)
        if visit.session is not None:
            # Most likely a reload or the back button after a login that worked. Nothing changes.
            return responses.redirect(303, context.config.after_login, cookies=logins.changes())
    if tried:
        raise TokenRejected("the credential has been tried before")
    if logins.alive or matching.otherwise is not None:
        raise callback.provider.mismatch_error(callback.params)
    if expired:
        raise LoginExpired(f"the pending login is older than {LIFETIME} s or than its token")
    raise LoginNotStarted(
        "no valid pending login in this browser; is the site opened under the same host as the redirect URI?"
    )


def _redeem(
    callback: _Callback, matching: MatchingLogins, login: PendingLogin, redeeming: RedeemAttempt
) -> Steps[Response]:
    """Ask XWMS who it is, begin a session, and go on to where the login was for."""
    context, provider, logins, now = callback.context, callback.provider, callback.logins, callback.now
    target = _target(callback.context, login)
    url = responses.login_url(context.config, target)
    checked = CheckedCallback(credential=callback.params.credential, login=login, uri=callback.uri)
    try:
        result = yield from provider.redeem(context, checked, now=now)
    except APIError as error:
        if not error.sent:
            # The credential has not left, so it is as good as before: reloading the page may work in a moment.
            yield from redeeming.give_back()
        elif isinstance(error, TokenRejected) and not matching.exact and (yield from redeeming.survives()):
            # Anybody can bring a token that XWMS refuses; that must not cost this person their login.
            yield from redeeming.give_login_back()
        else:
            logins.discard(login)
        logins.tidy()
        return responses.refusal(context.config, callback.request, error, cookies=logins.changes(), url=url)
    logins.tidy()
    if (yield from provider.needs_confirmation(context, matching, now=now)):
        if not logins.wait(login, result.user, now=now):
            full = TooManyLogins("there is no room for a login that waits for its person's word")
            return responses.refusal(context.config, callback.request, full, cookies=logins.changes(), url=url)
        events.info("login_waits", login=login.id[:8], person=events.person_hash(result.user.identity))
        # To an address without a token. Nobody is signed in yet.
        return responses.redirect(303, f"{url}&confirm={login.key}", cookies=logins.changes())
    return (yield from _sign_in(context, callback.request, callback.uri, logins, login, result, now=now))


def _sign_in(
    context: Context,
    request: Request,
    uri: RedirectURI,
    logins: PendingLogins,
    login: PendingLogin,
    result: LoginResult,
    *,
    now: int,
) -> Steps[Response]:
    """Begin a session under a new key, and go on to where the login was for."""
    logins.discard(login)
    cookies = yield from begin_session(context, request, uri, result, now=now)
    person = events.person_hash(result.user.identity)
    events.info("login_finished", login=login.id[:8], person=person, **result.log_fields)
    return responses.redirect(303, _target(context, login), cookies=[*logins.changes(), *cookies])


def _target(context: Context, login: PendingLogin) -> str:
    """Where the login goes on to.

    Validated again where it is used: the value was sealed, but perhaps by an older version with an older rule.
    """
    return safe_next(login.next, own_paths=context.config.own_paths) or context.config.after_login


def confirm_person(
    context: Context, request: Request, uri: RedirectURI, logins: PendingLogins, key: str, *, now: int
) -> Steps[Response | None]:
    """Show whom somebody is about to be, and take their word for it. None where no login waits for that.

    Login CSRF: where XWMS is known to send `sign-token`'s own token, another one comes from somebody else's login. The
    callback of such a login is not refused, since an attacker could bring that about; it is only that nobody goes on
    as somebody else without knowing. The POST comes from this page: `start_login` has seen to that.
    """
    login = next((one for one in logins.waiting if one.key == key), None)
    if login is None or login.person is None:
        return None
    visit = yield from look_up(context, request.cookie, uri, now=now)
    target = _target(context, login)
    if visit.session is not None and visit.session.user.identity == login.person.identity:
        logins.discard(login)
        return responses.redirect(303, target, cookies=logins.changes())
    if request.method != "POST":
        url = responses.login_url(context.config, target)
        made = pages.person_page(
            name=login.person.display_name,
            email=login.person.verified_email,
            sub=login.person.sub,
            action_url=url,
            key=key,
            again_url=url,
            home_url=context.config.after_logout,
        )
        return responses.page(200, made)
    if not (yield from claim(f"word/{login.id}", until=login.expires_at + FUTURE_TOLERANCE, now=now)):
        raise LoginNotStarted("this login has been confirmed already")
    # What XWMS said is as old as the question, whenever it is answered.
    result = LoginResult(
        user=login.person, proved_at=login.expires_at - CONFIRMATION_LIFETIME, log_fields={"callback": "fresh"}
    )
    return (yield from _sign_in(context, request, uri, logins, login, result, now=now))
