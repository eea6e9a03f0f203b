"""Positions in the stream, as clients keep them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.errors import ContractError
from contracts.positions import StreamPosition, anchor_of, anchored, nanoseconds


@pytest.mark.parametrize("seq", [0, 812, 2**53 - 1])
@pytest.mark.parametrize("stored_ns", [0, 1_795_521_600_123_456_789])
def test_a_position_is_read_as_it_is_written(seq: int, stored_ns: int) -> None:
    assert StreamPosition.parse(str(StreamPosition(seq, stored_ns))) == (seq, stored_ns)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "812",
            "812-",
            "-812",
            "812-x",
            "812--5",
            "812-5f ",
            "8 12-5f",
            "812-+5",
            "\u0663-5f",
            "812-5F",
        ),
        *("1" * 17 + "-5f", "812-" + "1" * 17, "812-5f\n", "5f-812-5f"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        StreamPosition.parse(text)
    assert caught.value.field == "position"


def test_an_epoch_may_carry_a_position_and_need_not() -> None:
    position = StreamPosition(812, 1_795_521_600_123_456_789)

    assert anchor_of(anchored("63e1c9d2a8b40", position)) == ("63e1c9d2a8b40", position)
    assert anchor_of(anchored("63e1c9d2a8b40", None)) == ("63e1c9d2a8b40", None)
    assert anchor_of("63e1c9d2a8b40-7a") == ("63e1c9d2a8b40-7a", None)
    longest = anchored("f" * 16, StreamPosition(2**53 - 1, 2**63 - 1))
    assert len(longest) <= 64, "clients may say no longer one"


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
