"""`protect="all"` around an application that reads its path as Pyramid's traversal does.

It puts a request header in front, drops empty and dot segments and goes up at `..` (`pyramid.traversal`).
"""

from typing import Any

import httpx2
import pytest

from tests.tools.site import HTTPS_URI, PROGRAM
from xwms_auth import XWMSConfig
from xwms_auth.wsgi import XWMSAuth


def traversal(environ: Any, start_response: Any) -> list[bytes]:
    path = list[str]()
    for segment in (environ.get("HTTP_X_VHM_ROOT", "") + environ["PATH_INFO"]).split("/"):
        if segment == "..":
            path = path[:-1]
        elif segment not in ("", "."):
            path.append(segment)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("public" if path[0] == "static" else "guarded").encode()]


@pytest.mark.parametrize("root", ["/private", "private", "/private/", "/static/../private", "//private", "/./private"])
def test_hp_02_no_header_moves_a_guarded_page_below_a_public_path(fx, root):
    """HP-02"""
    app = XWMSAuth(traversal, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, protect="all", public="/static/*")))
    client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example", headers=PROGRAM)
    assert client.get("/static/a").text == "public"
    assert client.get("/static/a", headers={"X-Vhm-Root": "/static"}).text == "public"
    assert client.get("/static/a", headers={"X-Vhm-Root": root}).status_code == 401
