"""The variables that point an app at a sandbox.

Knows: their names, and the older names that would compete with them.
Must not: read or write `os.environ`.
"""

import secrets
import shlex
from collections.abc import Mapping
from typing import Final

# Other ways of saying what we set; left in place they would contradict it, or send a real secret to the sandbox.
# XWMS_FLOW is not one of them: the sandbox speaks both, and that variable alone changes from one to the other.
_COMPETING: Final = (
    "XWMS_CLIENT_SECRET_FILE",
    "XWMS_CLIENT_DOMAIN",
    "XWMS_API_URL",
    "XWMS_LOGIN_ORIGINS",
    "XWMS_AUTHORIZATION_ENDPOINT",
    "XWMS_TOKEN_ENDPOINT",
    "XWMS_USERINFO_ENDPOINT",
    "XWMS_JWKS_URI",
    "XWMS_REVOCATION_ENDPOINT",
    "XWMS_INTROSPECTION_ENDPOINT",
    "XWMS_END_SESSION_ENDPOINT",
)


def fresh_secret() -> str:
    """A session secret: 48 random bytes as 64 URL-safe characters."""
    return secrets.token_urlsafe(48)


def xwms_variables(
    *, client_id: str, client_secret: str, domain: str, redirect_uris: tuple[str, ...], api_url: str, issuer: str
) -> dict[str, str]:
    """Every variable an app needs, with a session secret of its own."""
    return {
        "XWMS_CLIENT_ID": client_id,
        "XWMS_CLIENT_SECRET": client_secret,
        "XWMS_DOMAIN": domain,
        "XWMS_REDIRECT_URI": " ".join(redirect_uris),
        "XWMS_API_URI": api_url,
        "XWMS_ISSUER": issuer,
        "XWMS_SESSION_SECRET": fresh_secret(),
    }


def with_variables(environ: Mapping[str, str], *, variables: Mapping[str, str]) -> dict[str, str]:
    """A copy of ``environ`` in which ``variables`` are the only word on their subject.

    But for two: debug mode is on, so that error pages say what to change, unless ``environ`` says otherwise; and a
    session secret of ``environ`` stays, so that whoever restarts the app often is not signed out each time.
    """
    kept = {name: value for name, value in environ.items() if name not in _COMPETING}
    own = {name: kept[name] for name in ("XWMS_DEBUG", "XWMS_SESSION_SECRET") if kept.get(name)}
    return {**kept, "XWMS_DEBUG": "1", **variables, **own}


def export_lines(variables: Mapping[str, str]) -> str:
    """Lines for a POSIX shell, one for each variable, without a last newline."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
