"""The HTML of buttons for an application's templates: log in, connect an account, log out."""

from string import Template
from typing import Final

from ..base.texts.page_content import Html
from ..base.texts.sentences import Texts
from .pages import LEFT_ALONE, fill, own_path

_LOGIN_BUTTON: Final = Template(
    f'<form class="xwms-login" method="post" action="$url" {LEFT_ALONE}>$style'
    '<button type="submit"$looks>$label</button></form>'
)
_LINK_FORM: Final = Template(
    f'<form class="xwms-link" method="post" action="$url" {LEFT_ALONE}>$style'
    '<input type="hidden" name="link" value="1"><button type="submit"$looks>$label</button></form>'
)
_CLASS: Final = Template(' class="$names"')
_LANGUAGE: Final = Template(' lang="$language" dir="$direction"')
# In the body, where a stylesheet may be too: so that a button needs nothing else of the page.
_STYLESHEET: Final = Template('<link rel="stylesheet" href="$url">')
_LOGOUT_FORM: Final = Template(
    f'<form class="xwms-logout" method="post" action="$url" {LEFT_ALONE}>$style'
    '<input type="hidden" name="xwms_csrf_token" value="$csrf_token">'
    '<button type="submit"$looks>$label</button>'
    "</form>"
)

_SCRIPT: Final = Template('<script src="$url" integrity="$integrity" data-xwms="$texts"$nonce defer></script>')
_NONCE: Final = Template(' nonce="$nonce"')


def login_button(
    *, login_url: str, label: str = "Log in with XWMS", language: Texts | None = None, style_url: str | None = None
) -> Html:
    """Return ``<form class="xwms-login" method="post" …>`` as safe HTML for an app's template.

    ``login_url`` must be a path on this origin. It is a form, since only that shows that the user acted, in Safari too.
    ``language`` is that of the label, if the page around it may be in another one. ``style_url`` is the path of the
    stylesheet on this origin; without it the button is as the page has it.
    """
    looks = _looks("xwms-button", language, style_url)
    return fill(_LOGIN_BUTTON, url=own_path(login_url), label=label, looks=looks, style=_stylesheet(style_url))


def logout_form(
    *,
    logout_url: str,
    csrf_token: str,
    label: str = "Log out",
    language: Texts | None = None,
    style_url: str | None = None,
) -> Html:
    """Return ``<form class="xwms-logout" method="post" …>`` as safe HTML; ``logout_url`` must be a path here."""
    return fill(
        _LOGOUT_FORM,
        url=own_path(logout_url),
        csrf_token=csrf_token,
        label=label,
        looks=_looks("xwms-button xwms-quiet", language, style_url),
        style=_stylesheet(style_url),
    )


def link_button(
    *, login_url: str, label: str = "Connect with XWMS", language: Texts | None = None, style_url: str | None = None
) -> Html:
    """Return ``<form class="xwms-link" method="post" …>`` as safe HTML; ``login_url`` must be a path here."""
    looks = _looks("xwms-button", language, style_url)
    return fill(_LINK_FORM, url=own_path(login_url), label=label, looks=looks, style=_stylesheet(style_url))


def login_script(*, url: str, integrity: str, texts: str, nonce: str | None) -> Html:
    """Return ``<script src=… defer></script>`` as safe HTML; ``url`` must be a path here."""
    known = "" if nonce is None else fill(_NONCE, nonce=nonce)
    return fill(_SCRIPT, url=own_path(url), integrity=integrity, texts=texts, nonce=known)


def _looks(names: str, texts: Texts | None, style_url: str | None) -> Html:
    """The attributes of a button."""
    styled = "" if style_url is None else fill(_CLASS, names=names)
    spoken = "" if texts is None else fill(_LANGUAGE, language=texts.language, direction=texts.direction)
    return Html(styled + spoken)


def _stylesheet(url: str | None) -> Html | str:
    return "" if url is None else fill(_STYLESHEET, url=own_path(url))
