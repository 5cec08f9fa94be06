"""The CSRF token of the dashboard's forms: typed wrappers of Flask-WTF, which has no types."""
# pyright: reportUnknownVariableType=false, reportMissingTypeStubs=false

from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms import ValidationError


def csrf_token() -> str:
    """The CSRF token of this browser's session."""
    return str(generate_csrf())


def is_valid(token: str | None) -> bool:
    """Whether the token belongs to this browser's session and is at most an hour old."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True
