"""The CSRF token of the dashboard's forms: Flask-WTF's, behind two typed names.

Knows: the one part of Flask-WTF that is used; it has no types.
Must not: know what a form is for.
"""
# pyright: reportUnknownVariableType=false, reportMissingTypeStubs=false

from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms import ValidationError


def csrf_token() -> str:
    """The token for a form of this browser's session."""
    return str(generate_csrf())


def is_ours(token: str | None) -> bool:
    """Whether a form holds the token of this browser's session, and is not older than an hour."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True
