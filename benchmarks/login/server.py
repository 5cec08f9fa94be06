"""A TLS server in a process of its own that stands for XWMS, and a relay that makes it seem far away."""

import asyncio
import contextlib
import datetime
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DELAY = 0.010
"""Seconds that the relay delays each direction."""

TOKEN = "a-token-of-a-benchmark-0123456789"


def make_certificates(folder: Path) -> None:
    """A certificate authority, trusted beside those of the system, and a certificate of it for localhost."""
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)

    def certificate(name: str, issuer: str, key: Any, signer: Any, *extensions: Any) -> bytes:
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (issuer, name)]
        builder = x509.CertificateBuilder(*names, key.public_key(), x509.random_serial_number(), now - day, now + day)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate(
        "Benchmark CA", "Benchmark CA", authority, authority, x509.BasicConstraints(ca=True, path_length=None)
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = certificate("localhost", "Benchmark CA", key, authority, names)
    pem, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, no_password))
    (folder / "leaf.pem").write_bytes(leaf)
    system = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    known = Path(system).read_bytes() if Path(system).is_file() else b""
    (folder / "trusted.pem").write_bytes(known + root)


class Answers(asyncio.Protocol):
    """Answers each POST at once, and knows of HTTP only what the clients need."""

    known: ClassVar[dict[bytes, bytes]] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while True:
            head, separator, rest = self.received.partition(b"\r\n\r\n")
            if not separator:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self.received = rest[length:]
            self.transport.write(self.known[head.split(b" ", 2)[1].rpartition(b"/")[2]])


class Relay(asyncio.Protocol):
    """Passes bytes on, each `DELAY` seconds late."""

    def __init__(self, port: int, other: "Relay | None" = None) -> None:
        self.port, self.other, self.waiting = port, other, []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.other is None:
            self.connecting = asyncio.ensure_future(self.connect())

    async def connect(self) -> None:
        _, peer = await asyncio.get_running_loop().create_connection(lambda: Relay(0, self), "127.0.0.1", self.port)
        self.other = peer
        for data in self.waiting:
            peer.transport.write(data)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(DELAY, self.pass_on, data)

    def pass_on(self, data: bytes) -> None:
        if self.other is None:
            self.waiting.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(DELAY, self.other.transport.close)


async def serve(folder: Path) -> None:
    """Serve until the standard input ends. Prints the two ports."""
    expires = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)).isoformat()
    data = {
        b"sign-token": {"client_id": "client", "token": TOKEN, "expires_at": expires, "url": "https://localhost/s"},
        b"sign-token-verify": {"sub": "xwms-user-1234", "name": "Ada Lovelace", "email": "ada@example.org"},
    }
    for call, members in data.items():
        body = json.dumps({"status": "success", "message": "ok", "data": members}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        Answers.known[call] = head.encode() + body
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem", folder / "key.pem")
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    near = await loop.create_server(Answers, "127.0.0.1", 0, ssl=context, backlog=1024)
    port = near.sockets[0].getsockname()[1]
    far = await loop.create_server(lambda: Relay(port), "127.0.0.1", 0, backlog=1024)
    print(port, far.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[tuple[str, str]]:
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ports = process.stdout.readline().split()
        try:
            yield tuple(f"https://localhost:{port}/api/" for port in ports)
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
