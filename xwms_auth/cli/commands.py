"""The commands: `db`, `dev`, `routes`, `sandbox`, `secret`.

Output for programs goes to standard output, everything else to standard error. The commands never change `os.environ`,
and print no traceback for an error that the user can fix.
"""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from xwms_auth.cli.app_process import AppFailed, app_process, wait_until_ended, wait_until_up
from xwms_auth.cli.database import db
from xwms_auth.cli.environment import cookie_tag_for, export_lines, fresh_secret, with_variables, xwms_variables
from xwms_auth.cli.login_check import CheckFailed, log_in
from xwms_auth.cli.missing_extras import needs_extra
from xwms_auth.cli.ports import any_free, is_free
from xwms_auth.cli.routes import routes

if TYPE_CHECKING:
    from xwms_auth.sandbox import SandboxServer, SandboxSettings

_APP_PORT = 5000
_SANDBOX_PORT = 8800
_CALLBACK_PATH = "/xwms/validateToken"

_callback_token = click.option(
    "--callback-token",
    type=click.Choice(["same", "fresh"]),
    default="same",
    show_default=True,
    help="Whether the callback's token is the one that sign-token returned, or a fresh one.",
)
_auto_login = click.option(
    "--auto-login", metavar="SUB", help="Approve every login at once as this person, without the sign-in page."
)
_db = click.option(
    "--db",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep accounts, clients and people in this file. Without it they are lost at the end.",
)
_seed = click.option("--seed", is_flag=True, help="Add a demo account: a team, clients, users.")
_scopes = click.option(
    "--scope",
    "scopes",
    type=click.Choice(["userinfo", "useraddresses"]),
    multiple=True,
    help="A scope that the client may request besides the login; may be repeated.",
)
_faults = click.option(
    "--fault",
    "faults",
    metavar="NAME[:ENDPOINT[:TIMES]]",
    multiple=True,
    help="Make calls fail, as in 500:sign-token, slow=10 or html:*:1; may be repeated.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xwms-auth")
def xwms_auth() -> None:
    """Login with XWMS: run an app with a local XWMS, without an account or a network."""


xwms_auth.add_command(db)
xwms_auth.add_command(routes)


@xwms_auth.command()
def secret() -> None:
    """Print a new session secret."""
    click.echo(fresh_secret())


@xwms_auth.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_SANDBOX_PORT, show_default=True, help="0: any free one."
)
@click.option(
    "--public-url",
    metavar="URL",
    help="Where browsers reach it, if that is not HOST and PORT, as with a container. [default: http://HOST:PORT]",
)
@click.option("--client-id", default="sandbox-client", show_default=True)
@click.option("--client-secret", help="[default: a new random one]")
@click.option("--domain", default="localhost", show_default=True, help="The domain this client may log people in for.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    metavar="URI",
    multiple=True,
    default=[f"http://localhost:{_APP_PORT}{_CALLBACK_PATH}"],
    show_default=True,
    help="A callback of the app, exactly as it is configured there; may be repeated.",
)
@_callback_token
@_auto_login
@_scopes
@_db
@_seed
@_faults
def sandbox(
    *,
    host: str,
    port: int,
    public_url: str | None,
    client_id: str,
    client_secret: str | None,
    domain: str,
    redirect_uris: tuple[str, ...],
    callback_token: Literal["same", "fresh"],
    auto_login: str | None,
    scopes: tuple[str, ...],
    database: Path | None,
    seed: bool,
    faults: tuple[str, ...],
) -> None:
    """Run only the local XWMS, and print the variables that connect an app to it."""
    with needs_extra("sandbox"):
        from xwms_auth.sandbox import SandboxServer, SandboxSettings  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.domain.urls import is_loopback, parse_public_url  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.oauth.without_authlib import NEEDS_EXTRA, is_installed  # noqa: PLC0415  an extra
    with _until_interrupted():
        try:
            own_url = None if public_url is None else parse_public_url(public_url)
            settings = SandboxSettings(
                client_id=client_id,
                client_secret=fresh_secret() if client_secret is None else client_secret,
                domain=domain,
                redirect_uris=redirect_uris,
                callback_token=callback_token,
                auto_login=auto_login,
                scopes=scopes,
                database=database,
                seed=seed,
                faults=faults,
            )
        except ValueError as wrong:
            raise click.ClickException(str(wrong)) from None
        with _listening(
            SandboxServer(settings, host=host, port=port, public_url=own_url),
            where=f"{host} port {port}",
            option="--port",
        ) as server:
            if not is_loopback(host):
                click.echo(_public_warning(host, server), err=True)
            click.echo(export_lines(_variables(settings, server)))
            # Comments are on lines of their own: a systemd `EnvironmentFile` takes one after a value for a part of it.
            click.echo("# Error pages say what to change:\nexport XWMS_DEBUG=1")
            with_oauth = "# export XWMS_FLOW=oauth2 logs people in by OAuth 2.0 instead"
            click.echo(with_oauth if is_installed() else f"# {NEEDS_EXTRA}")
            click.echo(f"# Open the app at {_front_page_of(redirect_uris[0])} and under no other name")
            click.echo(f"# Dashboard: {server.url}/dashboard")
            click.echo(f"# The sandbox listens on {server.local_url} (Ctrl-C ends it)")
            _wait_for_ctrl_c()


@xwms_auth.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Of the app. [default: {_APP_PORT}, else any free one]")
@click.option(
    "--sandbox-port", type=click.IntRange(0, 65535), help=f"Of XWMS. [default: {_SANDBOX_PORT}, else any free one]"
)
@_callback_token
@_auto_login
@_scopes
@_db
@_seed
@_faults
@click.option("--check", is_flag=True, help="Log in once over HTTP, print who it is, and end with 0 or 1.")
def dev(
    *,
    target: str,
    port: int | None,
    sandbox_port: int | None,
    callback_token: Literal["same", "fresh"],
    auto_login: str | None,
    scopes: tuple[str, ...],
    database: Path | None,
    seed: bool,
    faults: tuple[str, ...],
    check: bool,
) -> None:
    """Run a Flask or ASGI app with a local XWMS, with every variable set for it.

    MODULE:APP, such as `app:app`, is searched in the current directory first; APP may also be a function that returns
    the app. The variables are set for the app's process only.
    """
    with needs_extra("sandbox"):
        from xwms_auth.sandbox import SandboxServer, SandboxSettings  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.domain.people import PEOPLE  # noqa: PLC0415  an extra
    app_port = _choose(port, preferred=_APP_PORT, option="--port")
    xwms_port = _choose(sandbox_port, preferred=_SANDBOX_PORT, option="--sandbox-port")
    app_url = f"http://localhost:{app_port}"
    own = {"XWMS_COOKIE_TAG": cookie_tag_for(target, folder=os.getcwd())}  # noqa: PTH109  as text, only to be hashed
    with _until_interrupted():
        try:
            settings = SandboxSettings(
                redirect_uris=(f"{app_url}{_CALLBACK_PATH}",),
                callback_token=callback_token,
                auto_login=PEOPLE[0].sub if check and auto_login is None else auto_login,
                scopes=scopes,
                database=database,
                seed=seed,
                faults=faults,
            )
        except ValueError as wrong:
            raise click.ClickException(str(wrong)) from None
        with (
            _listening(
                SandboxServer(settings, port=xwms_port), where=f"port {xwms_port}", option="--sandbox-port"
            ) as server,
            app_process(
                target, port=app_port, environ=with_variables(os.environ, variables=_variables(settings, server) | own)
            ) as process,
        ):
            try:
                wait_until_up(process, port=app_port)
                if check:
                    person = log_in(app_url, callback_url=settings.redirect_uris[0])
                    click.echo(f"Signed in: {person.name} (sub {person.sub})")
                    return
                flow = os.environ.get("XWMS_FLOW") or "sign-token"
                about = f"login by {flow}; XWMS's dashboard is {server.url}/dashboard; Ctrl-C ends both"
                click.echo(f"Open {app_url}/ ({about})")
                wait_until_ended(process)
            except (AppFailed, CheckFailed) as fault:
                raise click.ClickException(str(fault)) from None


@contextmanager
def _until_interrupted() -> Generator[None]:
    """Ctrl-C and SIGTERM both end the block and everything it started, and are not an error."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def _listening(server: "SandboxServer", *, where: str, option: str) -> Generator["SandboxServer"]:
    from xwms_auth.sandbox.db import DatabaseUnusable  # noqa: PLC0415  an extra

    try:
        server.start()
    except DatabaseUnusable as fault:
        raise click.ClickException(f"{fault} Choose another file with --db.") from None
    except OSError as fault:
        raise click.ClickException(
            f"cannot listen on {where} ({fault.strerror}): choose another one with {option}"
        ) from None
    try:
        yield server
    finally:
        server.stop()


def _public_warning(host: str, server: "SandboxServer") -> str:
    where = "every address of this machine" if host in {"", "0.0.0.0", "::"} else "other machines may reach it there"  # noqa: S104  the warning is about it
    return (
        f"Warning: the sandbox listens on {host} port {server.port}: {where}. "
        "It has no passwords: anybody who can reach it can sign in as anybody, in your app and in its dashboard."
    )


def _variables(settings: "SandboxSettings", server: "SandboxServer") -> dict[str, str]:
    return xwms_variables(
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        domain=settings.domain,
        redirect_uris=settings.redirect_uris,
        api_url=server.api_url,
        issuer=server.url,
    )


def _front_page_of(redirect_uri: str) -> str:
    """Below the prefix of the app, if the redirect URI shows where that ends; else the root of its origin."""
    if redirect_uri.endswith(_CALLBACK_PATH):
        return redirect_uri.removesuffix(_CALLBACK_PATH) + "/"
    scheme, _, rest = redirect_uri.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"


def _choose(port: int | None, *, preferred: int, option: str) -> int:
    """The given port, which must be free; without one the preferred port if it is free, otherwise any free port."""
    if port == 0:
        return any_free()
    if port is None:
        return preferred if is_free(preferred) else any_free()
    if not is_free(port):
        raise click.ClickException(f"port {port} is in use: choose another one with {option}")
    return port


def _wait_for_ctrl_c() -> NoReturn:
    forever = threading.Event()
    while True:
        forever.wait(timeout=1)  # on Windows a wait without a timeout cannot be interrupted with Ctrl-C
