"""The names that Flask's templates get: the address of the login, the buttons, the visitor's language."""

from typing import TYPE_CHECKING, Unpack

from flask import has_request_context

from ...config.context import Context
from ...http.login_params import LoginParamArgs, LoginParams
from ...http.messages import Request
from ...responses import widgets
from .app import request_state, served_app

if TYPE_CHECKING:
    from ...base.texts.page_content import Html


def xwms_login_url(*, next: str | None = None, **params: Unpack[LoginParamArgs]) -> str:  # noqa: A002  as in the query
    """Return the URL that starts a login and returns to `next`, by default to the current page, if there is one.

    `params` are `ui_locales`, `prompt`, `login_hint` and `acr_values`. Raises ValueError for a malformed one.
    """
    return widgets.login_url(*_place(), to=next, params=LoginParams.of(**params))


def xwms_login_button(
    *,
    locale: str | None = None,
    plain: bool = False,
    next: str | None = None,  # noqa: A002
    **params: Unpack[LoginParamArgs],
) -> "Html":
    """Return a login button as HTML, in one of XWMS's ten languages; `plain` is without our style.

    `params` are as in `xwms_login_url`.
    """
    login = LoginParams.of(**params)
    return widgets.login_button(*_place(varies=locale is None), to=next, locale=locale, plain=plain, params=login)


def xwms_link_button(*, next: str | None = None, **button: Unpack[widgets.Labelled]) -> "Html":  # noqa: A002
    """Return a button as HTML that connects an XWMS account with the account whose owner is logged in."""
    return widgets.link_button(*_place(varies=widgets.is_ours(button)), to=next, **button)


def xwms_logout_form(**button: Unpack[widgets.Labelled]) -> "Html":
    """Return a logout button as HTML. It is a form, because logging out changes state."""
    context, current = _place(varies=widgets.is_ours(button))
    session = request_state().session() if has_request_context() else None
    return widgets.logout_form(context, session, request=current, **button)


def xwms_login_script(*, locale: str | None = None, nonce: str | None = None) -> "Html":
    """Return a script tag as HTML: where a script of the page has got our 401, it offers the login."""
    return widgets.login_script(*_place(varies=locale is None), locale=locale, nonce=nonce)


def xwms_language() -> str:
    """Return the language that our pages have for this visitor: `xwms_auth.EndReason.detail_in` takes it."""
    return widgets.language(*_place(varies=True))


def _place(*, varies: bool = False) -> tuple[Context, Request]:
    """Return the context, and the request: in a mail job or a command one of no page.

    `varies` is whether what is made of them may be in the visitor's language.
    """
    if has_request_context():
        state = request_state()
        if varies and not state.served.context.config.locale:
            state.vary_by_language()
        return state.served.context, state.request()
    return served_app().of_request("a URL of the login").context, Request(method="", path="/")
