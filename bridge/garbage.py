"""When Python collects garbage: seldom, and never while there is something to do.

A full collection looks at every object there is: with 10,000 connections it holds the loop for 0.2 s. What
lives long is therefore frozen, which takes no time and keeps it out of every collection; and since frozen
objects that end in a cycle are never found, they are thawed and collected once, when the bridge is idle.
"""

import asyncio
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from typing import Final, Literal

from bridge.core.counters import Counters
from bridge.core.histogram import Histogram

PAUSE_MICROSECONDS: Final = (
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
)

_YOUNG: Final = 20_000
"""New objects that begin a collection of what is new: with Python's own 700 handshakes cost a third more."""
_MIDDLE: Final = 50
_NEVER: Final = 1_000_000
_PERIOD_SECONDS: Final = 1.0
_WAVE: Final = 200
"""So many connections opened since it last froze are worth freezing."""
_LEFT: Final = 500
"""So many connections closed since it last thawed are worth a pause, when nothing else is going on."""
_LEFT_AT_MOST: Final = 20_000
"""So many are worth it in any case."""
_QUIET_EVENTS: Final = 5
"""The bridge is idle if no more came in a period."""
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
"""So many periods after it last thawed it does so in any case: what else dies in cycles is little."""


class Tidiness:
    """Freezes and thaws, by what has happened since it looked last."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._frozen_at = self._thawed_at = self._events = self._periods = 0

    def look(self) -> Literal["frozen", "thawed", "left"]:
        """What was done with everything that is there now."""
        counters = self._counters
        opened, closed, events = counters.opened.total(), counters.closed.total(), counters.events_in.total()
        is_quiet = events - self._events <= _QUIET_EVENTS
        self._events = events
        self._periods += 1
        if self._is_time_to_thaw(closed - self._thawed_at, is_quiet=is_quiet):
            gc.unfreeze()
            gc.collect()
            _give_back()
            gc.freeze()
            self._frozen_at, self._thawed_at, self._periods = opened, closed, 0
            return "thawed"
        if opened - self._frozen_at < _WAVE:
            return "left"
        gc.freeze()
        self._frozen_at = opened
        return "frozen"

    def _is_time_to_thaw(self, left: int, *, is_quiet: bool) -> bool:
        if is_quiet and (left >= _LEFT or self._periods >= _HOUR):
            return True
        return left >= _LEFT_AT_MOST or self._periods >= _DAY


def _give_back() -> None:
    """What a wave of connections has left, glibc keeps for the next one; the machine may need it before."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def tidy() -> Iterator[None]:
    """Python's collector as a bridge needs it; in the end as it was."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@contextmanager
def timed(pauses: Histogram) -> Iterator[None]:
    """Every collection is counted in ``pauses``, by how many microseconds it took."""
    began = perf_counter_ns()

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = perf_counter_ns()
        else:
            pauses.observe((perf_counter_ns() - began) // 1000)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


async def keep_tidy(counters: Counters, pauses: Histogram) -> None:
    """Look once a period, for ever; ``pauses`` as in `timed`."""
    tidiness = Tidiness(counters)
    with tidy(), timed(pauses):
        while True:
            await asyncio.sleep(_PERIOD_SECONDS)
            tidiness.look()
