"""How our pages present themselves to a visitor: in which language, and for which site."""

from typing import Final

from ..base.dataclass import dataclass
from ..base.texts import DEFAULT_LANGUAGE, Texts, texts_in
from ..config.config import XWMSConfig
from ..http.languages import preferred_language
from ..http.messages import Request

BY_LANGUAGE: Final = ("Vary", "Accept-Language")
"""The header of a response whose language the visitor's browser has chosen (RFC 9110 12.5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """The language and the site of a page. `varies` is whether the visitor's browser has chosen the language."""

    texts: Texts
    varies: bool = False
    site_name: str = ""


def presentation_of(config: XWMSConfig, request: Request) -> Presentation:
    """The presentation of a page that answers this request."""
    language = language_for(config, request)
    return Presentation(texts=texts_in(language), varies=not config.locale, site_name=_site_name(config, request))


def language_for(config: XWMSConfig, request: Request) -> str:
    """The language for the visitor: the one of the site, or else what their browser asks for."""
    return config.locale or preferred_language(request.header("accept-language"))


def in_english() -> Presentation:
    """The presentation of a page of no site in particular."""
    return Presentation(texts=texts_in(DEFAULT_LANGUAGE))


def _site_name(config: XWMSConfig, request: Request) -> str:
    """The name of the site. Host header injection: a host is shown only as the configuration has it."""
    if config.site_name or config.missing:
        return config.site_name
    host = (request.header("host") or "").lower()
    here = [uri for uri in config.registered if len(config.registered) == 1 or host in uri.host_names]
    return here[0].host if here else ""
