"""The two confirmation pages of a login, and what their forms do (login CSRF)."""

from collections.abc import Sequence

from ..base.effects import Steps, claim
from ..base.errors import LoginNotStarted
from ..base.session import FUTURE_TOLERANCE
from ..http.messages import Response
from ..http.urls import origin_of
from ..providers.pending_login import CONFIRMATION_LIFETIME
from ..providers.protocol import LoginResult
from ..responses import pages, responses
from ..sessions.lookup import SessionLookup
from .callback import LoginRequest


def confirm_start(
    login_request: LoginRequest, known: SessionLookup, target: str, *, fresh: int | None
) -> Steps[Response | None]:
    """Ask for a click before a login that did not begin on this site. None if the protocol needs no click."""
    origins = yield from login_request.provider.confirmation_origins(login_request.context, now=login_request.now)
    if origins is None:
        return None
    config = login_request.context.config
    page = pages.confirm_page(
        action_url=responses.login_url(config, target, fresh=fresh),
        form_origins=(*origins, login_request.uri.origin, *_origins_of(target, config.after_login)),
        home_url=config.after_logout,
        note=known.ended and known.ended.detail,
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
    known = yield from login_request.look_up()
    if known.session is not None and known.session.user.identity == login.person.identity:
        login_request.logins.discard(login)
        return login_request.redirect(login_request.target_of(login))
    if login_request.request.method != "POST":
        url = login_request.retry_url(login)
        page = pages.person_page(
            name=login.person.display_name,
            email=login.person.verified_email,
            sub=login.person.sub,
            action_url=url,
            key=key,
            form_origins=_origins_of(login_request.target_of(login), login_request.context.config.after_login),
            again_url=url,
            home_url=login_request.context.config.after_logout,
        )
        return responses.page(200, page)
    if not (
        yield from claim(f"confirmation/{login.id}", until=login.expires_at + FUTURE_TOLERANCE, now=login_request.now)
    ):
        raise LoginNotStarted("this login has been confirmed already")
    # XWMS named the person when the confirmation was asked for, however late it is given.
    proved_at = login.expires_at - CONFIRMATION_LIFETIME
    return (
        yield from login_request.sign_in(
            login, LoginResult(user=login.person, proved_at=proved_at, log_fields={"callback": "fresh"})
        )
    )
