"""`xwms-auth sandbox`: the local XWMS alone, for an app that is started by its own command."""

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn
from urllib.parse import urlsplit

import click

from xwms_auth.cli import options
from xwms_auth.cli.environment import ForeignFile, export_lines, fresh_secret, write_env_file
from xwms_auth.cli.local_key import client_secret_for, session_secret_for
from xwms_auth.cli.local_xwms import listening, one_for_each_host, refused_settings, until_interrupted, variables_of
from xwms_auth.cli.missing_extras import needs_extra
from xwms_auth.cli.terminal import Failure, print_log, progress

if TYPE_CHECKING:
    from xwms_auth.sandbox import SandboxServer


@click.command(short_help="Run only the local XWMS.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=options.SANDBOX_PORT,
    show_default=True,
    help="The port to listen on; 0 is any free one.",
)
@click.option(
    "--public-url",
    metavar="URL",
    help="Where browsers reach it, if that is not HOST and PORT, as with a container. [default: http://HOST:PORT]",
)
@click.option(
    "--issuer",
    metavar="URL",
    help="Its name in everybody's identity, to keep people the same on another port. [default: its URL]",
)
@click.option("--client-id", default="sandbox-client", show_default=True, help="The client id of the app.")
@click.option("--client-secret", help="The client secret of the app. [default: the same at every start]")
@click.option("--domain", default="localhost", show_default=True, help="The domain this client may log people in for.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    metavar="URI",
    multiple=True,
    default=[f"http://localhost:{options.APP_PORT}{options.CALLBACK_PATH}"],
    show_default=True,
    help="A callback of the app, exactly as it is configured there; may be repeated.",
)
@options.callback_token
@options.auto_login
@options.scopes
@options.database
@options.seed
@options.faults
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the variables to this file, and print the two lines that start an app with it.",
)
def sandbox(
    *,
    host: str,
    port: int,
    public_url: str | None,
    issuer: str | None,
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
    env_file: Path | None,
) -> None:
    """Run only the local XWMS, and print the variables that connect an app to it."""
    with progress("Loading the local XWMS"), needs_extra("sandbox"):
        from xwms_auth.sandbox import SandboxServer, SandboxSettings  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.domain.urls import host_name, is_loopback, parse_public_url  # noqa: PLC0415  an extra
        from xwms_auth.sandbox.oauth.without_authlib import NEEDS_EXTRA, is_installed  # noqa: PLC0415  an extra
    with until_interrupted():
        with refused_settings():
            own_url = None if public_url is None else parse_public_url(public_url)
            settings = SandboxSettings(
                client_id=client_id,
                client_secret=client_secret_for(client_id, domain) if client_secret is None else client_secret,
                domain=domain,
                redirect_uris=redirect_uris,
                callback_token=callback_token,
                auto_login=auto_login,
                scopes=scopes,
                database=database,
                seed=seed,
                faults=faults,
                issuer=issuer,
            )
        is_local = all(is_loopback(host_name(urlsplit(uri).netloc) or "") for uri in redirect_uris)
        print_log("xwms_auth.sandbox", "%(asctime)s %(message)s")
        session_secret = session_secret_for("sandbox", client_id, *redirect_uris) if is_local else fresh_secret()
        with listening(
            SandboxServer(settings, host=host, port=port, public_url=own_url),
            where=f"{host} port {port}",
            again=f"xwms-auth sandbox --port {port + 1 if port < 65535 else 0}",
        ) as server:
            if not is_loopback(host):
                click.echo(_public_warning(host, server), err=True)
            # Error pages say what to change.
            variables = variables_of(settings, server, session_secret=session_secret) | {"XWMS_DEBUG": "1"}
            # Comments are on lines of their own: a systemd `EnvironmentFile` takes one after a value for a part of it.
            if env_file is None:
                click.echo(export_lines(variables))
            else:
                _write(env_file, variables)
                click.echo(f"set -a; . {shlex.quote(str(env_file.absolute()))}; set +a")
            if is_local:
                app_port = urlsplit(redirect_uris[0]).port or 80
                click.echo(f"{'# ' if env_file is None else ''}flask --app app run --debug --port {app_port}")
                click.echo(f"# or: uvicorn app:app --reload --port {app_port}")
            for uri in sorted({*redirect_uris} - {*one_for_each_host(redirect_uris)}):
                click.echo(f"# Registered too, for another app on that host: XWMS_REDIRECT_URI={shlex.quote(uri)}")
            if env_file is None:
                click.echo("# Two lines to paste instead of these: xwms-auth sandbox --env-file FILE")
            with_oauth = "# export XWMS_FLOW=oauth2 logs people in by OAuth 2.0 instead"
            click.echo(with_oauth if is_installed() else f"# {NEEDS_EXTRA}")
            click.echo(f"# Open the app at {_front_page_of(redirect_uris[0])} and under no other name")
            click.echo(f"# Dashboard: {server.url}/dashboard")
            click.echo(f"# The sandbox listens on {server.local_url} (Ctrl-C ends it)")
            _wait_for_ctrl_c()


def _write(file: Path, variables: dict[str, str]) -> None:
    try:
        write_env_file(file, variables)
    except ForeignFile as fault:
        raise Failure(f"{fault}: choose another name with --env-file") from None
    except OSError as fault:
        raise Failure(f"cannot write {file} ({fault.strerror}): choose another place with --env-file") from None


def _public_warning(host: str, server: "SandboxServer") -> str:
    where = "every address of this machine" if host in {"", "0.0.0.0", "::"} else "other machines may reach it there"  # noqa: S104  the warning is about it
    return (
        f"Warning: the sandbox listens on {host} port {server.port}: {where}. "
        "It has no passwords: anybody who can reach it can sign in as anybody, in your app and in its dashboard."
    )


def _front_page_of(redirect_uri: str) -> str:
    """Below the prefix of the app, if the redirect URI shows where that ends; else the root of its origin."""
    if redirect_uri.endswith(options.CALLBACK_PATH):
        return redirect_uri.removesuffix(options.CALLBACK_PATH) + "/"
    scheme, _, rest = redirect_uri.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"


def _wait_for_ctrl_c() -> NoReturn:
    forever = threading.Event()
    while True:
        forever.wait(timeout=1)  # on Windows a wait without a timeout cannot be interrupted with Ctrl-C
