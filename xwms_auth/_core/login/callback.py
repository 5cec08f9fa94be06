"""Validate a callback and finish the login. Start reading at `finish_login`.

No credential is redeemed before the callback has passed every check; the type `CheckedCallback` states that it has.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from ..accounts import application as accounts
from ..accounts.application import Application
from ..accounts.errors import AccountExists
from ..accounts.hooks import LoggedIn
from ..accounts.linker import Linked, ProofNeeded
from ..base import events
from ..base.crypto.digests import new_key
from ..base.dataclass import dataclass
from ..base.effects import Steps, create_session, drop_session, load_session
from ..base.errors import (
    APIError,
    ClockSkew,
    LoginExpired,
    LoginNotStarted,
    RequestRefused,
    StoreUnavailable,
    TokenMissing,
    TokenRejected,
    TooManyLogins,
    XWMSError,
)
from ..base.session import Session, device_name
from ..config.context import Context
from ..http.fetch_metadata import is_by_worker, is_prefetch, require_navigation
from ..http.login_params import NEEDS_PERSON
from ..http.messages import Request, Response, read_cookie
from ..http.urls import RedirectURI
from ..providers.pending_login import LOGIN_LIFETIME, PendingLogin, PendingLogins, RedeemAttempt, Taken
from ..providers.protocol import CallbackParams, CheckedCallback, LoginResult, MatchingLogins, Provider
from ..responses import pages, responses
from ..responses.login_link import with_outcome
from ..responses.presentation import presentation_of
from ..sessions.given_up_tokens import give_up_replaced, give_up_unused, settle_new
from ..sessions.lookup import MAX_HANDLE, SessionLookup, look_up
from .backchannel_logout import require_login_goes_on


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """A browser's request with its pending logins. `now` is in seconds since 1970."""

    context: Context
    provider: Provider
    request: Request
    uri: RedirectURI
    logins: PendingLogins
    now: int
    application: Application | None

    @classmethod
    def of(
        cls, context: Context, provider: Provider, request: Request, *, now: int, application: Application | None
    ) -> Self:
        """Read the pending logins. Raises `HostNotRegistered`."""
        uri = context.require_redirect_uri(request)
        sealer = context.login_sealer
        logins = PendingLogins.of(
            request.cookie,
            names=context.names_for(uri),
            sealer=sealer,
            uri=uri,
            valid_after=context.lifetimes.valid_after,
            now=now,
        )
        return cls(
            context=context,
            provider=provider,
            request=request,
            uri=uri,
            logins=logins,
            now=now,
            application=application,
        )

    def look_up(self) -> Steps[SessionLookup]:
        """Look up the session that this browser already has."""
        return look_up(self.context, self.request.cookie, self.uri, now=self.now)

    def target_of(self, login: PendingLogin) -> str:
        """Where to redirect after the login.

        Open redirect: validated again on use. The value was sealed, but perhaps by an older version with other rules.
        """
        return self.context.safe_next(login.next) or self.context.config.after_login

    def retry_url(self, login: PendingLogin) -> str:
        """The URL that starts another login with the same target."""
        return responses.login_url(self.context.config, self.target_of(login))

    def account_here(self) -> Steps[str | None]:
        """The key of the account whose owner is logged in here; None if nobody is, or there are no accounts."""
        if self.application is None or self.application.linker is None:
            return None
        known = yield from self.look_up()
        signed_in = known.session.user if known.session else None
        return (yield from accounts.account_here(self.application, self.application.linker, signed_in))

    def sign_in(self, login: PendingLogin, result: LoginResult) -> Steps[Response]:
        """Find or create the person's account, begin a session, and redirect to the target of the login."""
        self.logins.discard(login)
        if self.application is None or self.application.linker is None:
            return (yield from self.finish(login, result, None))
        found = yield from accounts.sign_in(self.application, self.application.linker, result.user)
        if isinstance(found, Linked):
            return (yield from self.finish(login, result, found))
        return self._await_proof(replace(login, account=found.key), result, found)

    def finish(self, login: PendingLogin, result: LoginResult, linked: Linked | None) -> Steps[Response]:
        """Tell the application, begin a session, and redirect to the target of the login."""
        if self.application is not None:
            if linked is not None:
                yield from accounts.tell_of(self.application, linked, result.user)
            event = LoggedIn(user=result.user, account=linked.key if linked else None)
            yield from accounts.ask_leave(self.application, event)
        return (yield from self.begin_session(login, result))

    def begin_session(self, login: PendingLogin, result: LoginResult) -> Steps[Response]:
        """Begin a session under a new key (session fixation), and redirect to the target of the login."""
        cookie = yield from self._begin_session(result)
        person = self.context.log_name(result.user.identity)
        events.info("login_finished", login=login.key, person=person, **result.log_fields)
        return replace(self.redirect(self.target_of(login), cookies=[cookie]), logged_in=True)

    def _await_proof(self, login: PendingLogin, result: LoginResult, found: ProofNeeded) -> Response:
        """Account takeover: the account with this e-mail address is linked only once its owner has logged in to it."""
        events.info("proof_needed", login=login.key, person=self.context.log_name(result.user.identity))
        if self.application is None or self.application.app_login is None:
            raise AccountExists("an account has this e-mail address, and there is no app_login to prove it")
        return self.ask_to_confirm(login, result)

    def ask_to_confirm(self, login: PendingLogin, result: LoginResult) -> Response:
        """Keep the login until the person confirms it, and redirect to the page that asks them."""
        otherwise = self.context.config.after_login
        # A login that has waited before was proven when it began to.
        since = self.now if login.person is None or result.proved_at is None else result.proved_at
        if not self.logins.await_confirmation(login, result.user, otherwise=otherwise, now=since):
            no_room = TooManyLogins("there is no room for a login that waits for confirmation")
            return self.refuse(no_room, url=self.retry_url(login))
        events.info("login_waits", login=login.key, person=self.context.log_name(result.user.identity))
        # The URL contains no token. Nobody is signed in yet.
        return self.redirect(
            self.confirmation_url(login), shorter=f"{self.context.config.login_path}?confirm={login.key}"
        )

    def confirmation_url(self, login: PendingLogin) -> str:
        """The page on which the person confirms this login."""
        return f"{self.retry_url(login)}&confirm={login.key}"

    def _begin_session(self, result: LoginResult) -> Steps[str]:
        """End the browser's old session, and begin one under a new key; the Set-Cookie value."""
        context, now = self.context, self.now
        old = read_cookie(self.request.cookie, context.names_for(self.uri).session)
        if old is not None and len(old) <= MAX_HANDLE:
            before = None if self.provider.tokens is None else (yield from load_session(old, now=now))
            yield from drop_session(old, now=now)
            give_up_replaced(context, before, result.user.identity, result.tokens, now=now)
        session = Session(
            id=new_key(),
            user=result.user,
            started_at=now,
            seen_at=now,
            device=device_name(self.request.header("user-agent") or ""),
            tokens=result.tokens,
            proved_at=result.proved_at,
        )
        handle = yield from create_session(session, until=context.lifetimes.keep_until(session), now=now)
        yield from require_login_goes_on(context, result.tokens, handle, now=now)
        yield from settle_new(context, handle, result.user.identity, result.tokens, now=now)
        return context.session_cookie(self.uri, handle, session, now=now)

    def give_up(self, result: LoginResult) -> Steps[None]:
        """Give up the tokens of a login that becomes no session."""
        if result.tokens is not None:
            known = yield from self.look_up()
            give_up_unused(self.context, known.session, result.user.identity, result.tokens, now=self.now)

    def redirect(
        self, location: str, *, status: int = 303, cookies: Sequence[str] = (), shorter: str | None = None
    ) -> Response:
        """A redirect that also updates the pending-login cookies. `shorter` is `after_login` if it is not given."""
        return Response.redirect(
            status,
            location,
            cookies=[*self.logins.changes(), *cookies],
            deferrable=self.logins.deletions(),
            shorter=shorter or self.context.config.after_login,
        )

    def return_signed_out(self, login: PendingLogin, reason: str) -> Response:
        """Return from a silent login for which the server would have had to ask the person something."""
        events.info("login_not_silent", login=login.key, cause=reason)
        return self.redirect(with_outcome(self.target_of(login), reason))

    def lead_on(self, location: str) -> Response:
        """A page in place of a redirect, which leads on by itself and cannot be framed (`pages.leading_page`)."""
        look = presentation_of(self.context.config, self.request)
        page = responses.page(200, pages.leading_page(url=location, look=look), cookies=self.logins.changes())
        return replace(page, deferrable=self.logins.deletions())

    def refuse(self, error: XWMSError, *, url: str | None = None) -> Response:
        """An error response that also updates the pending-login cookies. `url` is where to start again."""
        config, logins = self.context.config, self.logins
        return responses.refusal(
            config, self.request, error, cookies=logins.changes(), deferrable=logins.deletions(), url=url
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callback:
    """A callback that is being checked."""

    login_request: LoginRequest
    params: CallbackParams
    matching: MatchingLogins

    def invalidate(self) -> Steps[bool]:
        """Make sure that nobody can redeem the credential. True if XWMS has confirmed it, now or before."""
        login_request = self.login_request
        context, uri, address = login_request.context, login_request.uri, login_request.request.address
        return login_request.provider.invalidate(context, uri, self.params, address=address, now=login_request.now)


def finish_login(
    context: Context, provider: Provider, request: Request, *, now: int, application: Application | None = None
) -> Steps[Response]:
    """Validate a callback, and begin a session if it belongs to a login of this browser (login CSRF).

    1. Parse the request, without I/O.                 4. Claim the login and the credential (replay).
    2. Read this browser's pending logins.             5. Redeem the credential: XWMS says who the person is.
    3. Find the login that the callback belongs to.    6. Begin a new session, never reuse one (session fixation).
    """
    login_request = LoginRequest.of(context, provider, request, now=now, application=application)
    params = provider.parse_callback(request)
    try:
        if is_prefetch(request):
            # A prefetch has no cookies and may come before the person navigates: it claims and invalidates nothing.
            require_navigation(request)
        matching = yield from provider.matching_logins(context, params, login_request.logins.alive, now=now)
        callback = _Callback(login_request=login_request, params=params, matching=matching)
        yield from _require_navigation_from_xwms(callback)
        if fault := (yield from provider.check_callback(context, params, matching, now=now)):
            login_request.logins.discard(*matching.logins)
            if isinstance(fault, TokenMissing) and params.error in NEEDS_PERSON and matching.logins[0].silent:
                return login_request.return_signed_out(matching.logins[0], params.error)
            raise fault
        return (yield from _claim(callback))
    except XWMSError as error:
        return login_request.refuse(error)


def _require_navigation_from_xwms(callback: _Callback) -> Steps[None]:
    """Refuse a callback that is not a person's navigation from XWMS (login CSRF through a frame or another site).

    A credential that is not exactly this browser's own is invalidated as well: otherwise an attacker who makes the
    victim's browser open the callback, in a frame or from the attacker's page, could redeem it afterwards.
    """
    login_request = callback.login_request
    try:
        require_navigation(login_request.request)
        login_request.provider.check_sender(login_request.context, login_request.request, login_request.uri)
    except RequestRefused:
        if not (callback.matching.exact and callback.matching.logins):
            yield from callback.invalidate()
        raise


def _claim(callback: _Callback) -> Steps[Response]:
    """Replay: claim the login that the callback belongs to together with its credential, then redeem the credential."""
    login_request, params = callback.login_request, callback.params
    for login in callback.matching.logins:
        attempt = RedeemAttempt(login, params.credential, now=login_request.now)
        taken = yield from attempt.begin()
        if taken is Taken.PAIR and callback.matching.own_copies:
            return (yield from _respond_to_copy(callback, login))
        # Tabs that return at once each take a login of their own if nothing shows which callback belongs to which.
        if taken is Taken.LOGIN:
            continue
        if taken is not None:
            return (yield from _refuse_foreign(callback, tried=True))
        try:
            invalidated = yield from login_request.provider.is_invalidated(
                login_request.context, params, now=login_request.now
            )
        except StoreUnavailable:
            yield from attempt.release_all()
            raise
        if invalidated:
            yield from attempt.release_login()
            break
        return (yield from _redeem(callback, login, attempt))
    return (yield from _refuse_foreign(callback))


def _respond_to_copy(callback: _Callback, login: PendingLogin) -> Steps[Response]:
    """Respond to a repeated callback: a browser or a proxy sent it twice, or the person reloads the page.

    The first one may still be in progress, so nothing is invalidated and nothing changes in the browser.
    """
    login_request = callback.login_request
    known = yield from login_request.look_up()
    if known.session is not None:
        return login_request.redirect(login_request.target_of(login))
    return login_request.refuse(
        login_request.provider.mismatch_error(callback.params), url=login_request.retry_url(login)
    )


def _refuse_foreign(callback: _Callback, *, tried: bool = False) -> Steps[Response]:
    """Refuse a callback of a login that this browser did not start (login CSRF), and invalidate its credential."""
    login_request, matching = callback.login_request, callback.matching
    logins = login_request.logins
    confirmed = yield from callback.invalidate()
    if confirmed and matching.otherwise is not None:
        # The callback of somebody else's login was opened here while this login was in progress.
        logins.discard(matching.otherwise)
    expired = bool(logins.expired)
    logins.forget_expired()
    if confirmed or not logins.alive:
        known = yield from login_request.look_up()
        if known.session is not None:
            # Most likely a reload or the back button after a successful login. Nothing changes.
            return login_request.redirect(login_request.context.config.after_login)
    if tried:
        raise TokenRejected("the credential has been tried before")
    if logins.alive or matching.otherwise is not None:
        raise login_request.provider.mismatch_error(callback.params)
    if logins.ahead:
        raise ClockSkew(f"the login began {logins.ahead} s ahead of this clock")
    if expired:
        raise LoginExpired(f"the pending login is older than {LOGIN_LIFETIME} s or than its token")
    raise LoginNotStarted(
        "no valid pending login in this browser; is the site opened under the same host as the redirect URI?"
    )


def _must_confirm(callback: _Callback, login: PendingLogin) -> Steps[bool]:
    """Whether the person has to confirm who they are about to be (login CSRF).

    Always if the credential may be somebody else's and nothing shows that the login began here, or that this is no
    frame: a service worker hides both (`is_by_worker`). The page that asks cannot be framed.
    """
    login_request, matching = callback.login_request, callback.matching
    if not matching.exact and (not login.began_here or is_by_worker(login_request.request)):
        return True
    return (
        yield from login_request.provider.needs_confirmation(login_request.context, matching, now=login_request.now)
    )


def _redeem(callback: _Callback, login: PendingLogin, attempt: RedeemAttempt) -> Steps[Response]:
    """Ask XWMS who the person is, begin a session, and redirect to the target of the login."""
    login_request, matching = callback.login_request, callback.matching
    context, logins = login_request.context, login_request.logins
    checked = CheckedCallback(credential=callback.params.credential, login=login, uri=login_request.uri)
    try:
        result = yield from login_request.provider.redeem(context, checked, now=login_request.now)
    except APIError as error:
        if not error.sent:
            # The credential was not sent, so it is still valid: reloading the page may work in a moment.
            yield from attempt.release_all()
        elif isinstance(error, TokenRejected) and not matching.exact and (yield from attempt.count_rejection()):
            # Denial of service: anybody can cause a callback whose token XWMS rejects, which must not end this login.
            yield from attempt.release_login()
        else:
            logins.discard(login)
        logins.forget_expired()
        return login_request.refuse(error, url=login_request.retry_url(login))
    logins.forget_expired()
    # Token fixation: the person who approved it may have brought it to another browser while this call was in progress.
    if (yield from login_request.provider.is_invalidated(context, callback.params, now=login_request.now)):
        logins.discard(login)
        elsewhere = TokenRejected("the credential has come to another browser meanwhile")
        return login_request.refuse(elsewhere, url=login_request.retry_url(login))
    try:
        # An identity is never linked to an account without a click, whatever the token proves (login CSRF).
        if login.account is None and not (yield from _must_confirm(callback, login)):
            response = yield from login_request.sign_in(login, result)
        else:
            response = login_request.ask_to_confirm(login, result)
    except XWMSError as error:
        if not isinstance(error, StoreUnavailable):
            yield from login_request.give_up(result)
        raise
    if not response.logged_in:
        yield from login_request.give_up(result)
    return response
