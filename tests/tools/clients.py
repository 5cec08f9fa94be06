"""The two clients of XWMS's API, over a fake one: `both` runs a test with each."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.tools.fake_xwms import REDIRECT_URI, FakeXWMS
from xwms_auth import AsyncXWMSClient, XWMSClient, XWMSConfig

Client = Callable[..., Any]

both = pytest.mark.parametrize("client", [XWMSClient, AsyncXWMSClient], ids=["sync", "async"])


def config(fx: FakeXWMS, **changes: object) -> XWMSConfig:
    return XWMSConfig(**fx.options(**changes))


def info(client: Any) -> Any:
    return client.info()


def sign(client: Any) -> Any:
    return client.sign_token(REDIRECT_URI)


def verify(token: str) -> Callable[[Any], Any]:
    return lambda client: client.verify_token(token, REDIRECT_URI)
