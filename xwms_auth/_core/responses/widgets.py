"""What an application's templates include: the login URL, and the buttons to log in, to connect and to log out.

`buttons.py` produces the HTML. A label is in the language that the application names, or else in that of our pages.
"""

from typing import TYPE_CHECKING, TypedDict, Unpack

from ..base.assets.login_script import INTEGRITY, texts_of
from ..base.session import Session
from ..base.texts.sentences import DEFAULT_LANGUAGE, Texts, language_of, texts_in
from ..config.context import Context
from ..http.login_params import NO_PARAMS, LoginParams
from ..http.messages import Request
from . import responses
from .login_link import login_query
from .presentation import language_for

if TYPE_CHECKING:
    from ..base.texts.page_content import Html


class Labelled(TypedDict, total=False):
    """How a button looks. `label` is a text of the application's own, and `locale` as in `login_button`."""

    label: str | None
    locale: str | None
    plain: bool


def is_ours(button: Labelled) -> bool:
    """Whether a button has a label in the language of our pages, on which the response then depends."""
    return button.get("label") is None and button.get("locale") is None


def login_url(context: Context, request: Request, *, to: str | None, params: LoginParams = NO_PARAMS) -> str:
    """Return the URL that starts a login with these parameters and returns to `to`, by default to the current page."""
    if to is None and request.method in ("GET", "HEAD"):
        to = request.target
    return responses.login_url(context.config, to, query=() if params is NO_PARAMS else login_query(context, params))


def login_button(
    context: Context,
    request: Request,
    *,
    to: str | None,
    locale: str | None = None,
    plain: bool = False,
    params: LoginParams = NO_PARAMS,
) -> "Html":
    """Return a login button as HTML. It is a form, since only that shows that the user acted, in Safari too.

    `locale` is one of XWMS's ten languages, or a language tag such as `pt-BR`; others get English. With `plain` the
    button brings no style.
    """
    from . import buttons  # noqa: PLC0415  loaded with the first button that is shown

    texts = _texts(context, request, locale)
    url = login_url(context, request, to=to, params=params)
    style = _style_url(context, plain=plain)
    return buttons.login_button(login_url=url, label=texts.buttons.login, language=texts, style_url=style)


def link_button(context: Context, request: Request, *, to: str | None, **button: Unpack[Labelled]) -> "Html":
    """Return a button that connects an identity with the account whose owner is logged in, as HTML."""
    from . import buttons  # noqa: PLC0415  as above

    url, style = login_url(context, request, to=to), _style_url(context, plain=button.get("plain", False))
    if (label := button.get("label")) is not None:
        return buttons.link_button(login_url=url, label=label, style_url=style)
    texts = _texts(context, request, button.get("locale"))
    return buttons.link_button(login_url=url, label=texts.buttons.link, language=texts, style_url=style)


def logout_form(
    context: Context, session: Session | None, *, request: Request | None = None, **button: Unpack[Labelled]
) -> "Html":
    """Return a logout button as HTML. It is a form, because logging out changes state.

    `request` says which language the visitor reads; without it and a `locale`, it is that of the site, or English.
    CSRF: it carries a token bound to this session, for browsers that do not send the origin of a form.
    """
    token = context.form_signer.dumps(session.id if session else "")
    from . import buttons  # noqa: PLC0415  as above

    url, style = context.config.logout_path, _style_url(context, plain=button.get("plain", False))
    if (label := button.get("label")) is not None:
        return buttons.logout_form(logout_url=url, csrf_token=token, label=label, style_url=style)
    texts = _texts(context, request, button.get("locale"))
    label = texts.buttons.logout
    return buttons.logout_form(logout_url=url, csrf_token=token, label=label, language=texts, style_url=style)


def login_script(context: Context, request: Request, *, locale: str | None = None, nonce: str | None = None) -> "Html":
    """Return the tag of the script that offers the login where a script of the page has got our 401, as HTML.

    `locale` is as in `login_button`. `nonce` is that of the page's Content-Security-Policy, if it has one.
    """
    from . import buttons  # noqa: PLC0415  as above

    texts = texts_of(_texts(context, request, locale))
    url = context.config.script_path
    return buttons.login_script(url=url, integrity=INTEGRITY, texts=texts, nonce=nonce)


def language(context: Context, request: Request) -> str:
    """Return the language that our pages have for the visitor, one of XWMS's ten."""
    return language_for(context.config, request)


def _texts(context: Context, request: Request | None, locale: str | None) -> Texts:
    if locale is None and request is not None:
        return texts_in(language_for(context.config, request))
    return texts_in(language_of(locale or context.config.locale) or DEFAULT_LANGUAGE)


def _style_url(context: Context, *, plain: bool) -> str | None:
    return None if plain else context.config.style_path
