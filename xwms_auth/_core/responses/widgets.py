"""What an application's templates include: the login address, the login button, the logout form.

Knows: which values they need.
Must not: make HTML; that is `pages.py`.
"""

from ..base.models import Session
from ..config.context import Context
from ..http.messages import Request
from . import pages, responses


def login_url(context: Context, request: Request, *, to: str | None) -> str:
    """The address that starts a login and comes back to `to`, by default to the page being shown."""
    if to is None and request.method in ("GET", "HEAD"):
        to = request.target
    return responses.login_url(context.config, to)


def login_button(context: Context, request: Request, *, to: str | None, locale: str) -> pages.Html:
    """A login button as HTML: a form, since Safari tells by nothing else that a person clicked.

    `locale` is one of XWMS's ten languages, or a tag such as `pt-BR`; others get English.
    """
    label = pages.LOGIN_LABELS.get(locale.partition("-")[0].lower(), pages.LOGIN_LABELS["en"])
    return pages.login_button(login_url=login_url(context, request, to=to), label=label)


def logout_form(context: Context, session: Session | None, *, label: str) -> pages.Html:
    """A logout button as HTML: a form, because logging out changes something.

    It carries proof that our page made it for this very session, for browsers that do not say where a form came from.
    """
    token = context.form_signer.dumps(session.id if session else "")
    return pages.logout_form(logout_url=context.config.logout_path, csrf_token=token, label=label)
