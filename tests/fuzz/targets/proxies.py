"""Whose request it is: Host and the headers of proxies, with a trusted proxy in front and without; client addresses."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.corpus.hosts import FORWARDED, HOSTS
from tests.fuzz.house import HOST, House, doors_for
from tests.fuzz.judges import judge, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.fuzz.targets.sockets import HEADER
from tests.tools.clock import Clock
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGIN, asgi_app, flask_app
from xwms_auth import XWMSConfig
from xwms_auth._core.base.memory.fair_limit import UNKNOWN, Source
from xwms_auth._core.http.client_address import source_of
from xwms_auth._core.providers import rate_limits

OTHER_HOST: Final = "shop.example:8443"
OTHER_URI: Final = f"https://{OTHER_HOST}/xwms/validateToken"
PROXY: Final = "203.0.113.7"
_URIS: Final = {HOST: HTTPS_URI, f"{HOST}:443": HTTPS_URI, OTHER_HOST: OTHER_URI}
_KEPT: Final = ("host", "accept-language", "via", "front-end-https", "cf-connecting-ip", "true-client-ip", "client-ip")
"""Headers that a value may have, beside those with a prefix below."""
_OF_PAGES: Final = ("x-requested-with", "x-up-target", "x-turbo-request-id")

PIECES: Final = lines_of("pieces", "proxies")


class _Seen:
    """What the application inside of a proxy's middleware was told."""

    host = ""
    address: object = None


def _behind_werkzeug(config: XWMSConfig, clock: Clock) -> Any:
    app = flask_app(config, clock)
    inner = app.wsgi_app

    def spy(environ: Any, start_response: Any) -> Any:
        _Seen.host, _Seen.address = environ.get("HTTP_HOST", ""), environ.get("REMOTE_ADDR")
        return inner(environ, start_response)

    app.wsgi_app = ProxyFix(spy, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    return app


def _behind_uvicorn(config: XWMSConfig, clock: Clock) -> Any:
    inner = asgi_app(config, clock)

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        _Seen.host, _Seen.address = ", ".join(hosts), (scope["client"] or (None,))[0]
        await inner(scope, receive, send)

    return ProxyHeadersMiddleware(spy, trusted_hosts=[PROXY])


@cache
def _houses() -> tuple[House, House]:
    plain, behind = (flask_app, asgi_app), (_behind_werkzeug, _behind_uvicorn)
    options: dict[str, Any] = {"redirect_uris": (HTTPS_URI, OTHER_URI), "logins_per_address": 0}
    return House(makers=plain, **options), House(makers=behind, **options)


def proxy_headers(data: bytes) -> None:
    """Only Host, which a trusted proxy may change, picks the redirect URI, and only the server tells an address."""
    headers = _headers_of(data)
    if headers is None:
        tally["no request"] += 1
        return
    sent = [*FROM_HERE.items(), *headers]
    asked_host = ", ".join(value for name, value in headers if name.lower() == "host")
    for app, is_behind in zip(_houses(), (False, True), strict=True):
        for door in doors_for(data):
            app.clock.now += 100
            with _addresses() as addresses:
                answer = app.send(door, LOGIN, headers=sent, host=None, peer=PROXY)
            judge(answer, elsewhere=("http://127.0.0.1:9",))
            host, address = (_Seen.host, _Seen.address) if is_behind else (asked_host, PROXY)
            assert not is_behind or door != "asgi" or host == asked_host, (headers, host)
            uri = _URIS.get(host.lower())
            if uri is None:
                assert (answer.status, answer.code) == (400, "host_not_registered"), (headers, host, answer)
                assert not app.wire.requests, app.wire.requests
                continue
            assert answer.status == 302, (headers, answer)
            assert set(addresses) == {address}, (headers, addresses, address)
            (request,) = app.wire.requests
            assert json.loads(request.partition(b"\r\n\r\n")[2])["redirect_url"] == uri, request
            for cookie in answer.all("set-cookie"):
                assert cookie.startswith("__Host-"), cookie
                assert "; Secure" in cookie, cookie
    tally["started somewhere" if _URIS.get(asked_host.lower()) else "no host of ours"] += 1


@contextmanager
def _addresses() -> Iterator[list[object]]:
    """The addresses that starts are counted for meanwhile."""
    addresses: list[object] = []

    def noting(address: object) -> Source:
        addresses.append(address)
        return source_of(address)

    rate_limits.source_of = noting
    try:
        yield addresses
    finally:
        rate_limits.source_of = source_of


def _headers_of(data: bytes) -> list[tuple[str, str]] | None:
    """The headers of a value that say where a request went and came from; None for what no server hands on."""
    headers: list[tuple[str, str]] = []
    for line in filter(None, data.decode("latin-1").split("\n")):
        found = HEADER.fullmatch(line)
        if found is None:
            return None
        name = found[1].lower()
        if name in _KEPT or (name.startswith(("x-", "forwarded")) and name not in _OF_PAGES):
            headers.append((found[1], found[2]))
    return headers


# --- addresses, beside the C library -------------------------------------------------------------------------------


def client_address(data: bytes) -> None:
    """What the server tells as an address is one exactly if the C library reads it so, and then the same network."""
    text = data.decode("utf-8", "surrogateescape")
    found, raw = source_of(text), _raw(text)
    if raw is None:
        assert found is UNKNOWN, (text, found)
        tally["none"] += 1
        return
    assert found is not UNKNOWN, text
    if len(raw) == 4:
        name, network = _written(raw, 4).removesuffix("/32"), _written(raw, 3)
    else:
        name, network = _written(raw, 8), _written(raw, 6)
    assert _same(found.name, name), (text, found, name)
    assert _same(found.network, network), (text, found, network)
    assert found.may_be_many == _is_inside(raw), (text, found)
    tally["IPv4" if len(raw) == 4 else "IPv6"] += 1


def _written(raw: bytes, kept: int) -> str:
    """The network that has these first bytes of an address."""
    kind = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return f"{socket.inet_ntop(kind, raw[:kept] + bytes(len(raw) - kept))}/{8 * kept}"


def _same(one: str, other: str) -> bool:
    """Whether two networks are the same, however IPv6 is abbreviated."""
    (first, _, length), (second, _, expected) = one.partition("/"), other.partition("/")
    kind = socket.AF_INET6 if ":" in first else socket.AF_INET
    return length == expected and socket.inet_pton(kind, first) == socket.inet_pton(kind, second)


def _raw(text: str) -> bytes | None:
    """The 4 or 16 bytes of an address, without port and zone, which IPv6 alone has; an IPv4 address in IPv6 is 4."""
    if not 0 < len(text) <= 64:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text, is_scoped, zone = text.partition("%")
    if is_scoped and (not zone or "%" in zone or "/" in zone):
        return None
    for kind in (socket.AF_INET6,) if is_scoped else (socket.AF_INET, socket.AF_INET6):
        try:
            raw = socket.inet_pton(kind, text)
        except (OSError, ValueError):
            continue
        if raw[:12] in (bytes(10) + b"\xff\xff", bytes.fromhex("0064ff9b") + bytes(8)) and len(raw) == 16:
            return raw[12:]
        return raw[2:6] if len(raw) == 16 and raw[:2] == b"\x20\x02" else raw
    return None


def _is_inside(raw: bytes) -> bool:
    """The table of docs/client-addresses.md: an address that may be everybody's."""
    if len(raw) == 4:
        a, b = raw[:2]
        return (
            a in (10, 127)
            or (a == 172 and 16 <= b < 32)
            or (a, b) in ((192, 168), (169, 254))
            or (a == 100 and 64 <= b < 128)
        )
    return raw == bytes(15) + b"\1" or raw[0] & 0xFE == 0xFC or (raw[0] == 0xFE and raw[1] & 0xC0 == 0x80)


@cache
def _header_seeds() -> list[bytes]:
    seeds = [f"Host: {HOST}\n{name}: {value}" for name, value in FORWARDED]
    seeds += [f"Host: {host}" for host in HOSTS if len(host) < 99]
    seeds += [f"Host: {HOST}\nX-Forwarded-Host: {host}" for host in HOSTS if len(host) < 99]
    return [*(seed.encode("latin-1") for seed in seeds), *lines_of("seeds", "proxies")]


TARGETS: Final = (
    Target(run=proxy_headers, seeds=_header_seeds, pieces=PIECES, longest=600, figure=50_000),
    Target(
        run=client_address,
        seeds=lambda: lines_of("seeds", "addresses"),
        pieces=lines_of("pieces", "addresses"),
        longest=80,
        figure=500_000,
    ),
)
