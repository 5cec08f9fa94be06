"""The sandbox on a real socket, spoken to over plain HTTP."""

import gc
import http.client
import json
import re
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.sandbox.local_xwms import REDIRECT, SECRET, settings
from xwms_auth.sandbox import SandboxServer, parse_fault
from xwms_auth.sandbox.app import create_app
from xwms_auth.sandbox.domain import clients

CREDENTIALS = {
    "X-Client-Id": "sandbox-client",
    "X-Client-Secret": SECRET,
    "X-Client-Domain": "localhost",
    "Content-Type": "application/json",
}


@pytest.fixture
def server():
    with SandboxServer(settings(), port=0) as running:
        yield running


def ask(server: SandboxServer, method: str, path: str, body: object = None, headers: dict[str, str] | None = None):
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def call(server: SandboxServer, name: str, **body: object):
    status, _, answer = ask(server, "POST", f"/api/{name}", json.dumps(body), CREDENTIALS)
    return status, json.loads(answer)


def test_a_whole_login_over_http(server, capfd):
    _, begun = call(server, "sign-token", redirect_url=REDIRECT)
    url = begun["data"]["url"]
    assert url.startswith(f"{server.url}/sign-in/")
    path = urlsplit(url).path
    assert ask(server, "GET", path)[0] == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, headers, _ = ask(server, "POST", path, "person=xwms-user-1234", form)
    assert status == 303
    token = headers["Location"].removeprefix(f"{REDIRECT}?token=")
    status, answer = call(server, "sign-token-verify", token=token, redirect_url=REDIRECT)
    assert (status, answer["data"]["sub"]) == (200, "xwms-user-1234")
    assert capfd.readouterr() == ("", "")


def test_the_picture_and_the_stylesheet_are_served(server):
    assert ask(server, "GET", "/static/person.png")[2].startswith(b"\x89PNG")
    assert ask(server, "GET", "/static/sandbox.css")[1]["Content-Type"].startswith("text/css")


def test_a_browser_that_goes_away_leaves_no_file_open():
    client = create_app(settings()).test_client()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        answer = client.get("/static/person.png", headers={"Host": "127.0.0.1"})
        assert answer.status_code == 200
        del answer, client
        gc.collect()
    assert [str(one.message) for one in warned if one.category is ResourceWarning] == []


def test_a_token_is_redeemed_once_however_many_ask_at_once(server):
    _, begun = call(server, "sign-token", redirect_url=REDIRECT)
    path = urlsplit(begun["data"]["url"]).path
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda _: ask(server, "POST", path, "person=1001", form)[0], range(8)))
        verified = list(pool.map(lambda _: call(server, "sign-token-verify", token=path[9:])[0], range(8)))
    assert sorted(chosen) == [303] + [410] * 7
    assert sorted(verified) == [200] + [401] * 7


def test_a_huge_body_gets_its_answer(server):
    status, _, answer = ask(server, "POST", "/api/sign-token", b" " * 1_000_000, CREDENTIALS)
    assert (status, json.loads(answer)["status"]) == (413, "error")


@pytest.mark.parametrize(
    "request_text",
    [
        "POST /api/sign-token HTTP/1.1\r\nHost: localhost\r\n{credentials}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /api/sign-token HTTP/1.1\r\nHost: localhost\r\n{credentials}Content-Length: -1\r\n\r\n",
        "POST /api/sign-token HTTP/1.1\r\nHost: localhost\r\n{credentials}Content-Length: 50\r\n\r\n{{",
        "GET /api/info HTTP/1.0\r\n\r\n",
        "GET /api/info HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /api/info HTTP/1.1\r\nHost: localhost:{digits}\r\n\r\n",
        "GET /sign-in/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "BREW /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_odd_requests_are_the_askers_fault(server, request_text):
    credentials = "".join(f"{name}: {value}\r\n" for name, value in CREDENTIALS.items())
    raw = request_text.format(credentials=credentials, digits="9" * 5000).encode("latin-1")
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        status = int(connection.makefile("rb").readline().split()[1])
    assert 400 <= status < 500


@pytest.mark.parametrize("body", ["Transfer-Encoding: chunked\r\n\r\nzz\r\n", "Content-Length: 50\r\n\r\nperson=1001"])
def test_a_broken_form_signs_nobody_in(server, body):
    _, begun = call(server, "sign-token", redirect_url=REDIRECT)
    path = urlsplit(begun["data"]["url"]).path
    kind = "application/x-www-form-urlencoded"
    raw = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{body}"
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(raw.encode())
        connection.shutdown(socket.SHUT_WR)
        status = int(connection.makefile("rb").readline().split()[1])
    assert 400 <= status < 500
    assert ask(server, "GET", path)[0] == 200


def test_a_rebound_name_is_refused_on_loopback(server):
    assert ask(server, "GET", "/api/info", headers={"Host": "evil.example"})[0] == 421


def test_other_names_are_answered_when_it_listens_to_everybody():
    with SandboxServer(settings(), host="0.0.0.0", port=0) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert ask(server, "GET", "/api/info", headers={"Host": "xwms.lan"})[0] == 200


def test_a_free_port_is_known_once_started():
    server = SandboxServer(settings(), port=0)
    with pytest.raises(RuntimeError, match="port is known"):
        _ = server.url
    with server:
        assert server.api_url == f"{server.url}/api/"
        assert urlsplit(server.url).port


def test_addresses_are_known_before_the_start_when_the_port_is():
    assert SandboxServer(settings()).api_url == "http://127.0.0.1:8800/api/"
    assert SandboxServer(settings(), host="::1").url == "http://[::1]:8800"
    assert SandboxServer(settings(), public_url="https://xwms.test/").url == "https://xwms.test"


def test_a_taken_port_is_an_os_error_and_not_the_end_of_the_process(server):
    with pytest.raises(OSError, match="in use"):
        SandboxServer(settings(), port=urlsplit(server.url).port).start()


def test_it_can_be_stopped_twice_and_started_again():
    server = SandboxServer(settings(), port=0)
    server.start()
    first = server.url
    with pytest.raises(RuntimeError, match="already"):
        server.start()
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="port is known"):
        _ = server.url
    with server:
        assert ask(server, "GET", "/api/info")[0] == 200
    address = urlsplit(first)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=1)


def test_what_is_inside_is_there_while_it_runs():
    server = SandboxServer(settings(), port=0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.inside
        with server:
            assert server.inside.faults.active() == ()
            with server.inside.database.work() as session:
                assert clients.find(session, "sandbox-client") is not None


@pytest.mark.parametrize(("fault", "far_less"), [("drip", 100), ("huge", 100 * 1024 * 1024)])
def test_it_stops_though_an_answer_has_no_end(fault, far_less):
    with SandboxServer(settings(), port=0) as server:
        server.inside.faults.add(parse_fault(f"{fault}:info:1"))
        address = urlsplit(server.url)
        with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=30)) as connection:
            connection.request("GET", "/api/info")
            answer = connection.getresponse()
            server.stop()
            try:
                received = answer.read()
            except http.client.IncompleteRead as cut:
                received = cut.partial
            assert len(received) < far_less


@pytest.mark.parametrize("path", ["/api/sign-token", "/sign-in/{token}", "/dashboard/enter"])
def test_a_sender_that_stops_in_the_middle_keeps_nobody_else_waiting(server, path):
    _, begun = call(server, "sign-token", redirect_url=REDIRECT)
    kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    credentials = CREDENTIALS | {"Content-Type": kind, "Host": "localhost", "Content-Length": "50"}
    head = "".join(f"{name}: {value}\r\n" for name, value in credentials.items())
    target = path.format(token=begun["data"]["token"])
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as slow:
        slow.sendall(f"POST {target} HTTP/1.1\r\n{head}Expect: 100-continue\r\n\r\n".encode())
        assert slow.makefile("rb").readline().startswith(b"HTTP/1.1 100")  # from here on it waits for the body
        for _ in range(20):
            assert call(server, "sign-token", redirect_url=REDIRECT)[0] == 200


def test_two_on_one_machine_keep_clients_faults_and_sign_ins_apart(server):
    other_settings = settings(client_id="other-client", client_secret="other-secret")
    with SandboxServer(other_settings, port=0) as other:
        server.inside.faults.add(parse_fault("503:info"))
        assert [ask(each, "GET", "/api/info")[0] for each in (server, other)] == [503, 200]
        assert call(other, "sign-token", redirect_url=REDIRECT)[0] == 401
        _, begun = call(server, "sign-token", redirect_url=REDIRECT)
        path = urlsplit(begun["data"]["url"]).path
        assert [ask(each, "GET", path)[0] for each in (server, other)] == [200, 404]
    assert ask(server, "GET", path)[0] == 200


def test_two_on_one_machine_keep_their_dashboards_cookies_apart(server):
    # A browser sends a cookie to every port of a host.
    with SandboxServer(settings(), port=0) as other, httpx2.Client(follow_redirects=True) as browser:
        for each in (server, other):
            entrance = browser.get(f"{each.url}/dashboard").text
            token = re.search(r'name="csrf_token" value="([^"]+)"', entrance)
            member = re.search(r'name="member" value="(\d+)"', entrance)
            assert token
            assert member
            form = {"csrf_token": token[1], "member": member[1]}
            assert browser.post(f"{each.url}/dashboard/enter", data=form).status_code == 200
        for each in (server, other):
            answer = browser.get(f"{each.url}/dashboard/clients")
            assert str(answer.url) == f"{each.url}/dashboard/clients"
        assert len({cookie.name for cookie in browser.cookies.jar}) == 2
