"""`xwms-auth sandbox`: what it prints can be pasted, and it ends when told to."""

import shlex
import signal
import socket

import httpx2
import pytest

from xwms_auth import XWMSClient, XWMSConfig


def variables_of(lines):
    pairs = [shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export ")]
    return dict(pairs)


def test_the_printed_variables_are_all_that_an_app_needs(start):
    uris = ("http://localhost:5000/callback", "https://staging.example/callback")
    asked = [option for uri in uris for option in ("--redirect-uri", uri)]
    with start("sandbox", "--port", "0", *asked, ready="listens") as sandbox:
        config = XWMSConfig.from_env(variables_of(sandbox.lines))
        assert config.redirect_uris == uris
        with XWMSClient(config) as client:
            assert client.sign_token(uris[1]).url.startswith(sandbox.address)


def test_the_printed_lines_say_what_a_newcomer_stumbles_over(start):
    uri = "http://localhost:8000/callback"
    with start("sandbox", "--port", "0", "--redirect-uri", uri, ready="listens") as sandbox:
        assert variables_of(sandbox.lines)["XWMS_DEBUG"] == "1"
        assert any("XWMS_FLOW=oauth2" in line for line in sandbox.lines)
        assert "# Open the app under http://localhost:8000/ and no other name of it" in sandbox.lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_a_fault_when_told_to(start, number):
    with start("sandbox", "--port", "0", ready="listens") as sandbox:
        assert httpx2.get(f"{sandbox.address}/api/info").status_code == 200
        assert sandbox.end(number) == (0, "")


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
