"""Our routes: a person starts a login, comes back (`callback.py`), asks who they are, and logs out.

Each function is a flow without I/O: it yields effects and gets their results (`effects.py`), for Flask and ASGI alike.
It never touches a framework, a clock or a socket; `now` is whole seconds since 1970.
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
from ..providers.pending_login import LIFETIME, NO_PROOF, PendingLogin, forget_all, new_login_id, uri_digest
from ..providers.protocol import Provider
from ..responses import responses
from ..sessions.lookup import SessionLookup, look_up
from . import backchannel_logout
from .callback import finish_login
from .confirmation import confirm_person, confirm_start
from .login_request import LoginRequest


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
    """Send the browser to XWMS, with a pending login to come back with."""
    visit = LoginRequest.of(context, provider, request, now=now)
    target, fresh = context.next_url(request) or context.config.after_login, _fresh_of(request)
    require_navigation(request)
    posted = request.method == "POST"
    if posted and not is_own_post(request, visit.uri):
        raise CrossSite("the login was posted by another site")
    confirmed = [request.form.get("confirm", "")] if posted else request.parameters("confirm")
    if confirmed and (response := (yield from confirm_person(visit, confirmed[0]))) is not None:
        return response
    known = yield from visit.look_up()
    if known.session is not None and LoginRequirement(fresh=fresh).is_fresh(known.session, now):
        return responses.redirect(303, target)
    if known.ended is not None:
        events.info("session_ended", reason=known.ended)
    here = began_here(request, visit.uri)
    if not here and (response := (yield from confirm_start(visit, known, target, fresh=fresh))) is not None:
        return response
    login = _new_login(visit, target, began_here=here, fresh=fresh)
    started = yield from provider.start(context, visit.uri, fresh=fresh, now=now)
    visit.logins.forget_expired()
    ends = login.expires_at if started.expires_at is None else min(login.expires_at, started.expires_at)
    visit.logins.add(replace(login, proof=started.proof, expires_at=ends))
    events.info("login_started", login=login.id[:8])
    return visit.redirect(started.url, status=302)


def _new_login(visit: LoginRequest, target: str, *, began_here: bool, fresh: int | None) -> PendingLogin:
    """A pending login for which there is room. Raises `TooManyLogins`."""
    context, uri, now = visit.context, visit.uri, visit.now
    login = PendingLogin(
        id=new_login_id(),
        proof=NO_PROOF,
        next=target,
        uri_digest=uri_digest(uri),
        started_at=now,
        expires_at=now + LIFETIME,
        began_here=began_here,
        fresh=fresh,
    )
    if not visit.logins.has_room(login):
        login = replace(login, next=context.config.after_login)
    if not visit.logins.has_room(login):
        # Any page can open the login as often as it likes, and none may push out those that the person began here.
        raise TooManyLogins("this browser has as many pending logins as it may, and all began here")
    if not context.state.login_starts.take(now):
        raise TooManyLogins("the rate limit for starting logins is reached")
    if uri.loopback and (visit.request.header("host") or "").lower() not in uri.host_names:
        # `flask run` prints an address that is another host to a browser: the login would end where it has no cookie.
        events.warning("login_at_another_host", hint=f"open the site under {uri.origin}/")
    return login


def _fresh_of(request: Request) -> int | None:
    """How fresh a login has to be to make another one needless. Anybody may ask for one: it only costs a login."""
    values = request.parameters("fresh")
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit()) or len(values[0]) > 9:
        return None
    return max(int(values[0]), MIN_FRESH)


def who_am_i(context: Context, request: Request, *, now: int) -> Steps[Response]:
    """Tell a script who is signed in. Being asked does not keep a session alive: a page that polls is not a person."""
    uri = context.redirect_uri_for(request.header("host") or "")
    known = yield from look_up(context, request.cookie, uri, now=now)
    user = known.session.user.claims() if known.session else None
    body: dict[str, object] = {"user": user, "login_url": context.config.login_path}
    if known.ended is not None:
        body["signed_out"] = known.ended
    return responses.document(200, body, extra=[("Vary", "Cookie")])


def logout(context: Context, provider: Provider, request: Request, *, now: int) -> Steps[Response]:
    """End the session. Only a form of our own may ask for it (`csrf_token` where the browser says nothing)."""
    config, uri = context.config, context.require_redirect_uri(request)
    names, ours = names_for(uri), is_own_post(request, uri)
    session_over = set_cookie(names.session, "", secure=names.secure, max_age=0)
    cleared = [session_over, *forget_all(request.cookie, names)]
    try:
        known = yield from look_up(context, request.cookie, uri, now=now)
        if not ours and not _has_form_token(context, request, known):
            raise CrossSite("the logout was posted by another site, or by a browser that does not say by which")
        ours = True
        if known.handle is not None:
            yield from drop_session(known.handle, now=now)
    except StoreUnavailable as error:
        # The browser forgets its session either way, but "logged out" would not be true.
        return responses.refusal(config, request, error, cookies=cleared if ours else ())
    target = context.next_url(request) or config.after_logout
    if known.session is not None:
        events.info("logged_out", person=events.person_hash(known.session.user.identity))
        if provider.tokens is not None:
            target = yield from provider.tokens.end_session(context, known.session, uri, target, now=now)
    return responses.redirect(303, target, cookies=cleared)


def _has_form_token(context: Context, request: Request, known: SessionLookup) -> bool:
    origin = request.header("origin")
    if request.header("sec-fetch-site") in ("cross-site", "same-site") or origin not in (
        None,
        "null",
        *context.origins,
    ):
        return False
    sent = request.form.get("csrf_token", "")
    return known.session is not None and context.form_signer.loads(sent) == known.session.id
