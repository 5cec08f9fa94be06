"""The command line, `xwms-auth`.

This module must not import click: the process that serves the app imports this package without the extra.
"""

from xwms_auth.cli.missing_extras import needs_extra


def main() -> None:
    """The console command. Exit status 0, 1 (with the reason in one line) or 2 (wrong arguments)."""
    with needs_extra("cli"):
        from xwms_auth.cli.commands import xwms_auth  # noqa: PLC0415  needs click

    xwms_auth(prog_name="xwms-auth")
