"""The environment variables that connect an app to a sandbox. This module does not read or change `os.environ`."""

import hashlib
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Alternatives of the variables that we set; if kept, they would conflict or send a real secret to the sandbox.
# XWMS_FLOW is not one of them: the sandbox supports both flows, and that variable alone selects one.
_COMPETING: Final = (
    "XWMS_CLIENT_SECRET_FILE",
    "XWMS_CLIENT_DOMAIN",
    "XWMS_API_URL",
    "XWMS_LOGIN_ORIGINS",
    "XWMS_DISCOVERY_URL",
    "XWMS_AUTHORIZATION_ENDPOINT",
    "XWMS_TOKEN_ENDPOINT",
    "XWMS_USERINFO_ENDPOINT",
    "XWMS_JWKS_URI",
    "XWMS_REVOCATION_ENDPOINT",
    "XWMS_INTROSPECTION_ENDPOINT",
    "XWMS_END_SESSION_ENDPOINT",
)


_MARK: Final = "# Written by `xwms-auth sandbox`, and again at every start."


def fresh_secret() -> str:
    """A session secret: 48 random bytes as 64 URL-safe characters."""
    return secrets.token_urlsafe(48)


def xwms_variables(
    *,
    client_id: str,
    client_secret: str,
    domain: str,
    redirect_uris: tuple[str, ...],
    api_url: str,
    issuer: str,
    discovery_url: str | None,
    session_secret: str,
) -> dict[str, str]:
    """Every variable that an app needs; `discovery_url` is for an issuer that is not the sandbox's address."""
    variables = {
        "XWMS_CLIENT_ID": client_id,
        "XWMS_CLIENT_SECRET": client_secret,
        "XWMS_DOMAIN": domain,
        "XWMS_REDIRECT_URI": " ".join(redirect_uris),
        "XWMS_API_URI": api_url,
        "XWMS_ISSUER": issuer,
        "XWMS_SESSION_SECRET": session_secret,
    }
    return variables if discovery_url is None else variables | {"XWMS_DISCOVERY_URL": discovery_url}


def with_variables(environ: Mapping[str, str], *, variables: Mapping[str, str]) -> dict[str, str]:
    """A copy of ``environ`` with ``variables`` and without their alternatives.

    Four variables of ``environ`` take precedence: the debug mode, which is otherwise turned on so that error pages say
    what to change; the leak guard, which is otherwise on too; the session secret, or its file, so that restarting the
    app does not sign people out; and the cookies' tag.
    """
    kept = {name: value for name, value in environ.items() if name not in _COMPETING}
    theirs = ("XWMS_DEBUG", "XWMS_LEAK_GUARD", "XWMS_SESSION_SECRET", "XWMS_COOKIE_TAG")
    own = {name: kept[name] for name in theirs if kept.get(name)}
    merged = {**kept, "XWMS_DEBUG": "1", "XWMS_LEAK_GUARD": "1", **variables, **own}
    if kept.get("XWMS_SESSION_SECRET_FILE") and "XWMS_SESSION_SECRET" not in own:
        del merged["XWMS_SESSION_SECRET"]
    return merged


def cookie_tag_for(target: str, *, folder: str) -> str:
    """The cookies' tag of an app: the same at every start, another for every app on this machine.

    All ports of localhost share their cookies. Most targets are ``app:app``, so the folder counts too.
    """
    return hashlib.sha256(f"{folder}\0{target}".encode("utf-8", "surrogateescape")).hexdigest()[:8]


class ForeignFile(Exception):
    """A file is in the way that was not written here; the text is one line."""


def write_env_file(file: Path, variables: Mapping[str, str]) -> None:
    """Write the variables for a shell, systemd, Docker and python-dotenv; only the owner may read the file.

    Raises `ForeignFile` for one that somebody else has written, which may hold settings that are nowhere else, and
    OSError.
    """
    if file.exists() and not file.read_bytes().startswith(_MARK.encode()):
        raise ForeignFile(f"{file} was not written by xwms-auth")
    lines = [_MARK, *(f"{name}={shlex.quote(value)}" for name, value in variables.items())]
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write("\n".join(lines) + "\n")
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def export_lines(variables: Mapping[str, str]) -> str:
    """Lines for a POSIX shell, one for each variable, without a trailing newline."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
