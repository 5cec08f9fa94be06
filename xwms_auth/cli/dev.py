"""`xwms-auth dev`: an app beside a local XWMS, with every variable set."""

import os
import threading
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from xwms_auth.cli import options
from xwms_auth.cli.app_process import AppFailed, app_process, wait_for_change, wait_until_ended, wait_until_up
from xwms_auth.cli.environment import cookie_tag_for, with_variables
from xwms_auth.cli.file_watch import FileWatch
from xwms_auth.cli.local_key import session_secret_for
from xwms_auth.cli.local_xwms import listening, refused_settings, until_interrupted, variables_of
from xwms_auth.cli.login_check import CheckFailed, Paths, log_in
from xwms_auth.cli.missing_extras import needs_extra
from xwms_auth.cli.ports import any_free, is_free
from xwms_auth.cli.terminal import Failure, error, note, progress, style

if TYPE_CHECKING:
    from xwms_auth.sandbox import SandboxServer
    from xwms_auth.sandbox.domain.people import Person

ISSUER: Final = f"http://127.0.0.1:{options.SANDBOX_PORT}"
"""The name of the local XWMS in everybody's identity, whatever its port is. It is what `xwms-auth sandbox` is called on
its own port, so that the rows of an app are the same people's with both."""


@click.command(short_help="Run an app beside a local XWMS.")
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"The app's port; 0 is any free one. [default: {options.APP_PORT}, else any free one]",
)
@click.option(
    "--sandbox-port",
    type=click.IntRange(0, 65535),
    help=f"The local XWMS's port; 0 is any free one. [default: {options.SANDBOX_PORT}, else any free one]",
)
@click.option("--reload", is_flag=True, help="Restart the app when its code, a template or a static file changes.")
@click.option(
    "--url",
    metavar="ORIGIN",
    help="Where browsers open the app, if a front-end server passes /xwms on to it, as in http://localhost:5173.",
)
@click.option("--person", metavar="SUB", help="Be signed in at once as this person: a sub, or a first name as in anna.")
@click.option("--open", "open_browser", is_flag=True, help="Open the app in a browser.")
@options.callback_token
@options.auto_login
@options.scopes
@options.database
@options.seed
@options.faults
@click.option("--check", is_flag=True, help="Log in once over HTTP, print who it is, and end with 0 or 1.")
def dev(
    *,
    target: str,
    port: int | None,
    sandbox_port: int | None,
    reload: bool,
    url: str | None,
    person: str | None,
    open_browser: bool,
    callback_token: Literal["same", "fresh"],
    auto_login: str | None,
    scopes: tuple[str, ...],
    database: Path | None,
    seed: bool,
    faults: tuple[str, ...],
    check: bool,
) -> None:
    """Run a Flask, WSGI or ASGI app with a local XWMS, with every variable set for it.

    MODULE:APP, such as `app:app`, is searched in the current directory first; APP may also be a function that returns
    the app. The variables are set for the app's process only.
    """
    if person is not None and auto_login is not None:
        raise click.UsageError("--person and --auto-login both say who signs in: keep one.")
    with progress("Loading the local XWMS"), needs_extra("sandbox"):
        from xwms_auth.sandbox import SandboxServer, SandboxSettings  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.domain.people import PEOPLE, person_called  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.domain.urls import is_loopback, parse_http_url, parse_public_url  # noqa: PLC0415
    who = None if person is None else person_called(person)
    if who is not None and who not in PEOPLE:
        note(f"nobody here is called {person!r}: whoever signs in is known by this sub alone")
    login_as = auto_login if who is None else who.sub
    if check and login_as is None:
        login_as = PEOPLE[0].sub
    again = f"xwms-auth dev {target}"
    app_port = _choose(port, preferred=options.APP_PORT, option="--port", again=again)
    xwms_port = _choose(sandbox_port, preferred=options.SANDBOX_PORT, option="--sandbox-port", again=again)
    with until_interrupted():
        with refused_settings():
            origin = f"http://localhost:{app_port}" if url is None else parse_public_url(url)
            if not is_loopback(parse_http_url(origin).hostname or ""):
                raise ValueError(f"--url is not on this machine: {origin}")
            settings = SandboxSettings(
                redirect_uris=(f"{origin}{options.CALLBACK_PATH}",),
                callback_token=callback_token,
                auto_login=login_as,
                scopes=scopes,
                database=database,
                seed=seed,
                faults=faults,
                issuer=ISSUER,
            )
        server = SandboxServer(settings, port=xwms_port)
        with listening(server, where=f"port {xwms_port}", again=f"{again} --sandbox-port 0"):
            folder = os.getcwd()  # noqa: PTH109  as text, only to be hashed
            variables = variables_of(settings, server, session_secret=session_secret_for("dev", folder, target))
            variables["XWMS_COOKIE_TAG"] = cookie_tag_for(target, folder=folder)
            app = _App(target, app_port, with_variables(os.environ, variables=variables))
            try:
                if check:
                    app.check(callback_url=settings.redirect_uris[0], origin=origin)
                    return
                shown = _Shown(app, server, origin=origin, person=who, reload=reload, open_browser=open_browser)
                app.serve(shown.show, reload=reload)
            except (AppFailed, CheckFailed) as fault:
                raise Failure(str(fault)) from None


@dataclass(frozen=True, slots=True)
class _App:
    """The app that is to run: `module:app`, its port, and its environment."""

    target: str
    port: int
    environ: Mapping[str, str]

    @property
    def paths(self) -> Paths:
        """Where its login is, as far as its environment says."""
        return Paths(
            login=self.environ.get("XWMS_LOGIN_PATH") or "/xwms/auth",
            me=self.environ.get("XWMS_ME_PATH") or "/xwms/me",
        )

    def check(self, *, callback_url: str, origin: str) -> None:
        """Log in once, and print who it is. Raises `AppFailed` and `CheckFailed`."""
        with app_process(self.target, port=self.port, environ=self.environ) as process:
            with progress(f"Starting {self.target}"):
                wait_until_up(process, port=self.port)
            with progress("Logging in"):
                person = log_in(
                    f"http://localhost:{self.port}",
                    callback_url=callback_url,
                    origin=origin,
                    paths=self.paths,
                    target=self.target,
                )
            click.echo(f"Signed in: {person.name} (sub {person.sub})")

    def serve(self, show: Callable[[], None], *, reload: bool) -> None:
        """Serve until the app ends, which raises `AppFailed`; with `reload` for ever, again after each change."""
        if not reload:
            with app_process(self.target, port=self.port, environ=self.environ) as process:
                with progress(f"Starting {self.target}"):
                    wait_until_up(process, port=self.port)
                show()
                wait_until_ended(process)
        files, was_shown, changed = FileWatch(Path.cwd()), False, None
        while True:
            with app_process(self.target, port=self.port, environ=self.environ) as process:
                try:
                    with progress(f"Starting {self.target}"):
                        wait_until_up(process, port=self.port)
                    if not was_shown:
                        show()
                        was_shown = True
                    else:
                        click.echo(f"Reloaded: {changed} has changed")
                except AppFailed as fault:
                    _tell_end(fault)
                changed = wait_for_change(process, files, when_ended=_tell_end)


def _tell_end(fault: AppFailed) -> None:
    error(f"{fault}; waiting for a change")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is printed when the app is up: the addresses, in one block that ends with the one to open."""

    app: _App
    server: "SandboxServer"
    origin: str
    person: "Person | None"
    reload: bool
    open_browser: bool

    def show(self) -> None:
        """Print it, and open the address if that was asked for."""
        address = f"{self.origin}{'/' if self.person is None else self.app.paths.login}"
        flow = self.app.environ.get("XWMS_FLOW") or "sign-token"
        lines = [("App", f"{self.app.target} on port {self.app.port}")]
        if self.reload:
            lines.append(("Reload", "on; people stay signed in"))
        lines.append(("XWMS", f"{self.server.url}/"))
        lines.append(("Dashboard", f"{self.server.url}/dashboard"))
        if self.person is not None:
            lines.append(("Person", f"{self.person.name} (sub {self.person.sub}), at once"))
        for label, text in lines:
            click.echo(f"{style(f'{label:<10}', bold=True)} {text}")
        click.echo(f"{style('Open', bold=True)} {style(address, fg='cyan')} (login by {flow}; Ctrl-C ends both)")
        if self.open_browser:
            # Some browsers keep the call until they are closed.
            threading.Thread(target=_open, args=(address,), daemon=True).start()


def _open(address: str) -> None:
    if not webbrowser.open(address):
        note(f"no browser could be started: open {address} yourself")


def _choose(port: int | None, *, preferred: int, option: str, again: str) -> int:
    """The given port, which must be free; without one the preferred port if it is free, otherwise any free port."""
    if port == 0:
        return any_free()
    if port is None:
        if is_free(preferred):
            return preferred
        found = any_free()
        what = "the app" if option == "--port" else "the local XWMS"
        note(f"port {preferred} is in use, perhaps by another `xwms-auth dev`: {what} is on {found} ({option} chooses)")
        return found
    if not is_free(port):
        raise Failure(f"port {port} is in use: choose another one with {option}, as in: {again} {option} 0")
    return port
