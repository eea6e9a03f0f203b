"""A distribution, counted in plain integers."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate


class Histogram:
    """How many values lay at or below each of ``bounds``, which rise; made for a hot path.

    ``total`` is the sum of the values, ``counts`` has one number a bound and one for what lies above all.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def observe(self, value: int) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[int | None, int]]:
        """Each bound, None for the last, with how many values do not lie above it."""
        return zip((*self.bounds, None), accumulate(self.counts), strict=True)
