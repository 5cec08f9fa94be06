"""The validation of the options that are times or numbers."""

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from ..base.session import MAX_LIFETIME
from .env import (
    MAX_LOGINS_PER_ADDRESS,
    MAX_SLOW_CALLS,
    MAX_TIMEOUT,
    MIN_LOGINS_PER_ADDRESS,
    MIN_RECHECK,
    MIN_WEBSOCKET_RECHECK,
)

if TYPE_CHECKING:
    from .validation import Validator


def validate_limits(validator: "Validator") -> None:
    """Validate each, and set the seconds of those that are times."""
    config = validator.config
    for name, target in (("session_idle", "idle_seconds"), ("session_lifetime", "lifetime_seconds")):
        seconds = _seconds(getattr(config, name))
        if seconds is None or not 1 <= seconds <= MAX_LIFETIME.total_seconds():
            validator.fault(name, f"must be a time between 1 second and {MAX_LIFETIME.days} days")
        else:
            validator.set(name, timedelta(seconds=seconds))
            validator.set(target, int(seconds))
    for name, least in (("recheck", MIN_RECHECK), ("websocket_recheck", MIN_WEBSOCKET_RECHECK)):
        seconds = _seconds(getattr(config, name))
        if seconds is None or not (seconds == 0 or least <= seconds <= MAX_LIFETIME.total_seconds()):
            validator.fault(name, f"must be 0 (never) or between {least} seconds and {MAX_LIFETIME.days} days")
        else:
            validator.set(name, timedelta(seconds=seconds))
            validator.set(f"{name}_seconds", int(seconds))
    timeout = _seconds(config.timeout)
    if timeout is None or not 0 < timeout <= MAX_TIMEOUT:
        validator.fault("timeout", f"must be more than 0 and at most {MAX_TIMEOUT:.0f} seconds")
    else:
        validator.set("timeout", timeout)
        validator.set("timeout_seconds", timeout)
    if not _is_whole(config.max_slow_calls, 1, MAX_SLOW_CALLS):
        validator.fault("max_slow_calls", f"must be a whole number between 1 and {MAX_SLOW_CALLS}")
    most, least = MAX_LOGINS_PER_ADDRESS, MIN_LOGINS_PER_ADDRESS
    if not _is_whole(config.logins_per_address, 0, 0) and not _is_whole(config.logins_per_address, least, most):
        validator.fault("logins_per_address", f"must be 0 (no limit), or a whole number between {least} and {most}")


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        seconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
