"""A distribution in integers."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.histogram import Histogram

BOUNDS = (1, 10, 100)


def test_a_value_on_a_bound_does_not_lie_above_it() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0, 1, 2, 10, 100, 101):
        histogram.observe(value)

    assert histogram.counts == [2, 2, 1, 1]
    assert list(histogram.cumulative()) == [(1, 2), (10, 4), (100, 5), (None, 6)]


@given(st.lists(st.integers(0, 200)))
def test_nothing_is_lost_and_every_bound_is_true(values: list[int]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)

    assert histogram.total == sum(values)
    for bound, count in histogram.cumulative():
        assert count == sum(bound is None or value <= bound for value in values)
