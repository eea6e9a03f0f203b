"""Places in the log, as the id of an event in an event stream."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.errors import ContractError
from contracts.positions import Position, nanoseconds


@pytest.mark.parametrize("epoch", ["5f", "63e1c9d2a8b40", "63e1c9d2a8b40-7a"])
@pytest.mark.parametrize("seq", [0, 812, 10**18])
def test_a_position_is_read_as_it_is_written(epoch: str, seq: int) -> None:
    assert Position.parse(str(Position(epoch, seq))) == (epoch, seq)


@pytest.mark.parametrize(
    "text",
    [
        *("", "812", "5f-", "-812", "5f-x", "5f--", "5f-8 ", "5 f-8", "5f-+8", "5f-\u0663"),
        *("e" * 65 + "-1", "5f-" + "1" * 20),
    ],
)
def test_anything_else_is_refused_by_the_header_s_name(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        Position.parse(text)
    assert caught.value.field == "Last-Event-ID"


def test_a_moment_is_the_same_in_every_time_zone() -> None:
    moment = datetime(2026, 11, 24, 12, 0, 0, 123_456, UTC)

    assert nanoseconds(moment) == 1_795_521_600_123_456_000
    assert nanoseconds(moment.astimezone(timezone(timedelta(hours=5, minutes=30)))) == nanoseconds(moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01T00:00:00+23:00", 0),
        ("1600-01-01T00:00:00+00:00", 0),
        ("2500-01-01T00:00:00+00:00", 9 * 10**18),
        ("9999-12-31T23:59:59-23:00", 9 * 10**18),
    ],
)
def test_a_moment_that_the_stream_cannot_count_is_the_nearest_that_it_can(text: str, expected: int) -> None:
    assert nanoseconds(datetime.fromisoformat(text)) == expected
