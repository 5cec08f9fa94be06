"""The confirmation pages of a login, and what their forms do (login CSRF, account takeover)."""

from collections.abc import Sequence
from urllib.parse import urlencode

from ..accounts import application as accounts
from ..accounts.errors import NobodyToLink
from ..accounts.hooks import LoggedIn
from ..accounts.linker import AppLogin
from ..base.effects import Steps, claim
from ..base.errors import LoginNotStarted, RequestRefused, XWMSError
from ..base.models import User
from ..base.session import FUTURE_TOLERANCE
from ..http.login_params import LoginParams
from ..http.messages import Response
from ..http.urls import origin_of
from ..providers.pending_login import PendingLogin
from ..providers.protocol import LoginResult
from ..responses import pages, responses
from ..responses.login_link import login_query
from ..responses.presentation import presentation_of
from ..sessions.lookup import SessionLookup
from .callback import LoginRequest


def confirm_start(
    login_request: LoginRequest, known: SessionLookup, target: str, *, fresh: int | None, params: LoginParams
) -> Steps[Response | None]:
    """Ask for a click before a login that did not begin on this site. None if the protocol needs no click."""
    origins = yield from login_request.provider.confirmation_origins(login_request.context, now=login_request.now)
    if origins is None:
        return None
    context, config = login_request.context, login_request.context.config
    look = presentation_of(config, login_request.request, language=params.language)
    # Only one that is known to need no login, which the link would start. With `marked` the application alone knows.
    home = config.after_logout.partition("?")[0]
    is_open = context.protects_all and context.is_public(home)
    page = pages.confirm_page(
        action_url=responses.login_url(config, target, fresh=fresh, query=login_query(context, params)),
        form_origins=(*origins, login_request.uri.origin, *_origins_of(target, config.after_login)),
        home_url=config.after_logout if is_open else None,
        note=look.texts.signed_out[known.ended] if known.ended else None,
        look=look,
    )
    return responses.page(200, page)


def _origins_of(*targets: str) -> Sequence[str]:
    """The trusted origins that a login with one of these targets leads to."""
    return tuple(filter(None, map(origin_of, targets)))


def confirm_person(login_request: LoginRequest, key: str) -> Steps[Response | None]:
    """Show which account the person is about to log in to, and continue once they confirm. None if no login waits.

    Login CSRF: if XWMS is known to send `sign-token`'s own token, any other token comes from somebody else's login. Its
    callback is not refused, since an attacker could cause that state; but nobody continues as somebody else
    unknowingly. The POST comes from our own page: `start_login` has checked that.
    """
    login = next((one for one in login_request.logins.unconfirmed if one.key == key), None)
    if login is None or login.person is None:
        return None
    try:
        if login.account is not None:
            return (yield from _confirm_link(login_request, login, login.person, login.account))
        known = yield from login_request.look_up()
        if known.session is not None and known.session.user.identity == login.person.identity:
            login_request.logins.discard(login)
            return login_request.redirect(login_request.target_of(login))
        if login_request.request.method != "POST":
            return _page_of(login_request, login, login.person)
        yield from _claim_confirmation(login_request, login)
        return (yield from login_request.sign_in(login, _result_of(login, login.person)))
    except XWMSError as error:
        if isinstance(error, RequestRefused):
            login_request.logins.discard(login)
        return login_request.refuse(error, url=login_request.retry_url(login))


def _confirm_link(login_request: LoginRequest, login: PendingLogin, person: User, account: str) -> Steps[Response]:
    """Link the person's identity to the account whose owner is here, once they confirm.

    Account takeover: the owner has to be there now, by the login that the account has had so far. That somebody was
    there when the login began, or that XWMS knows the e-mail address, is not enough.
    """
    application = login_request.application
    if application is None or application.linker is None:
        raise NobodyToLink("the application has no linker any more")
    here = yield from login_request.account_here()
    if here != account:
        if application.app_login is None or login_request.request.method == "POST":
            raise NobodyToLink("nobody is logged in to the account" if here is None else "another account is logged in")
        return responses.page(200, _proof_page(login_request, login, person, application.app_login, here))
    if login_request.request.method != "POST":
        return _page_of(login_request, login, person)
    yield from _claim_confirmation(login_request, login)
    login_request.logins.discard(login)
    yield from accounts.ask_leave(application, LoggedIn(user=person, account=account))
    linked = yield from accounts.link(application, application.linker, person, account)
    yield from accounts.tell_of(application, linked, person)
    if login_request.provider.tokens is not None:
        # The tokens of this login are not kept while it waits. The next one has some, and finds the account.
        return login_request.redirect(login_request.retry_url(login))
    return (yield from login_request.begin_session(login, _result_of(login, person)))


def _claim_confirmation(login_request: LoginRequest, login: PendingLogin) -> Steps[None]:
    # A login may wait twice: for who the person is, and for the account.
    kind, until = "confirmation" if login.account is None else "link", login.expires_at + FUTURE_TOLERANCE
    if not (yield from claim(f"{kind}/{login.id}", until=until, now=login_request.now)):
        raise LoginNotStarted("this login has been confirmed already")


def _result_of(login: PendingLogin, person: User) -> LoginResult:
    # XWMS named the person when the confirmation was asked for, however late it is given.
    proved_at = login.expires_at - login.confirmation_lifetime
    # Only a token that matches no login has somebody asked who they are; any has them asked which account is meant.
    log_fields = {"callback": "fresh"} if login.account is None else {"linked": "yes"}
    return LoginResult(user=person, proved_at=proved_at, log_fields=log_fields)


def _name_of(person: User) -> str:
    """The name to show where it decides whom somebody believes: none that looks like an unverified address."""
    name = person.display_name
    return person.sub if "@" in name and name != person.verified_email else name


def _page_of(login_request: LoginRequest, login: PendingLogin, person: User) -> Response:
    config, url = login_request.context.config, login_request.retry_url(login)
    page = pages.person_page(
        name=_name_of(person),
        email=person.verified_email,
        sub=person.sub,
        action_url=url,
        key=login.key,
        form_origins=_origins_of(login_request.target_of(login), config.after_login),
        again_url=url,
        home_url=config.after_logout,
        links=login.account is not None,
        look=presentation_of(config, login_request.request, language=login.language),
    )
    # No window that has opened this one can lead it elsewhere, or close itself over the button.
    return responses.page(200, page, extra=[("Cross-Origin-Opener-Policy", "same-origin")])


def _proof_page(
    login_request: LoginRequest, login: PendingLogin, person: User, app_login: AppLogin, here: str | None
) -> pages.Page:
    config = login_request.context.config
    parameter = urlencode({app_login.next_parameter: login_request.confirmation_url(login)})
    return pages.proof_page(
        name=_name_of(person),
        email=person.verified_email,
        sub=person.sub,
        login_url=f"{app_login.url}{'&' if '?' in app_login.url else '?'}{parameter}",
        home_url=config.after_logout,
        as_other=here is not None,
        look=presentation_of(config, login_request.request, language=login.language),
    )
