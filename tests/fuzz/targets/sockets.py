"""Handshakes of websockets, and a message afterwards: who comes in, and with which code everybody else is closed.

A value is a path, then lines of headers; a line `@ SECONDS` lets that much time pass before the message.
"""

import re
from functools import cache
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.attacks import forge
from tests.corpus.hosts import HOSTS
from tests.fuzz.house import HOST, ORIGIN, START, SUB, House
from tests.fuzz.judges import documented, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.fuzz.targets.cookies import plainly
from tests.tools.clock import Clock
from tests.tools.fake_xwms import CANARY
from tests.tools.site import HTTPS_URI
from xwms_auth import XWMSConfig
from xwms_auth.starlette import XWMSAuthMiddleware, login_required

OTHER_HOST: Final = "shop.example:8443"
TRUSTED: Final = "https://front.example"
IDLE: Final = 86_400
HEADER: Final = re.compile(r"([!#$%&'*+.^`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")

PIECES: Final = (*lines_of("pieces", "sockets"), *lines_of("pieces", "cookies"))

entered: list[str] = []
"""Who came in, as the application sees it."""


def rooms(config: XWMSConfig, clock: Clock) -> Any:
    """An echo behind a guard, and one that is open to anybody."""

    async def talk(socket: WebSocket) -> None:
        entered.append(str(socket.user.sub))
        await socket.accept()
        try:
            await socket.send_text(f"{await socket.receive_text()} {socket.user.sub}")
        except WebSocketDisconnect:
            await socket._send({"type": "websocket.send", "text": "too late"})

    routes = [WebSocketRoute("/guarded", login_required(talk)), WebSocketRoute("/open", talk)]
    return XWMSAuthMiddleware(Starlette(routes=routes), config, clock=clock)


@cache
def _house() -> House:
    uris = (HTTPS_URI, f"https://{OTHER_HOST}/xwms/validateToken")
    return House(redirect_uris=uris, trusted_origins=(TRUSTED,), makers=(rooms, rooms))


@cache
def _session() -> str:
    return _house().session()


def handshake(data: bytes) -> None:
    """In comes exactly a page of this site or a trusted one, to the guarded room with an issued session that lives."""
    app = _house()
    app.clock.now = START
    parsed = _parsed(data)
    if parsed is None:
        tally["no handshake"] += 1
        return
    path, headers, seconds = parsed
    sent, lines = _talk(app, path, headers, seconds)
    shown = f"{sent}{lines}"
    assert _session() not in shown, shown
    assert CANARY not in shown, shown
    assert forge.KEY not in shown, shown
    first, *rest = sent
    refusal = _refusal(path, headers)
    if refusal is not None:
        assert first == {"type": "websocket.close", "code": 1008, "reason": refusal}, (data, first)
        assert (entered, rest) == ([], []), (data, entered, rest)
        assert refusal in documented()
        tally[f"1008 {refusal}"] += 1
        return
    somebody = SUB if _is_somebody(headers) else "None"
    assert entered == [somebody], (data, entered)
    assert first["type"] == "websocket.accept", (data, first)
    if path == "/guarded" and seconds >= IDLE:
        assert rest == [{"type": "websocket.close", "code": 4401, "reason": "login_required"}], (data, rest)
        tally["4401 login_required"] += 1
        return
    assert [message.get("text") for message in rest[:1]] == [f"a {somebody}"], (data, rest)
    tally["in"] += 1


def _parsed(data: bytes) -> tuple[str, list[tuple[bytes, bytes]], int] | None:
    """Path, headers as a server hands them on, and seconds; None for what it does not hand on."""
    app = _house()
    text = data.decode("latin-1").replace("{name}", app.session_cookie).replace("{value}", _session())
    path, *fields = text.split("\n")
    headers: list[tuple[bytes, bytes]] = []
    seconds = 0
    for field in filter(None, fields):
        if re.fullmatch("@ [0-9]{1,6}", field, re.ASCII):
            seconds = int(field[2:])
            continue
        found = HEADER.fullmatch(field)
        if found is None:
            return None
        headers.append((found[1].lower().encode("latin-1"), found[2].encode("latin-1")))
    return (path if path in ("/guarded", "/open") else "/guarded"), headers, seconds


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _origin(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The origin of the redirect URI on the host that was asked."""
    host = ", ".join(_values(headers, b"host")).lower()
    return {HOST: ORIGIN, f"{HOST}:443": ORIGIN, OTHER_HOST: f"https://{OTHER_HOST}"}.get(host)


def _is_somebody(headers: list[tuple[bytes, bytes]]) -> bool:
    cookie = "; ".join(_values(headers, b"cookie"))
    return _origin(headers) is not None and plainly(cookie, _house().session_cookie) == _session()


def _refusal(path: str, headers: list[tuple[bytes, bytes]]) -> str | None:
    """The code of docs/asgi.md with which this handshake is refused, or None."""
    origins, own = _values(headers, b"origin"), _origin(headers)
    if origins and (own is None or len(origins) > 1 or origins[0] not in (own, TRUSTED)):
        return "cross_site"
    return "login_required" if path == "/guarded" and not _is_somebody(headers) else None


def _talk(app: House, path: str, headers: list[tuple[bytes, bytes]], seconds: int) -> tuple[list[dict[str, Any]], str]:
    """What the server is given to send, and what was logged, with one message after these seconds."""
    entered.clear()
    sent: list[dict[str, Any]] = []
    incoming = iter(
        [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "a"}, _GONE, _GONE, _GONE, _GONE]
    )

    async def receive() -> Any:
        message = next(incoming)
        if message["type"] == "websocket.receive":
            app.clock.now += seconds
        return message

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": path,
        "raw_path": None,
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
        "subprotocols": [],
    }
    with app.heard() as lines:
        app.loop.run_until_complete(app.asgi(scope, receive, send))
    return sent, "\n".join(lines)


_GONE: Final = {"type": "websocket.disconnect", "code": 1005, "reason": ""}

# --- seeds -----------------------------------------------------------------------------------------------------------


@cache
def _seeds() -> list[bytes]:
    seeds = list(lines_of("seeds", "sockets"))
    signed_in = f"/guarded\nHost: {HOST}\nCookie: {{name}}={{value}}\n"
    origins = [*(f"https://{host}" for host in HOSTS if len(host) < 99), "null", "", "file://", ORIGIN + "/", TRUSTED]
    seeds += [f"{signed_in}Origin: {origin}".encode("latin-1") for origin in origins]
    hosts = [host for host in HOSTS if len(host) < 99]
    seeds += [f"/guarded\nHost: {host}\nCookie: {{name}}={{value}}".encode("latin-1") for host in hosts]
    return seeds


TARGETS: Final = (Target(run=handshake, seeds=_seeds, pieces=PIECES, longest=1500, figure=100_000),)
