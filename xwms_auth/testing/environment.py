"""The variables of an application under test: settings that lead to an XWMS inside this process.

Imports nothing of the package, because pytest imports it in every run.
"""

import os
from collections.abc import Callable, Mapping

HOST = "xwms.in-process.test"
"""The name of an XWMS inside the process: `_core/io/in_process.py` says why it can be no other."""

CLIENT_ID = "xwms-auth-tests"
CLIENT_SECRET = os.urandom(24).hex()
SESSION_SECRET = os.urandom(32).hex()
"""Those of an XWMS begin with this one, so that they are not taken for the environment's own."""

REDIRECT_URI = "http://localhost/xwms/validateToken"

_ELSEWHERE = (
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
"""Variables that would lead to another XWMS."""


def variables(environ: Mapping[str, str], *, host: str, session_secret: str = SESSION_SECRET) -> dict[str, str | None]:
    """The variables that lead an application to the XWMS with this name; None for those that must not be set.

    The redirect URI and the session secret stay those of the environment, if it has any of its own.
    """
    ours: dict[str, str | None] = {
        "XWMS_CLIENT_ID": CLIENT_ID,
        "XWMS_CLIENT_SECRET": CLIENT_SECRET,
        "XWMS_DOMAIN": "localhost",
        "XWMS_API_URI": f"https://{host}/api/",
        "XWMS_ISSUER": f"https://{host}",
        "XWMS_LEAK_GUARD": environ.get("XWMS_LEAK_GUARD") or "1",
        **dict.fromkeys(_ELSEWHERE),
    }
    if not environ.get("XWMS_REDIRECT_URI"):
        ours["XWMS_REDIRECT_URI"] = REDIRECT_URI
    own_secret = environ.get("XWMS_SESSION_SECRET", "")
    if (not own_secret or own_secret.startswith(SESSION_SECRET)) and not environ.get("XWMS_SESSION_SECRET_FILE"):
        ours["XWMS_SESSION_SECRET"] = session_secret
    return ours


def is_guarded(environ: Mapping[str, str]) -> bool:
    """Whether the leak guard is on in tests, as it is unless the environment says no."""
    return environ.get("XWMS_LEAK_GUARD", "").lower() not in ("0", "false", "no", "off")


def absent(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Those of the variables that are missing, so that an application can be made; none if it could be anyway."""
    has_secret = environ.get("XWMS_CLIENT_SECRET") or environ.get("XWMS_CLIENT_SECRET_FILE")
    if has_secret and environ.get("XWMS_CLIENT_ID") and environ.get("XWMS_REDIRECT_URI"):
        return {}
    others = {"XWMS_CLIENT_SECRET": "XWMS_CLIENT_SECRET_FILE", "XWMS_DOMAIN": "XWMS_CLIENT_DOMAIN"}
    return {
        name: value
        for name, value in variables(environ, host=HOST).items()
        if value is not None and not environ.get(name) and not environ.get(others.get(name, ""))
    }


def inherited(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Those that the process which started this one has provided for its own tests, as pytest-xdist does."""
    if environ.get("XWMS_CLIENT_ID") != CLIENT_ID or environ.get("XWMS_CLIENT_SECRET") == CLIENT_SECRET:
        return {}
    return dict.fromkeys(name for name, value in variables({}, host=HOST).items() if value is not None)


def put(wanted: Mapping[str, str | None]) -> Callable[[], None]:
    """Set or remove these variables in `os.environ`. Returns the function that undoes it."""
    before = {name: os.environ.get(name) for name in wanted}
    _put(wanted)
    return lambda: _put(before)


def _put(wanted: Mapping[str, str | None]) -> None:
    for name, value in wanted.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
