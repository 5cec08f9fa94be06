"""Our routes: a person starts a login, comes back (`callback.py`), asks who they are, and logs out.

Each function is a story without I/O: it asks for effects and gets answers (`effects.py`), for Flask and ASGI alike.

Knows: the order of the steps.
Must not: touch a framework, a clock or a socket. `now` is whole seconds since 1970.
"""

from dataclasses import replace

from ..base import events
from ..base.effects import Steps, drop_session
from ..base.errors import CrossSite, MethodNotAllowed, StoreUnavailable, TooManyLogins, XWMSError
from ..base.lifetimes import MIN_FRESH, LoginRequirement
from ..config.context import Context, names_for
from ..http.cookies import set_cookie
from ..http.fetch_metadata import began_here, is_own_post, require_navigation
from ..http.messages import Request, Response
from ..providers.pending_login import (
    LIFETIME,
    NO_PROOF,
    PendingLogin,
    PendingLogins,
    forget_all,
    new_login_id,
    uri_digest,
)
from ..providers.protocol import Provider
from ..responses import pages, responses
from ..sessions.lookup import SessionLookup, look_up
from . import backchannel_logout
from .callback import confirm_person, finish_login


def serve(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """Answer a request for one of our routes."""
    config = context.config
    try:
        if request.path == config.login_path:
            _require_method(request, "GET", "POST")
            return (yield from start_login(context, provider, request, now=now))
        if request.path == config.logout_path:
            _require_method(request, "POST")
            return (yield from logout(context, provider, request, now=now))
        if request.path == config.backchannel_path:
            _require_method(request, "POST")
            return (yield from backchannel_logout.log_out(context, provider, request, now=now))
        _require_method(request, "GET")
        if request.path == config.me_path:
            return (yield from who_am_i(context, request, now=now))
        return (yield from finish_login(context, provider, request, now=now))
    except XWMSError as error:
        return responses.refusal(config, request, error, url=responses.login_url(config, context.next_url(request)))


def _require_method(request: Request, *allowed: str) -> None:
    if request.method not in allowed:
        raise MethodNotAllowed(", ".join(allowed))


def start_login(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """Send the browser to XWMS, and give it a pending login to come back with."""
    config, uri = context.config, context.require_redirect_uri(request)
    target, fresh = context.next_url(request) or config.after_login, _fresh_of(request)
    require_navigation(request)
    posted = request.method == "POST"
    if posted and not is_own_post(request, uri):
        raise CrossSite("the login was posted by another site")
    logins = PendingLogins.of(request.cookie, names=names_for(uri), sealed=context.login_sealer, uri=uri, now=now)
    asked = [request.form.get("confirm", "")] if posted else request.parameters("confirm")
    if asked and (answer := (yield from confirm_person(context, request, uri, logins, asked[0], now=now))) is not None:
        return answer
    visit = yield from look_up(context, request.cookie, uri, now=now)
    if visit.session is not None and LoginRequirement(fresh=fresh).is_fresh(visit.session, now):
        return responses.redirect(303, target)
    if visit.ended is not None:
        events.info("session_ended", reason=visit.ended)
    here = began_here(request, uri)
    leads_to = None if here else (yield from provider.confirmation_origins(context, now=now))
    if leads_to is not None:
        made = pages.confirm_page(
            action_url=responses.login_url(config, target, fresh=fresh),
            form_origins=(*leads_to, *context.origins),
            home_url=config.after_logout,
            note=visit.ended and visit.ended.detail,
        )
        return responses.page(200, made)
    login = PendingLogin(
        id=new_login_id(),
        proof=NO_PROOF,
        next=target,
        uri_digest=uri_digest(uri),
        started_at=now,
        expires_at=now + LIFETIME,
        here=here,
        fresh=fresh,
    )
    if not logins.has_room(login):
        login = replace(login, next=config.after_login)
    if not logins.has_room(login):
        # Any page can open the login as often as it likes, and none may push out those that the person began here.
        raise TooManyLogins("this browser has as many logins under way as it may, and all began here")
    if not context.state.login_starts.take(now):
        raise TooManyLogins("the budget for starting logins is used up")

    host = (request.header("host") or "").lower()
    if uri.loopback and host not in uri.host_names:
        # `flask run` prints an address that is another host to a browser: the login would end where no cookie of it is.
        events.warning("login_at_another_host", hint=f"open the site under {uri.origin}/")
    started = yield from provider.start(context, uri, fresh=fresh, now=now)
    logins.tidy()
    ends = login.expires_at if started.expires_at is None else min(login.expires_at, started.expires_at)
    logins.add(replace(login, proof=started.proof, expires_at=ends))
    events.info("login_started", login=login.id[:8])
    return responses.redirect(302, started.url, cookies=logins.changes())


def _fresh_of(request: Request) -> int | None:
    """How fresh a login has to be to make another one needless. Anybody may ask for one: it only costs a login."""
    asked = request.parameters("fresh")
    if len(asked) != 1 or not (asked[0].isascii() and asked[0].isdigit()) or len(asked[0]) > 9:
        return None
    return max(int(asked[0]), MIN_FRESH)


def who_am_i(context: Context, request: Request, *, now: int) -> Steps[Response]:
    """Tell a script who is signed in. Being asked does not keep a session alive: a page that polls is not a person."""
    uri = context.redirect_uri_for(request.header("host") or "")
    visit = yield from look_up(context, request.cookie, uri, now=now)
    user = visit.session.user.claims() if visit.session else None
    body: dict[str, object] = {"user": user, "login_url": context.config.login_path}
    if visit.ended is not None:
        body["signed_out"] = visit.ended
    return responses.document(200, body, extra=[("Vary", "Cookie")])


def logout(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """End the session. Only a form of our own may ask for it (`csrf_token` where the browser says nothing)."""
    config, uri = context.config, context.require_redirect_uri(request)
    names, ours = names_for(uri), is_own_post(request, uri)
    session_over = set_cookie(names.session, "", secure=names.secure, max_age=0)
    cleared = [session_over, *forget_all(request.cookie, names)]
    try:
        visit = yield from look_up(context, request.cookie, uri, now=now)
        if not ours and not _has_form_token(context, request, visit):
            raise CrossSite("the logout was posted by another site, or by a browser that does not say by which")
        ours = True
        if visit.handle is not None:
            yield from drop_session(visit.handle, now=now)
    except StoreUnavailable as error:
        # The browser forgets its session either way, but "logged out" would not be true.
        return responses.refusal(config, request, error, cookies=cleared if ours else ())
    target = context.next_url(request) or config.after_logout
    if visit.session is not None:
        events.info("logged_out", person=events.person_hash(visit.session.user.identity))
        if provider.tokens is not None:
            target = yield from provider.tokens.end_session(context, visit.session, uri, target, now=now)
    return responses.redirect(303, target, cookies=cleared)


def _has_form_token(context: Context, request: Request, visit: SessionLookup) -> bool:
    origin = request.header("origin")
    if request.header("sec-fetch-site") in ("cross-site", "same-site") or origin not in (
        None,
        "null",
        *context.origins,
    ):
        return False
    sent = request.form.get("csrf_token", "")
    return visit.session is not None and context.form_signer.loads(sent) == visit.session.id
