"""The whole story: a person starts a login, comes back, is known on every page, and logs out.

Each function is a story without I/O: it asks for effects and gets answers (`effects.py`), for Flask and ASGI alike.
Read `finish_login` for the heart of it.

Knows: the order of the steps.
Must not: touch a framework, a clock or a socket. `now` is whole seconds since 1970.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from . import answers, audit, calls, pages
from .browser import began_on_this_site, is_own_post, require_from_xwms, require_navigation
from .cookies import read_cookie, set_cookie
from .effects import (
    CreateSession,
    DropSession,
    LoadSession,
    RenewSession,
    SessionStore,
    SpendLogin,
    Steps,
    UnspendLogin,
    ask,
)
from .errors import (
    APIError,
    CrossSite,
    LoginExpired,
    LoginNotStarted,
    MethodNotAllowed,
    StoreUnavailable,
    TokenMalformed,
    TokenMissing,
    TokenRejected,
    TooManyLogins,
    XWMSError,
)
from .messages import Answer, Request
from .models import Session, User
from .pending import LIFETIME, PendingLogin, PendingLogins, uri_digest
from .redirects import RedirectURI, safe_next
from .site import Site, names_for
from .tokens import digest, new_key
from .wire import is_plausible_token

MAX_HANDLE = 4096
"""Characters. No session cookie of ours is longer, so a longer one is not looked up."""


TOKEN_MEMORY = 3600
"""Seconds a used token is remembered: longer than XWMS can be expected to let a person take."""


class Visit(NamedTuple):
    """Who this browser is, as far as its session cookie tells. `session` is None for nobody.

    `handle` is what the cookie held, or None where there was none or where nothing is due for renewal.
    """

    uri: RedirectURI | None
    handle: str | None
    session: Session | None


NOBODY = Visit(uri=None, handle=None, session=None)
"""A browser that sent no cookie of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCallback:
    """A callback that passed every check. Only `_check_callback` makes one, and only this can be redeemed."""

    token: str
    login: PendingLogin
    uri: RedirectURI


def serve(site: Site, request: Request, *, now: int) -> Steps[Answer]:
    """Answer a request for one of our routes."""
    config = site.config
    try:
        if request.path == config.login_path:
            _require_method(request, "GET", "POST")
            return (yield from start_login(site, request, now=now))
        if request.path == config.logout_path:
            _require_method(request, "POST")
            return (yield from logout(site, request, now=now))
        _require_method(request, "GET")
        if request.path == config.me_path:
            return (yield from who_am_i(site, request, now=now))
        return (yield from finish_login(site, request, now=now))
    except XWMSError as error:
        return answers.refusal(config, request, error, url=answers.login_url(config, site.next_of(request)))


def _require_method(request: Request, *allowed: str) -> None:
    if request.method not in allowed:
        raise MethodNotAllowed(", ".join(allowed))


def start_login(site: Site, request: Request, *, now: int) -> Steps[Answer]:
    """Send the browser to XWMS, and give it a pending login to come back with."""
    config, uri = site.config, site.require_uri(request)
    target = site.next_of(request) or config.after_login
    require_navigation(request)
    confirmed = request.method == "POST"
    if confirmed and not is_own_post(request, uri):
        raise CrossSite("the confirmation was posted by another site")
    visit = yield from who_visits(site, request.cookie, uri, now=now)
    if visit.session is not None:
        return answers.redirect(303, target)
    here = confirmed or began_on_this_site(request, uri)
    if not here and config.callback_token != "same":
        # Another page can open this address in a person's browser, wait for the cookie, and then send that browser to
        # a callback URL of its own login: the person would go on in somebody else's account. Where the token does not
        # tell (callback_token is not `same`), a click on our own page has to.
        made = pages.confirm_page(
            action_url=answers.login_url(config, target), form_origins=_form_origins(site), home_url=config.after_logout
        )
        return answers.page(200, made)
    if not site.starts.take(now):
        raise TooManyLogins("the budget for starting logins is used up")

    ticket = yield from calls.sign_token(config, uri.uri)
    logins = PendingLogins.of(request.cookie, names=names_for(uri), signed=site.pending, uri=uri, now=now)
    login = PendingLogin(
        id=new_key(),
        token_digest=digest(ticket.token),
        next=target,
        uri_digest=uri_digest(uri),
        started_at=now,
        expires_at=min(now + LIFETIME, now + LIFETIME if ticket.expires_at is None else ticket.expires_at),
        here=here,
    )
    logins.add(login if logins.fits(login) else replace(login, next=config.after_login))
    audit.happened("login_started", login=login.id[:8])
    return answers.redirect(302, ticket.url, cookies=logins.changes())


def _form_origins(site: Site) -> tuple[str, ...]:
    """Where the confirmation's form may lead: browsers hold the redirect after it to `form-action` too."""
    config = site.config
    if config.login_origins:
        return (*config.login_origins, *site.origins)
    host = config.api.host
    if config.api.loopback:
        return (f"http://{host}:*", f"https://{host}:*", *site.origins)
    port = f":{config.api.port}" if config.api.port else ""
    return (config.api.origin, f"https://*.{host}{port}", *site.origins)


def finish_login(site: Site, request: Request, *, now: int) -> Steps[Answer]:
    """Decide what a callback is worth, and if it is this browser's own login, begin a session.

    1. the form of the request, without I/O      4. the pending login is used up
    2. this browser's pending logins             5. XWMS says who it is
    3. which of them the token belongs to        6. a new session, never the old one
    """
    config, uri = site.config, site.require_uri(request)
    token = _token_of(site, request, uri)
    logins = PendingLogins.of(request.cookie, names=names_for(uri), signed=site.pending, uri=uri, now=now)
    url = config.login_path
    try:
        if not logins.alive:
            return (yield from _refuse_foreign(site, request, uri, token, logins, now=now))
        callback = yield from _check_callback(site, uri, token, logins, now=now)
        # Judged again where it is used: the value was signed, but perhaps by an older version with an older rule.
        target = safe_next(callback.login.next, own_paths=config.own_paths) or config.after_login
        url = answers.login_url(config, target)
        return (yield from _redeem(site, request, callback, logins, target, now=now))
    except XWMSError as error:
        return answers.refusal(config, request, error, cookies=logins.changes(), url=url)


def _token_of(site: Site, request: Request, uri: RedirectURI) -> str:
    """The callback's one token. Only the query counts; a token in a body, a header or a cookie is not looked for."""
    require_navigation(request)
    require_from_xwms(request, uri, api=site.config.api, login_origins=site.config.login_origins)
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


def _is_first_use(site: Site, token: str, *, now: int) -> bool:
    """Mark a token as tried in this process, whatever becomes of it; True the first time.

    Whoever started a login may know the callback's token before anybody has approved it. Without this they could try
    it with one pending login after another until the victim approves, or use up the budget for spending with junk and
    redeem what the victim's callback could not spend.
    """
    return site.tried.add(digest(token), until=now + TOKEN_MEMORY, now=now)


def _spend_token(site: Site, uri: RedirectURI, token: str, *, now: int) -> Steps[None]:
    """Redeem a token for nobody, within a budget, so that junk here does not become a flood at XWMS."""
    if not _is_first_use(site, token, now=now):
        return
    if not site.spends.take(now):
        audit.happened("token_not_spent", cause="over budget")
        return
    try:
        yield from calls.verify_token(site.config, token, uri.uri)
        audit.happened("token_spent")
    except APIError as error:
        audit.happened("token_not_spent", cause=error.code)


def _check_callback(
    site: Site, uri: RedirectURI, token: str, logins: PendingLogins, *, now: int
) -> Steps[CheckedCallback]:
    """Find the pending login that the token belongs to, and use it up."""
    login = next((login for login in reversed(logins.alive) if login.is_of(token)), None)
    mode = site.config.callback_token
    if login is not None and mode == "fresh":
        # Whoever started the login has known this token from the start; the real callback has another.
        logins.discard(login)
        raise TokenRejected("this is sign-token's own token, which is never the callback's (callback_token=fresh)")
    if login is None and mode != "same":
        # The token is fresh and says nothing; what counts is that no other site can have caused the login.
        # The newest is taken: the protocol has nothing that could tell two tabs apart.
        login = next((login for login in reversed(logins.alive) if login.here), None)
    if login is None:
        # Somebody brought a token of another login here; a pending login dies with its first failed attempt.
        logins.discard(*logins.alive)
        yield from _spend_token(site, uri, token, now=now)
        raise TokenRejected("the token belongs to no login that this browser started")
    logins.discard(login)
    if not (yield from ask(SpendLogin(login.id, login.expires_at, now))):
        raise LoginNotStarted("this login has been used already")
    if not _is_first_use(site, token, now=now):
        raise TokenRejected("the token has been tried here before")
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
            site.tried.remove(digest(callback.token))
            return answers.refusal(config, request, error, url=answers.login_url(config, target))
        raise
    cookies = yield from begin_session(site, request.cookie, callback.uri, user, now=now)
    # Tells an operator which `callback_token` to set in place of `either`.
    kind = "same" if callback.login.is_of(callback.token) else "fresh"
    audit.happened("login_finished", login=callback.login.id[:8], person=audit.person(user.identity), token=kind)
    return answers.redirect(303, target, cookies=[*logins.changes(), *cookies])


def begin_session(site: Site, cookie: str, uri: RedirectURI, user: User, *, now: int) -> Steps[list[str]]:
    """End the session this browser had, begin a new one under a new key; the Set-Cookie values for it."""
    old = read_cookie(cookie, names_for(uri).session)
    if old is not None and len(old) <= MAX_HANDLE:
        yield from ask(DropSession(old, now))
    session = Session(id=new_key(), user=user, started_at=now, seen_at=now)
    handle = yield from ask(CreateSession(session, now))
    return [_session_cookie(site, uri, handle, session, now)]


def _session_cookie(site: Site, uri: RedirectURI, handle: str, session: Session, now: int) -> str:
    names = names_for(uri)
    return set_cookie(names.session, handle, secure=names.secure, max_age=site.lifetimes.max_age(session, now))


def who_visits(site: Site, cookie: str, uri: RedirectURI | None, *, now: int) -> Steps[Visit]:
    """Read the session cookie from the raw Cookie header and judge the session. Writes nothing."""
    handle = read_cookie(cookie, names_for(uri).session) if uri is not None else None
    if not handle or len(handle) > MAX_HANDLE:
        return Visit(uri=uri, handle=None, session=None)
    session = yield from ask(LoadSession(handle, now))
    if session is not None and not site.lifetimes.alive(session, now):
        session = None
    return Visit(uri=uri, handle=handle, session=session)


def recognise(site: Site, store: SessionStore, cookie: str, uri: RedirectURI | None, *, now: int) -> Visit | None:
    """The visit of a browser that needs no step: its session is at hand, alive, and not due for renewal.

    None says nothing; `who_visits` does. This only spares most requests of a busy person the asking.
    """
    handle = read_cookie(cookie, names_for(uri).session) if uri is not None else None
    if handle is None:
        return NOBODY
    session = store.recall(handle)
    if session is None or not site.lifetimes.alive(session, now) or site.lifetimes.due(session, now):
        return None
    return Visit(uri, None, session)


def renew(site: Site, visit: Visit, *, now: int) -> Steps[str | None]:
    """Move the idle limit if it is time; the Set-Cookie value for it, or None. Never brings an ended session back."""
    session = visit.session
    if session is None or visit.handle is None or visit.uri is None or not site.lifetimes.due(session, now):
        return None
    renewed = site.lifetimes.renewed(session, now)
    try:
        handle = yield from ask(RenewSession(visit.handle, renewed, now))
    except StoreUnavailable as error:
        # The page is made already; renewing can wait for the next one.
        audit.happened("session_not_renewed", cause=error.cause)
        return None
    return None if handle is None else _session_cookie(site, visit.uri, handle, renewed, now)


def who_am_i(site: Site, request: Request, *, now: int) -> Steps[Answer]:
    """Tell a script who is signed in. Being asked does not keep a session alive: a page that polls is not a person."""
    uri = site.uri_for(request.header("host") or "")
    visit = yield from who_visits(site, request.cookie, uri, now=now)
    user = visit.session.user.claims() if visit.session else None
    body: dict[str, object] = {"user": user, "login_url": site.config.login_path}
    return answers.document(200, body, extra=[("Vary", "Cookie")])


def logout(site: Site, request: Request, *, now: int) -> Steps[Answer]:
    """End the session. Only a form of our own may ask for it (`csrf_token` where the browser says nothing)."""
    config, uri = site.config, site.require_uri(request)
    names, ours = names_for(uri), is_own_post(request, uri)
    cleared = [set_cookie(name, "", secure=names.secure, max_age=0) for name in (names.session, names.login)]
    try:
        visit = yield from who_visits(site, request.cookie, uri, now=now)
        if not ours and not _has_form_token(site, request, visit):
            raise CrossSite("the logout was posted by another site, or by a browser that does not say by which")
        ours = True
        if visit.handle is not None:
            yield from ask(DropSession(visit.handle, now))
    except StoreUnavailable as error:
        # The browser forgets its session either way, but "logged out" would not be true.
        return answers.refusal(config, request, error, cookies=cleared if ours else ())
    if visit.session is not None:
        audit.happened("logged_out", person=audit.person(visit.session.user.identity))
    return answers.redirect(303, site.next_of(request) or config.after_logout, cookies=cleared)


def _has_form_token(site: Site, request: Request, visit: Visit) -> bool:
    origin = request.header("origin")
    if request.header("sec-fetch-site") in ("cross-site", "same-site") or origin not in (None, "null", *site.origins):
        return False
    sent = request.form.get("csrf_token", "")
    return visit.session is not None and site.forms.loads(sent) == visit.session.id
