"""The validation of the options about what visitors see."""

from typing import TYPE_CHECKING

from ..base.texts import LANGUAGES, language_of

if TYPE_CHECKING:
    from .validation import Validator

MAX_SITE_NAME = 80
"""Characters of a site's name, which stands above the heading of each page."""


def validate_appearance(validator: "Validator") -> None:
    """Validate what pages show, and reduce `locale` to the language."""
    name: object = validator.config.site_name
    if not isinstance(name, str) or len(name) > MAX_SITE_NAME or not name.isprintable():
        validator.fault("site_name", f"must be at most {MAX_SITE_NAME} characters of text, in one line")
    locale: object = validator.config.locale
    language = language_of(locale) if isinstance(locale, str) else None
    if language is not None:
        validator.set("locale", language)
    elif locale != "":
        validator.fault("locale", "must be one of: " + ", ".join(LANGUAGES))
