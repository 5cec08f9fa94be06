"""What goes into the log: one line per event, with stable names, and nothing that should not be in a log.

Knows: the logger `xwms_auth` and how to write a value on one line.
Must not: see a token, a cookie, a secret or a name. A person is a short hash, the same for the same person.
"""

import logging

from .errors import APIError, ConfigError, RequestRefused, XWMSError
from .models import Identity
from .signing import digest

MAX_VALUE = 500
"""Characters of one value as it is written; the rest becomes `...`. A path may be what somebody likes and a server
lets in, often 64 kB, and each refused request writes a line."""

log = logging.getLogger("xwms_auth")


def person_hash(identity: Identity) -> str:
    """A person for the log: tells two people apart, tells nobody who they are."""
    return digest(f"{identity.issuer}\n{identity.sub}")[:12]


def info(event: str, **fields: str) -> None:
    """Log something that went as it should."""
    log.info("%s%s", event, _written(fields))


def warning(event: str, **fields: str) -> None:
    """Log something that an operator should look at."""
    log.warning("%s%s", event, _written(fields))


def config_error(error: ConfigError) -> None:
    """Log that the settings are wrong, with all faults."""
    log.error("the settings are wrong:%s", error)


def refused(error: XWMSError, *, path: str) -> None:
    """Log a refusal with its code and cause. What a visitor did is information; what we or XWMS did is a fault."""
    level = logging.ERROR
    if isinstance(error, RequestRefused):
        level = logging.INFO
    elif isinstance(error, APIError):
        level = logging.WARNING if error.status in (401, 503, 504) else logging.ERROR
    log.log(level, "refused%s", _written({"code": error.code, "path": path, "cause": error.cause}))


def _written(fields: dict[str, str]) -> str:
    return "".join(f" {name}={_shown(value)}" for name, value in fields.items())


def _shown(value: str) -> str:
    # ascii() keeps line breaks, terminal escapes and lone surrogates from making a second line of their own. It may
    # make ten characters of one, so both are cut.
    cut = value[:MAX_VALUE]
    shown = cut if cut.isascii() and cut.isidentifier() else ascii(cut)
    return shown if len(shown) <= MAX_VALUE and len(value) <= MAX_VALUE else f"{shown[:MAX_VALUE]}..."
