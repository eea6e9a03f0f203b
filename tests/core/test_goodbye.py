"""Goodbyes: all within the time, and nobody comes back before its turn."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.goodbye import GENTLE, PAUSE_SECONDS, goodbyes


def _always(number: float) -> Callable[[], float]:
    return lambda: number


def test_nobody_is_sent_away_when_nobody_is_there() -> None:
    assert list(goodbyes(0, seconds=3, rate=500, random=_always(0))) == []


def test_a_few_go_at_a_gentle_pace_and_do_not_use_up_the_time() -> None:
    turns = list(goodbyes(4, seconds=3, rate=500, random=_always(0.5)))

    assert [turn.at for turn in turns] == pytest.approx([place / GENTLE for place in range(4)])
    assert {turn.retry_after for turn in turns} == {PAUSE_SECONDS + 0.5}


def test_many_take_all_the_time_and_stay_away_until_they_can_be_taken_in() -> None:
    turns = list(goodbyes(5000, seconds=3, rate=500, random=_always(0)))

    assert turns[-1].at == pytest.approx(3, abs=0.01)
    back = [turn.at + turn.retry_after for turn in turns]
    assert back == pytest.approx([PAUSE_SECONDS + place / 500 for place in range(5000)])


@given(
    st.integers(1, 300),
    st.floats(min_value=0.01, max_value=10),
    st.floats(min_value=0.1, max_value=1000),
)
def test_all_go_within_the_time_in_order_and_none_is_to_come_at_once(
    count: int, seconds: float, rate: float
) -> None:
    turns = list(goodbyes(count, seconds=seconds, rate=rate, random=_always(0)))

    assert len(turns) == count
    assert all(0 <= turn.at < seconds for turn in turns)
    assert turns == sorted(turns, key=lambda turn: turn.at)
    assert all(turn.retry_after >= PAUSE_SECONDS for turn in turns)
