"""The option `sessions_valid_after`: a time before which no session counts, set by an administrator after a leak."""

import math
import time
from datetime import UTC, datetime

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
"""A number below this is no time that anybody means, but perhaps a date without its hyphens."""


def parse_epoch(value: object) -> datetime:
    """Return the time in UTC, in whole seconds, rounded up. Raises ValueError with what is wrong."""
    if isinstance(value, str):
        value = _parsed(value.strip())
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("has no time zone, such as the Z of 2026-11-28T14:30:00Z")
        value = value.timestamp()
    if not isinstance(value, int | float) or not EARLIEST <= value < math.inf:
        raise ValueError("is neither a date and time such as 2026-11-28T14:30:00Z nor seconds since 1970")
    # Otherwise every new session would be over at once, and a login would lead to the next (redirect loop). A second
    # more: the time may have been rounded up before.
    if value > time.time() + 1:
        raise ValueError("is in the future")
    return datetime.fromtimestamp(math.ceil(value), UTC)


def _parsed(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
