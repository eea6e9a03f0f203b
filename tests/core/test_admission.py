"""Who is let in: no more than there is room for, no faster than the rate; and no crowd comes back at once."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.admission import FULL_SECONDS, Admission, Refusal, TokenBucket

_TIMES = st.lists(st.floats(min_value=0, max_value=3, allow_nan=False), max_size=60)
_RATES = st.floats(min_value=0.1, max_value=50, allow_nan=False)


def test_a_second_s_worth_passes_at_once_and_then_one_by_one() -> None:
    bucket = TokenBucket(4)
    assert [bucket.take(0) for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take(0) > 0
    assert bucket.take(0.25) == 0
    assert bucket.take(0.25) > 0


def test_a_quiet_hour_is_worth_no_more_than_a_second() -> None:
    bucket = TokenBucket(2)
    assert [bucket.take(3600) == 0 for _ in range(3)] == [True, True, False]


def test_a_rate_below_one_lets_one_pass_now_and_then() -> None:
    bucket = TokenBucket(0.1)
    assert bucket.take(0) == 0
    assert bucket.take(5) > 0
    assert bucket.take(10.5) == 0


def test_a_crowd_is_told_to_come_back_one_after_the_other() -> None:
    bucket = TokenBucket(10)
    waits = [bucket.take(0) for _ in range(40)]
    assert waits[:10] == [0] * 10
    assert waits[10:] == [place / 10 for place in range(1, 31)]


@given(_RATES, _TIMES)
def test_no_stretch_of_time_sees_more_than_the_rate_and_a_second_s_worth(
    rate: float, pauses: list[float]
) -> None:
    bucket = TokenBucket(rate)
    now, passed = 0.0, []
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        assert wait >= 0
        if wait == 0:
            passed.append(now)
    for place, begin in enumerate(passed):
        for count, end in enumerate(passed[place:], 1):
            assert count <= max(rate, 1) + rate * (end - begin) + 1e-6


def test_where_there_is_no_room_nobody_comes_in_and_no_token_is_spent() -> None:
    admission = Admission(room=2, rate=1)
    assert admission.ask(2, 0) == Refusal("too_many_connections", FULL_SECONDS)
    assert admission.ask(1, 0) is None
    refusal = admission.ask(1, 0)
    assert refusal == Refusal("too_fast", 1)
