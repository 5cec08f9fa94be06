"""Visitors whose requests an application has to answer as it does without us."""

from collections.abc import Generator
from contextlib import contextmanager

from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import HTTPS_URI, Site
from xwms_auth import XWMSConfig


@contextmanager
def kinds_of_visitors(edge: str) -> Generator[tuple[XWMSConfig, dict[str, str]]]:
    """The settings of a site, and the Cookie headers of nobody, of somebody with a forged cookie, and of a person."""
    with FakeXWMS() as fx:
        site = Site(edge, fx, redirect_uris=HTTPS_URI)
        browser = site.browser()
        browser.log_in()
        session = f"{site.session_cookie}={browser.cookies()[site.session_cookie]}"
        yield site.config, {"nobody": "a=b", "a stranger": f"{site.session_cookie}=junk", "somebody": session}
