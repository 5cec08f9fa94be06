"""The command `scan` in this process, with a secret that it must never print."""

from pathlib import Path

from click.testing import CliRunner, Result

from xwms_auth.cli.commands import xwms_auth

SECRET = "q7Zt9vK3dWeXm1uRbPq4"


def scan(*arguments: str | Path, **variables: str | None) -> Result:
    """Search for `SECRET`, unless other variables say what."""
    environ = {"XWMS_SESSION_SECRET": None, "XWMS_CLIENT_SECRET_FILE": None, "XWMS_CLIENT_SECRET": SECRET} | variables
    result = CliRunner().invoke(xwms_auth, ["scan", *map(str, arguments)], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert SECRET not in result.output
    return result
