"""The names of the options in the environment, their choices and limits, and the conversion of text to values.

Values are validated in `validation.py`.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from ..base.models import Secret
from .secret_sources import SecretFromFile, keys_in_file

CallbackToken = Literal["either", "same", "fresh"]
Protect = Literal["marked", "all"]
Flow = Literal["sign-token", "oauth2"]
ClientAuth = Literal["client_secret_basic", "client_secret_post"]
RecheckPolicy = Literal["end", "keep"]
TokenValidation = Literal["introspection", "jwt"]
IntrospectedType = Literal["required", "optional"]

MIN_SESSION_SECRET = 32
"""Bytes. 256 bits of key material, so that the signature is not the weakest part."""


DEVELOPMENT_PREFIX = "development-only."
"""How the session secrets of `xwms-auth dev` and `xwms-auth sandbox` begin. They serve redirect URIs on loopback only,
because they are derived from a key on a developer's machine."""

MIN_RECHECK = 30
"""Seconds. Each re-check is a call to XWMS that a user waits for."""

MIN_WEBSOCKET_RECHECK = 1
"""Seconds. Each is a look into the session store for each open websocket."""

MAX_TIMEOUT = 60.0
"""Seconds. A worker that waits longer for XWMS cannot serve anybody else meanwhile."""

MAX_SLOW_CALLS = 1000
"""The largest `max_slow_calls`, which is as good as no limit."""

MIN_LOGINS_PER_ADDRESS, MAX_LOGINS_PER_ADDRESS = 10, 100_000
"""A family and a company may each have one address; the largest is as good as no limit."""

MAX_AUDIENCE = 255
"""Characters of the name of an API, which is usually its URL."""

ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "client_id": ("XWMS_CLIENT_ID",),
    "client_secret": ("XWMS_CLIENT_SECRET",),
    "redirect_uris": ("XWMS_REDIRECT_URI",),
    "domain": ("XWMS_DOMAIN", "XWMS_CLIENT_DOMAIN"),
    "api_url": ("XWMS_API_URI", "XWMS_API_URL"),
    "session_secret": ("XWMS_SESSION_SECRET",),
    "session_store": ("XWMS_SESSION_STORE",),
    "revocation_store": ("XWMS_REVOCATION_STORE",),
    "session_idle": ("XWMS_SESSION_IDLE",),
    "session_lifetime": ("XWMS_SESSION_LIFETIME",),
    "sessions_valid_after": ("XWMS_SESSIONS_VALID_AFTER",),
    "recheck": ("XWMS_RECHECK",),
    "recheck_policy": ("XWMS_RECHECK_POLICY",),
    "websocket_recheck": ("XWMS_WEBSOCKET_RECHECK",),
    "path_prefix": ("XWMS_PATH_PREFIX",),
    "login_path": ("XWMS_LOGIN_PATH",),
    "logout_path": ("XWMS_LOGOUT_PATH",),
    "me_path": ("XWMS_ME_PATH",),
    "backchannel_path": ("XWMS_BACKCHANNEL_PATH",),
    "after_login": ("XWMS_AFTER_LOGIN",),
    "after_logout": ("XWMS_AFTER_LOGOUT",),
    "protect": ("XWMS_PROTECT",),
    "public": ("XWMS_PUBLIC",),
    "callback_token": ("XWMS_CALLBACK_TOKEN",),
    "confirm_person": ("XWMS_CONFIRM_PERSON",),
    "login_origins": ("XWMS_LOGIN_ORIGINS",),
    "timeout": ("XWMS_TIMEOUT",),
    "max_slow_calls": ("XWMS_MAX_SLOW_CALLS",),
    "logins_per_address": ("XWMS_LOGINS_PER_ADDRESS",),
    "flow": ("XWMS_FLOW",),
    "issuer": ("XWMS_ISSUER",),
    "discovery_url": ("XWMS_DISCOVERY_URL",),
    "scopes": ("XWMS_SCOPES",),
    "provider_logout": ("XWMS_PROVIDER_LOGOUT",),
    "id_token_hint": ("XWMS_ID_TOKEN_HINT",),
    "client_auth": ("XWMS_CLIENT_AUTH",),
    "authorization_endpoint": ("XWMS_AUTHORIZATION_ENDPOINT",),
    "token_endpoint": ("XWMS_TOKEN_ENDPOINT",),
    "userinfo_endpoint": ("XWMS_USERINFO_ENDPOINT",),
    "jwks_uri": ("XWMS_JWKS_URI",),
    "revocation_endpoint": ("XWMS_REVOCATION_ENDPOINT",),
    "introspection_endpoint": ("XWMS_INTROSPECTION_ENDPOINT",),
    "end_session_endpoint": ("XWMS_END_SESSION_ENDPOINT",),
    "token_validation": ("XWMS_TOKEN_VALIDATION",),
    "introspection_token_type": ("XWMS_INTROSPECTION_TOKEN_TYPE",),
    "audience": ("XWMS_AUDIENCE",),
    "trusted_origins": ("XWMS_TRUSTED_ORIGINS",),
    "cookie_tag": ("XWMS_COOKIE_TAG",),
    "site_name": ("XWMS_SITE_NAME",),
    "site_logo": ("XWMS_SITE_LOGO",),
    "login_params": ("XWMS_LOGIN_PARAMS",),
    "locale": ("XWMS_LOCALE",),
    "redact_access_logs": ("XWMS_REDACT_ACCESS_LOGS",),
    "leak_guard": ("XWMS_LEAK_GUARD",),
    "debug": ("XWMS_DEBUG",),
    "insecure_allow_http": ("XWMS_INSECURE_ALLOW_HTTP",),
    "allow_missing_settings": ("XWMS_ALLOW_MISSING_SETTINGS",),
}
"""Field to names in the environment: the current name first, then older ones."""

CALLBACK_PATH = "/xwms/validateToken"
"""The callback path in XWMS's own documentation."""

DEFAULT_PATHS = {
    "login_path": "/xwms/auth",
    "logout_path": "/xwms/logout",
    "me_path": "/xwms/me",
    "backchannel_path": "/xwms/backchannel-logout",
    "after_login": "/",
    "after_logout": "/",
}
"""What follows `path_prefix` where an option has no value."""

REDIS = ("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://")

DATABASES = ("postgresql+", "mysql+", "mariadb+")
"""How the URLs of databases begin: the name of the driver follows."""

_LISTS = ("redirect_uris", "session_secret", "public", "login_origins", "scopes", "trusted_origins", "login_params")
_SECONDS = ("session_idle", "session_lifetime", "recheck", "websocket_recheck", "timeout")
_NUMBERS = ("max_slow_calls", "logins_per_address")
_SWITCHES = (
    "allow_missing_settings",
    "confirm_person",
    "debug",
    "insecure_allow_http",
    "id_token_hint",
    "leak_guard",
    "provider_logout",
    "redact_access_logs",
)
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def is_redis(url: str) -> bool:
    """Whether this is the URL of a store in Redis."""
    return url.startswith(REDIS)


def is_database(url: str) -> bool:
    """Whether this is the URL of a store in a database, with SQLAlchemy."""
    return url.startswith(DATABASES)


def may_hold_password(address: Secret) -> bool:
    """Whether a store's URL may contain a password. In a malformed URL it may be anywhere."""
    plain = unquote(address.reveal())
    return not plain.startswith("sqlite:") and ("@" in plain or "password" in plain.lower())


def missing_session_secret() -> str:
    """The message of the `ConfigError` for a missing session secret."""
    return "XWMS_SESSION_SECRET (session_secret) is missing; make one with: xwms-auth secret"


def read_options(mapping: Mapping[str, Any], faults: list[str], *, without: Collection[str] = ()) -> dict[str, Any]:
    """Read the options of `XWMSConfig` from a mapping, except those in `without`, whose variables do not matter.

    Values that cannot be converted are reported in `faults`.
    """
    options: dict[str, Any] = {"client_id": "", "client_secret": "", "redirect_uris": ()}
    for name, variables in ENVIRONMENT.items():
        if name in without:
            continue
        value = next((mapping[variable] for variable in variables if mapping.get(variable) not in (None, "")), None)
        if value is None:
            continue
        if isinstance(value, str) and name in _LISTS:
            value = value.split()
        elif isinstance(value, str) and name in _SECONDS:
            try:
                value = float(value)
            except ValueError:
                faults.append(f"{variables[0]} ({name}) is not a number of seconds")
                continue
        elif isinstance(value, str) and name in _NUMBERS:
            try:
                value = int(value)
            except ValueError:
                faults.append(f"{variables[0]} ({name}) is not a whole number")
                continue
        # Numbers too: a reader that parses the environment as JSON, as Flask can, turns "1" into one.
        elif isinstance(value, str | int) and name in _SWITCHES:
            text = str(value).strip().lower()
            if text not in (*_ON, *_OFF):
                faults.append(f"{variables[0]} ({name}) is neither on ({', '.join(_ON)}) nor off ({', '.join(_OFF)})")
                continue
            value = text in _ON
        options[name] = value
    _read_files(mapping, options, faults, without=without)
    return options


def _read_files(
    mapping: Mapping[str, Any], options: dict[str, Any], faults: list[str], *, without: Collection[str]
) -> None:
    """Read the secrets that are in files."""
    for name, read in (("client_secret", SecretFromFile), ("session_secret", keys_in_file)):
        variable = ENVIRONMENT[name][0]
        file = mapping.get(f"{variable}_FILE")
        if not file or name in without:
            continue
        if options.get(name):
            faults.append(f"{variable} and {variable}_FILE are both set; keep one")
        options[name] = read(file)
        if not options[name]:
            faults.append(f"{name}: the file named by {variable}_FILE is empty or not UTF-8 text, or cannot be read")
