"""The validation of the options about what visitors see, and what their links may set."""

from collections.abc import Mapping, Sequence
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, cast

from ..base.texts.page_content import PAGE_NAMES
from ..base.texts.sentences import LANGUAGES, language_of
from ..http.login_params import PARAMS
from ..http.next_url import safe_next

if TYPE_CHECKING:
    from .validation import Validator

MAX_SITE_NAME = 80
"""Characters of a site's name, which stands above the heading of each page."""


def validate_visitor_options(validator: "Validator") -> None:
    """Validate what pages show and which parameters a link may set, and reduce `locale` to the language."""
    _validate_login_params(validator)
    name: object = validator.config.site_name
    if not isinstance(name, str) or len(name) > MAX_SITE_NAME or not name.isprintable():
        validator.fault("site_name", f"must be at most {MAX_SITE_NAME} characters of text, in one line")
    logo: object = validator.config.site_logo
    if logo != "" and (not isinstance(logo, str) or safe_next(logo, own_paths=frozenset(), origins=()) != logo):
        validator.fault("site_logo", 'is not a path on this site such as "/static/logo.svg"')
    _validate_pages(validator)
    locale: object = validator.config.locale
    language = language_of(locale) if isinstance(locale, str) else None
    if language is not None:
        validator.set("locale", language)
    elif locale != "":
        validator.fault("locale", "must be one of: " + ", ".join(LANGUAGES))


def _validate_login_params(validator: "Validator") -> None:
    given: object = validator.config.login_params
    names = tuple(given.split()) if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(name in PARAMS for name in names if names != ("none",)):
        validator.fault("login_params", f"must be some of: {', '.join(PARAMS)}; or none by itself")
        names = ()
    validator.set("login_params", () if tuple(names) == ("none",) else tuple(names))


def _validate_pages(validator: "Validator") -> None:
    pages: object = validator.config.pages
    if pages == ():
        return
    if not isinstance(pages, Mapping) or not set(cast("Mapping[object, object]", pages)) <= set(PAGE_NAMES):
        validator.fault("pages", "must be a mapping with these names: " + ", ".join(PAGE_NAMES))
        return
    functions = cast("Mapping[str, object]", pages).values()
    if not all(callable(function) and not iscoroutinefunction(function) for function in functions):
        validator.fault("pages", "has something in it that is not a function, or that is async")
