"""How values are written on the pages of the dashboard.

Knows: times, which are UTC everywhere.
Must not: know where they come from.
"""

from datetime import UTC, datetime


def iso_time(moment: float) -> str:
    """Seconds since 1970 as ISO 8601, for machines."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def exact_time(moment: float) -> str:
    """Seconds since 1970 for a log, to the second: `24 Nov 2026, 14:05:07`."""
    return f"{datetime.fromtimestamp(moment, UTC):%d %b %Y, %H:%M:%S}"


def plain_time(moment: float) -> str:
    """Seconds since 1970 for people: `24 Nov 2026, 14:05 UTC`."""
    return f"{datetime.fromtimestamp(moment, UTC):%d %b %Y, %H:%M} UTC"
