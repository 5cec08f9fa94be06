"""What a developer is told in debug mode where little is known: of a store of their own, and at a host of nobody's."""

from typing import Any

import httpx2
import pytest

from tests.tools.fake_xwms import CANARY
from tests.tools.site import HTTPS_URI, PROGRAM
from xwms_auth import LoginNotStarted, RedirectNotRegistered, StoreUnavailable, TokenRejected, XWMSConfig, XWMSError
from xwms_auth._core.http.messages import Request
from xwms_auth._core.responses import responses
from xwms_auth.stores import MemoryStore

TWO_URIS = (HTTPS_URI, "https://www.app.example/xwms/validateToken")


class DeskStore(MemoryStore):
    """A store of the application's own."""


def advice(error: XWMSError, host: str, **options: Any) -> list[str]:
    usual = {"client_id": "desk", "client_secret": CANARY, "redirect_uris": HTTPS_URI, "debug": True}
    headers = {"host": host, **{name.lower(): value for name, value in PROGRAM.items()}}
    config = XWMSConfig(**{**usual, **options})
    made = responses.refusal(config, Request(method="GET", path="/", headers=headers), error)
    return list(httpx2.Response(200, content=made.body).json().get("developer", []))


def test_a_store_of_the_applications_own_is_named_by_its_class():
    told = advice(StoreUnavailable("no connection"), "app.example", session_store=DeskStore())
    assert told == ["Your own session store, `DeskStore`, cannot be reached.", "Cause: no connection"]


def test_a_revocation_store_is_named_by_its_option():
    told = advice(StoreUnavailable("no connection"), "app.example", revocation_store="redis://:word@localhost/0")
    assert "`XWMS_REVOCATION_STORE` (`revocation_store`) is of the kind `redis`" in told[0]
    assert "word" not in "".join(told)


@pytest.mark.parametrize("error", [RedirectNotRegistered("no"), LoginNotStarted("no")])
def test_at_a_host_that_none_of_several_redirect_uris_has_no_uri_is_recommended(error):
    assert TWO_URIS[1] in advice(error, "www.app.example", redirect_uris=TWO_URIS)[0]
    assert TWO_URIS[1] not in "".join(advice(error, "other.example", redirect_uris=TWO_URIS))


@pytest.mark.parametrize("kind", ["same", "fresh", "either"])
def test_a_rejected_token_names_the_setting_and_what_else_it_could_be(kind):
    told = "\n".join(advice(TokenRejected("used"), "app.example", callback_token=kind))
    assert f"(`callback_token`) is `{kind}`" in told
    assert ("set it to `either`" in told) is (kind != "either")
