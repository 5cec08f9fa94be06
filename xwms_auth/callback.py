"""What a callback is worth: the heart of the login. Read `finish_login` first.

Knows: the order of the checks, whatever the protocol.
Must not: let a credential be redeemed that did not pass them all; `CheckedCallback` is the type that says it did.
"""

from . import answers, audit
from .browser import is_prefetch, require_navigation
from .effects import SpendLogin, Steps, UnspendLogin, ask
from .errors import APIError, CrossSite, LoginExpired, LoginNotStarted, RequestRefused, StoreUnavailable, XWMSError
from .messages import Answer, Request
from .pending import LIFETIME, PendingLogin, PendingLogins
from .provider import Arrival, CheckedCallback, Provider
from .redirects import RedirectURI, safe_next
from .site import Site, names_for
from .visits import begin_session, who_visits


def finish_login(site: Site, provider: Provider, request: Request, *, now: int) -> Steps[Answer]:
    """Decide what a callback is worth, and if it is this browser's own login, begin a session.

    1. the form of the request, without I/O      4. the pending login is used up
    2. this browser's pending logins             5. XWMS says who it is
    3. which of them the callback belongs to     6. a new session, never the old one
    """
    config, uri = site.config, site.require_uri(request)
    logins = PendingLogins.of(request.cookie, names=names_for(uri), signed=site.pending, uri=uri, now=now)
    arrival = provider.read(request)
    login = provider.owner(site, arrival, logins.alive)
    url = config.login_path
    try:
        yield from _require_arrival(site, provider, request, uri, arrival, login, now=now)
        if not logins.alive:
            return (yield from _refuse_foreign(site, provider, request, uri, arrival, logins, now=now))
        if provider.is_over(site, arrival, login, now=now):
            visit = yield from who_visits(site, request.cookie, uri, now=now)
            if visit.session is not None:
                # The address of a login that worked, opened once more while another tab is logging in.
                return answers.redirect(303, config.after_login)
        callback = yield from _check_callback(site, provider, uri, arrival, login, logins, now=now)
        # Judged again where it is used: the value was signed, but perhaps by an older version with an older rule.
        target = safe_next(callback.login.next, own_paths=config.own_paths) or config.after_login
        url = answers.login_url(config, target)
        return (yield from _redeem(site, provider, request, callback, logins, target, now=now))
    except XWMSError as error:
        return answers.refusal(config, request, error, cookies=logins.changes(), url=url)


def _require_arrival(
    site: Site,
    provider: Provider,
    request: Request,
    uri: RedirectURI,
    arrival: Arrival,
    login: PendingLogin | None,
    *,
    now: int,
) -> Steps[None]:
    """Refuse a callback that is no person's navigation from XWMS.

    A credential that does not belong to this browser does not survive that either: an attacker who has the victim come
    here through a frame, or from a page of their own, would otherwise redeem it themselves.
    """
    try:
        require_navigation(request)
    except RequestRefused:
        # Not for a prefetch, which brings no cookies and may come before the person.
        if not is_prefetch(request) and login is None:
            provider.disown(site, arrival, now=now)
        raise
    try:
        provider.require_sender(site, request, uri)
    except CrossSite:
        if login is None:
            yield from provider.spend(site, uri, arrival, now=now)
        raise


def _refuse_foreign(
    site: Site,
    provider: Provider,
    request: Request,
    uri: RedirectURI,
    arrival: Arrival,
    logins: PendingLogins,
    *,
    now: int,
) -> Steps[Answer]:
    """A callback that came to a browser which did not start its login: its credential is spent before it is refused."""
    expired = bool(logins.expired)
    if logins.sent:
        logins.discard(*logins.expired)
    yield from provider.spend(site, uri, arrival, now=now)
    visit = yield from who_visits(site, request.cookie, uri, now=now)
    if visit.session is not None:
        # Most likely a reload or the back button after a login that worked. Nothing changes.
        return answers.redirect(303, site.config.after_login, cookies=logins.changes())
    if expired:
        raise LoginExpired(f"the pending login is older than {LIFETIME} s or than its token")
    raise LoginNotStarted(
        "no valid pending login in this browser; is the site opened under the same host as the redirect URI?"
    )


def _check_callback(
    site: Site,
    provider: Provider,
    uri: RedirectURI,
    arrival: Arrival,
    login: PendingLogin | None,
    logins: PendingLogins,
    *,
    now: int,
) -> Steps[CheckedCallback]:
    """Have the protocol check the callback, and use up the pending login that it belongs to."""
    owner = yield from provider.check(site, uri, arrival, login, logins, now=now)
    checked = CheckedCallback(credential=arrival.credential, login=owner, uri=uri)
    try:
        first = yield from ask(SpendLogin(owner.id, owner.expires_at, now))
    except StoreUnavailable:
        # The credential has not left, and the login is as it was: reloading the page may work in a moment.
        provider.take_back(site, checked)
        raise
    logins.discard(owner)
    if not first:
        raise LoginNotStarted("this login has been used already")
    return checked


def _redeem(
    site: Site,
    provider: Provider,
    request: Request,
    callback: CheckedCallback,
    logins: PendingLogins,
    target: str,
    *,
    now: int,
) -> Steps[Answer]:
    """Ask XWMS who it is, begin a session, and go on to `target`."""
    config = site.config
    try:
        outcome = yield from provider.finish(site, callback, now=now)
    except APIError as error:
        if not error.sent:
            # The credential has not left, so it is as good as before: reloading the page may work in a moment.
            yield from ask(UnspendLogin(callback.login.id))
            provider.take_back(site, callback)
            return answers.refusal(config, request, error, url=answers.login_url(config, target))
        raise
    cookies = yield from begin_session(site, request, callback.uri, outcome, now=now)
    audit.happened(
        "login_finished", login=callback.login.id[:8], person=audit.person(outcome.user.identity), **outcome.told
    )
    return answers.redirect(303, target, cookies=[*logins.changes(), *cookies])
