"""The command `xwms-auth` and its subcommands.

Output for programs goes to standard output, everything else to standard error. The commands never change `os.environ`,
and print no traceback for an error that the user can fix.
"""

import click
from click.shell_completion import get_completion_class

from xwms_auth.cli.database import db
from xwms_auth.cli.dev import dev
from xwms_auth.cli.doctor.command import doctor
from xwms_auth.cli.environment import fresh_secret
from xwms_auth.cli.routes import routes
from xwms_auth.cli.sandbox import sandbox
from xwms_auth.cli.scan.command import scan
from xwms_auth.cli.starter import new

_NAME = "xwms-auth"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=_NAME)
def xwms_auth() -> None:
    """Login with XWMS: run an app with a local XWMS, without an account or a network."""


xwms_auth.add_command(db)
xwms_auth.add_command(dev)
xwms_auth.add_command(doctor)
xwms_auth.add_command(new)
xwms_auth.add_command(routes)
xwms_auth.add_command(sandbox)
xwms_auth.add_command(scan)


@xwms_auth.command()
def secret() -> None:
    """Print a new session secret."""
    click.echo(fresh_secret())


@xwms_auth.command(short_help="Print what a shell needs for completion.")
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    For bash and zsh: eval "$(xwms-auth completion bash)". For fish: xwms-auth completion fish | source.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"click knows no {shell}")
    click.echo(found(xwms_auth, {}, _NAME, "_XWMS_AUTH_COMPLETE").source())
