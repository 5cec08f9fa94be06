"""Downloads a picture from a URL that somebody else chose, from public addresses only.

SSRF through a name (DNS rebinding): the name has a public address while it is checked, and a private one when it is
connected to. So each hop resolves its name once, every address of the answer has to be public, and the connection goes
to these very addresses. The certificate and SNI still are those of the name.

SSRF through a redirect: the first URL is harmless and its server answers with a redirect to an internal one. No library
follows redirects here; each is parsed, resolved and checked as the first URL was.

There is no proxy, cookie, `.netrc` or Referer, since httpcore2 has none of them, and no decompression.
"""

import re
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin

import httpcore2

from ..accounts.picture_errors import PictureRefused, PictureUnavailable
from ..http.urls import DEFAULT_PORTS, parse_url
from .public_addresses import is_public
from .sockets import Deadline, connect, picture_resolver, tls_context

T = TypeVar("T")

MAX_PICTURE_URL = 4096
"""Characters of a URL. Storage services sign theirs, which makes them long; servers take no more than 8 KiB."""

_REDIRECTS = (301, 302, 303, 307, 308)
_TIMEOUTS = (httpcore2.TimeoutException, TimeoutError)
_FAULTS = (httpcore2.NetworkError, httpcore2.ProtocolError, OSError)  # including ssl.SSLError

# Nothing is repaired or decoded: an address that two programs may read differently is refused. Without backslashes,
# which some read as slashes, and without user information.
_URL = re.compile(r"((?i:https?))://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?([/?][!-\[\]-~]*)?")


class _TimeLimit:
    """The deadline of a download, from its first lookup to its last byte."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def remaining(self, error: type[Exception]) -> float:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise error
        return seconds

    def wait(self, operation: Callable[[float], T], error: type[Exception]) -> T:
        while True:
            seconds = self.remaining(error)
            with suppress(TimeoutError):
                return operation(seconds)


class Network:
    """The network as a download uses it. Tests replace it, to reach servers of their own.

    The checks are not in here, so that no replacement leaves them out. Addresses are entries of `socket.getaddrinfo`.
    """

    def resolve(self, host: str, port: int, deadline: Deadline) -> Sequence[Any]:
        """All addresses of a host. Raises `httpcore2.ConnectError` or `ConnectTimeout`."""
        return picture_resolver.addresses(host, port, deadline)

    def connect(self, addresses: Sequence[Any], deadline: Deadline) -> socket.socket:
        """A connection to one of these addresses. Raises `httpcore2.ConnectError` or `ConnectTimeout`."""
        return connect(addresses, deadline)

    def tls_context(self) -> ssl.SSLContext:
        """What is trusted."""
        return tls_context()


class _Target(NamedTuple):
    """A URL that may be looked up. `host` is without brackets, `path` is with the query."""

    scheme: str
    host: str
    port: int
    netloc: str
    path: str


class Download:
    """Downloads pictures, each within the limits. Thread-safe.

    `timeout` is in seconds, for a whole download. `allow_http` and `allow_any_port` widen what a URL may be.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        timeout: float,
        max_redirects: int,
        allow_http: bool,
        allow_any_port: bool,
        network: Network,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._max_redirects = max_redirects
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._allow_any_port = allow_any_port
        self._network = network

    def get(self, url: str) -> bytes:
        """The bytes behind a URL. Raises `PictureRefused` or `PictureUnavailable`."""
        deadline = _TimeLimit(self._timeout)
        for _ in range(self._max_redirects + 1):
            target = self._parse(url)
            try:
                found = self._request(target, deadline)
            except _TIMEOUTS as fault:
                cause = f"{target.host}: not complete after {self._timeout:g} seconds"
                raise PictureUnavailable("timeout", cause) from fault
            except _FAULTS as fault:
                raise PictureUnavailable("network", f"{target.host}: {type(fault).__name__}") from fault
            if isinstance(found, bytes):
                return found
            url = found
        raise PictureRefused("redirects", f"more than {self._max_redirects} redirects")

    def _parse(self, url: str) -> _Target:
        plain = url.partition("#")[0]
        parts = _URL.fullmatch(plain)
        if parts is None or len(url) > MAX_PICTURE_URL:
            raise PictureRefused("url", "it is not a plain https URL")
        scheme, host, port, path = parts[1].lower(), parts[2].lower(), parts[3], parts[4] or "/"
        if scheme not in self._schemes:
            raise PictureRefused("url", "it is not https")
        if port == str(DEFAULT_PORTS[scheme]):
            port = None
        try:
            parsed = parse_url(f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}")
        except ValueError as fault:
            raise PictureRefused("url", f"it {fault}") from None
        if parsed.port is not None and not self._allow_any_port:
            raise PictureRefused("url", f"it names the port {parsed.port}")
        if not host.startswith("[") and ("." not in host or host.endswith(".localhost")):
            raise PictureRefused("address", f"{host} is a name of this machine or its network")
        return _Target(
            scheme=scheme,
            host=host.strip("[]"),
            port=parsed.port or DEFAULT_PORTS[scheme],
            netloc=parsed.netloc,
            path=path if path.startswith("/") else f"/{path}",
        )

    def _request(self, target: _Target, deadline: _TimeLimit) -> bytes | str:
        """The body, or the URL of a redirect."""
        addresses = self._network.resolve(target.host, target.port, deadline)
        # Every one of them: with a public and a private one, a server chooses which of the two we get.
        if not all(is_public(str(address[0])) for *_, address in addresses):
            raise PictureRefused("address", f"{target.host} has an address that is not public")
        with closing(self._connect(target, addresses, deadline)) as stream:
            connection = httpcore2.HTTP11Connection(origin=_origin(target), stream=stream)
            with closing(connection.handle_request(_message(target))) as response:
                if response.status in _REDIRECTS:
                    return _location(target, response)
                if response.status != 200:
                    cause = f"{target.host} answered {response.status}"
                    raise PictureUnavailable("status", cause, upstream_status=response.status)
                return self._body(target, response.iter_stream())

    def _body(self, target: _Target, chunks: Iterable[bytes]) -> bytes:
        # Counted, since a Content-Length may be absent or a lie.
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > self._max_bytes:
                raise PictureRefused("too_large", f"{target.host} sends more than {self._max_bytes} bytes")
        return bytes(body)

    def _connect(self, target: _Target, addresses: Sequence[Any], deadline: _TimeLimit) -> "_Stream":
        sock = self._network.connect(addresses, deadline)
        try:
            if target.scheme == "https":
                sock = _secured(sock, self._network.tls_context(), target.host, deadline)
        except BaseException:
            sock.close()
            raise
        return _Stream(sock, deadline)


def _secured(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: _TimeLimit) -> socket.socket:
    # truststore verifies at the end of `wrap_socket`, so where it is used the handshake is done in it as well.
    at_once = sys.platform in ("darwin", "win32")
    sock.settimeout(deadline.remaining(httpcore2.ConnectTimeout))
    tls = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=at_once)

    def shake_hands(seconds: float) -> None:
        tls.settimeout(seconds)
        tls.do_handshake()

    try:
        deadline.wait(shake_hands, httpcore2.ConnectTimeout)
    except BaseException:
        tls.close()
        raise
    return tls


def _origin(target: _Target) -> httpcore2.Origin:
    return httpcore2.Origin(target.scheme.encode(), target.host.encode(), target.port)


def _message(target: _Target) -> httpcore2.Request:
    headers = [
        (b"Host", target.netloc.encode()),
        (b"Accept", b"image/png, image/jpeg, image/webp, image/gif"),
        # A compressed body could be a thousand times as large as what is counted.
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"xwms-auth"),
        (b"Connection", b"close"),
    ]
    url = httpcore2.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )
    return httpcore2.Request("GET", url, headers=headers)


def _location(target: _Target, response: httpcore2.Response) -> str:
    locations = [value for name, value in response.headers if name.lower() == b"location"]
    if len(locations) != 1:
        raise PictureUnavailable("status", f"{target.host} redirects to no address", upstream_status=response.status)
    # `urljoin` leaves out some characters and white space; what it is given must not have any.
    location = locations[0].decode("latin-1")
    if any(not "!" <= char <= "~" for char in location):
        raise PictureRefused("url", f"{target.host} redirects to something that is not a URL")
    try:
        return urljoin(f"{target.scheme}://{target.netloc}{target.path}", location)
    except ValueError:
        raise PictureRefused("url", f"{target.host} redirects to something that is not a URL") from None


class _Stream(httpcore2.NetworkStream):
    """A connection on which every read and write is limited to the time left until the deadline."""

    def __init__(self, sock: socket.socket, deadline: _TimeLimit) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        def receive(seconds: float) -> bytes:
            self._sock.settimeout(seconds)
            return self._sock.recv(max_bytes)

        return self._deadline.wait(receive, httpcore2.ReadTimeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        unsent = memoryview(buffer)

        def send(seconds: float) -> int:
            self._sock.settimeout(seconds)
            return self._sock.send(unsent)

        try:
            while unsent:
                unsent = unsent[self._deadline.wait(send, httpcore2.WriteTimeout) :]
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from None  # a server may have answered before it has read all

    def close(self) -> None:
        self._sock.close()
