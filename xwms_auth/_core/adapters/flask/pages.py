"""An application's own documents for our pages on Flask: templates that are found by their names.

`xwms/confirm.html` is for one page, `xwms/page.html` for all that have none of their own.
"""

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import TypeVar, cast

from flask import Flask, current_app, has_request_context, render_template

from ...base.texts.page_content import PAGE_NAMES, PageContent, PageFunction, PageName
from ...config.config import XWMSConfig

T = TypeVar("T")


def with_templates(app: Flask, config: XWMSConfig) -> XWMSConfig:
    """The config with functions for all pages: its own, each in a request context, or else the template."""
    functions: Mapping[PageName, PageFunction] = config.pages or {}
    config = copy(config)
    object.__setattr__(config, "pages", {name: _page_of(app, name, functions.get(name)) for name in PAGE_NAMES})
    return config


def _page_of(app: Flask, name: PageName, function: PageFunction | None) -> PageFunction:
    def make(page: PageContent) -> str | None:
        if function is not None:
            made = _in_context(app, page, partial(function, page))
            if made is not None:
                return made
        try:
            template = app.jinja_env.select_template([f"xwms/{name}.html", "xwms/page.html"])
        except LookupError:  # which Jinja's own error is
            return None
        return _in_context(app, page, partial(render_template, template, page=page))

    return make


def _in_context(app: Flask, page: PageContent, make: Callable[[], T]) -> T:
    """Call a function in the request context, or in one of its own: our routes are answered before Flask has any."""
    if has_request_context() and current_app._get_current_object() is app:  # type: ignore[attr-defined]
        return make()
    with app.request_context(cast("dict[str, object]", page.request)):
        return make()
