"""Opening a connection: many handshakes at once, several addresses, and a slow resolver, each within the deadline."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.servers import self_signed
from tests.tools.fake_xwms import FakeXWMS, Listener, outcomes
from tests.tools.faults import envelope
from tests.tools.site import FROM_HERE, LOGIN, Site
from xwms_auth import AsyncXWMSClient, XWMSClient, XWMSConfig
from xwms_auth._core.io import sockets

both = pytest.mark.parametrize("client", [XWMSClient, AsyncXWMSClient], ids=["sync", "async"])
Client = Callable[..., Any]
PATIENCE = 20.0
HANDSHAKES = 8


@pytest.fixture
def fx() -> Iterator[FakeXWMS]:
    with FakeXWMS() as fake:
        yield fake


def config(api_url: str, timeout: float) -> XWMSConfig:
    uri = "https://app.example/xwms/validateToken"
    return XWMSConfig(client_id="id", client_secret="s", redirect_uris=uri, api_url=api_url, timeout=timeout)


def info(client: Any) -> Any:
    return client.info()


def together(client: Client, settings: XWMSConfig, count: int) -> list[Any]:
    """What so many calls of one client give, all made at once."""
    if client is AsyncXWMSClient:

        async def story() -> list[Any]:
            async with AsyncXWMSClient(settings) as opened:
                return list(await asyncio.gather(*(opened.info() for _ in range(count)), return_exceptions=True))

        return asyncio.run(story())

    def call(opened: XWMSClient) -> Any:
        try:
            return opened.info()
        except Exception as error:  # noqa: BLE001  an outcome
            return error

    with ThreadPoolExecutor(count) as threads, XWMSClient(settings) as opened:
        return list(threads.map(call, [opened] * count))


class Handshakes:
    """A TLS server that shakes hands with nobody before so many have asked it to."""

    def __init__(self, folder: Path, count: int) -> None:
        self.files = self_signed(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.files.certificate, self.files.key)
        self._barrier = threading.Barrier(count)
        self._listener = Listener(self._serve)
        self.url = f"https://localhost:{self._listener.host.rpartition(':')[2]}/api/"

    def _serve(self, peer: socket.socket, number: int) -> None:
        peer.recv(1, socket.MSG_PEEK)  # the ClientHello
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait(PATIENCE)
            with self._context.wrap_socket(peer, server_side=True) as tls:
                while tls.recv(65536):
                    tls.sendall(envelope({"application": {"name": "FX"}, "client": {}, "api": {}}).wire())

    def close(self) -> None:
        self._barrier.abort()
        self._listener.close()


@pytest.fixture
def handshakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Handshakes]]:
    with ExitStack() as stack:

        def make(count: int) -> Handshakes:
            server = Handshakes(tmp_path, count)
            stack.callback(server.close)
            monkeypatch.setenv("SSL_CERT_FILE", str(server.files.certificate))
            sockets.openssl_context.cache_clear()
            return server

        yield make
    sockets.openssl_context.cache_clear()


@both
def test_handshakes_do_not_wait_for_one_another(handshakes: Callable[[int], Handshakes], client: Client):
    """SM-12: with one lock around them, the second would begin when the first is over."""
    server = handshakes(HANDSHAKES)
    answers = together(client, config(server.url, timeout=PATIENCE / 2), HANDSHAKES)
    assert [getattr(answer, "name", answer) for answer in answers] == ["FX"] * HANDSHAKES


@both
def test_handshakes_that_hang_end_at_the_deadline(handshakes: Callable[[int], Handshakes], client: Client):
    server = handshakes(HANDSHAKES + 1)
    answers = together(client, config(server.url, timeout=0.3), HANDSHAKES)
    assert [(answer.code, answer.sent) for answer in answers] == [("xwms_timeout", False)] * HANDSHAKES


@both
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_certificates_of_the_system_are_read_once(
    handshakes: Callable[[int], Handshakes], client: Client, host: str
):
    server = handshakes(1)
    settings = config(server.url.replace("localhost", host), timeout=PATIENCE)
    assert outcomes(client, settings, info)[0].name == "FX"
    server.files.certificate.unlink()
    assert outcomes(client, settings, info)[0].name == "FX"


@pytest.fixture
def silent_address(fx: FakeXWMS) -> Iterator[str]:
    """An address that drops packets at FX's port: nobody accepts what fills its queue."""
    port = int(fx.host.rpartition(":")[2])
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.settimeout(0)
            filling.connect_ex(("127.0.0.2", port))
        yield "127.0.0.2"


def resolved_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Make the resolver know these addresses of every name."""
    real = socket.getaddrinfo

    def fake(host: Any, port: Any, *values: Any, **options: Any) -> list[Any]:
        addresses = hosts if host == "localhost" else [host]
        return [entry for one in addresses for entry in real(one, port, *values, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


@both
@pytest.mark.parametrize("first", ["silent", "refusing", "impossible"])
def test_the_next_address_is_tried_when_the_first_does_not_answer(
    fx: FakeXWMS, client: Client, silent_address: str, monkeypatch: pytest.MonkeyPatch, first: str
):
    addresses = {"silent": silent_address, "refusing": "127.0.0.3", "impossible": "fe80::1"}
    resolved_to(monkeypatch, addresses[first], "127.0.0.1")
    (answer,) = outcomes(client, config(fx.api_url.replace("127.0.0.1", "localhost"), timeout=3), info)
    assert getattr(answer, "name", answer) == "FX"


@both
def test_a_server_of_which_every_address_is_silent_times_out_and_nothing_was_sent(
    fx: FakeXWMS, client: Client, silent_address: str, monkeypatch: pytest.MonkeyPatch
):
    resolved_to(monkeypatch, silent_address, silent_address)
    (failure,) = outcomes(client, config(fx.api_url.replace("127.0.0.1", "localhost"), timeout=0.4), info)
    assert (failure.code, failure.sent) == ("xwms_timeout", False)


class SlowResolver:
    """Looks localhost up only when the test is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.over = threading.Event()
        self.asked: list[str] = []
        self.ended: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, *values: Any, **options: Any) -> Any:
        if host == "localhost":
            self.asked.append(host)
            self.over.wait(PATIENCE)
            self.ended.append(host)
        return self._real(host, *values, **options)


@pytest.fixture
def slow_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowResolver]:
    monkeypatch.setattr("xwms_auth._core.io.transport.OUTAGES", 1000)
    slow = SlowResolver(monkeypatch)
    yield slow
    slow.over.set()


@both
def test_a_slow_resolver_counts_within_the_deadline(fx: FakeXWMS, client: Client, slow_resolver: SlowResolver):
    settings = config(fx.api_url.replace("127.0.0.1", "localhost"), timeout=0.3)
    failures = together(client, settings, 2 * sockets.MAX_LOOKUPS)
    assert {(failure.code, failure.sent) for failure in failures} == {("xwms_timeout", False)}
    assert not slow_resolver.ended
    assert len(slow_resolver.asked) <= sockets.MAX_LOOKUPS


def test_few_threads_of_a_process_wait_for_a_slow_resolver(fx: FakeXWMS, edge: str, slow_resolver: SlowResolver):
    """However many pools of connections there are, one for each login where nobody closes them."""
    site = Site(edge, fx, api_url=fx.api_url.replace("127.0.0.1", "localhost"), timeout=0.3)
    with ThreadPoolExecutor(20) as threads:
        sent = list(FROM_HERE.items())
        answers = list(threads.map(lambda _: site.raw(LOGIN, headers=sent), range(20)))
    assert {answer.status_code for answer in answers} == {504}
    assert len(slow_resolver.asked) <= sockets.MAX_LOOKUPS


@both
def test_where_no_thread_can_be_started_a_call_fails_and_later_ones_find_their_place(
    fx: FakeXWMS, client: Client, monkeypatch: pytest.MonkeyPatch
):
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    settings = config(fx.api_url.replace("127.0.0.1", "localhost"), timeout=3)
    with monkeypatch.context() as patch:
        patch.setattr("_thread.start_new_thread", none_left)
        failures = outcomes(client, settings, *[info] * (sockets.MAX_LOOKUPS + 1))
    assert {type(failure) for failure in failures} == {RuntimeError}
    assert outcomes(client, settings, info)[0].name == "FX"


@both
def test_a_name_that_nobody_knows_is_unreachable(client: Client):
    (failure,) = outcomes(client, config("https://nowhere.invalid/api/", timeout=PATIENCE), info)
    assert (failure.code, failure.sent) == ("xwms_unreachable", False)


@pytest.mark.parametrize("bundle", [True, False])
def test_certificates_are_found_where_openssl_was_built_for_another_system(monkeypatch, tmp_path, bundle):
    """As in a wheel of Python whose OpenSSL looks into folders that this machine does not have."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    if not bundle:
        monkeypatch.setattr("xwms_auth._core.io.sockets._CA_BUNDLES", ())
    context = sockets.openssl_context.__wrapped__(ssl.SSLContext)
    assert bool(context.cert_store_stats()["x509_ca"]) is bundle
