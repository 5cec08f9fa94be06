"""The command line, `xwms-auth`.

Knows: which extra the commands need.
Must not: import click before it is known to be there; the process that serves the app imports this package without it.
"""

from xwms_auth.cli.extras import needs_extra


def main() -> None:
    """The console command. Exit status 0, 1 (said why in one line) or 2 (wrong arguments)."""
    with needs_extra("cli"):
        from xwms_auth.cli.commands import xwms_auth  # noqa: PLC0415  the commands are made with click

    xwms_auth(prog_name="xwms-auth")
