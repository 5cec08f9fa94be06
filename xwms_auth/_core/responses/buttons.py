"""The HTML of buttons for an application's templates: log in, connect an account, log out."""

from string import Template
from typing import Final

from .pages import LEFT_ALONE, Html, fill, own_path

_LOGIN_BUTTON: Final = Template(
    f'<form class="xwms-login" method="post" action="$url" {LEFT_ALONE}><button type="submit">$label</button></form>'
)
_LINK_FORM: Final = Template(
    f'<form class="xwms-link" method="post" action="$url" {LEFT_ALONE}>'
    '<input type="hidden" name="link" value="1"><button type="submit">$label</button></form>'
)
_LOGOUT_FORM: Final = Template(
    f'<form class="xwms-logout" method="post" action="$url" {LEFT_ALONE}>'
    '<input type="hidden" name="csrf_token" value="$csrf_token">'
    '<button type="submit">$label</button>'
    "</form>"
)


LOGIN_LABELS = {
    "nl": "Inloggen met XWMS",
    "en": "Log in with XWMS",
    "ar": "تسجيل الدخول باستخدام XWMS",
    "bn": "XWMS দিয়ে লগ ইন করুন",
    "de": "Mit XWMS anmelden",
    "es": "Iniciar sesión con XWMS",
    "id": "Masuk dengan XWMS",
    "pt": "Entrar com XWMS",
    "ru": "Войти через XWMS",
    "zh": "使用 XWMS 登录",
}
"""The login button in XWMS's ten languages."""


def login_button(*, login_url: str, label: str = "Log in with XWMS") -> Html:
    """Return ``<form class="xwms-login" method="post" …>`` as safe HTML for an app's template.

    ``login_url`` must be a path on this origin. It is a form, since only that shows that the user acted, in Safari too.
    """
    return fill(_LOGIN_BUTTON, url=own_path(login_url), label=label)


def logout_form(*, logout_url: str, csrf_token: str, label: str = "Log out") -> Html:
    """Return ``<form class="xwms-logout" method="post" …>`` as safe HTML; ``logout_url`` must be a path here."""
    return fill(_LOGOUT_FORM, url=own_path(logout_url), csrf_token=csrf_token, label=label)


def link_button(*, login_url: str, label: str = "Connect with XWMS") -> Html:
    """Return ``<form class="xwms-link" method="post" …>`` as safe HTML; ``login_url`` must be a path here."""
    return fill(_LINK_FORM, url=own_path(login_url), label=label)
