"""The HTML of buttons for an application's templates: log in, connect an account, log out."""

from string import Template
from typing import Final

from ..base.page_content import Html
from ..base.texts import Texts
from .pages import LEFT_ALONE, fill, own_path

_LOGIN_BUTTON: Final = Template(
    f'<form class="xwms-login" method="post" action="$url" {LEFT_ALONE}>'
    '<button type="submit"$language>$label</button></form>'
)
_LINK_FORM: Final = Template(
    f'<form class="xwms-link" method="post" action="$url" {LEFT_ALONE}>'
    '<input type="hidden" name="link" value="1"><button type="submit"$language>$label</button></form>'
)
_LANGUAGE: Final = Template(' lang="$language" dir="$direction"')
_LOGOUT_FORM: Final = Template(
    f'<form class="xwms-logout" method="post" action="$url" {LEFT_ALONE}>'
    '<input type="hidden" name="csrf_token" value="$csrf_token">'
    '<button type="submit"$language>$label</button>'
    "</form>"
)


def login_button(*, login_url: str, label: str = "Log in with XWMS", language: Texts | None = None) -> Html:
    """Return ``<form class="xwms-login" method="post" …>`` as safe HTML for an app's template.

    ``login_url`` must be a path on this origin. It is a form, since only that shows that the user acted, in Safari too.
    ``language`` is that of the label, if the page around it may be in another one.
    """
    return fill(_LOGIN_BUTTON, url=own_path(login_url), label=label, language=_language(language))


def logout_form(*, logout_url: str, csrf_token: str, label: str = "Log out", language: Texts | None = None) -> Html:
    """Return ``<form class="xwms-logout" method="post" …>`` as safe HTML; ``logout_url`` must be a path here."""
    return fill(
        _LOGOUT_FORM, url=own_path(logout_url), csrf_token=csrf_token, label=label, language=_language(language)
    )


def link_button(*, login_url: str, label: str = "Connect with XWMS", language: Texts | None = None) -> Html:
    """Return ``<form class="xwms-link" method="post" …>`` as safe HTML; ``login_url`` must be a path here."""
    return fill(_LINK_FORM, url=own_path(login_url), label=label, language=_language(language))


def _language(texts: Texts | None) -> Html | str:
    return "" if texts is None else fill(_LANGUAGE, language=texts.language, direction=texts.direction)
