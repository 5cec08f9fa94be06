"""Our routes: start a login, the callback (`login/callback.py`), the current user, logout and back-channel logout.

Each function is a flow without I/O: it yields effects (`base/effects.py`) and is sent their results, for Flask and ASGI
alike. It never uses a framework, a clock or a socket; `now` is whole seconds since 1970.
"""

from dataclasses import replace

from ..accounts.application import Application, tell
from ..accounts.errors import NobodyToLink
from ..accounts.hooks import LoggedOut, LoginRefused
from ..base import events
from ..base.assets.button_style import BUTTON_STYLE
from ..base.assets.login_script import LOGIN_SCRIPT, script_in
from ..base.effects import Steps, drop_session
from ..base.errors import (
    BadAnswer,
    CrossSite,
    LoginRequired,
    LoginTooOld,
    MethodNotAllowed,
    StoreUnavailable,
    TooManyLogins,
    XWMSError,
)
from ..base.texts.sentences import language_of
from ..config.config import XWMSConfig
from ..config.context import Context
from ..http.fetch_metadata import began_here, is_by_worker, is_own_post, require_navigation
from ..http.login_params import LoginParams
from ..http.messages import MAX_HEADERS, MAX_LOCATION, Request, Response, header_bytes, set_cookie
from ..http.urls import RedirectURI, is_loopback, origin_of
from ..providers.pending_login import (
    LOGIN_LIFETIME,
    MAX_LOGINS,
    NO_PROOF,
    PendingLogin,
    forget_all,
    new_login_id,
    uri_digest,
)
from ..providers.protocol import Provider
from ..providers.rate_limits import require_login_start
from ..responses import cross_origin, responses
from ..responses.login_link import for_start, has_outcome, login_query, read_params, without_outcome
from ..responses.login_requirement import MIN_FRESH, LoginRequirement
from ..responses.presentation import language_for
from ..sessions.given_up_tokens import give_up_ended
from ..sessions.lookup import SessionLookup, look_up, was_refused_as_ahead
from . import backchannel_logout
from .callback import LoginRequest, finish_login
from .confirmation import confirm_person, confirm_start


def serve(
    context: Context, provider: Provider, request: Request, *, now: int, application: Application | None = None
) -> Steps[Response]:
    """Respond to a request for one of our routes. `application` has the hooks and the accounts, if there are any."""
    response = yield from _serve(context, provider, request, now=now, application=application)
    if (error := response.error) is not None:
        refused = LoginRefused(code=error.code, path=request.path, cause=error.cause)
        yield from tell(application, refused)
    return response


def _serve(
    context: Context, provider: Provider, request: Request, *, now: int, application: Application | None
) -> Steps[Response]:
    method = {context.config.me_path: "GET", context.config.logout_path: "POST"}.get(request.path)
    if method is None or not context.trusted_origins:
        return (yield from _respond(context, provider, request, now=now, application=application))
    trusted = context.trusts(request.header("origin"))
    if trusted and (response := cross_origin.preflight(request, method)) is not None:
        return response
    response = yield from _respond(context, provider, request, now=now, application=application)
    return cross_origin.readable(response, request if trusted else None)


def _respond(
    context: Context, provider: Provider, request: Request, *, now: int, application: Application | None
) -> Steps[Response]:
    config = context.config
    try:
        if request.path in (config.style_path, config.script_path, config.plain_script_path):
            _require_method(request, "GET")
            return _asset(config, request)
        context.require_settings()
        if request.path == config.login_path:
            _require_method(request, "GET", "POST")
            return (yield from start_login(context, provider, request, now=now, application=application))
        if request.path == config.logout_path:
            _require_method(request, "POST")
            return (yield from logout(context, provider, request, now=now, application=application))
        if request.path == config.backchannel_path:
            _require_method(request, "POST")
            return (yield from backchannel_logout.log_out(context, provider, request, now=now))
        _require_method(request, "GET")
        if request.path == config.me_path:
            return (yield from who_am_i(context, request, now=now))
        return (yield from finish_login(context, provider, request, now=now, application=application))
    except XWMSError as error:
        return responses.refusal(config, request, error, url=responses.login_url(config, context.next_url(request)))


def _asset(config: XWMSConfig, request: Request) -> Response:
    """What the applications' pages load from us."""
    if request.path == config.style_path:
        return responses.asset(BUTTON_STYLE, "text/css")
    if request.path == config.script_path:
        return responses.asset(LOGIN_SCRIPT, "text/javascript")
    asked = language_of((request.parameters("lang") or [""])[0])
    script = script_in(asked or language_for(config, request))
    return responses.asset(script, "text/javascript", varies=not (asked or config.locale))


def _require_method(request: Request, *allowed: str) -> None:
    if request.method not in allowed:
        raise MethodNotAllowed(", ".join(allowed))


def start_login(
    context: Context, provider: Provider, request: Request, *, now: int, application: Application | None = None
) -> Steps[Response]:
    """Set a pending login and send the browser to XWMS."""
    fresh = _parse_fresh(request)
    require_navigation(request)
    params = read_params(context, request)
    if (elsewhere := _at_its_host(context, request, fresh, params)) is not None:
        return elsewhere
    uri = context.require_redirect_uri(request)
    asked = context.next_url(request) or context.config.after_login
    target = without_outcome(asked)
    posted, by_worker = request.method == "POST", is_by_worker(request)
    # What a worker passes on counts as begun elsewhere, so it need not be provably our own form.
    may_be_own = by_worker and request.header("sec-fetch-site") == "same-origin"
    if posted and not may_be_own and not is_own_post(request, uri):
        raise CrossSite("the login was posted by another site")
    # Only now: what another site embeds or prefetches costs no decryption of cookies.
    login_request = LoginRequest.of(context, provider, request, now=now, application=application)
    confirmed = [request.form.get("confirm", "")] if posted else request.parameters("confirm")
    if confirmed and (response := (yield from confirm_person(login_request, confirmed[0]))) is not None:
        return response
    known = yield from login_request.look_up()
    links = posted and request.form.get("link") == "1"
    if links and known.session is not None and not LINKING.is_fresh(known.session, now):
        # A stolen session must not become a way in for good.
        old = LoginTooOld("the login is too old to link an identity")
        return login_request.refuse(old, url=responses.login_url(context.config, target, fresh=LINKING.fresh))
    account = (yield from _account_to_link(login_request)) if links else None
    if (
        known.session is not None
        and account is None
        and not params.asks_again
        and LoginRequirement(fresh=fresh).is_fresh(known.session, now)
        and not was_refused_as_ahead(context, known, request.cookie)
    ):
        return Response.redirect(303, target, shorter=context.config.after_login)
    if params.is_silent and has_outcome(asked):
        # The page has just come back from a silent login, and asks for the next one: that would be a loop.
        nobody = LoginRequired("a silent login has found nobody a moment ago")
        return login_request.refuse(nobody, url=responses.login_url(context.config, target, fresh=fresh))
    if known.ended is not None:
        events.info("session_ended", reason=known.ended)
    started_here = began_here(request, uri)
    # Through a worker no click could be told from a script: the person is asked at the end (`callback._must_confirm`).
    if (
        not started_here
        and not by_worker
        and (response := (yield from confirm_start(login_request, known, target, fresh=fresh, params=params)))
        is not None
    ):
        return response
    params = for_start(context, params, began_here=started_here)
    login = _new_login(login_request, target, began_here=started_here, fresh=fresh, params=params, account=account)
    if known.aged is not None:
        give_up_ended(context, known.aged, now=now)
    started = yield from provider.start(context, uri, fresh=fresh, params=params, now=now)
    if len(started.url) > MAX_LOCATION:
        raise BadAnswer("the URL of the login page is too long")
    login_request.logins.forget_expired()
    expires_at = login.expires_at if started.expires_at is None else min(login.expires_at, started.expires_at)
    login = replace(login, proof=started.proof, expires_at=expires_at)
    alone = header_bytes(Response.redirect(302, started.url).header_list())
    if alone + login_request.logins.cost_of(login) > MAX_HEADERS:
        login = replace(login, next=context.config.after_login)
    login_request.logins.add(login)
    events.info("login_started", login=login.key)
    if by_worker:
        return login_request.lead_on(started.url)
    return login_request.redirect(started.url, status=302, shorter=started.url)


LINKING = LoginRequirement(fresh=900)
"""How old the login by XWMS may be with which an identity is linked, in seconds."""


def _account_to_link(login_request: LoginRequest) -> Steps[str]:
    """The key of the account that this login is to be linked to, as the form asks for."""
    require_login_start(login_request.context, login_request.request, now=login_request.now)
    account = yield from login_request.account_here()
    if account is None:
        raise NobodyToLink("nobody is logged in to an account")
    return account


def _new_login(
    login_request: LoginRequest,
    target: str,
    *,
    began_here: bool,
    fresh: int | None,
    params: LoginParams,
    account: str | None,
) -> PendingLogin:
    """A pending login for which there is room. Raises `TooManyLogins`."""
    context, uri, now = login_request.context, login_request.uri, login_request.now
    login = PendingLogin(
        id=new_login_id(),
        proof=NO_PROOF,
        next=target,
        uri_digest=uri_digest(uri),
        started_at=now,
        expires_at=now + LOGIN_LIFETIME,
        began_here=began_here,
        fresh=fresh,
        account=account,
        silent=params.is_silent or None,
        language=params.language,
    )
    if not login_request.logins.has_room(login):
        login = replace(login, next=context.config.after_login)
    if not login_request.logins.has_room(login):
        # Any page can start logins as often as it likes, and none may evict those that the person began here.
        raise TooManyLogins("this browser has the maximum number of pending logins, and all began here")
    require_login_start(context, login_request.request, now=now)
    _warn_of_another_host(login_request.request, uri)
    return login


_MOVED = "moved"
"""The parameter of a start that has been led to the host of its redirect URI. A second time would be a loop."""


def _at_its_host(context: Context, request: Request, fresh: int | None, params: LoginParams) -> Response | None:
    """Lead a start at another loopback name to the redirect URI's, if the port is the same; otherwise None.

    `flask run` prints http://127.0.0.1:5000, and a redirect URI has localhost: two hosts to a browser, so that the
    callback would not get the cookie. A proxy that loses the Host header looks the same; there the start goes on when
    it comes again.
    """
    host, registered = (request.header("host") or "").lower(), context.config.registered
    if any(host in uri.host_names for uri in registered) or request.parameters(_MOVED):
        return None
    uri = next((uri for uri in registered if uri.loopback and _is_another_name(host, uri)), None)
    if uri is None:
        return None

    def url(target: str | None) -> str:
        url = responses.login_url(context.config, target, fresh=fresh, query=login_query(context, params))
        return f"{uri.origin}{url}{'&' if '?' in url else '?'}{_MOVED}=1"

    return Response.redirect(303, url(context.next_url(request)), shorter=url(None))


def _is_another_name(host: str, uri: RedirectURI) -> bool:
    """Whether a Host header is a loopback name with the port of this redirect URI."""
    ports = [name.removeprefix(uri.host) for name in uri.host_names]
    return any(host.endswith(port) and is_loopback(host.removesuffix(port)) for port in ports)


def _warn_of_another_host(request: Request, uri: RedirectURI) -> None:
    """Log that a login on a developer's machine will not come home, because the browser is at another host.

    Only if the browser says where it is: the Host header alone may be that of a proxy.
    """
    host = (request.header("host") or "").lower()
    page = request.header("origin") or request.header("referer") or ""
    if uri.loopback and host not in uri.host_names and origin_of(page) == f"{uri.scheme}://{host}":
        events.warning("login_at_another_host", hint=f"open the site under {uri.origin}/")


def _parse_fresh(request: Request) -> int | None:
    """The `fresh` parameter: the maximum age of a login that makes another one unnecessary.

    Anybody may set it, since it only costs a login.
    """
    values = request.parameters("fresh")
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit()) or len(values[0]) > 9:
        return None
    return max(int(values[0]), MIN_FRESH)


def who_am_i(context: Context, request: Request, *, now: int) -> Steps[Response]:
    """Tell a script who is signed in. Does not renew the session: a page that polls is no sign of an active person."""
    uri = context.redirect_uri_for(request.header("host") or "")
    known = yield from look_up(context, request.cookie, uri, now=now)
    user = known.session.user.claims() if known.session else None
    body: dict[str, object] = {"user": user, "login_url": context.config.login_path}
    if known.ended is not None:
        body["signed_out"] = known.ended
    return responses.document(200, body, extra=[("Vary", "Cookie")])


def logout(
    context: Context, provider: Provider, request: Request, *, now: int, application: Application | None = None
) -> Steps[Response]:
    """End the session. CSRF: only a form of our own may do so, shown by the headers or else by `xwms_csrf_token`.

    A page of a trusted origin may too: browsers name the origin of every POST, and no page can choose it.
    """
    config, uri = context.config, context.require_redirect_uri(request)
    names, is_own_form = context.names_for(uri), is_own_post(request, uri) or context.trusts(request.header("origin"))
    expired_cookie = set_cookie(names.session, "", secure=names.secure, max_age=0)
    pending = forget_all(request.cookie, names)
    # No more than that many were set by us.
    cleared, more = [expired_cookie, *pending[:MAX_LOGINS]], pending[MAX_LOGINS:]
    try:
        known = yield from look_up(context, request.cookie, uri, now=now)
        if not is_own_form and not _has_form_token(context, request, known):
            fault = CrossSite(
                "the logout was posted by another site, or by an unknown one without a valid xwms_csrf_token"
            )
            if known.session is not None and is_by_worker(request):
                # A service worker hides who posted it, so the person is asked, on a page that no site can frame.
                token = context.form_signer.dumps(known.session.id)
                return responses.refusal(config, request, fault, logout_token=token)
            raise fault
        is_own_form = True
        if known.handle is not None:
            yield from drop_session(known.handle, now=now)
    except StoreUnavailable as error:
        # The browser deletes its session cookie anyway, but the session may not have ended.
        return responses.refusal(config, request, error, cookies=cleared if is_own_form else ())
    target = context.next_url(request) or config.after_logout
    if known.session is not None:
        events.info("logged_out", person=context.log_name(known.session.user.identity))
        yield from tell(application, LoggedOut(user=known.session.user))
        if provider.tokens is not None:
            target = yield from provider.tokens.end_session(context, known.session, uri, target, now=now)
    return Response.redirect(303, target, cookies=cleared, deferrable=more, shorter=config.after_logout)


def _has_form_token(context: Context, request: Request, known: SessionLookup) -> bool:
    origin = request.header("origin")
    if request.header("sec-fetch-site") in ("cross-site", "same-site") or origin not in (
        None,
        "null",
        *context.origins,
    ):
        return False
    sent = request.form.get("xwms_csrf_token", "")
    return known.session is not None and context.form_signer.loads(sent) == known.session.id
