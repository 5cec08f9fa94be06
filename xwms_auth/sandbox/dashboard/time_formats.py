"""The formats of times on the pages of the dashboard, all in UTC."""

from datetime import UTC, datetime


def iso_time(timestamp: float) -> str:
    """Seconds since 1970 as ISO 8601, for machines."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def exact_time(timestamp: float) -> str:
    """Seconds since 1970 for a log, to the second: `24 Nov 2026, 14:05:07`."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%d %b %Y, %H:%M:%S}"


def plain_time(timestamp: float) -> str:
    """Seconds since 1970 for people: `24 Nov 2026, 14:05 UTC`."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%d %b %Y, %H:%M} UTC"
