"""`xwms-auth dev`: an app beside a local XWMS, in a process that never outlives the command."""

import os
import re
import select
import signal
import socket
import sys
from pathlib import Path

import httpx2
import pytest

from xwms_auth.cli.environment import cookie_tag_for
from xwms_auth.cli.loading import AppNotFound, interface_of, load_app

ANY_PORTS = ("--port", "0", "--sandbox-port", "0")


def is_gone(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def ended_soon(process_id: int) -> bool:
    """Wait for a process that is nobody's child here; the poll has an end."""
    descriptor = os.pidfd_open(process_id)
    try:
        return bool(select.select([descriptor], [], [], 60)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("target", "callback_token"),
    [("flask_one:app", "same"), ("flask_one:create_app", "fresh"), ("asgi_one:app", "fresh")],
)
def test_check_logs_a_person_in_and_says_who_it_is(run, target, callback_token):
    """And the access log shows the callback without its token."""
    ended = run(
        "dev", target, *ANY_PORTS, "--check", "--auto-login", "xwms-user-1234", "--callback-token", callback_token
    )
    assert ended.stdout == "Signed in: Bram Bakker (sub xwms-user-1234)\n", ended.stderr
    assert ended.returncode == 0
    assert "xwms_auth: login_finished " in ended.stderr
    assert "each_process_by_itself" not in ended.stderr, "there is one"
    assert "/xwms/validateToken" in ended.stderr
    assert "?" not in ended.stderr
    assert "token=" not in ended.stderr


@pytest.mark.parametrize(
    ("target", "flow", "path"),
    [
        ("asgi_one:app", "sign-token", "/sign-in/"),
        pytest.param("flask_one:app", "oauth2", "/oauth/authorize", marks=pytest.mark.more_packages),
    ],
)
def test_one_variable_changes_the_flow(start, target, flow, path):
    """The browser is sent to where codes come from, not tokens; and what is printed names the way."""
    with start("dev", target, *ANY_PORTS, ready="Open", XWMS_FLOW=flow) as dev:
        assert f"(login by {flow};" in dev.lines[-1]
        answer = httpx2.get(f"{dev.address}/xwms/auth", headers={"Sec-Fetch-Site": "none"})
        assert answer.status_code == 302
        assert httpx2.URL(answer.headers["location"]).path.startswith(path)


@pytest.mark.more_packages
@pytest.mark.parametrize("target", ["flask_one:app", "asgi_one:app"])
def test_check_logs_a_person_in_by_oauth_too(run, environ, target):
    environ["XWMS_FLOW"] = "oauth2"
    ended = run("dev", target, *ANY_PORTS, "--check", "--auto-login", "xwms-user-1234")
    assert ended.stdout == "Signed in: Bram Bakker (sub xwms-user-1234)\n", ended.stderr
    assert "code=" not in ended.stderr


def test_check_says_what_went_wrong(run):
    ended = run("dev", "telling:app", *ANY_PORTS, "--check")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "the login stopped at GET http://localhost:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_se_14_the_app_has_every_variable_and_none_that_competes(start):
    """SE-14: and no secret is where everybody on the machine may look: what a process was started with."""
    with start("dev", "telling:app", *ANY_PORTS, ready="Open", XWMS_API_URL="https://xwms.nl/api/") as dev:
        told = httpx2.get(f"{dev.address}/").json()
        for pid in (told["pid"], dev.process.pid):
            started_with = Path(f"/proc/{pid}/cmdline").read_text()
            assert "telling:app" in started_with
            assert told["variables"]["XWMS_CLIENT_SECRET"] not in started_with
            assert told["variables"]["XWMS_SESSION_SECRET"] not in started_with
    variables = told["variables"]
    assert set(variables) == {
        "XWMS_CLIENT_ID",
        "XWMS_CLIENT_SECRET",
        "XWMS_DOMAIN",
        "XWMS_REDIRECT_URI",
        "XWMS_API_URI",
        "XWMS_ISSUER",
        "XWMS_DISCOVERY_URL",
        "XWMS_SESSION_SECRET",
        "XWMS_DEBUG",
        "XWMS_LEAK_GUARD",
        "XWMS_COOKIE_TAG",
    }
    assert variables["XWMS_DEBUG"] == variables["XWMS_LEAK_GUARD"] == "1"
    assert re.fullmatch("[a-z0-9]{8}", variables["XWMS_COOKIE_TAG"])
    assert variables["XWMS_DOMAIN"] == "localhost"
    assert variables["XWMS_REDIRECT_URI"] == f"{dev.address}/xwms/validateToken"
    assert told["pid"] != dev.process.pid


@pytest.mark.parametrize(("mine", "told"), [("off", "off"), ("", "1")])
def test_a_developer_who_says_otherwise_has_no_debug_mode(start, mine, told):
    """And a session secret and a cookie tag of one's own stay, so that a restart signs nobody out."""
    own = {"XWMS_SESSION_SECRET": "my-own-session-secret-0123456789-abcdef", "XWMS_COOKIE_TAG": "mine"}
    with start("dev", "telling:app", *ANY_PORTS, ready="Open", XWMS_DEBUG=mine, **own) as dev:
        variables = httpx2.get(f"{dev.address}/").json()["variables"]
        assert {name: variables[name] for name in own} == own
        assert variables["XWMS_DEBUG"] == told


def test_a_session_secret_in_a_file_of_ones_own_stays_too(start, tmp_path):
    """Beside it there is none in a variable, since both at once are a fault."""
    (tmp_path / "keys").write_text("my-own-session-secret-0123456789-abcdef")
    with start("dev", "telling:app", *ANY_PORTS, ready="Open", XWMS_SESSION_SECRET_FILE=str(tmp_path / "keys")) as dev:
        variables = httpx2.get(f"{dev.address}/").json()["variables"]
    assert variables["XWMS_SESSION_SECRET_FILE"] == str(tmp_path / "keys")
    assert "XWMS_SESSION_SECRET" not in variables


FLASK = "from flask import Flask\napp = Flask(__name__)\napp.secret_key = {key!r}\n"
STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
app = Starlette(middleware=[Middleware(SessionMiddleware, secret_key={key!r})])
"""


@pytest.mark.parametrize("app", [FLASK, STARLETTE])
@pytest.mark.parametrize(("key", "is_short"), [("dev-key", True), ("ü" * 16, False), ("x" * 31, True)])
def test_a_short_secret_key_of_the_app_is_a_warning_that_does_not_show_it(start, folder, app, key, is_short):
    """It is not the session secret here, and would be refused only in production."""
    (folder / "keyed.py").write_text(app.format(key=key))
    with start("dev", "keyed:app", *ANY_PORTS, ready="Open") as dev:
        dev.process.send_signal(signal.SIGINT)
        said = dev.process.communicate(timeout=15)[1]
    assert (said.count("Warning: the app has a secret_key under 32 bytes"), key in said) == (is_short, False)


def test_every_app_has_a_cookie_tag_of_its_own_that_stays():
    """All ports of localhost share their cookies, and most targets are `app:app`."""
    tags = [
        cookie_tag_for(target, folder=folder)
        for target, folder in (("app:app", "/a"), ("app:app", "/b"), ("app:desk", "/a"), ("app:app", "/a"))
    ]
    assert tags[0] == tags[3]
    assert len(set(tags)) == 3
    assert all(re.fullmatch("[a-z0-9]{8}", tag) for tag in tags)


@pytest.mark.parametrize("target", ["flask_one:app", "lazy:app"])
def test_settings_that_are_wrong_end_it_and_are_told_without_a_traceback(run, target):
    ended = run("dev", target, *ANY_PORTS, XWMS_SESSION_STORE="postgres://nowhere", XWMS_TIMEOUT="0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    assert "the settings are wrong:\n  - XWMS_" in ended.stderr
    assert "postgresql+psycopg://" in ended.stderr
    assert "Error: the app ended with exit status" in ended.stderr


@pytest.mark.parametrize(("target", "number"), [("telling:app", signal.SIGINT), ("asgi_one:app", signal.SIGTERM)])
def test_the_app_and_xwms_end_with_the_command(start, target, number):
    with start("dev", target, *ANY_PORTS, ready="Open") as dev:
        app_port = httpx2.URL(dev.address).port
        status, errors = dev.end(number)
    assert status == 0, errors
    assert "Traceback" not in errors
    assert is_gone(app_port)


def test_the_app_ends_even_when_the_command_is_killed(start):
    with start("dev", "telling:app", *ANY_PORTS, ready="Open") as dev:
        process_id = httpx2.get(f"{dev.address}/").json()["pid"]
        dev.process.kill()
        assert ended_soon(process_id)


def test_a_port_asked_for_and_in_use_is_one_line(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        app = run("dev", "telling:app", "--port", taken, "--sandbox-port", "0")
        xwms = run("dev", "telling:app", "--port", "0", "--sandbox-port", taken)
    assert (app.returncode, app.stderr.count("\n"), "with --port" in app.stderr) == (1, 1, True)
    assert (xwms.returncode, xwms.stderr.count("\n"), "with --sandbox-port" in xwms.stderr) == (1, 1, True)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("telling", "is not module:app"),
        ("absent:app", "there is no module 'absent'"),
        ("flask_one.py:app", "write flask_one:app"),
        ("absent.part:app", "there is no module 'absent.part'"),
        ("telling:application", "module 'telling' has no 'application'"),
        ("telling:json", "neither a Flask nor an ASGI app"),
        ("telling:json.JSONDecoder", "it is the class JSONDecoder"),
    ],
)
def test_a_target_that_is_no_app_is_refused_with_a_reason(folder, monkeypatch, target, said):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "telling", raising=False)  # of the folder of another test
    with pytest.raises(AppNotFound, match=re.escape(said)):
        interface_of(load_app(target), target=target)


def test_such_a_reason_is_a_line(run):
    ended = run("dev", "absent:app", *ANY_PORTS)
    assert ended.returncode == 1
    assert "Error: there is no module 'absent' in" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_fault_inside_the_app_keeps_its_traceback(run, folder):
    (folder / "broken.py").write_text("import not_installed_anywhere\n")
    ended = run("dev", "broken:app", *ANY_PORTS)
    assert ended.returncode == 1
    assert "ModuleNotFoundError: No module named 'not_installed_anywhere'" in ended.stderr
    assert ended.stderr.endswith("Error: the app ended with exit status 1\n")
