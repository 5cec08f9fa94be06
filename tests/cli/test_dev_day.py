"""`xwms-auth dev` over a working day: restarts, edits, another port, another person, a front-end server, a browser."""

import os
import pty
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from tests.cli.conftest import COMMAND
from xwms_auth.cli.file_watch import FileWatch

ANY_PORTS = ("--port", "0", "--sandbox-port", "0")
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-User": "?1"}

# Nothing listens there in these tests.
FRONT_END = "http://localhost:5173"

PAGES = """
from flask import Flask, render_template
from xwms_auth.flask import XWMSAuth, current_user, login_required

app = Flask(__name__)
XWMSAuth(app)

@app.get("/")
@login_required
def home():
    return render_template("page.html")
"""

SOCKETS = """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await receive()  # that the other side has left
"""


@pytest.fixture
def pages(folder: Path) -> Path:
    """A project with a page that needs a login, `pages:app`."""
    (folder / "pages.py").write_text(PAGES)
    (folder / "templates").mkdir()
    (folder / "templates" / "page.html").write_text("first")
    return folder


@pytest.fixture
def browser() -> Iterator[httpx2.Client]:
    with httpx2.Client(headers=NAVIGATION, follow_redirects=True, trust_env=False) as client:
        yield client


def opened(lines: tuple[str, ...]) -> str:
    """The address to open."""
    return re.search(r"http://\S+", lines[-1])[0]


# --- the same at every start ---


@pytest.mark.parametrize("flow", ["sign-token", pytest.param("oauth2", marks=pytest.mark.more_packages)])
def test_who_is_signed_in_stays_so_over_a_restart_on_other_ports(start, pages, browser, flow):
    """The session, and with it the issuer, so that the rows of an app stay the person's."""
    people = []
    for _ in range(2):
        with start("dev", "pages:app", *ANY_PORTS, "--person", "anna", ready="Open", XWMS_FLOW=flow) as dev:
            if not people:
                assert browser.get(opened(dev.lines)).text == "first"
            people.append(browser.get(f"{dev.address}/xwms/me").json()["user"])
    assert [(one["issuer"], one["sub"]) for one in people] == [("http://127.0.0.1:8800", "1001")] * 2


def test_the_session_secret_is_the_same_at_every_start_and_another_for_every_app(start, folder, home):
    (folder / "second.py").write_text((folder / "telling.py").read_text())
    told = []
    for target in ("telling:app", "telling:app", "second:app"):
        with start("dev", target, *ANY_PORTS, ready="Open") as dev:
            told.append(httpx2.get(f"{dev.address}/").json()["variables"]["XWMS_SESSION_SECRET"])
    assert told[0] == told[1] != told[2]
    [key] = (home / "config" / "xwms-auth").iterdir()
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(key.parent.stat().st_mode)) == (0o600, 0o700)
    assert key.read_bytes().hex() not in "".join(told)
    # Whoever else could read it may have read it.
    key.chmod(0o644)
    with start("dev", "telling:app", *ANY_PORTS, ready="Open") as dev:
        assert httpx2.get(f"{dev.address}/").json()["variables"]["XWMS_SESSION_SECRET"] != told[0]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    # Nothing is left in the project.
    assert not [path for path in folder.rglob("*") if "key" in path.name or path.name.startswith(".")]


def test_where_nothing_can_be_kept_it_works_and_says_so(start, home, environ):
    environ["XDG_CONFIG_HOME"] = os.devnull
    with start("dev", "telling:app", *ANY_PORTS, ready="Open") as dev:
        assert httpx2.get(f"{dev.address}/").status_code == 200
        _, said = dev.end(signal.SIGINT)
    assert "Note: nothing can be kept in" in said
    assert "Traceback" not in said


# --- an edit ---


def test_an_edit_restarts_the_app_and_people_stay_signed_in(start, pages, browser):
    """Also an edit of a template, and after one that broke the app."""
    browser.headers["Connection"] = "close"  # a connection to the app that has ended is one that nothing answers
    with start("dev", "pages:app", *ANY_PORTS, "--reload", "--person", "anna", ready="Open") as dev:
        assert browser.get(opened(dev.lines)).text == "first"
        for file, text, page in (
            ("templates/page.html", "second", "second"),
            ("pages.py", PAGES.replace('render_template("page.html")', "current_user.sub"), "1001"),
        ):
            (pages / file).write_text(text)
            assert dev.process.stdout.readline() == f"Reloaded: {file} has changed\n"
            assert browser.get(f"{dev.address}/").text == page
        (pages / "pages.py").write_text("import not_installed_anywhere\n")
        said = next(line for line in dev.process.stderr if line.startswith("Error"))
        assert said == "Error: the app ended with exit status 1; waiting for a change\n"
        (pages / "pages.py").write_text(PAGES)
        assert dev.process.stdout.readline() == "Reloaded: pages.py has changed\n"
        assert browser.get(f"{dev.address}/").text == "second"
        status, _ = dev.end(signal.SIGINT)
    assert status == 0


def test_only_what_an_app_is_made_of_counts_as_a_change(tmp_path):
    tmp_path /= "templates"  # the name of a folder above the project says nothing
    for name in ("app.py", "static/page.css", "templates/mail.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    watch = FileWatch(tmp_path)
    for name in ("desk.sqlite3", "notes.txt", ".git/a.py", "node_modules/a.js", "venv/pyvenv.cfg", "venv/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        assert watch.changed() is None, name
    for name in ("app.py", "static/page.css", "templates/mail.txt", "new.py"):
        (tmp_path / name).write_text("changed")
        assert watch.changed() == Path(name)
        assert watch.changed() is None
    (tmp_path / "new.py").unlink()
    assert watch.changed() == Path("new.py")


def test_a_file_that_is_written_in_steps_is_one_change(tmp_path, monkeypatch):
    """An editor empties it first, `git checkout` and formatters write many: the app would be ended under a request."""
    watch, app = FileWatch(tmp_path), tmp_path / "app.py"
    steps = [lambda: app.write_text("first half"), lambda: app.write_text("all of it"), lambda: None]
    monkeypatch.setattr("time.sleep", lambda _seconds: steps.pop(0)())
    app.touch()
    assert watch.changed() == Path("app.py")
    assert (app.read_text(), steps) == ("all of it", [])
    assert watch.changed() is None
    # A file that is written without end is no reason to wait without end.
    monkeypatch.setattr("time.sleep", lambda _seconds: app.write_text(app.read_text() + "."))
    app.touch()
    assert watch.changed() == Path("app.py")


# --- who, and where ---


@pytest.mark.parametrize(
    ("person", "name"), [("anna", "Anna de Vries"), ("BRAM", "Bram Bakker"), ("1003", "Suharti"), ("4711", "4711")]
)
def test_a_person_is_signed_in_by_opening_the_address(start, pages, browser, person, name):
    with start("dev", "pages:app", *ANY_PORTS, "--person", person, ready="Open") as dev:
        assert any(f"{name} (sub" in line for line in dev.lines)
        browser.get(opened(dev.lines))
        assert browser.get(f"{dev.address}/xwms/me").json()["user"]["name"] == name


def test_a_person_may_be_said_once(run):
    ended = run("dev", "telling:app", "--person", "anna", "--auto-login", "1001")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "keep one" in ended.stderr


def test_behind_a_front_end_server_its_origin_is_the_one_of_the_app(start, run):
    with start("dev", "telling:app", *ANY_PORTS, "--url", FRONT_END, ready="Open") as dev:
        assert opened(dev.lines) == f"{FRONT_END}/"
        [port] = [re.search(r"on port (\d+)", line)[1] for line in dev.lines if line.startswith("App")]
        variables = httpx2.get(f"http://localhost:{port}/").json()["variables"]
        assert variables["XWMS_REDIRECT_URI"] == f"{FRONT_END}/xwms/validateToken"
    ended = run("dev", "flask_one:app", *ANY_PORTS, "--url", FRONT_END, "--check")
    assert ended.stdout == "Signed in: Anna de Vries (sub 1001)\n", ended.stderr
    for wrong in ("localhost:5173", f"{FRONT_END}/app", "https://desk.example"):
        ended = run("dev", "telling:app", *ANY_PORTS, "--url", wrong)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), wrong


def test_a_browser_is_opened_where_it_says(start, folder, environ):
    """At the address with which somebody is signed in."""
    os.mkfifo(folder / "opened")
    (folder / "browse").write_text(f'#!/bin/sh\necho "$1" > {folder / "opened"}\n')
    (folder / "browse").chmod(0o700)
    environ["BROWSER"] = f"{folder / 'browse'} %s"
    with start("dev", "telling:app", *ANY_PORTS, "--open", "--person", "anna", ready="Open") as dev:
        assert (folder / "opened").read_text() == f"{opened(dev.lines)}\n"
    assert opened(dev.lines).endswith("/xwms/auth")


def test_the_addresses_are_one_block(start):
    with start("dev", "telling:app", *ANY_PORTS, ready="Open") as dev:
        labels = [line.split()[0] for line in dev.lines]
    assert labels == ["App", "XWMS", "Dashboard", "Open"]
    assert all("\x1b" not in line for line in dev.lines)


def test_websockets_are_served(start, folder):
    (folder / "sockets.py").write_text(SOCKETS)
    with (
        start("dev", "sockets:app", *ANY_PORTS, ready="Open") as dev,
        connect(f"{dev.address.replace('http', 'ws')}/feed") as connection,
    ):
        assert connection.recv() == "hello"


# --- what is said ---


def test_a_second_one_says_where_it_is_instead(start, run):
    """Both at once, with the ports that nobody has chosen."""
    with closing(socket.socket()) as first:
        try:
            first.bind(("127.0.0.1", 5000))
            first.listen(1)
        except OSError:
            pass  # somebody has it already, which is as good
        ended = run("dev", "flask_one:app", "--sandbox-port", "0", "--check")
    assert ended.stdout == "Signed in: Anna de Vries (sub 1001)\n", ended.stderr
    assert re.search(
        r"^Note: port 5000 is in use, perhaps by another `xwms-auth dev`: the app is on \d+ \(--port chooses\)$",
        ended.stderr,
        re.M,
    )


def test_a_fault_of_the_app_is_shown_without_what_led_to_it(run, folder):
    (folder / "broken.py").write_text("def inner():\n    raise RuntimeError('mine')\n\ninner()\n")
    (folder / "unclosed.py").write_text("app = (\n")
    ended = run("dev", "broken:app", *ANY_PORTS)
    assert re.findall(r'File "(.+)", line', ended.stderr) == [str(folder / "broken.py")] * 2
    assert "RuntimeError: mine" in ended.stderr
    ended = run("dev", "unclosed:app", *ANY_PORTS)
    assert re.findall(r'File "(.+)", line', ended.stderr) == [str(folder / "unclosed.py")]
    assert "SyntaxError" in ended.stderr


def test_check_says_what_an_app_without_a_login_lacks(run):
    ended = run("dev", "telling:app", *ANY_PORTS, "--check")
    assert ended.returncode == 1
    assert "the app has no login there" in ended.stderr
    assert "xwms-auth routes telling:app" in ended.stderr


def test_check_finds_a_login_at_another_path(run):
    ended = run("dev", "flask_one:app", *ANY_PORTS, "--check", XWMS_LOGIN_PATH="/signin", XWMS_ME_PATH="/who")
    assert ended.stdout == "Signed in: Anna de Vries (sub 1001)\n", ended.stderr


@pytest.mark.parametrize(("no_color", "colours"), [("", True), ("1", False)])
def test_colours_are_on_a_terminal_only_and_slow_starts_are_told_there(folder, environ, no_color, colours):
    (folder / "slow.py").write_text("import time\ntime.sleep(2)\n" + (folder / "telling.py").read_text())
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "dev", "slow:app", *ANY_PORTS],
        cwd=folder,
        env=environ | {"NO_COLOR": no_color, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        said = b""
        while b"Ctrl-C" not in said:
            said += os.read(ours, 1024)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert (b"\x1b[" in said) is colours
    assert b"Starting slow:app ..." in said


# --- the command as such ---


def test_the_version_and_completion(run):
    assert re.fullmatch(r"xwms-auth, version [0-9.]+\S*\n", run("--version").stdout)
    for shell in ("bash", "fish", "zsh"):
        assert "_XWMS_AUTH_COMPLETE" in run("completion", shell).stdout
    asked = {"_XWMS_AUTH_COMPLETE": "bash_complete", "COMP_WORDS": "xwms-auth dev --re", "COMP_CWORD": "2"}
    assert run(**asked).stdout == "plain,--reload\n"


def test_help_is_whole_on_a_narrow_terminal(run):
    """No summary of a command is cut."""
    ended = run("--help", COLUMNS="80")
    assert "..." not in ended.stdout.partition("Commands:")[2]
    assert run("nothing").returncode == 2
