"""`xwms-auth doctor` where a proxy breaks logins silently, and where there is no login at all."""

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from werkzeug.test import run_wsgi_app

from tests.tools.doctor import SESSION_SECRET, doctor, of, served
from xwms_auth import XWMSConfig
from xwms_auth.cli.commands import xwms_auth
from xwms_auth.flask import XWMSAuth
from xwms_auth.sandbox import SandboxServer, SandboxSettings

VARIABLES: dict[str, str | None] = {
    "XWMS_CLIENT_ID": "client-1",
    "XWMS_CLIENT_SECRET": "secret-of-client-1",
    "XWMS_DOMAIN": "localhost",
    "XWMS_REDIRECT_URI": "http://localhost:9/xwms/validateToken",
    "XWMS_API_URI": "http://127.0.0.1:9/api/",
    "XWMS_SESSION_SECRET": SESSION_SECRET,
}


def _cached(app: Any) -> Any:
    """A cache that keeps all, whatever the headers say."""
    kept: dict[str, Any] = {}

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in kept:
            kept[path] = run_wsgi_app(app, environ, buffered=True)
        body, status, headers = kept[path]
        start_response(status, list(headers))
        return list(body)

    return answer


def _without_query(app: Any) -> Any:
    return lambda environ, start_response: app({**environ, "QUERY_STRING": ""}, start_response)


BETWEEN = {
    "a cache that keeps logins": (_cached, "caches", "same cookie for everybody"),
    "a proxy that drops the query": (_without_query, "callback", "loses its query"),
}


@pytest.mark.parametrize(("between", "subject", "told"), BETWEEN.values(), ids=BETWEEN.keys())
@pytest.mark.parametrize("flow", ["sign-token", pytest.param("oauth2", marks=pytest.mark.more_packages)])
def test_a_proxy_that_breaks_logins_though_each_page_looks_right_is_seen(between, subject, told, flow):
    app = Flask("behind")
    with served(between(lambda *call: app.wsgi_app(*call))) as port:
        uri = f"http://localhost:{port}/xwms/validateToken"
        settings = SandboxSettings(redirect_uris=(uri,))
        with SandboxServer(settings, port=0) as xwms:
            ours = {"XWMS_API_URI": f"{xwms.url}/api/", "XWMS_REDIRECT_URI": uri, "XWMS_FLOW": flow}
            ours |= {"XWMS_CLIENT_ID": settings.client_id, "XWMS_CLIENT_SECRET": settings.client_secret}
            variables = VARIABLES | ours | {"XWMS_ISSUER": xwms.url}
            XWMSAuth(app, XWMSConfig.from_env({name: value or "" for name, value in variables.items()}))
            status, findings = doctor(variables, "--live", f"http://localhost:{port}")
    assert status == 1
    assert told in of(findings, "fault")[subject]["text"]


# --- what is not a site with a login at all ---


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:5000",
        "ftp://a.example",
        "http://[::1",
        "https://a.example:abc",
        "https://" + "a" * 70 + ".example",
    ],
)
def test_an_address_that_is_none_is_a_wrong_argument(address):
    result = CliRunner().invoke(xwms_auth, ["doctor", "--live", address], env=VARIABLES)
    assert result.exit_code == 2
    assert "Invalid value for '--live'" in result.output


def test_a_password_in_the_address_is_refused_and_not_printed():
    result = CliRunner().invoke(xwms_auth, ["doctor", "--live", "https://anna:opensesame@a.example"], env=VARIABLES)
    assert result.exit_code == 2
    assert "opensesame" not in result.output


NOT_OURS: dict[str, tuple[bytes, str]] = {
    "it closes": (b"", "site"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "site"),
    "a code page that is none": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=hex\r\n\r\nzz", "callback"),
    "gzip that is none": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnone", "site"),
    "an endless page": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (3 << 20), "callback"),
    "a date of another age": (b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 0001 00:00:00 +2300\r\n\r\n", "callback"),
    # An older httpx2 reads no such answer at all.
    "a redirect to nowhere": (b"HTTP/1.1 302 Found\r\nLocation: https://[::1\r\n\r\n", "login or site"),
    "a redirect to itself": (b"HTTP/1.1 302 Found\r\nLocation: /xwms/auth\r\n\r\n", "login"),
    "a cookie that is none": (
        b'HTTP/1.1 302 Found\r\nLocation: https://xwms.example/\r\nSet-Cookie: "xwms_login_a;;=\xff\r\n\r\n',
        "cookies",
    ),
    "a header for terminals": (b"HTTP/1.1 200 OK\r\nAge: \x9b31m\r\n\r\n", "callback"),
}


@contextmanager
def answering(content: bytes) -> Iterator[int]:
    """A server that has the same bytes for everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(1 << 16)
                        connection.sendall(content)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(("content", "subject"), NOT_OURS.values(), ids=NOT_OURS.keys())
def test_whatever_a_server_answers_is_a_fault_and_no_traceback(content, subject):
    with answering(content) as port:
        variables = VARIABLES | {"XWMS_REDIRECT_URI": f"http://localhost:{port}/xwms/validateToken"}
        status, findings = doctor(variables, "--live", f"http://localhost:{port}")
        assert status == 1
        faults = of(findings, "fault")
        assert any(faults[one]["remedy"] for one in subject.split(" or ") if one in faults)
        people = CliRunner().invoke(xwms_auth, ["doctor", "--live", f"http://localhost:{port}"], env=variables)
    assert not [character for character in people.output.replace("\n", "") if not character.isprintable()]


FAILING = """
import sys
from starlette.applications import Starlette
from xwms_auth.starlette import XWMSAuthMiddleware
app = Starlette()
app.add_middleware(XWMSAuthMiddleware)
class NeedsLifespan:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        scope["app"].state.database
app.add_middleware(NeedsLifespan)
def raises():
    raise LookupError("there is no database")
def ends():
    sys.exit("no")
"""


@pytest.mark.parametrize(
    ("target", "state", "subject", "told"),
    [
        ("app", "skipped", "callback", "use --live"),
        ("raises", "fault", "application", "LookupError"),
        ("ends", "fault", "application", "SystemExit"),
    ],
)
def test_an_application_that_fails_is_a_finding(folder, run, target, state, subject, told):
    (folder / "failing.py").write_text(FAILING)
    result = run("doctor", f"failing:{target}", "--json", **{name: value or "" for name, value in VARIABLES.items()})
    assert told in of(json.loads(result.stdout)["findings"], state)[subject]["text"]
