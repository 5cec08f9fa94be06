"""What an application's own template is given for one of our pages."""

from collections.abc import Callable
from typing import Final, Literal

from ..dataclass import dataclass
from ..output_only import output_only

PageName = Literal["error", "confirm", "person", "link", "proof", "leading"]

PAGE_NAMES: Final[tuple[PageName, ...]] = ("error", "confirm", "person", "link", "proof", "leading")


class Html(str):
    """Safe HTML: the stylesheet, or what `fill` made. Template engines do not escape it, because of `__html__`."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class PageContent:
    """The content of one of our pages, for a document of the application's own.

    `head`, `style` and `body` are `Html`, which templates do not escape. `head` belongs into the `<head>` and `body`
    into the `<body>`, unchanged: with them come the forms, their hidden fields, and what keeps the address of the page
    from others. `style` is a `<style>` element for `body`, which may be
    left out. `title` is the heading; `body` does not have it. `code` is that of the error on an error page.
    `request` is the WSGI environment or the ASGI scope, without the query, in which a token may be.
    """

    name: PageName
    language: str
    direction: Literal["ltr", "rtl"]
    site_name: str
    title: str
    head: str
    style: str
    body: str
    code: str | None
    request: object


PageFunction = Callable[[PageContent], str | None]
"""Returns the whole document, or None for ours."""
