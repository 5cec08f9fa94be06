"""FX, a fake XWMS for attacks: it records every request as it came and misbehaves on demand.

It knows the XWMS API from outside only (raw sockets and JSON) and must not import the package under test, so that no
mistake is shared by both. It checks no credentials. Every wait ends when the client leaves or FX is closed.
"""

import asyncio
import inspect
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from itertools import repeat
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from tests.tools.faults import FAULTS, Behaviour, Exchange, Reply, Request, envelope, refusal

PATIENCE = 20.0  # seconds a test waits for something that should come at once
REJECTED = "The token is invalid, expired or already used."
CLIENT_ID = "fx-client"
CANARY = "canary+secret/0123456789=ABCDEF"  # the client secret; visible ASCII that looks different in every encoding
REDIRECT_URI = "http://localhost:5000/xwms/validateToken"


# --- the server ------------------------------------------------------------------------------------------------------


class Listener:
    """Listens on a free loopback port, one thread a connection; `close` ends them all. `tls` makes it an https one."""

    def __init__(self, serve: Callable[[socket.socket, int], None], *, tls: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._tls = tls
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._closed = False
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:  # close() woke us
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._closed:
                    peer.close()
                    return
                self.connections += 1
                thread = threading.Thread(target=self._run, args=(peer, self.connections), daemon=True)
                self._open[thread] = peer
                thread.start()

    def _run(self, peer: socket.socket, number: int) -> None:
        with suppress(OSError):  # the client left: its right
            if self._tls is not None:
                peer = self._tls.wrap_socket(peer, server_side=True)
                with self._lock:
                    self._open[threading.current_thread()] = peer
            with peer:
                self._serve(peer, number)
        peer.close()
        with self._lock:
            self._open.pop(threading.current_thread(), None)

    def drop_connections(self) -> None:
        """Every open connection ends now, as when a server restarts; returns when their threads are done."""
        with self._lock:
            ending = dict(self._open)
        for thread, peer in ending.items():
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)
        self._socket.close()
        self.drop_connections()


class FakeXWMS:
    """A context manager; `api_url` is for the config, `url` is where people sign in, `sink` must never be reached."""

    def __init__(self, *, callback_token: Literal["same", "fresh"] = "same", tls: ssl.SSLContext | None = None) -> None:
        self.callback_token = callback_token
        self._tls = tls
        self.closing = threading.Event()
        self._news = threading.Condition()
        self._requests: list[Request] = []
        self._in_flight = 0
        self._most_in_flight = 0
        self._behaviours: dict[str, list[Behaviour]] = {}
        self._lasting: dict[str, Behaviour] = {}
        self._gates: dict[str, threading.Event] = {}
        self._issued: set[str] = set()
        self._redeemable: dict[str, dict[str, object]] = {}

    def __enter__(self) -> Self:
        self._listener = Listener(self._serve, tls=self._tls)
        self.sink = Listener(lambda peer, _: None)
        self.host = self._listener.host
        # A certificate for localhost is easier to have.
        port = self.host.rpartition(":")[2]
        self.url = f"http://{self.host}" if self._tls is None else f"https://localhost:{port}"
        self.api_url = f"{self.url}/api/"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.closing.set()
        for gate in list(self._gates.values()):
            gate.set()
        self._listener.close()
        self.sink.close()

    # what a test programs

    def options(self, **changes: object) -> dict[str, Any]:
        """Keyword options for a config of a client of this XWMS."""
        usual = {"client_id": CLIENT_ID, "client_secret": CANARY, "redirect_uris": (REDIRECT_URI,)}
        return {**usual, "api_url": self.api_url, "session_secret": "K3y-for-tests-0123456789-abcdefghij", **changes}

    def answer(self, call: str, *behaviours: Behaviour | Reply | str, lasting: bool = True) -> None:
        """Set how `call` ("sign-token", "sign-token-verify", "info", or a path) is answered.

        By a behaviour, a whole reply, or the name of a fault; several are used in turn. The last one stays unless
        `lasting=False`. None at all: as usual again.
        """
        chosen = [_behaviour(one) for one in behaviours]
        with self._news:
            self._lasting.pop(call, None)
            if chosen and lasting:
                self._lasting[call] = chosen.pop()
            self._behaviours[call] = chosen

    @contextmanager
    def hold(self, call: str) -> Iterator[threading.Event]:
        """Answers to `call` wait until the event is set or the block ends."""
        gate = threading.Event()
        self._gates[call] = gate
        try:
            yield gate
        finally:
            gate.set()
            self._gates.pop(call, None)

    def drop_connections(self) -> None:
        self._listener.drop_connections()

    def approve(self, token: str | None = None, *, sub: object = "xwms-user-1234", **claims: object) -> str:
        """The person signs in at XWMS; gives the token that comes back in the callback.

        Without `token` a login is begun as well.
        """
        with self._news:
            if token is None:
                self._issued.add(token := secrets.token_urlsafe(32))
            assert token in self._issued, "sign-token never gave this token"
            returned = token if self.callback_token == "same" else secrets.token_urlsafe(32)
            self._redeemable[returned] = {**person(sub), **claims}
        return returned

    # what a test reads

    @property
    def sink_host(self) -> str:
        return self.sink.host

    @property
    def requests(self) -> list[Request]:
        with self._news:
            return list(self._requests)

    def to(self, call: str) -> list[Request]:
        return [request for request in self.requests if request.call == call]

    def calls(self, call: str) -> int:
        return len(self.to(call))

    @property
    def connections(self) -> int:
        return self._listener.connections

    @property
    def max_in_flight(self) -> int:
        return self._most_in_flight

    def wait_for_calls(self, call: str, count: int = 1) -> None:
        """Until that many requests to `call` have arrived (answered or not)."""
        with self._news:
            arrived = self._news.wait_for(lambda: sum(r.call == call for r in self._requests) >= count, PATIENCE)
        assert arrived, f"{call}: {count} requests did not arrive"

    # how it answers

    def usual(self, at: Exchange) -> Reply:
        """What XWMS itself would say."""
        known = {"info": ("GET", self._info), "sign-token": ("POST", self._sign_token)}
        known["sign-token-verify"] = ("POST", self._verify)
        method, answer = known.get(at.request.call, (at.request.method, None))
        if answer is None:
            return refusal(404, "Not found.")
        return answer(at.request) if method == at.request.method else refusal(405, "Method not allowed.")

    def _info(self, request: Request) -> Reply:
        application = {"name": "FX", "version": "1", "locale": "en", "timezone": "UTC", "description": "A fake XWMS"}
        application["time"] = datetime.now(UTC).isoformat()
        client = {"ip": "127.0.0.1", "user_agent": "".join(request.all("User-Agent"))}
        api = {"documentation": self.url, "endpoints": {"info": f"{self.api_url}info"}}
        return envelope({"application": application, "client": client, "api": api})

    def _sign_token(self, request: Request) -> Reply:
        token = secrets.token_urlsafe(32)
        with self._news:
            self._issued.add(token)
        expires = datetime.now(UTC) + timedelta(minutes=10)
        data = {"client_id": "".join(request.all("X-Client-Id")), "token": token, "email": "before-login@example.org"}
        return envelope({**data, "expires_at": expires.isoformat(), "url": f"{self.url}/sign-in/{token}"})

    def _verify(self, request: Request) -> Reply:
        with self._news:
            claims = self._redeemable.pop(str(request.json["token"]), None)
        return refusal(401, REJECTED) if claims is None else envelope(claims)

    def _behaviour_for(self, call: str) -> Behaviour:
        with self._news:
            waiting = self._behaviours.get(call)
            return waiting.pop(0) if waiting else self._lasting.get(call, self.usual)

    def _serve(self, peer: socket.socket, number: int) -> None:
        with peer.makefile("rb") as stream:
            while (request := _read_request(stream, number)) is not None:
                with self._news:
                    self._requests.append(request)
                    self._in_flight += 1
                    self._most_in_flight = max(self._most_in_flight, self._in_flight)
                    self._news.notify_all()
                try:
                    if gate := self._gates.get(request.call):
                        gate.wait(PATIENCE)
                    reply = self._behaviour_for(request.call)(Exchange(self, request, peer))
                finally:
                    with self._news:
                        self._in_flight -= 1
                if reply is None:
                    return
                peer.sendall(reply.wire())


def person(sub: object) -> dict[str, object]:
    """The claims of somebody ordinary."""
    name = {"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace"}
    mail = {"email": "ada@example.org", "email_verified": True}
    return {"sub": sub, **name, **mail, "picture": "https://xwms.example/ada.png"}


def _behaviour(one: Behaviour | Reply | str) -> Behaviour:
    if isinstance(one, str):
        return FAULTS[one]
    return (lambda at: one) if isinstance(one, Reply) else one


def _read_request(stream: BufferedReader, number: int) -> Request | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(1_000_000)
        if not line:
            return None
        head += line
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = tuple((name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines))
    length = re.search(rb"(?im)^content-length:[ \t]*(\d+)[ \t]*\r?$", head)
    body = stream.read(int(length[1])) if length else b""
    return Request(method, target, headers, body, head, number)


# --- one body for both colours --------------------------------------------------------------------------------------

Question: TypeAlias = Callable[[Any], Any]  # is given the open client; its answer is awaited where it needs to be


async def _answered(question: Question, client: Any) -> Any:
    answer = question(client)
    return await answer if inspect.isawaitable(answer) else answer


def _outcome(question: Question, client: Any) -> Any:
    try:
        return question(client)
    except Exception as error:  # noqa: BLE001  a failure is an outcome here
        return error


def outcomes(client: Callable[..., Any], config: object, *questions: Question) -> list[Any]:
    """Put the questions one after another to one `client(config)`, sync or async; what each gave or raised."""
    if not hasattr(client, "__aenter__"):
        with client(config) as opened:
            return [_outcome(question, opened) for question in questions]

    async def story() -> list[Any]:
        async with client(config) as opened:
            return [
                (await asyncio.gather(_answered(question, opened), return_exceptions=True))[0] for question in questions
            ]

    return asyncio.run(story())


def outcomes_at_once(client: Callable[..., Any], config: object, questions: Sequence[Question]) -> list[Any]:
    """The same at one time: in 20 threads, or in one task each."""
    if not hasattr(client, "__aenter__"):
        with ExitStack() as stack:
            opened = stack.enter_context(client(config))
            threads = stack.enter_context(ThreadPoolExecutor(20))
            return list(threads.map(_outcome, questions, repeat(opened)))

    async def story() -> list[Any]:
        async with client(config) as opened:
            asked = (_answered(question, opened) for question in questions)
            return list(await asyncio.gather(*asked, return_exceptions=True))

    return asyncio.run(story())


def ask(client: Callable[..., Any], config: object, *questions: Question) -> Any:
    """Put the questions one after another; gives the last answer, raises the first error."""
    answers = outcomes(client, config, *questions)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers[-1]
