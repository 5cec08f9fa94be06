"""The two pages that ask before a login goes on, and what their buttons do (login CSRF)."""

from ..base.effects import Steps, claim
from ..base.errors import LoginNotStarted
from ..base.lifetimes import FUTURE_TOLERANCE
from ..http.messages import Response
from ..providers.pending_login import CONFIRMATION_LIFETIME
from ..providers.protocol import LoginResult
from ..responses import pages, responses
from ..sessions.lookup import SessionLookup
from .login_request import LoginRequest


def confirm_start(
    visit: LoginRequest, known: SessionLookup, target: str, *, fresh: int | None
) -> Steps[Response | None]:
    """Ask for a click before a login that another site began. None where the protocol needs no click."""
    origins = yield from visit.provider.confirmation_origins(visit.context, now=visit.now)
    if origins is None:
        return None
    config = visit.context.config
    made = pages.confirm_page(
        action_url=responses.login_url(config, target, fresh=fresh),
        form_origins=(*origins, *visit.context.origins),
        home_url=config.after_logout,
        note=known.ended and known.ended.detail,
    )
    return responses.page(200, made)


def confirm_person(visit: LoginRequest, key: str) -> Steps[Response | None]:
    """Show whom somebody is about to be, and go on once they say yes. None where no login waits for that.

    Where XWMS is known to send `sign-token`'s own token, another token comes from somebody else's login. The callback
    of such a login is not refused, since an attacker could bring that about; but nobody goes on as somebody else
    without knowing. The POST comes from this page: `start_login` has checked that.
    """
    login = next((one for one in visit.logins.unconfirmed if one.key == key), None)
    if login is None or login.person is None:
        return None
    known = yield from visit.look_up()
    if known.session is not None and known.session.user.identity == login.person.identity:
        visit.logins.discard(login)
        return visit.redirect(visit.target_of(login))
    if visit.request.method != "POST":
        url = visit.retry_url(login)
        made = pages.person_page(
            name=login.person.display_name,
            email=login.person.verified_email,
            sub=login.person.sub,
            action_url=url,
            key=key,
            again_url=url,
            home_url=visit.context.config.after_logout,
        )
        return responses.page(200, made)
    if not (yield from claim(f"confirmation/{login.id}", until=login.expires_at + FUTURE_TOLERANCE, now=visit.now)):
        raise LoginNotStarted("this login has been confirmed already")
    # What XWMS said is as old as the question, whenever it is answered.
    proved_at = login.expires_at - CONFIRMATION_LIFETIME
    return (
        yield from visit.sign_in(
            login, LoginResult(user=login.person, proved_at=proved_at, log_fields={"callback": "fresh"})
        )
    )
