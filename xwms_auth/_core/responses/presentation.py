"""How our pages present themselves to a visitor: in which language, and for which site."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Final

from ..base import events
from ..base.dataclass import dataclass
from ..base.texts.page_content import PageContent, PageFunction, PageName
from ..base.texts.sentences import DEFAULT_LANGUAGE, Texts, texts_in
from ..base.unexpected import internal_error
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
    site_logo: str = ""
    """A path on this origin."""

    pages: Mapping[PageName, PageFunction] = field(default_factory=dict[PageName, PageFunction])
    """The application's own documents, by the name of the page."""

    bare_request: Callable[[], object] | None = None

    def own_document(self, content: PageContent) -> str | None:
        """The application's own document for a page; None if it has none, or if making it has failed."""
        function = self.pages.get(content.name)
        if function is None:
            return None
        request = None if self.bare_request is None else self.bare_request()
        try:
            made: object = function(replace(content, request=request))
            if made is not None and not isinstance(made, str):
                raise TypeError("a page of the application's is not text")
            (made or "").encode()  # a lone surrogate cannot be sent
        except Exception as error:  # noqa: BLE001  any of the application's; an error page must not fail too
            events.warning("page_failed", page=content.name, cause=internal_error(error).cause)
            return None
        return made


def presentation_of(config: XWMSConfig, request: Request, *, language: str | None = None) -> Presentation:
    """The presentation of a page that answers this request. `language` is that of the login, if it has one."""
    return Presentation(
        texts=texts_in(language or language_for(config, request)),
        varies=not (language or config.locale),
        site_name=_site_name(config, request),
        site_logo=config.site_logo,
        pages=config.pages or {},
        bare_request=request.bare,
    )


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
