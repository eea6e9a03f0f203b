"""Times in which this process did not run: it was stopped, or its machine was, or one thing took very long.

What others said meanwhile waits to be read: their silence is to be measured without such times.
"""

from collections.abc import Callable


class Pauses:
    """Told the time again and again, at least once in ``period`` seconds."""

    __slots__ = ("_last", "_period")

    def __init__(self, period: float) -> None:
        self._period = period
        self._last: float | None = None

    def before(self, now: float) -> float:
        """Seconds beyond the period that have passed since it was told last, if those are another period."""
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        return passed - self._period if passed > 2 * self._period else 0.0


class AwakeClock:
    """A clock in seconds that leaves out the pauses of ``clock``; to be read once in ``period`` seconds."""

    __slots__ = ("_clock", "_left_out", "_pauses")

    def __init__(self, clock: Callable[[], float], period: float) -> None:
        self._clock = clock
        self._pauses = Pauses(period)
        self._left_out = 0.0

    def __call__(self) -> float:
        """Now."""
        now = self._clock()
        self._left_out += self._pauses.before(now)
        return now - self._left_out
