"""`xwms-auth doctor` on more broken set-ups than those of test_doctor_command.py and test_doctor_odd_sites.py.

docs/doctor.md lists them all.
"""

import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.browser.servers import self_signed
from tests.cli.test_doctor_odd_sites import VARIABLES, answering
from tests.tools.doctor import Found, doctor, of, served
from tests.tools.fake_xwms import FakeXWMS
from xwms_auth import XWMSConfig
from xwms_auth.cli.doctor import settings
from xwms_auth.flask import XWMSAuth
from xwms_auth.sandbox import SandboxServer, SandboxSettings

Variables = dict[str, str | None]
PUBLIC = {"XWMS_REDIRECT_URI": "https://desk.example.com/xwms/validateToken", "XWMS_API_URI": None}
LATE = b"HTTP/1.1 200 OK\r\nDate: Mon, 05 Jan 2026 08:00:00 GMT\r\nContent-Length: 0\r\n\r\n"


# --- settings, the machine, and XWMS ---


def a_secret_file_for_everybody(folder: Path, _: pytest.MonkeyPatch) -> Iterator[Variables]:
    file = folder / "client-secret"
    file.write_text("secret-of-client-1")
    file.chmod(0o644)
    yield {"XWMS_CLIENT_SECRET": None, "XWMS_CLIENT_SECRET_FILE": str(file)}


def packages_with_known_faults(_: Path, patch: pytest.MonkeyPatch) -> Iterator[Variables]:
    patch.setattr(settings, "KNOWN_FAULTS", {"flask": (99, 0, 0)})
    yield {}


def a_certificate_that_nobody_trusts(folder: Path, _: pytest.MonkeyPatch) -> Iterator[Variables]:
    certificate = self_signed(folder, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with FakeXWMS(tls=context) as fx:
        yield {"XWMS_API_URI": fx.api_url.replace("127.0.0.1", "localhost")}


def a_clock_that_is_wrong(_: Path, __: pytest.MonkeyPatch) -> Iterator[Variables]:
    with answering(LATE) as port:
        yield {"XWMS_API_URI": f"http://127.0.0.1:{port}/api/"}


def a_client_that_is_disabled(_: Path, __: pytest.MonkeyPatch) -> Iterator[Variables]:
    known = SandboxSettings(redirect_uris=(VARIABLES["XWMS_REDIRECT_URI"] or "",), faults=("disabled-client",))
    with SandboxServer(known, port=0) as xwms:
        ours = {"XWMS_CLIENT_ID": known.client_id, "XWMS_CLIENT_SECRET": known.client_secret}
        yield {"XWMS_API_URI": xwms.api_url, **ours}


def fixed(**variables: str | None) -> Callable[[Path, pytest.MonkeyPatch], Iterator[Variables]]:
    return lambda _, __: iter([variables])


AROUND: dict[str, tuple[Callable[..., Iterator[Variables]], str, str, str]] = {
    "a secret file that everybody can read": (a_secret_file_for_everybody, "warning", "secret files", "chmod 600"),
    "packages with known faults": (packages_with_known_faults, "warning", "versions", "pip install --upgrade flask"),
    "a certificate that nobody trusts": (a_certificate_that_nobody_trusts, "fault", "network", "certificate"),
    "a clock that is wrong": (a_clock_that_is_wrong, "fault", "clock", "synchronise it"),
    "a client that is disabled": (a_client_that_is_disabled, "fault", "redirect URI", "client_disabled"),
    "a domain of another site": (fixed(**PUBLIC, XWMS_DOMAIN="elsewhere.example"), "warning", "domain", "XWMS_DOMAIN"),
    "a domain with its scheme": (fixed(XWMS_DOMAIN="https://localhost"), "fault", "settings", "XWMS_DOMAIN"),
    "plain http for a host that is not this machine": (
        fixed(XWMS_REDIRECT_URI="http://desk.internal/xwms/validateToken", XWMS_INSECURE_ALLOW_HTTP="1"),
        "warning",
        "https",
        "serve the site with https",
    ),
}


@pytest.mark.parametrize(("make", "state", "subject", "told"), AROUND.values(), ids=AROUND.keys())
def test_what_is_wrong_around_the_login_is_named_with_its_remedy(make, state, subject, told, tmp_path, monkeypatch):
    going_on = make(tmp_path, monkeypatch)
    try:
        status, findings = doctor(VARIABLES | next(going_on))
    finally:
        list(going_on)
    assert status == 1  # nothing answers at the port of VARIABLES
    require(findings, state, subject, told)


def require(findings: list[Found], state: str, subject: str, told: str) -> None:
    found = of(findings, state)[subject]
    assert found["remedy"]
    assert told in found["text"] + found["remedy"]


# --- what stands between browsers and the application ---


@contextmanager
def site_behind(between: Callable[[Any], Any], *, more: tuple[str, ...] = ()) -> Iterator[tuple[Variables, str]]:
    """A site with a login behind this, and its origin."""
    app = Flask("behind")
    with served(between(lambda *call: app.wsgi_app(*call))) as port:
        origin = f"http://localhost:{port}"
        uris = (f"{origin}/xwms/validateToken", *more)
        known = SandboxSettings(redirect_uris=uris)
        with SandboxServer(known, port=0) as xwms:
            ours = {"XWMS_CLIENT_ID": known.client_id, "XWMS_CLIENT_SECRET": known.client_secret}
            ours |= {"XWMS_API_URI": xwms.api_url, "XWMS_REDIRECT_URI": " ".join(uris)}
            variables = VARIABLES | ours
            XWMSAuth(app, XWMSConfig.from_env({name: value or "" for name, value in variables.items()}))
            yield variables, origin


def with_environ(**changes: str) -> Callable[[Any], Any]:
    return lambda app: lambda environ, start_response: app({**environ, **changes}, start_response)


def leading_to(place: str) -> Callable[[Any], Any]:
    """A proxy that rewrites where redirects lead."""

    def between(app: Any) -> Any:
        def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
            def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
                return start_response(status, [(n, place if n == "Location" else v) for n, v in headers], exc_info)

            return app(environ, start)

        return answer

    return between


def without(path: str) -> Callable[[Any], Any]:
    """A proxy that does not pass this on."""

    def between(app: Any) -> Any:
        def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
            if environ["PATH_INFO"].startswith(path):
                start_response("404 Not Found", [])
                return []
            return app(environ, start_response)

        return answer

    return between


BEHIND: dict[str, tuple[Callable[[Any], Any], str, str, str]] = {
    "a proxy that sends another Host": (with_environ(HTTP_HOST="backend:8000"), "fault", "host", "proxy_set_header"),
    "a proxy that rewrites Location": (leading_to("/somewhere"), "fault", "login", "proxy_redirect off"),
    "a proxy that changes Sec-Fetch-Site": (
        with_environ(HTTP_SEC_FETCH_SITE="cross-site"),
        "warning",
        "login",
        "pass on the Sec-Fetch headers",
    ),
    "a proxy that does not pass on /xwms/": (without("/xwms/"), "fault", "site", "pass this path on"),
    "a proxy that does not pass on the callback": (
        without("/xwms/validateToken"),
        "fault",
        "callback",
        "must reach the application unchanged",
    ),
}


@pytest.mark.parametrize(("between", "state", "subject", "told"), BEHIND.values(), ids=BEHIND.keys())
def test_what_a_proxy_does_to_requests_is_named_with_its_remedy(between, state, subject, told):
    with site_behind(between, more=("http://localhost:1/xwms/validateToken",)) as (variables, origin):
        status, findings = doctor(variables, "--live", origin)
    assert status == (state == "fault")
    require(findings, state, subject, told)


PROXY_FIX = """
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from xwms_auth.flask import XWMSAuth
app = Flask(__name__)
app.secret_key = "Zk3rT9qLw8VbN2xHs7PdYf5MgJ4cRa6E-test"
app.wsgi_app = ProxyFix(app.wsgi_app)
XWMSAuth(app)
"""
IN_CODE = {"ProxyFix inside of the login": (PROXY_FIX, "warning", "middlewares", "ProxyFix(app.wsgi_app, …) after")}


@pytest.mark.parametrize(("program", "state", "subject", "told"), IN_CODE.values(), ids=IN_CODE.keys())
def test_what_is_wrong_in_the_application_is_named_with_its_remedy(folder, run, program, state, subject, told):
    (folder / "fixed.py").write_text(program)
    result = run("doctor", "fixed:app", "--json", **{name: value or "" for name, value in VARIABLES.items()})
    require(json.loads(result.stdout)["findings"], state, subject, told)
