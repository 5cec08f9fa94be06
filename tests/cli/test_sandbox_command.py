"""`xwms-auth sandbox`: what it prints can be pasted, and it ends when told to."""

import os
import shlex
import signal
import socket
import stat
import subprocess

import httpx2
import pytest

from xwms_auth import XWMSClient, XWMSConfig


def variables_of(lines):
    pairs = [shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export ")]
    return dict(pairs)


def test_the_printed_lines_are_all_that_an_app_needs_and_say_what_a_newcomer_stumbles_over(start):
    uris = ("http://localhost:5000/callback", "https://staging.example/callback")
    asked = [option for uri in uris for option in ("--redirect-uri", uri)]
    with start("sandbox", "--port", "0", *asked, ready="listens") as sandbox:
        config = XWMSConfig.from_env(variables_of(sandbox.lines))
        assert config.redirect_uris == uris
        with XWMSClient(config) as client:
            assert client.sign_token(uris[1]).url.startswith(sandbox.address)
    assert variables_of(sandbox.lines)["XWMS_DEBUG"] == "1"
    assert any("OAuth 2.0" in line for line in sandbox.lines)
    assert "# Open the app at http://localhost:5000/ and under no other name" in sandbox.lines
    assert not any(" #" in line for line in sandbox.lines), "a comment after a value is a part of it to systemd"


def test_the_printed_lines_are_those_of_one_app_where_two_have_a_redirect_uri_on_one_host(start):
    uris = (
        "https://example.org/shop/xwms/validateToken",
        "https://example.org:443/desk/xwms/validateToken",
        "http://localhost:5000/xwms/validateToken",
    )
    asked = [option for uri in uris for option in ("--redirect-uri", uri)]
    with start("sandbox", "--port", "0", *asked, ready="listens") as sandbox:
        config = XWMSConfig.from_env(variables_of(sandbox.lines))
        assert config.redirect_uris == (uris[0], uris[2])
        with XWMSClient(config) as client:
            assert client.sign_token(uris[1]).url.startswith(sandbox.address), "it is registered all the same"
    assert f"# Registered too, for another app on that host: XWMS_REDIRECT_URI={uris[1]}" in sandbox.lines


def test_each_request_is_a_line_of_the_log_without_its_query_and_tokens(start):
    with start("sandbox", "--port", "0", ready="listens") as sandbox:
        variables = variables_of(sandbox.lines)
        with XWMSClient(XWMSConfig.from_env(variables)) as client:
            page = client.sign_token(variables["XWMS_REDIRECT_URI"]).url
        for path in (page, f"{sandbox.address}/dashboard/clients/1?search=private", f"{sandbox.address}/%1b[2J?secret"):
            httpx2.get(path)
        sandbox.process.send_signal(signal.SIGINT)
        log = sandbox.process.communicate(timeout=15)[1]
    assert [line.split(" ", 1)[1] for line in log.splitlines()] == [
        "POST /api/sign-token 200",
        "GET /sign-in/<token> 200",
        "GET /dashboard/clients/1 303",
        "GET (no route) 404",
    ]


def test_two_lines_start_an_app_with_the_variables_of_a_file(start, folder, environ):
    """The first one is run here; the second is a command that is not ours."""
    with start("sandbox", "--port", "0", "--env-file", "xwms.env", ready="listens") as sandbox:
        first, second = sandbox.lines[:2]
        assert first == f"set -a; . {folder / 'xwms.env'}; set +a"
        assert second == "flask --app app run --debug --port 5000"
        assert not any("SECRET" in line for line in sandbox.lines)
        shell = subprocess.run(
            ["sh", "-c", f"{first}; env"], env={"PATH": environ["PATH"]}, capture_output=True, text=True, check=True
        )
        told = dict(line.split("=", 1) for line in shell.stdout.splitlines() if line.startswith("XWMS_"))
        with XWMSClient(XWMSConfig.from_env(told)) as client:
            assert client.sign_token("http://localhost:5000/xwms/validateToken").url.startswith(sandbox.address)
    assert stat.S_IMODE((folder / "xwms.env").stat().st_mode) == 0o600
    # Values that need no quotes have none, because Docker would take them for a part of the value.
    assert "'" not in (folder / "xwms.env").read_text()


def test_a_file_that_was_not_written_here_is_left_alone(run, start, folder):
    (folder / ".env").write_text("DATABASE_PASSWORD=nowhere-else\n")
    ended = run("sandbox", "--port", "0", "--env-file", ".env")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "was not written by xwms-auth: choose another name with --env-file" in ended.stderr
    assert (folder / ".env").read_text() == "DATABASE_PASSWORD=nowhere-else\n"
    for _ in range(2):
        with start("sandbox", "--port", "0", "--env-file", "xwms.env", ready="listens"):
            pass
    assert sorted(path.name for path in folder.glob("*.env*")) == [".env", "xwms.env"]
    ended = run("sandbox", "--port", "0", "--env-file", "absent/xwms.env")
    assert "choose another place with --env-file" in ended.stderr


def test_its_secrets_are_the_same_at_every_start_and_those_of_a_public_app_are_not(start):
    """So a terminal with the variables of yesterday still works."""
    told = []
    for uri in ["http://localhost:5000/callback"] * 2 + ["https://staging.example/callback"] * 2:
        with start("sandbox", "--port", "0", "--redirect-uri", uri, ready="listens") as sandbox:
            told.append(variables_of(sandbox.lines))
    assert len({one["XWMS_CLIENT_SECRET"] for one in told}) == 1
    sessions = [one["XWMS_SESSION_SECRET"] for one in told]
    assert sessions[0] == sessions[1]
    assert len(set(sessions)) == 3
    assert [secret.startswith("development-only.") for secret in sessions] == [True, True, False, False]


@pytest.mark.more_packages
def test_it_may_have_a_name_that_is_not_its_address(start):
    """Then Anna is the same person on another port, in both flows."""
    with start("sandbox", "--port", "0", "--issuer", "http://127.0.0.1:8800", ready="listens") as sandbox:
        variables = variables_of(sandbox.lines)
        assert XWMSConfig.from_env(variables).issuer == "http://127.0.0.1:8800"
        assert httpx2.get(variables["XWMS_DISCOVERY_URL"]).json()["issuer"] == "http://127.0.0.1:8800"


def test_an_app_below_a_prefix_is_opened_there(start):
    uri = "https://support.example/desk/xwms/validateToken"
    with start("sandbox", "--port", "0", "--redirect-uri", uri, ready="listens") as sandbox:
        assert "# Open the app at https://support.example/desk/ and under no other name" in sandbox.lines


def test_browsers_may_reach_it_at_another_address(start, run):
    with start("sandbox", "--port", "0", "--public-url", "http://localhost:8800/", ready="listens") as sandbox:
        # As in a container network: the application's server has another name for it than its visitors.
        names = {"XWMS_API_URI": f"{sandbox.address}/api/", "XWMS_LOGIN_ORIGINS": "http://localhost:8800"}
        with XWMSClient(XWMSConfig.from_env(variables_of(sandbox.lines) | names)) as client:
            assert client.sign_token("http://localhost:5000/xwms/validateToken").url.startswith(
                "http://localhost:8800/sign-in/"
            )
    for wrong in ("localhost:8800", "http://localhost:8800/xwms"):
        ended = run("sandbox", "--port", "0", "--public-url", wrong)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_sm_18_a_sandbox_that_others_can_reach_says_so_and_names_the_address(start, host):
    """SM-18"""
    with start("sandbox", "--host", host, "--port", "0", ready="listens") as sandbox:
        port = sandbox.address.rpartition(":")[2]
        status, said = sandbox.end(signal.SIGINT)
    assert status == 0
    assert f"{host} port {port}" in said
    assert "anybody who can reach it can sign in as anybody" in said


@pytest.mark.parametrize("host", ["localhost", "127.8.8.8"])
def test_a_sandbox_for_this_machine_alone_warns_of_nothing(start, host):
    with start("sandbox", "--host", host, "--port", "0", ready="listens") as sandbox:
        assert sandbox.end(signal.SIGINT) == (0, "")


@pytest.mark.parametrize("command", ["sandbox", "dev"])
def test_sm_18_the_file_of_a_sandbox_is_for_its_owner_alone(start, folder, command):
    """SM-18"""
    before = os.umask(0)
    try:
        target = ["telling:app"] if command == "dev" else []
        ports = ["--port", "0", *(["--sandbox-port", "0"] if target else [])]
        ready = "Open http" if target else "listens"
        with start(command, *target, *ports, "--db", "xwms.db", ready=ready):
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.glob("xwms.db*")}
    finally:
        os.umask(before)
    assert modes == {"xwms.db": 0o600, "xwms.db-wal": 0o600, "xwms.db-shm": 0o600}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_a_fault_when_told_to(start, number):
    with start("sandbox", "--port", "0", ready="listens") as sandbox:
        assert httpx2.get(f"{sandbox.address}/api/info").status_code == 200
        status, log = sandbox.end(number)
        assert (status, log.split(" ", 1)[1:]) == (0, ["GET /api/info 200\n"])


def test_a_port_in_use_is_one_line_that_names_the_option(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = run("sandbox", "--port", str(other.getsockname()[1]))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "--port" in ended.stderr


def test_settings_that_cannot_be_are_one_line(run):
    ended = run("sandbox", "--port", "0", "--client-id", "two words", "--redirect-uri", "nowhere")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "client_id" in ended.stderr
    assert "redirect_uris" in ended.stderr
