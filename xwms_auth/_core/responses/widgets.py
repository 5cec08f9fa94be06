"""What an application's templates include: the login URL, the login button and the logout form.

`buttons.py` produces the HTML.
"""

from typing import TYPE_CHECKING

from ..base.session import Session
from ..config.context import Context
from ..http.messages import Request
from . import responses

if TYPE_CHECKING:
    from .pages import Html


def login_url(context: Context, request: Request, *, to: str | None) -> str:
    """Return the URL that starts a login and returns to `to`, by default to the current page."""
    if to is None and request.method in ("GET", "HEAD"):
        to = request.target
    return responses.login_url(context.config, to)


def login_button(context: Context, request: Request, *, to: str | None, locale: str) -> "Html":
    """Return a login button as HTML. It is a form, since only that shows that the user acted, in Safari too.

    `locale` is one of XWMS's ten languages, or a language tag such as `pt-BR`; others get English.
    """
    from . import buttons  # noqa: PLC0415  loaded with the first button that is shown

    label = buttons.LOGIN_LABELS.get(locale.partition("-")[0].lower(), buttons.LOGIN_LABELS["en"])
    return buttons.login_button(login_url=login_url(context, request, to=to), label=label)


def link_button(context: Context, request: Request, *, to: str | None, label: str) -> "Html":
    """Return a button that connects an identity with the account whose owner is logged in, as HTML."""
    from . import buttons  # noqa: PLC0415  as above

    return buttons.link_button(login_url=login_url(context, request, to=to), label=label)


def logout_form(context: Context, session: Session | None, *, label: str) -> "Html":
    """Return a logout button as HTML. It is a form, because logging out changes state.

    CSRF: it carries a token bound to this session, for browsers that do not send the origin of a form.
    """
    token = context.form_signer.dumps(session.id if session else "")
    from . import buttons  # noqa: PLC0415  as above

    return buttons.logout_form(logout_url=context.config.logout_path, csrf_token=token, label=label)
