"""Faults on demand, as a client sees them over a socket, and as the package's own client names them."""

import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from flask import Flask, Response, abort, jsonify, request
from werkzeug.serving import make_server

from tests.tools.clients import both
from tests.tools.fake_xwms import ask, outcomes
from xwms_auth import User, XWMSConfig
from xwms_auth.sandbox.faults import injection
from xwms_auth.sandbox.faults.catalogue import ENDPOINTS, FAULTS, MAX_HOLD, NOT_PERFORMED, Fault, Faults, parse_fault
from xwms_auth.sandbox.faults.injection import BIG, HandlerWithFaults, install_faults

PATIENCE = 20.0  # seconds to wait for what should come at once
REDIRECT = "http://localhost:5000/xwms/validateToken"
TOKEN = "a-token-0123456789"
EXPIRES = 1_800_000_600  # 2027-01-15T08:10:00Z
SIGN_TOKEN = {
    "client_id": "a-client",
    "token": TOKEN,
    "email": None,
    "expires_at": "2027-01-15T08:10:00+00:00",
    "url": "http://127.0.0.1:8800/sign-in/x",
}
PERSON = {
    "sub": 12345678901234567890,
    "name": "Ada",
    "given_name": "Ada",
    "family_name": None,
    "email": "ada@example.org",
    "email_verified": True,
    "picture": None,
    "birth_date": "1990-12-10",
}


# --- a small API with faults -----------------------------------------------------------------------------------------


class Handler(HandlerWithFaults):
    timeout = PATIENCE

    def log(self, type: str, message: str, *args: object) -> None:
        pass


@dataclass
class Server:
    """An API of a few calls, with one token to spend, on a socket."""

    faults: Faults = field(default_factory=Faults)
    spent: set[str] = field(default_factory=set)
    performed: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)  # an answer has ended, whole or not
    seen: list[int] = field(default_factory=list)  # statuses that another hook saw
    port: int = 0

    def app(self) -> Flask:
        app = Flask(__name__)

        @app.before_request
        def guard() -> None:
            if request.headers.get("Host") == "evil.example":
                abort(421)

        @app.after_request
        def tell_when_over(response: Response) -> Response:
            response.call_on_close(self.over.set)
            return response

        install_faults(app, self.faults)

        @app.after_request
        def add_header(response: Response) -> Response:
            self.seen.append(response.status_code)
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        @app.get("/api/info")
        def info() -> Response:
            return _success({"application": {"time": "2027-01-15T08:00:00.250Z", "version": "1.10"}})

        @app.get("/api/global/projects")
        def projects() -> Response:
            return Response("[]", mimetype="application/json")

        @app.post("/api/sign-token")
        def sign_token() -> Response:
            return _success(SIGN_TOKEN)

        @app.post("/api/sign-token-verify")
        def verify() -> Response:
            token = request.get_json()["token"]
            known = token == TOKEN and token not in self.spent
            self.spent.add(token)
            self.performed.set()
            if known:
                return _success(PERSON)
            refused = jsonify(status="error", message="The token is invalid, expired or already used.", data={})
            refused.status_code = 401
            return refused

        @app.post("/api/get/user/info")
        def user_info() -> Response:
            return _success({"user": PERSON})

        @app.get("/dashboard/faults")
        def dashboard() -> str:
            return "<p>the dashboard"

        return app

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def open(self, name: str, **headers: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The beginning of an answer; whoever asks closes the connection."""
        connection = self.connect()
        if name in ("info", "global/projects"):
            connection.request("GET", f"/api/{name}", headers=headers)
        else:
            body = json.dumps({"token": TOKEN, "redirect_url": REDIRECT})
            connection.request("POST", f"/api/{name}", body, {"Content-Type": "application/json", **headers})
        return connection, connection.getresponse()

    def call(self, name: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection, answer = self.open(name, **headers)
        with closing(connection):
            return answer.status, answer.headers, answer.read()

    def verify_raw(self) -> socket.socket:
        """A connection on which the token is being verified, and nothing has been read."""
        self.performed.clear()
        body = json.dumps({"token": TOKEN}).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        head = "POST /api/sign-token-verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return connection

    def config(self, *, timeout: float = PATIENCE) -> XWMSConfig:
        return XWMSConfig(
            client_id="a-client",
            client_secret="an-only-slightly-secret-secret",
            redirect_uris=REDIRECT,
            session_secret="K3y-for-tests-0123456789-abcdefghij",
            api_url=f"http://127.0.0.1:{self.port}/api/",
            timeout=timeout,
        )


def _success(data: object) -> Response:
    return jsonify(status="success", message="OK", data=data)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    running = make_server("127.0.0.1", 0, made.app(), threaded=True, request_handler=Handler)
    made.port = running.port
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.faults.close()
    running.shutdown()
    thread.join(PATIENCE)
    running.server_close()


def first_bytes(answer: http.client.HTTPResponse, count: int) -> bytes:
    return b"".join(answer.read(1) for _ in range(count))


def data_of(body: bytes) -> Any:
    return json.loads(body)["data"]


# --- how faults are written ------------------------------------------------------------------------------------------


WRITTEN = {
    "timeout": Fault(name="timeout"),
    " html ": Fault(name="html"),
    "500:sign-token": Fault(name="500", endpoint="sign-token"),
    "html:sign-token-verify:2": Fault(name="html", endpoint="sign-token-verify", times=2),
    "html:*:2": Fault(name="html", times=2),
    "huge:get/user/info": Fault(name="huge", endpoint="get/user/info"),
    "slow=0.5:info": Fault(name="slow", endpoint="info", seconds=0.5),
    "slow=10": Fault(name="slow", seconds=10),
}


def test_a_fault_is_written_in_one_word():
    for text, fault in WRITTEN.items():
        assert parse_fault(text) == fault, text
        assert parse_fault(str(fault)) == fault, text


def test_every_fault_can_be_written_by_its_name_alone_and_says_what_it_does():
    for name, said in FAULTS.items():
        assert str(parse_fault(name)) == name
        assert said.endswith("."), name


def test_an_unknown_fault_is_told_the_names():
    for text in ("", "hmtl", "slow sign-token", ":sign-token", "HTML", "=3"):
        with pytest.raises(ValueError, match=r"slow, timeout, drip, 500, .*, wrong-clock"):
            pytest.fail(f"{text!r} is {parse_fault(text)!r}")


def test_what_can_never_happen_is_refused_with_a_sentence():
    for text, complaint in (
        ("html:sign-tokn", "The endpoints are info, sign-token, "),
        ("html:", "The endpoints are"),
        ("html:*:0", "at least once"),
        ("html:*:-1", "whole number"),
        ("html:*:", "whole number"),
        ("html:*:²", "whole number"),
        (f"html:*:{'9' * 5000}", "whole number"),
        ("html:*:1:1", "NAME:ENDPOINT:TIMES"),
        ("html=3", "Only slow"),
        ("slow=", "number of seconds"),
        ("slow=soon", "number of seconds"),
        ("slow=0", "more than 0"),
        ("slow=nan", "more than 0"),
        ("slow=inf", "at most 120"),
        ("expired-token:sign-token", "only for sign-token-verify"),
        ("no-sub:info", "only for sign-token-verify, get/user/info"),
        ("disabled-client:info", "no meaning for info"),
    ):
        with pytest.raises(ValueError, match=complaint):
            pytest.fail(f"{text!r} is {parse_fault(text)!r}")


# --- which fault strikes ---------------------------------------------------------------------------------------------


def taken(faults: Faults, *endpoints: str) -> list[str | None]:
    return [fault and fault.name for fault in map(faults.take, endpoints)]


def test_a_fault_strikes_its_endpoint_only():
    faults = Faults()
    faults.add(parse_fault("html:sign-token"))
    assert taken(faults, "info", "sign-token", "sign-token-verify", "sign-token") == [None, "html", None, "html"]


def test_counted_faults_strike_in_their_order_and_before_lasting_ones():
    faults = Faults()
    for text in ("slow", "html:*:2", "500:sign-token:1"):
        faults.add(parse_fault(text))
    assert taken(faults, "sign-token") == ["html"]
    assert [str(fault) for fault in faults.active()] == ["slow", "html:*:1", "500:sign-token:1"]
    assert taken(faults, *["sign-token"] * 4) == ["html", "500", "slow", "slow"]
    assert [str(fault) for fault in faults.active()] == ["slow"]


def test_of_lasting_faults_the_last_strikes_and_the_one_before_when_that_is_cleared():
    faults = Faults()
    for text in ("slow", "html", "slow=9"):
        faults.add(parse_fault(text))
    assert taken(faults, "info") == ["slow"]
    faults.clear("slow")
    assert taken(faults, "info") == ["html"]


def test_adding_a_lasting_fault_again_changes_it():
    faults = Faults()
    for text in ("slow=5", "slow=9", "slow:info"):
        faults.add(parse_fault(text))
    assert [str(fault) for fault in faults.active()] == ["slow=9.0", "slow:info"]


def test_faults_are_cleared_by_name_by_endpoint_by_both_or_all():
    def left(*args: str, **options: str) -> list[str]:
        faults = Faults()
        for text in ("html", "html:info", "500:info:3"):
            faults.add(parse_fault(text))
        faults.clear(*args, **options)
        return [str(fault) for fault in faults.active()]

    assert left("html") == ["500:info:3"]
    assert left(endpoint="info") == ["html"]
    assert left("html", endpoint="info") == ["html", "500:info:3"]
    assert left() == []
    with pytest.raises(ValueError, match="The faults are"):
        left("hmtl")


def test_a_fault_of_clients_does_not_reach_the_open_calls():
    faults = Faults()
    faults.add(parse_fault("disabled-client"))
    struck = [endpoint for endpoint in ENDPOINTS if faults.take(endpoint)]
    open_to_all = {"info", "global/projects", "oauth/jwks"}
    of_people = {"oauth/userinfo"}
    documents = {endpoint for endpoint in ENDPOINTS if endpoint.startswith(".well-known/")}
    assert set(ENDPOINTS) - set(struck) == open_to_all | of_people | documents


def test_a_counted_fault_strikes_as_often_as_it_says_however_many_ask_at_once():
    faults = Faults()
    faults.add(parse_fault("html:*:50"))
    with ThreadPoolExecutor(8) as threads:
        struck = list(threads.map(faults.take, ["info"] * 400))
    assert sum(fault is not None for fault in struck) == 50
    assert faults.active() == ()


# --- what a client sees ----------------------------------------------------------------------------------------------


def test_slow_gives_the_honest_answer_late(server: Server):
    server.faults.add(parse_fault("slow=0.3"))
    began = time.monotonic()
    status, headers, body = server.call("sign-token")
    assert time.monotonic() - began >= 0.3
    assert (status, data_of(body), headers["Content-Length"]) == (200, SIGN_TOKEN, str(len(body)))


def test_a_slow_answer_comes_at_once_when_the_server_stops(server: Server):
    server.faults.add(parse_fault(f"slow={MAX_HOLD}"))
    with server.verify_raw() as connection:
        assert server.performed.wait(PATIENCE)
        server.faults.close()
        assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_timeout_gives_no_byte_until_the_server_stops(server: Server):
    server.faults.add(parse_fault("timeout"))
    with server.verify_raw() as connection:
        assert server.performed.wait(PATIENCE)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE)
        server.faults.close()
        assert connection.recv(1) == b""


def test_timeout_closes_the_connection_in_the_end(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(injection, "MAX_HOLD", 0.1)
    server.faults.add(parse_fault("timeout"))
    with server.verify_raw() as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize("name", ["timeout", "drip", "huge"])
def test_an_endless_answer_ends_when_the_client_leaves(server: Server, name: str):
    server.faults.add(Fault(name=name))
    with server.verify_raw():
        assert server.performed.wait(PATIENCE)
        assert not server.over.is_set()
    assert server.over.wait(PATIENCE)


def test_drip_goes_on_with_blanks_when_the_answer_is_over(server: Server):
    server.faults.add(parse_fault("drip"))
    connection, answer = server.open("global/projects")
    with closing(connection):
        assert first_bytes(answer, 5) == b"[]   "


def test_drip_is_cut_when_the_server_stops(server: Server):
    server.faults.add(parse_fault("drip"))
    connection, answer = server.open("info")
    with closing(connection):
        assert answer.read(1) == b"{"
        server.faults.close()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_drip_ends_some_time(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(injection, "MAX_HOLD", 0.1)
    server.faults.add(parse_fault("drip"))
    connection, answer = server.open("info")
    with closing(connection), pytest.raises(http.client.IncompleteRead):
        first_bytes(answer, 50)


def test_500_is_an_error_in_the_envelope(server: Server):
    server.faults.add(parse_fault("500"))
    status, _, body = server.call("sign-token")
    assert (status, json.loads(body)["status"]) == (500, "error")


def test_503_says_when_to_come_back(server: Server):
    server.faults.add(parse_fault("503"))
    status, headers, _ = server.call("sign-token")
    assert (status, headers["Retry-After"]) == (503, "10")


def test_html_is_a_page_with_status_200_also_where_the_honest_answer_is_a_refusal(server: Server):
    server.spent.add(TOKEN)
    server.faults.add(parse_fault("html"))
    status, headers, body = server.call("sign-token-verify")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("name", ["sign-token", "global/projects"])
def test_truncated_promises_more_than_comes(server: Server, name: str):
    _, _, honest = server.call(name)
    server.faults.add(parse_fault("truncated"))
    with pytest.raises(http.client.IncompleteRead) as caught:
        server.call(name)
    assert caught.value.partial
    assert honest.startswith(caught.value.partial)
    assert honest != caught.value.partial


def test_huge_is_a_well_formed_answer_of_100_mib(server: Server):
    server.faults.add(parse_fault("huge"))
    connection, answer = server.open("sign-token")
    with closing(connection):
        last = answer.read(100)
        length = len(last)
        assert last.startswith(b'{"status": "success", ')
        while chunk := answer.read(1024 * 1024):
            length, last = length + len(chunk), chunk
    assert answer.headers["Content-Length"] == str(BIG) == str(length)
    assert last.endswith(b' "}}')


def test_huge_is_cut_when_the_server_stops(server: Server):
    server.faults.add(parse_fault("huge"))
    connection, answer = server.open("sign-token")
    with closing(connection):
        assert answer.read(1) == b"{"
        server.faults.close()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_a_gzip_bomb_is_small_and_unpacks_to_100_mib(server: Server):
    server.faults.add(parse_fault("gzip-bomb"))
    status, headers, body = server.call("sign-token")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert len(body) < 200_000
    unpacker, length = zlib.decompressobj(wbits=31), 0
    while not unpacker.eof:
        length += len(unpacker.decompress(unpacker.unconsumed_tail or body, 1024 * 1024))
    assert length == BIG


def test_redirect_leads_to_a_name_that_nobody_can_have(server: Server):
    server.faults.add(parse_fault("redirect"))
    status, headers, _ = server.call("sign-token-verify")
    assert (status, headers["Location"]) == (307, "http://redirected.invalid/api/sign-token-verify")


def test_wrong_envelope_is_json_of_another_shape(server: Server):
    server.faults.add(parse_fault("wrong-envelope"))
    status, headers, body = server.call("sign-token")
    assert (status, headers.get_content_type()) == (200, "application/json")
    assert json.loads(body) == {"ok": True, "result": SIGN_TOKEN}


def test_no_sub_takes_the_sub_and_nothing_else(server: Server):
    nameless = {key: value for key, value in PERSON.items() if key != "sub"}
    server.faults.add(parse_fault("no-sub"))
    assert data_of(server.call("sign-token-verify")[2]) == nameless
    assert data_of(server.call("get/user/info")[2]) == {"user": nameless}
    status, _, body = server.call("sign-token-verify")
    assert (status, json.loads(body)["status"]) == (401, "error")


def test_duplicate_keys_are_a_success_to_one_reader_and_an_error_to_another(server: Server):
    server.faults.add(parse_fault("duplicate-keys"))
    _, _, body = server.call("sign-token")
    pairs = json.loads(body, object_pairs_hook=lambda pairs: pairs)
    assert [value for key, value in pairs if key == "status"] == ["success", "error"]


def test_expired_token_and_disabled_client_are_refusals_like_the_honest_ones(server: Server):
    server.faults.add(parse_fault("expired-token:*:1"))
    server.faults.add(parse_fault("disabled-client"))
    assert server.call("info")[0] == 200
    refused = [server.call("sign-token-verify") for _ in range(2)]
    assert [(status, json.loads(body)) for status, _, body in refused] == [
        (401, {"status": "error", "message": "The token is invalid, expired or already used.", "data": {}}),
        (403, {"status": "error", "message": "The client is disabled.", "data": {}}),
    ]
    assert {headers.get_content_type() for _, headers, _ in refused} == {"application/json"}


def test_a_wrong_clock_tells_every_time_an_hour_early_and_changes_nothing_else(server: Server):
    honest = {name: server.call(name)[2] for name in ("info", "sign-token", "sign-token-verify")}
    server.spent.clear()
    server.faults.add(parse_fault("wrong-clock"))
    _, headers, info = server.call("info")
    assert info == honest["info"].replace(b"08:00:00.250Z", b"07:00:00.250Z") != honest["info"]
    assert server.call("sign-token")[2] == honest["sign-token"].replace(b"T08:10:00+00:00", b"T07:10:00+00:00")
    assert server.call("sign-token-verify")[2] == honest["sign-token-verify"]
    (date,) = headers.get_all("Date")
    assert time.time() - parsedate_to_datetime(date).timestamp() == pytest.approx(3600, abs=PATIENCE)


def test_without_a_wrong_clock_the_date_is_right(server: Server):
    (date,) = server.call("info")[1].get_all("Date")
    assert parsedate_to_datetime(date).timestamp() == pytest.approx(time.time(), abs=PATIENCE)


def test_a_fault_before_the_call_spares_the_token_and_one_after_it_does_not(server: Server):
    for name in FAULTS:
        server.spent.clear()
        server.faults.add(Fault(name=name, times=1, seconds=0.05 if name == "slow" else None))
        with server.verify_raw() as connection:
            if name in NOT_PERFORMED:
                connection.recv(1)
            else:
                assert server.performed.wait(PATIENCE), name
        assert server.call("sign-token-verify")[0] == (200 if name in NOT_PERFORMED else 401), name


# --- what is never spoiled -------------------------------------------------------------------------------------------


def test_pages_unknown_paths_and_wrong_methods_are_not_spoiled(server: Server):
    server.faults.add(parse_fault("503:*:1"))
    for path, status in (("/dashboard/faults", 200), ("/api/nothing", 404), ("/api/sign-token", 405)):
        with closing(server.connect()) as connection:
            connection.request("GET", path)
            assert connection.getresponse().status == status, path
        assert [str(fault) for fault in server.faults.active()] == ["503:*:1"], path


def test_whoever_is_turned_away_at_the_door_uses_up_no_fault(server: Server):
    server.faults.add(parse_fault("html:*:1"))
    assert server.call("info", Host="evil.example")[0] == 421
    assert server.call("info")[1].get_content_type() == "text/html"


@pytest.mark.parametrize(("name", "seen"), [("html", 401), ("huge", 401), ("503", 503), ("disabled-client", 403)])
def test_other_hooks_see_the_honest_answer_and_their_headers_stay(server: Server, name: str, seen: int):
    server.spent.add(TOKEN)
    server.faults.add(Fault(name=name))
    connection, answer = server.open("sign-token-verify")
    connection.close()
    assert server.seen == [seen]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_fault_every_answer_is_honest(server: Server):
    assert data_of(server.call("sign-token")[2]) == SIGN_TOKEN
    assert data_of(server.call("sign-token-verify")[2]) == PERSON


# --- what the package's client makes of it ---------------------------------------------------------------------------

CODES = {
    "slow": "xwms_timeout",
    "timeout": "xwms_timeout",
    "drip": "xwms_timeout",
    "500": "xwms_bad_answer",
    "503": "xwms_unreachable",
    "html": "xwms_bad_answer",
    "truncated": "xwms_unreachable",
    "huge": "xwms_bad_answer",
    "gzip-bomb": "xwms_bad_answer",
    "redirect": "xwms_bad_answer",
    "wrong-envelope": "xwms_bad_answer",
    "no-sub": "xwms_bad_answer",
    "duplicate-keys": "xwms_bad_answer",
    "expired-token": "token_rejected",
    "disabled-client": "client_disabled",
    "wrong-clock": None,
}


@both
def test_the_package_gives_each_fault_its_code(server: Server, client: type):
    for name in FAULTS:
        server.spent.clear()
        server.faults.clear()
        server.faults.add(Fault(name=name))
        timeout = 0.5 if CODES[name] == "xwms_timeout" else PATIENCE
        (outcome,) = outcomes(client, server.config(timeout=timeout), lambda c: c.verify_token(TOKEN, REDIRECT))
        assert getattr(outcome, "code", None) == CODES[name], name
        if CODES[name] is None:
            assert isinstance(outcome, User), name


@both
def test_the_package_reads_a_wrong_clock_as_it_is_told(server: Server, client: type):
    server.faults.add(parse_fault("wrong-clock"))
    ticket = ask(client, server.config(), lambda c: c.sign_token(REDIRECT))
    assert ticket.expires_at == EXPIRES - 3600 == datetime.fromisoformat("2027-01-15T07:10:00Z").timestamp()
