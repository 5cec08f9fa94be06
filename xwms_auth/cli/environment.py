"""The environment variables that connect an app to a sandbox. This module does not read or change `os.environ`."""

import hashlib
import secrets
import shlex
from collections.abc import Mapping
from typing import Final

# Alternatives of the variables that we set; if kept, they would conflict or send a real secret to the sandbox.
# XWMS_FLOW is not one of them: the sandbox supports both flows, and that variable alone selects one.
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
    """Every variable that an app needs, with a new session secret."""
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
    """A copy of ``environ`` with ``variables`` and without their alternatives.

    Three variables of ``environ`` take precedence: the debug mode, which is otherwise turned on so that error pages say
    what to change; the session secret, or its file, so that restarting the app does not sign people out; and the
    cookies' tag.
    """
    kept = {name: value for name, value in environ.items() if name not in _COMPETING}
    own = {name: kept[name] for name in ("XWMS_DEBUG", "XWMS_SESSION_SECRET", "XWMS_COOKIE_TAG") if kept.get(name)}
    merged = {**kept, "XWMS_DEBUG": "1", **variables, **own}
    if kept.get("XWMS_SESSION_SECRET_FILE") and "XWMS_SESSION_SECRET" not in own:
        del merged["XWMS_SESSION_SECRET"]
    return merged


def cookie_tag_for(target: str, *, folder: str) -> str:
    """The cookies' tag of an app: the same at every start, another for every app on this machine.

    All ports of localhost share their cookies. Most targets are ``app:app``, so the folder counts too.
    """
    return hashlib.sha256(f"{folder}\0{target}".encode("utf-8", "surrogateescape")).hexdigest()[:8]


def export_lines(variables: Mapping[str, str]) -> str:
    """Lines for a POSIX shell, one for each variable, without a trailing newline."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
