"""The options that `dev` and `sandbox` share."""

from pathlib import Path
from typing import Final

import click

APP_PORT: Final = 5000
SANDBOX_PORT: Final = 8800
CALLBACK_PATH: Final = "/xwms/validateToken"

callback_token = click.option(
    "--callback-token",
    type=click.Choice(["same", "fresh"]),
    default="same",
    show_default=True,
    help="Whether the callback's token is the one that sign-token returned, or a fresh one.",
)
auto_login = click.option(
    "--auto-login", metavar="SUB", help="Approve every login at once as this person, without the sign-in page."
)
database = click.option(
    "--db",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep accounts, clients and people in this file. Without it they are lost at the end.",
)
seed = click.option("--seed", is_flag=True, help="Add a demo account to the dashboard: a team, clients, users.")
scopes = click.option(
    "--scope",
    "scopes",
    type=click.Choice(["userinfo", "useraddresses"]),
    multiple=True,
    help="A scope that the client may request besides the login; may be repeated.",
)
faults = click.option(
    "--fault",
    "faults",
    metavar="NAME[:ENDPOINT[:TIMES]]",
    multiple=True,
    help="Make calls fail, as in 500:sign-token, slow=10 or html:*:1; may be repeated.",
)
