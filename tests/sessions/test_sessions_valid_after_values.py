"""Which values `sessions_valid_after` takes: dates with a zone and seconds since 1970, rounded up, in the past."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from xwms_auth._core.config.epoch import EARLIEST, parse_epoch

NOW = 1_800_000_000
MOMENT = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: float(NOW))


@pytest.mark.parametrize(
    "value",
    [
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=-7))),
        MOMENT - timedelta(microseconds=999_999),
        "2024-02-03T04:05:06Z",
        " 2024-02-03T05:05:06+01:00\n",
        "2024-02-03T04:05:05.000001Z",
        MOMENT.timestamp(),
        int(MOMENT.timestamp()),
        MOMENT.timestamp() - 0.999,
        f" {MOMENT.timestamp()} ",
        "1.706933106e9",
    ],
)
def test_a_time_is_read_in_each_form_and_rounded_up(value):
    read = parse_epoch(value)
    assert (read, read.tzinfo) == (MOMENT, UTC)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime(2024, 2, 3), "has no time zone"),  # noqa: DTZ001  that is the fault
        ("2024-02-03T04:05:06", "has no time zone"),
        *(
            (value, "is neither a date")
            for value in ("", "yesterday", "20240203", "nan", "inf", "-inf", float("nan"), float("inf"), True, False,
                          None, [], b"2024-02-03T04:05:06Z", 0, -5, EARLIEST - 0.5)
        ),
        *((value, "is in the future") for value in (NOW + 1.5, NOW + 2, str(NOW + 2), 1e300, "2999-01-01T00:00:00Z")),
    ],
)  # fmt: skip
def test_what_is_no_such_time_is_refused_with_what_is_wrong(value, reason):
    with pytest.raises(ValueError, match=reason):
        parse_epoch(value)


@pytest.mark.parametrize("value", [EARLIEST, NOW, NOW + 1, NOW + 1.0])
def test_the_first_and_the_last_time_count(value):
    assert parse_epoch(value).timestamp() == value
