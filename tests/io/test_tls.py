"""TLS, on both clients: one connection, one answer per question, and only to whom we trust."""

import json
import socket
import ssl
import threading
from contextlib import suppress

import pytest

from tests.browser.servers import self_signed
from tests.tools.fake_xwms import outcomes
from xwms_auth import AsyncXWMSClient, Unreachable, XWMSClient, XWMSConfig
from xwms_auth._core.io.sockets import openssl_context


def answer(name):
    body = json.dumps({"status": "success", "data": {"application": {"name": name}}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class TLSServer:
    """Answers `info` with "connection.question"; `extra` sends a second answer as a TLS record of its own."""

    def __init__(self, certificate, *, extra):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.certificate, certificate.key)
        self.extra = extra
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.socket.getsockname()[1]}/api/"
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self):
        with suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                self.connections += 1
                self.threads.append(threading.Thread(target=self.serve, args=(peer, self.connections), daemon=True))
                self.threads[-1].start()

    def serve(self, peer, number):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def step(action):
            while True:
                try:
                    done = action()
                except ssl.SSLWantReadError:
                    peer.sendall(outgoing.read())
                    data = peer.recv(65536)
                    if not data:
                        raise EOFError from None
                    incoming.write(data)
                else:
                    return done

        with peer, suppress(EOFError, OSError):
            step(tls.do_handshake)
            question = 0
            while True:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    asked += step(lambda: tls.read(65536))
                question += 1
                tls.write(answer(f"{number}.{question}"))
                if self.extra and question == 1:
                    tls.write(answer("somebody else's"))
                peer.sendall(outgoing.read())

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join(5)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    servers = []

    def make(*, extra, trusted):
        certificate = self_signed(tmp_path)
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
        openssl_context.cache_clear()  # the process reads the certificates that it trusts once
        servers.append(TLSServer(certificate, extra=extra))
        return servers[-1]

    yield make
    openssl_context.cache_clear()
    for server in servers:
        server.close()


def config(server):
    return XWMSConfig(
        client_id="id",
        client_secret="a-secret",
        redirect_uris="https://app.example/cb",
        api_url=server.url,
        timeout=5,
    )


@pytest.mark.parametrize("client", [XWMSClient, AsyncXWMSClient])
def test_a_connection_is_used_again_when_it_held_one_answer(serve, client):
    server = serve(extra=False, trusted=True)
    names = [info.name for info in outcomes(client, config(server), *[lambda c: c.info()] * 3)]
    assert names == ["1.1", "1.2", "1.3"]


@pytest.mark.parametrize("client", [XWMSClient, AsyncXWMSClient])
def test_an_answer_too_many_in_a_tls_record_of_its_own_ends_the_connection(serve, client):
    """UT-17: async TLS keeps whole records in memory, where nobody looking at the socket sees them."""
    server = serve(extra=True, trusted=True)
    names = [info.name for info in outcomes(client, config(server), *[lambda c: c.info()] * 3)]
    assert names == ["1.1", "2.1", "3.1"]


@pytest.mark.parametrize("client", [XWMSClient, AsyncXWMSClient])
def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(serve, client):
    """Self-signed."""
    server = serve(extra=False, trusted=False)
    (outcome,) = outcomes(client, config(server), lambda c: c.info())
    assert isinstance(outcome, Unreachable)
    assert outcome.sent is False
