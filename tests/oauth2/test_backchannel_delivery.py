"""A logout at the server, as it really arrives: posted by the server to the port where the application listens."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.attacks.real_servers import listening
from tests.oauth2.local_as import LocalAS, log_in
from tests.oauth2.steps import begin, come_back
from tests.oauth2.test_oidc_provider import Provider, start  # noqa: F401  a fixture
from tests.tools.clock import Clock
from tests.tools.site import PROGRAM, Browser, Site
from xwms_auth.sandbox.domain import api_log, clients
from xwms_auth.sandbox.oauth.backchannel import ENDPOINT

PATH = "/xwms/backchannel-logout"


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """Where the application will listen, so that the server can be told before it does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        yield free


@pytest.fixture
def uri(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}{PATH}"


def why(browser: Browser) -> Any:
    return browser.get("/who", PROGRAM).json().get("reason")


@pytest.mark.parametrize(("edge", "kind"), [("flask", "memory"), ("asgi", "sqlite"), ("flask", "cookie+revocations")])
def test_a_certified_provider_tells_the_application_and_the_right_login_ends(edge, start, bound, uri, where, kind):  # noqa: F811
    """panva's oidc-provider signs and posts the logout token itself, and names the login by `sid`."""
    provider: Provider = start(backchannel_logout_uri=uri, backchannel_logout_session_required=True)
    site = Site(edge, provider, **where(kind))
    one, two, other = (site.browser() for _ in range(3))
    with httpx2.Client() as laptop, httpx2.Client() as phone, httpx2.Client() as bobs, listening(site, bound):
        for browser, sub, person in ((one, "ada", laptop), (two, "ada", phone), (other, "bob", bobs)):
            come_back(browser, provider.consent(begin(browser), sub, person=person))
            assert browser.who() == sub
        provider.log_out(laptop)
    assert why(one) == "session_revoked"
    # In cookies no login can be told from another of the person's.
    assert two.who() == (None if kind == "cookie+revocations" else "ada")
    assert other.who() == "bob"


@pytest.fixture
def server() -> Iterator[LocalAS]:
    with LocalAS(Clock()) as local:
        yield local


def delivered(server: LocalAS) -> list[int]:
    """What the application has answered, so far as the local XWMS has heard."""
    with server.server.inside.database.work() as session:
        client = clients.find(session, server.settings.client_id)
        assert client is not None
        return [call.status for call in api_log.calls_of(session, client, limit=100) if call.endpoint == ENDPOINT]


@pytest.mark.parametrize("button", ["log-out", "revoke"])
def test_the_dashboard_of_the_local_xwms_tells_the_application(
    edge: str, server: LocalAS, bound: socket.socket, uri: str, button: str
) -> None:
    """Either button ends every login of the person; one leaves their approval, the other takes it."""
    site = Site(edge, server, session_store="memory://")
    one, two, other = (site.browser() for _ in range(3))
    with listening(site, bound):
        server.click("/clients/1/backchannel-logout", backchannel_logout_uri=uri)
        for browser, sub in ((one, "1001"), (two, "1001"), (other, "1003")):
            log_in(browser, server, sub)
            assert browser.who() == sub
        assert server.click(f"/clients/1/users/1/{button}").status_code == 200
        deadline = time.monotonic() + 20
        while len(delivered(server)) < 2:
            assert time.monotonic() < deadline, delivered(server)
    assert delivered(server) == [200, 200]
    assert [why(browser) for browser in (one, two)] == ["session_revoked"] * 2
    assert other.who() == "1003"
