"""`xwms-auth doctor` on broken set-ups: each fault is named, with its remedy."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from tests.tools.doctor import SESSION_SECRET, doctor, of, served
from xwms_auth import XWMSConfig
from xwms_auth.cli.commands import xwms_auth
from xwms_auth.cli.doctor.findings import difference
from xwms_auth.flask import XWMSAuth
from xwms_auth.sandbox import SandboxServer, SandboxSettings


@pytest.fixture(scope="module")
def changes() -> list[Callable[[list[tuple[str, str]]], list[tuple[str, str]]]]:
    """What stands between the site and browsers does to the headers of answers, for one test."""
    return []


@pytest.fixture(scope="module")
def site(changes) -> Iterator[tuple[dict[str, str], Flask]]:
    """A site with a login, beside a local XWMS: its settings as variables, and the application."""
    app = Flask("site")

    def proxy(environ: Any, start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            for change in changes:
                headers = change(headers)
            return start_response(status, headers, *([exc_info] if exc_info else []))

        return app.wsgi_app(environ, start)

    with served(proxy) as port:
        uri = f"http://localhost:{port}/xwms/validateToken"
        settings = SandboxSettings(redirect_uris=(uri,))
        with SandboxServer(settings, port=0) as xwms:
            variables = {
                "XWMS_CLIENT_ID": settings.client_id,
                "XWMS_CLIENT_SECRET": settings.client_secret,
                "XWMS_DOMAIN": "localhost",
                "XWMS_REDIRECT_URI": uri,
                "XWMS_API_URI": f"{xwms.url}/api/",
                "XWMS_SESSION_SECRET": SESSION_SECRET,
            }
            XWMSAuth(app, XWMSConfig.from_env(variables))
            yield variables, app


def test_a_site_that_works_has_no_fault(site):
    variables, _ = site
    origin = variables["XWMS_REDIRECT_URI"].removesuffix("/xwms/validateToken")
    status, findings = doctor(variables, "--live", origin)
    assert (status, of(findings, "fault")) == (0, {})
    subjects = {"settings", "store", "network", "clock", "redirect URI", "site", "callback", "login", "cookies"}
    assert subjects <= of(findings, "ok").keys()
    # For people: a line each, and the last says how it is.
    result = CliRunner().invoke(xwms_auth, ["doctor"], env=variables)
    assert result.output.endswith("A login works, as far as this can tell.\n")
    assert variables["XWMS_CLIENT_SECRET"] not in result.output


@pytest.mark.parametrize("setting", ["XWMS_SESSION_STORE", "XWMS_REVOCATION_STORE"])
def test_a_file_for_sessions_is_left_to_the_application_to_make(site, tmp_path, monkeypatch, setting):
    """Made by root, who looks, it would be root's."""
    file = tmp_path / "sessions.sqlite3"
    variables = site[0] | {setting: f"sqlite:///{file}"}
    for may_write, state, text in (
        (True, "ok", "this user may make it"),
        (False, "fault", "this user may not make it"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda *_, may_write=may_write, **__: may_write)  # root may do anything
            found = of(doctor(variables)[1], state)["store"]["text"]
        assert found.startswith(str(file))
        assert found.endswith(text)
        assert not file.exists()
    file.touch()
    assert of(doctor(variables)[1], "ok")["store"]["text"].endswith("can be read and written")


@pytest.mark.more_packages
@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({}, "ok"),
        ({"XWMS_CLIENT_ID": "nobody"}, "fault"),
        ({"XWMS_REDIRECT_URI": "http://localhost:{port}/cb"}, "fault"),
    ],
    ids=["known", "unknown client", "redirect URI that is not registered"],
)
def test_with_oauth2_the_server_is_asked_what_it_says_to_a_login(site, other, state):
    app = Flask("oauth2")
    with served(app) as port:
        uri = f"http://localhost:{port}/xwms/validateToken"
        settings = SandboxSettings(redirect_uris=(uri,))
        with SandboxServer(settings, port=0) as xwms:
            variables = site[0] | {
                "XWMS_FLOW": "oauth2",
                "XWMS_ISSUER": xwms.url,
                "XWMS_API_URI": xwms.api_url,
                "XWMS_CLIENT_ID": settings.client_id,
                "XWMS_CLIENT_SECRET": settings.client_secret,
                "XWMS_REDIRECT_URI": uri,
            }
            variables |= {name: value.format(port=port) for name, value in other.items()}
            XWMSAuth(app, XWMSConfig.from_env(variables))
            status, findings = doctor(variables, "--live", f"http://localhost:{port}")
    assert status == (state == "fault")
    assert of(findings, state)["sign-in"]


def test_what_is_missing_is_said_once_and_nothing_is_made_up_of_it(site):
    variables = site[0] | {"XWMS_CLIENT_ID": None, "XWMS_ALLOW_MISSING_SETTINGS": "1"}
    status, findings = doctor(variables)
    assert (status, len([found for found in findings if found["state"] == "fault"])) == (1, 1)
    assert "XWMS_CLIENT_ID" in of(findings, "fault")["settings"]["text"]


BROKEN = {
    "a misspelt name": ({"XWMS_SCOPE": "userinfo"}, "names", "XWMS_SCOPES"),
    "no secret": ({"XWMS_CLIENT_SECRET": None}, "settings", "XWMS_CLIENT_SECRET"),
    "a short session secret": ({"XWMS_SESSION_SECRET": "short"}, "settings", "XWMS_SESSION_SECRET"),
    "a redirect URI with a query": ({"XWMS_REDIRECT_URI": "http://localhost/cb?a=b"}, "settings", "XWMS_REDIRECT_URI"),
    "plain http": ({"XWMS_REDIRECT_URI": "http://desk.example.com/cb"}, "settings", "XWMS_REDIRECT_URI"),
    "an unknown flow": ({"XWMS_FLOW": "saml"}, "settings", "XWMS_FLOW"),
    "a secret of another client": (
        {"XWMS_CLIENT_SECRET": "another-secret-altogether"},
        "credentials",
        "XWMS_CLIENT_SECRET",
    ),
    "another client id": ({"XWMS_CLIENT_ID": "nobody"}, "credentials", "nobody"),
    "another domain": ({"XWMS_DOMAIN": "elsewhere.example"}, "credentials", "elsewhere.example"),
    "a redirect URI that is not registered": (
        {"XWMS_REDIRECT_URI": "http://localhost:1/xwms/validateToken"},
        "redirect URI",
        "add exactly http://localhost:1/xwms/validateToken",
    ),
    "an XWMS that is not there": ({"XWMS_API_URI": "http://127.0.0.1:9/api/"}, "network", "xwms-auth sandbox"),
    "the local XWMS on a public site": (
        {"XWMS_REDIRECT_URI": "https://desk.example.com/xwms/validateToken"},
        "api",
        "unset XWMS_API_URI",
    ),
    "workers that share nothing": (
        {"XWMS_SESSION_STORE": "memory://", "WEB_CONCURRENCY": "4"},
        "workers",
        "XWMS_SESSION_STORE",
    ),
    "workers of gunicorn": (
        {"XWMS_SESSION_STORE": "memory://", "GUNICORN_CMD_ARGS": "--bind 0.0.0.0 --workers=3"},
        "workers",
        "XWMS_SESSION_STORE",
    ),
    "a store that is down": ({"XWMS_SESSION_STORE": "redis://127.0.0.1:9/0"}, "store", "is it running"),
    "a database that is down, with a driver for async code only": (
        {"XWMS_SESSION_STORE": "postgresql+asyncpg://desk@127.0.0.1:9/desk"},
        "store",
        "is it running",
    ),
    "a store in a folder that is not there": (
        {"XWMS_SESSION_STORE": "sqlite:////nowhere/at/all.db"},
        "settings",
        "XWMS_SESSION_STORE",
    ),
    "an issuer without a discovery document": (
        {"XWMS_FLOW": "oauth2", "XWMS_ISSUER": "http://127.0.0.1:9"},
        "network",
        "check the address",
    ),
}


NEEDS_AUTHLIB = {"an issuer without a discovery document"}
CASES = [
    pytest.param(*case, id=name, marks=[pytest.mark.more_packages] if name in NEEDS_AUTHLIB else [])
    for name, case in BROKEN.items()
]


@pytest.mark.parametrize(("variables", "subject", "remedy"), CASES)
def test_a_wrong_setting_is_named_with_its_remedy(site, variables, subject, remedy):
    status, findings = doctor(site[0] | variables)
    assert status == 1
    found = of(findings, "fault")[subject]
    assert found["remedy"]
    assert remedy in found["text"] + found["remedy"]


def test_the_answer_of_xwms_is_told_with_the_fault_and_each_remedy_has_a_line_of_its_own(site):
    _, findings = doctor(site[0] | {"XWMS_CLIENT_SECRET": "another-secret-altogether"})
    found = of(findings, "fault")["credentials"]
    assert "the client secret is wrong" in found["text"]
    assert "Cause:" not in found["remedy"]
    assert all(line.endswith((".", "/dashboard")) for line in found["remedy"].split("\n"))


def test_a_misspelt_name_is_told_once(site):
    _, findings = doctor(site[0] | {"XWMS_SCOPE": "userinfo"})
    assert [found["subject"] for found in findings if "XWMS_SCOPE" in found["text"]] == ["names"]


RISKY = {
    "sessions in memory": ({"XWMS_SESSION_STORE": "memory://"}, "store"),
    "error pages for developers": ({"XWMS_DEBUG": "1"}, "debug"),
}


@pytest.mark.parametrize(("variables", "subject"), RISKY.values(), ids=RISKY.keys())
def test_what_is_legal_and_a_mistake_in_production_is_a_warning(site, variables, subject):
    public = {"XWMS_REDIRECT_URI": "https://desk.example.com/xwms/validateToken", "XWMS_DOMAIN": "desk.example.com"}
    _, findings = doctor(site[0] | public | variables)
    assert of(findings, "warning")[subject]["remedy"]


def _renamed(name: str, value: str | None) -> Callable[[list[tuple[str, str]]], list[tuple[str, str]]]:
    """A header of this name has this value, or is gone."""
    return lambda headers: [
        (key, value if key.lower() == name.lower() else text)
        for key, text in headers
        if value is not None or key.lower() != name.lower()
    ]  # type: ignore[return-value, misc]


def _in_cookies(old: str, new: str) -> Callable[[list[tuple[str, str]]], list[tuple[str, str]]]:
    return lambda headers: [
        (key, text.replace(old, new) if key.lower() == "set-cookie" else text) for key, text in headers
    ]


ON_THE_WAY = {
    "cookies are taken away": (_renamed("Set-Cookie", None), "cookies", "takes cookies away"),
    "HttpOnly is taken away": (_in_cookies("; HttpOnly", ""), "cookies", "httponly"),
    "the path is changed": (_in_cookies("Path=/", "Path=/desk"), "cookies", "path"),
    "SameSite is changed": (_in_cookies("SameSite=Lax", "SameSite=None"), "cookies", "samesite"),
    "Cache-Control is changed": (_renamed("Cache-Control", "public, max-age=60"), "caches", "no-store"),
    "a cache answers": (lambda headers: [*headers, ("Age", "12")], "caches", "Age: 12"),
}


@pytest.mark.parametrize(("change", "subject", "told"), ON_THE_WAY.values(), ids=ON_THE_WAY.keys())
def test_what_a_proxy_changes_is_seen(site, changes, change, subject, told):
    changes.append(change)
    try:
        status, findings = doctor(site[0], "--live", site[0]["XWMS_REDIRECT_URI"].removesuffix("/xwms/validateToken"))
    finally:
        changes.clear()
    assert status == 1
    found = of(findings, "fault")[subject]
    assert told in found["text"] + found["remedy"]


def test_the_address_of_the_site_is_compared_character_by_character(site):
    variables, _ = site
    origin = variables["XWMS_REDIRECT_URI"].removesuffix("/xwms/validateToken")
    status, findings = doctor(variables, "--live", origin.replace("localhost", "127.0.0.1"))
    assert status == 1
    assert origin in of(findings, "fault")["redirect URI"]["text"]
    assert "^ character 8" in of(findings, "fault")["redirect URI"]["text"]
    # A letter that only looks the same, a space, a slash more.
    assert difference("https://a.example/cb", "https://\u0430.example/cb").endswith("^ character 9")
    assert "character 21" in difference("https://a.example/cb", "https://a.example/cb/")


def test_the_address_may_be_typed_as_browsers_accept_it(site):
    origin = site[0]["XWMS_REDIRECT_URI"].removesuffix("/xwms/validateToken")
    status, findings = doctor(site[0], "--live", origin.replace("http://localhost", " HTTP://LocalHost") + "/desk?a#b")
    assert (status, of(findings, "fault")) == (0, {})


def test_attributes_that_do_not_matter_are_no_fault(site, changes):
    changes.append(_in_cookies("SameSite=Lax", "samesite=lax; Partitioned; Priority=High"))
    try:
        status, findings = doctor(site[0], "--live", site[0]["XWMS_REDIRECT_URI"].removesuffix("/xwms/validateToken"))
    finally:
        changes.clear()
    assert (status, of(findings, "fault")) == (0, {})


def test_a_site_that_is_not_there_is_said_so(site):
    status, findings = doctor(site[0], "--live", "http://localhost:9")
    assert status == 1
    assert "cannot be reached" in of(findings, "fault")["site"]["text"]


# --- the application ---

FLASK = """
from flask import Flask
from xwms_auth.flask import XWMSAuth
app = Flask(__name__)
app.secret_key = "Zk3rT9qLw8VbN2xHs7PdYf5MgJ4cRa6E-test"
XWMSAuth(app)
plain = Flask("plain")
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from xwms_auth.starlette import XWMSAuthMiddleware
app = Starlette()
app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])
app.add_middleware(XWMSAuthMiddleware)
hidden = Starlette()
hidden.add_middleware(XWMSAuthMiddleware)

class Mounted:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
hidden.add_middleware(Mounted)
"""


PROXIED = (
    f"{FLASK}\nfrom werkzeug.middleware.proxy_fix import ProxyFix\napp.wsgi_app = ProxyFix(app.wsgi_app, x_for={{}})\n"
)


HTTPS_DESK = "https://desk.example/xwms/validateToken"
ADDRESSES = {"a proxy whose address all visitors have": (FLASK, HTTPS_DESK, "client address", "no ProxyFix with x_for")}


@pytest.mark.parametrize(
    ("program", "uri", "told"),
    [
        *((program, uri, told) for program, uri, _, told in ADDRESSES.values()),
        (PROXIED.format(0), HTTPS_DESK, "no ProxyFix with x_for"),
        (PROXIED.format(1), HTTPS_DESK, "ProxyFix takes it"),
        (FLASK, "http://localhost:5000/xwms/validateToken", ""),
    ],
)
def test_behind_a_proxy_the_addresses_of_visitors_have_to_arrive(site, folder, run, program, uri, told):
    (folder / "desk.py").write_text(program)
    result = run("doctor", "desk:app", "--json", **{**site[0], "XWMS_REDIRECT_URI": uri})
    findings = json.loads(result.stdout)["findings"]
    found = of(findings, "ok" if told.startswith("ProxyFix") else "warning")
    assert ("client address" in found) is bool(told)
    assert told in found.get("client address", {"text": ""})["text"]


APPLICATIONS = {
    "an application without a login": (FLASK, "desk:plain", "fault", "application", "has no XWMSAuth"),
    "an application that is not there": (FLASK, "desk:gone", "fault", "application", "has no 'gone'"),
    "CORS inside of the login": (STARLETTE, "desk:app", "warning", "middlewares", "CORSMiddleware stands inside"),
    "a middleware in front of the callback": (STARLETTE, "desk:hidden", "fault", "callback", "answered 404"),
}
WORKS = {"one that is right": (FLASK, "desk:app", "ok", "callback", "the application serves")}


@pytest.mark.parametrize(
    ("program", "target", "state", "subject", "told"),
    (APPLICATIONS | WORKS).values(),
    ids=(APPLICATIONS | WORKS).keys(),
)
def test_the_application_is_looked_at_too(site, folder, run, program, target, state, subject, told):
    (folder / "desk.py").write_text(program)
    result = run("doctor", target, "--json", **site[0])
    findings = json.loads(result.stdout)["findings"]
    assert told in of(findings, state)[subject]["text"]
    assert result.returncode == (1 if state == "fault" else 0)
