"""What a callback is worth: the heart of the login. Read `finish_login` first.

Knows: the order of the checks, and what becomes of a token that fails one.
Must not: let a token be redeemed that did not pass them all; `CheckedCallback` is the type that says it did.
"""

from dataclasses import dataclass

from . import answers, audit, calls
from .browser import is_prefetch, require_from_xwms, require_navigation
from .effects import SpendLogin, Steps, UnspendLogin, ask
from .errors import (
    APIError,
    CrossSite,
    LoginExpired,
    LoginNotStarted,
    RequestRefused,
    TokenMalformed,
    TokenMissing,
    TokenRejected,
    XWMSError,
)
from .messages import Answer, Request
from .pending import LIFETIME, MAX_LOGINS, PendingLogin, PendingLogins
from .redirects import RedirectURI, safe_next
from .site import Site, names_for
from .visits import begin_session, who_visits
from .wire import is_plausible_token


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCallback:
    """A callback that passed every check. Only `_check_callback` makes one, and only this can be redeemed."""

    token: str
    login: PendingLogin
    uri: RedirectURI


def finish_login(site: Site, request: Request, *, now: int) -> Steps[Answer]:
    """Decide what a callback is worth, and if it is this browser's own login, begin a session.

    1. the form of the request, without I/O      4. the pending login is used up
    2. this browser's pending logins             5. XWMS says who it is
    3. which of them the token belongs to        6. a new session, never the old one
    """
    config, uri = site.config, site.require_uri(request)
    logins = PendingLogins.of(request.cookie, names=names_for(uri), signed=site.pending, uri=uri, now=now)
    token = _token_of(request)
    url = config.login_path
    try:
        yield from _require_arrival(site, request, uri, token, logins, now=now)
        if not logins.alive:
            return (yield from _refuse_foreign(site, request, uri, token, logins, now=now))
        if site.tried.is_used(token):
            if _owner(site, token, logins) is None:
                site.tried.refuse(token, now=now)
            visit = yield from who_visits(site, request.cookie, uri, now=now)
            if visit.session is not None:
                # The address of a login that worked, opened once more while another tab is logging in.
                return answers.redirect(303, config.after_login)
        callback = yield from _check_callback(site, uri, token, logins, now=now)
        # Judged again where it is used: the value was signed, but perhaps by an older version with an older rule.
        target = safe_next(callback.login.next, own_paths=config.own_paths) or config.after_login
        url = answers.login_url(config, target)
        return (yield from _redeem(site, request, callback, logins, target, now=now))
    except XWMSError as error:
        return answers.refusal(config, request, error, cookies=logins.changes(), url=url)


def _require_arrival(
    site: Site, request: Request, uri: RedirectURI, token: str, logins: PendingLogins, *, now: int
) -> Steps[None]:
    """Refuse a callback that is no person's navigation from XWMS.

    A token that does not belong to this browser does not survive that either: an attacker who has the victim come here
    through a frame, or from a page of their own, would otherwise redeem it themselves.
    """
    try:
        require_navigation(request)
    except RequestRefused:
        # Without calling XWMS: a page can make any browser do this as often as it likes. Not for a prefetch, which
        # brings no cookies and may come before the person.
        if not is_prefetch(request) and _owner(site, token, logins) is None:
            site.tried.refuse(token, now=now)
        raise
    try:
        require_from_xwms(request, uri, api=site.config.api, login_origins=site.config.login_origins)
    except CrossSite:
        if _owner(site, token, logins) is None:
            yield from _spend_token(site, uri, token, now=now)
        raise


def _token_of(request: Request) -> str:
    """The callback's one token. Only the query counts; a token in a body, a header or a cookie is not looked for."""
    found = request.parameters("token")
    if not found:
        raise TokenMissing("the callback has no token")
    if len(found) > 1 or not is_plausible_token(found[0]):
        raise TokenMalformed(
            "the callback has several tokens" if len(found) > 1 else "the token has an impossible form"
        )
    return found[0]


def _refuse_foreign(
    site: Site, request: Request, uri: RedirectURI, token: str, logins: PendingLogins, *, now: int
) -> Steps[Answer]:
    """A token that came to a browser which did not start its login.

    Somebody may have started a login, sent XWMS's address to a victim, and be waiting to redeem the token that the
    victim's approval has just made good (OAuth Security Advisory 2009.1). So it is spent before it is refused.
    """
    expired = bool(logins.expired)
    if logins.sent:
        logins.discard(*logins.expired)
    yield from _spend_token(site, uri, token, now=now)
    visit = yield from who_visits(site, request.cookie, uri, now=now)
    if visit.session is not None:
        # Most likely a reload or the back button after a login that worked. Nothing changes.
        return answers.redirect(303, site.config.after_login, cookies=logins.changes())
    if expired:
        raise LoginExpired(f"the pending login is older than {LIFETIME} s or than its token")
    raise LoginNotStarted(
        "no valid pending login in this browser; is the site opened under the same host as the redirect URI?"
    )


def _spend_token(site: Site, uri: RedirectURI, token: str, *, now: int) -> Steps[None]:
    """Redeem a token for nobody, within a budget, so that junk here does not become a flood at XWMS."""
    if not site.tried.refuse(token, now=now):
        return
    # One that was issued here is spent in any case: there are no more of them than logins that were started.
    if not site.tried.is_issued(token) and not site.spends.take(now):
        audit.happened("token_not_spent", cause="over budget")
        return
    try:
        yield from calls.verify_token(site.config, token, uri.uri)
        audit.happened("token_spent")
    except APIError as error:
        audit.happened("token_not_spent", cause=error.code)


def _owner(site: Site, token: str, logins: PendingLogins) -> PendingLogin | None:
    """The pending login of this browser that the token may belong to."""
    exact = next((login for login in reversed(logins.alive) if login.is_of(token)), None)
    # What sign-token gave here for another login is not a fresh token, whatever `callback_token` allows.
    if exact is not None or site.config.callback_token == "same" or site.tried.is_issued(token):
        return exact
    # The token is fresh and says nothing; what counts is that no other site can have caused the login.
    # The newest is taken: the protocol has nothing that could tell two tabs apart.
    return next((login for login in reversed(logins.alive) if login.here), None)


def _check_callback(
    site: Site, uri: RedirectURI, token: str, logins: PendingLogins, *, now: int
) -> Steps[CheckedCallback]:
    """Find the pending login that the token belongs to, and use it up."""
    login = _owner(site, token, logins)
    if login is not None and login.is_of(token) and site.config.callback_token == "fresh":
        # Whoever started the login has known this token from the start; the real callback has another.
        logins.discard(login)
        raise TokenRejected("this is sign-token's own token, which is never the callback's (callback_token=fresh)")
    if login is None:
        # Somebody brought a token of another login here; a pending login dies with its first failed attempt. Unless it
        # may be this person's own oldest tab, which had to make room: that one alone is lost then.
        if not (len(logins.alive) == MAX_LOGINS and site.tried.is_issued(token)):
            logins.discard(*logins.alive)
        yield from _spend_token(site, uri, token, now=now)
        raise TokenRejected("the token belongs to no login that this browser started")
    if not site.tried.use(token, now=now):
        # An old token says nothing about a login that it only might belong to.
        if login.is_of(token):
            logins.discard(login)
        raise TokenRejected("the token has been tried here before")
    logins.discard(login)
    if not (yield from ask(SpendLogin(login.id, login.expires_at, now))):
        raise LoginNotStarted("this login has been used already")
    return CheckedCallback(token=token, login=login, uri=uri)


def _redeem(
    site: Site, request: Request, callback: CheckedCallback, logins: PendingLogins, target: str, *, now: int
) -> Steps[Answer]:
    """Ask XWMS who it is, begin a session, and go on to `target`."""
    config = site.config
    try:
        user = yield from calls.verify_token(config, callback.token, callback.uri.uri)
    except APIError as error:
        if not error.sent:
            # Not a byte has left, so the token is as good as before: reloading the page may work in a moment.
            yield from ask(UnspendLogin(callback.login.id))
            site.tried.take_back(callback.token)
            return answers.refusal(config, request, error, url=answers.login_url(config, target))
        raise
    cookies = yield from begin_session(site, request, callback.uri, user, now=now)
    # Tells an operator which `callback_token` to set in place of `either`.
    kind = "same" if callback.login.is_of(callback.token) else "fresh"
    audit.happened("login_finished", login=callback.login.id[:8], person=audit.person(user.identity), callback=kind)
    return answers.redirect(303, target, cookies=[*logins.changes(), *cookies])
