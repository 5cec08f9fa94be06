"""The log of this package (logger `xwms_auth`): one line for each event, with stable names.

Never logs a token, a cookie, a secret or a name. A person is logged by `Context.log_name`, the same for the same
person.
"""

import logging
import re
from typing import Literal

from .errors import APIError, ConfigError, RequestRefused, XWMSError

MAX_VALUE = 500
"""Characters of one value in the log; the rest becomes `...`. A client can send a path as long as the server allows,
often 64 kB, and each refused request writes a line."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
"""A value that is written without quotes: codes, ids of logins and names of people, so that a search finds each."""

log = logging.getLogger("xwms_auth")

Event = Literal[
    "account_not_updated",
    "address_limited",
    "address_of_a_proxy",
    "address_unknown",
    "all_sessions_revoked",
    "client_secret_not_read",
    "client_secret_refused",
    "client_secret_renewed",
    "each_process_by_itself",
    "endpoint_not_usable",
    "field_too_long",
    "guard_not_in_effect",
    "hook_failed",
    "id_token_hint_too_long",
    "id_token_not_verified",
    "identities_may_outlive_accounts",
    "insecure_allow_http",
    "issuer_not_used",
    "leak_guard_cannot_read",
    "logged_out",
    "logged_out_at_xwms",
    "login_at_another_host",
    "login_finished",
    "login_not_silent",
    "login_started",
    "login_waits",
    "loopback_beside_public",
    "not_logged_out_at_the_server",
    "not_remembered",
    "page_failed",
    "path_prefix",
    "picture_not_removed",
    "prefix_missing",
    "prefix_not_registered",
    "prefix_twice",
    "proof_needed",
    "server_documents_not_renewed",
    "revocations_forgotten",
    "session_ended",
    "session_from_the_future",
    "session_kept",
    "session_not_checked",
    "session_not_renewed",
    "session_revoked",
    "sessions_revoked",
    "sessions_valid_after",
    "settings_missing",
    "store_unhealthy",
    "telemetry_failed",
    "telemetry_off",
    "token_not_refreshed",
    "token_not_revoked",
    "token_not_spent",
    "token_refreshed",
    "token_revoked_late",
    "token_spent",
    "tokens_not_kept",
    "tokens_not_revocable",
    "tokens_not_saved",
    "unknown_settings",
    "websocket_closed",
    "websocket_not_checked",
]
"""The names of normal events, and of those that an operator should look at. docs/operation.md says what each means."""


def info(event: Event, **fields: str) -> None:
    """Log a normal event."""
    log.info("%s%s", event, _formatted(fields))


def warning(event: Event, **fields: str) -> None:
    """Log an event that an operator should look at."""
    log.warning("%s%s", event, _formatted(fields))


def tokens_not_saved() -> None:
    """Log that refreshed tokens exist in this process only, because no response can carry them."""
    warning(
        "tokens_not_saved",
        hint="call access_token() before the response begins, not in a websocket, or use another session_store",
    )


def config_error(error: ConfigError) -> None:
    """Log that the settings are wrong, with every problem."""
    log.error("settings_wrong: %s", error)


def unexpected(stack: str) -> None:
    """Log the stack of an error that is not ours. It must hold no values."""
    log.error("unexpected_error: an error that is not ours\n%s", stack)


def refused(error: XWMSError, *, path: str) -> None:
    """Log a refused request with its code and cause: at INFO for a fault of the visitor, higher for ours or XWMS's."""
    level = logging.ERROR
    if isinstance(error, RequestRefused):
        level = logging.INFO
    elif isinstance(error, APIError):
        level = logging.WARNING if error.status in (401, 503, 504) else logging.ERROR
    if log.isEnabledFor(level):  # mostly not: a flood of refused requests costs less
        log.log(level, "refused%s", _formatted({"code": error.code, "path": path, "cause": error.cause}))


def _formatted(fields: dict[str, str]) -> str:
    return "".join(f" {name}={_escaped(value)}" for name, value in fields.items())


def _escaped(value: str) -> str:
    # Log injection: ascii() escapes line breaks, terminal escape sequences and lone surrogates. It may turn one
    # character into ten, so the text is cut before and after.
    cut = value[:MAX_VALUE]
    escaped = cut if _PLAIN.fullmatch(cut) else ascii(cut)
    return escaped if len(escaped) <= MAX_VALUE and len(value) <= MAX_VALUE else f"{escaped[:MAX_VALUE]}..."
