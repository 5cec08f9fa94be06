"""What an application's templates include: the login URL, the login button and the logout form.

`pages.py` produces the HTML.
"""

from ..base.session import Session
from ..config.context import Context
from ..http.messages import Request
from . import pages, responses


def login_url(context: Context, request: Request, *, to: str | None) -> str:
    """Return the URL that starts a login and returns to `to`, by default to the current page."""
    if to is None and request.method in ("GET", "HEAD"):
        to = request.target
    return responses.login_url(context.config, to)


def login_button(context: Context, request: Request, *, to: str | None, locale: str) -> pages.Html:
    """Return a login button as HTML. It is a form, since only that shows that the user acted, in Safari too.

    `locale` is one of XWMS's ten languages, or a language tag such as `pt-BR`; others get English.
    """
    label = pages.LOGIN_LABELS.get(locale.partition("-")[0].lower(), pages.LOGIN_LABELS["en"])
    return pages.login_button(login_url=login_url(context, request, to=to), label=label)


def logout_form(context: Context, session: Session | None, *, label: str) -> pages.Html:
    """Return a logout button as HTML. It is a form, because logging out changes state.

    CSRF: it carries a token bound to this session, for browsers that do not send the origin of a form.
    """
    token = context.form_signer.dumps(session.id if session else "")
    return pages.logout_form(logout_url=context.config.logout_path, csrf_token=token, label=label)
