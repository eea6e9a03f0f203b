"""When to flush: at once with little traffic, in larger batches the more there is to do."""

from collections.abc import Callable, Iterator
from typing import Final

from bridge.core.histogram import Histogram

SLICE_STEPS: Final = 32
SLICE_SECONDS: Final = 0.005
"""A cycle gives the event loop back after so many steps, or so long and the step that it is in."""

TURN_MICROSECONDS: Final = tuple(1000 * ms for ms in (1, 2, 3, 5, 7, 10, 15, 20, 50, 100, 200, 500, 1000))

DUTY: Final = 2.0
"""A cycle that was busy for D seconds is followed by a rest of ``DUTY`` x D."""


class Pump:
    """Runs ``flush`` in cycles: one at the end of the loop iteration that `wake` is called in, then a rest.

    ``soon(callback)`` and ``later(seconds, callback)`` are the event loop's, ``clock`` a monotonic one in
    seconds. ``max_delay``: seconds that a rest lasts at most; what comes meanwhile waits that long.
    """

    def __init__(
        self,
        flush: Callable[[], Iterator[None]],
        *,
        soon: Callable[[Callable[[], None]], object],
        later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float],
        max_delay: float,
    ) -> None:
        self._flush = flush
        self._soon = soon
        self._later = later
        self._clock = clock
        self._max_delay = max_delay
        self._steps: Iterator[None] = iter(())
        self._busy = 0.0
        self._rests_until = 0.0
        self.turns = Histogram(TURN_MICROSECONDS)
        """Microseconds that each slice of a cycle kept everything else waiting."""
        self._is_woken = False
        self._is_cycling = False
        """Whether a cycle is under way, or due."""

    def wake(self) -> None:
        """There is something to flush."""
        self._is_woken = True
        if not self._is_cycling:
            self._plan()

    def _plan(self) -> None:
        """A cycle now, or when the rest is over: nothing has to happen then if nobody wakes the pump."""
        self._is_cycling = True
        rest = self._rests_until - self._clock()
        if rest > 0:
            self._later(rest, self._cycle)
        else:
            self._soon(self._cycle)

    def _cycle(self) -> None:
        self._is_woken = False
        self._busy = 0.0
        self._steps = self._flush()
        self._slice()

    def _slice(self) -> None:
        began = self._clock()
        is_done = self._run(began + SLICE_SECONDS)
        ended = self._clock()
        self._busy += ended - began
        self.turns.observe(int((ended - began) * 1e6))
        if not is_done:
            self._soon(self._slice)
            return
        self._rests_until = ended + min(self._busy * DUTY, self._max_delay)
        self._is_cycling = False
        if self._is_woken:
            self._plan()

    def _run(self, until: float) -> bool:
        """Take steps until there are none, or enough were taken; whether there are none."""
        for taken, _ in enumerate(self._steps, 1):
            if taken == SLICE_STEPS or self._clock() >= until:
                return False
        return True
