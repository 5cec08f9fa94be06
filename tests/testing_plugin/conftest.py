"""The fixture `xwms` for these tests, which run without the plugin: it is turned off for the package's own suite."""

import socket
from collections.abc import Iterator

import pytest

from xwms_auth.testing import LocalXWMS, local_xwms


@pytest.fixture
def xwms() -> Iterator[LocalXWMS]:
    with local_xwms() as running:
        yield running


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a connection is opened, or a name is looked up."""

    def refuse(*args: object, **_: object) -> None:
        raise AssertionError(f"the network was used: {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
